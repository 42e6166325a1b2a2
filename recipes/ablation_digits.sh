#!/usr/bin/env bash
# Table 6 in miniature on scikit-learn's handwritten digits: ResNet-18-D with teacher ResNet-34-D, six rungs with SEEDS each, and
# a seventh that trains without mixup for as long as the rung with mixup.
# 4 epochs stand for the paper's 120 and 7 for its 200; the step decay is at the same quarters of the run.
# About 11 minutes on two idle cores: JOBS runs in parallel, with one thread each. The same command resumes it after a kill.
# Results are in docs/ablation.md. RUNS, the folder of the runs, must not contain blanks.
set -euo pipefail
export RUNS=${RUNS:-runs/ablation_digits} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} FLAGS="$*"

# The digits fill their images and must not be mirrored, so crops are mild and nothing is flipped.
data="--data-dir $RUNS/data --classes 10 --input-size 24 --crop-ratio 1 --crop-area 0.5,1 --flip 0 --color-jitter 0 --pca-noise 0"
efficient="$data --batch-size 32 --linear-scaling --base-lr 0.4 --warmup-epochs 0.5 --last-gamma --no-wd --num-epochs 4"
cosine="$efficient --lr-mode cosine"
smoothing="$cosine --label-smoothing 0.1"
mixup="$smoothing --mixup-alpha 0.2 --num-epochs 7"

train_each_line() { # input lines: FOLDER FLAG...
  # shellcheck disable=SC2016 # the inner bash expands it
  xargs -L 1 -P "${JOBS:-2}" bash -o pipefail -c '
    python -m gluon_tricks train -j 1 --save-frequency 0 --log-interval 15 --resume auto --save-dir "$RUNS/$1" "${@:2}" $FLAGS |
      tail -n 1 | sed "s|^|$1: |"' train
}

python -m gluon_tricks prepare digits "$RUNS/data"
train_each_line <<END
teachers/smoothing --model resnet34_v1d $smoothing
teachers/mixup --model resnet34_v1d $mixup
END
for seed in ${SEEDS:-0 1 2}; do
  student="--model resnet18_v1d --seed $seed"
  cat <<END
efficient-$seed $student $efficient --lr-mode step --lr-decay-epoch 1,2,3
cosine-$seed $student $cosine
smoothing-$seed $student $smoothing
distill-$seed $student $smoothing --teacher $RUNS/teachers/smoothing
mixup-$seed $student $mixup
distill_mixup-$seed $student $mixup --teacher $RUNS/teachers/mixup
longer-$seed $student $smoothing --num-epochs 7
END
done | train_each_line
python -m gluon_tricks report "$RUNS"/{efficient,cosine,smoothing,distill,mixup,distill_mixup,longer}-* -o "$RUNS/report"

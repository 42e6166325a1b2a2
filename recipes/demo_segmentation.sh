#!/usr/bin/env bash
# Section 6.2 in miniature: FCN on ResNet-18-D finds handwritten digits in photographs, once from a digit classifier and once
# from random weights, in parallel, with one thread each. About 8 minutes on two idle cores, for each of the SEEDS.
# The same command resumes it after a kill. Results are in docs/transfer.md. RUNS must not contain blanks.
set -euo pipefail
export RUNS=${RUNS:-runs/demo_segmentation} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} FLAGS="$*"

# Digits must not be mirrored, and have no colour.
digits="--data-dir $RUNS/digits --classes 10 --input-size 32 --crop-ratio 1 --crop-area 0.6,1 --flip 0 --color-jitter 0 --pca-noise 0"
tricks="--linear-scaling --base-lr 0.4 --warmup-epochs 1 --lr-mode cosine --last-gamma --no-wd --label-smoothing 0.1 --mixup-alpha 0.2"
# 12 steps per epoch on crops of 64 pixels; the scenes have 96 and are validated whole.
scenes="--task segmentation --model fcn_resnet18_v1d --data-dir $RUNS/scenes --classes 11 --input-size 64 --test-size 96"
steps="--base-size 96 --scale-range 0.75,1.25 --flip 0 --batch-size 8 --lr 0.02 --num-epochs 83 --val-frequency 40"

train_each_line() { # input lines: FOLDER FLAG...
  # shellcheck disable=SC2016 # the inner bash expands it
  xargs -L 1 -P "${JOBS:-2}" bash -o pipefail -c '
    python -m gluon_tricks train -j 1 --save-frequency 0 --log-interval 100 --resume auto --save-dir "$RUNS/$1" "${@:2}" $FLAGS |
      sed -u "s|^|$1: |"' train
}

python -m gluon_tricks prepare digits "$RUNS/digits"
python -m gluon_tricks prepare scenes "$RUNS/scenes"
for seed in ${SEEDS:-0}; do
  train_each_line <<<"classifier-$seed --model resnet18_v1d $digits $tricks --batch-size 32 --num-epochs 5 --seed $seed"
  train_each_line <<END
pretrained-$seed $scenes $steps --seed $seed --backbone-params $RUNS/classifier-$seed
random-$seed $scenes $steps --seed $seed
END
done
python -m gluon_tricks report "$RUNS"/{pretrained,random}-* -o "$RUNS/report"

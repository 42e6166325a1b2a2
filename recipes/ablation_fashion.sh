#!/usr/bin/env bash
# The successors' ingredients one by one on Fashion-MNIST, with SEEDS each: changes of the training on ResNet-18-D, changes of
# the network on ResNet-50-D, and a growing batch against a falling rate. 10,000 test images: half a point is 50 of them.
# About an hour on two idle cores, by its CPU time: JOBS runs in parallel, with one thread each. The same command resumes it.
# IDX is the folder of the idx files (Debian: package dataset-fashion-mnist). Results are in docs/ablation_successors.md.
# RUNS, the folder of the runs, must not contain blanks.
set -euo pipefail
IDX=${IDX:-/usr/share/datasets/fashion-mnist}
export RUNS=${RUNS:-runs/ablation_fashion} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} FLAGS="$*"

# An epoch has 6,000 of the 60,000 images, different ones each time, so the five epochs of a run see 30,000.
data="--data-dir $RUNS/data --classes 10 --input-size 28 --crop-ratio 1 --crop-area 0.5,1 --color-jitter 0 --pca-noise 0"
tricks="--linear-scaling --base-lr 0.4 --warmup-epochs 0.5 --last-gamma --no-wd --label-smoothing 0.1"
common="$data --batch-size 32 --num-epochs 5 $tricks"
training="--model resnet18_v1d --num-training-samples 6000 $common"
networks="--num-training-samples 3200 $common --lr-mode cosine"

train_each_line() { # input lines: FOLDER FLAG...
  # shellcheck disable=SC2016 # the inner bash expands it
  xargs -L 1 -P "${JOBS:-2}" bash -o pipefail -c '
    python -m gluon_tricks train -j 1 --save-frequency 0 --val-frequency 5 --log-interval 20 --resume auto \
      --save-dir "$RUNS/$1" "${@:2}" $FLAGS | tail -n 1 | sed "s|^|$1: |"' train
}

python -m gluon_tricks prepare idx "$IDX" "$RUNS/data"
train_each_line <<< "teacher --model resnet34_v1d --num-training-samples 12000 $common --lr-mode cosine"
[ -e "$RUNS/teacher.logits" ] || python -m gluon_tricks logits "$RUNS/teacher" "$RUNS/data/train.rec" -o "$RUNS/teacher.logits"
for seed in ${SEEDS:-0 1 2}; do
  cat <<END
plain-$seed --seed $seed $training --lr-mode cosine
anti_alias-$seed --seed $seed $training --lr-mode cosine --anti-alias
drop_block-$seed --seed $seed $training --lr-mode cosine --drop-block 0.1
auto_augment-$seed --seed $seed $training --lr-mode cosine --auto-augment imagenet
ema-$seed --seed $seed $training --lr-mode cosine --ema 0.996
logits-$seed --seed $seed $training --lr-mode cosine --teacher-logits $RUNS/teacher.logits --temperature 1
decay-$seed --seed $seed $training --lr-mode step --lr-decay 0.2 --lr-decay-epoch 3,4
growth-$seed --seed $seed $training --lr-mode constant --batch-growth 3:x5,4:x5
resnet50-$seed --seed $seed --model resnet50_v1d $networks
se-$seed --seed $seed --model resnet50_v1d --attention se $networks
sk-$seed --seed $seed --model resnet50_v1d --attention sk $networks
big_little-$seed --seed $seed --model blresnet50 $networks
END
done | train_each_line
python -m gluon_tricks report "$RUNS"/{plain,anti_alias,drop_block,auto_augment,ema,logits,decay,growth,resnet50,se,sk,big_little}-* \
  -o "$RUNS/report"

#!/usr/bin/env bash
# Section 6.1 in miniature: Faster-RCNN on ResNet-18-D finds handwritten digits in photographs, once from a digit classifier and
# once from random weights, in parallel, with one thread each. 6 and a half minutes on two idle cores, for each of the SEEDS.
# The same command resumes it after a kill. Results are in docs/detection.md. RUNS must not contain blanks.
set -euo pipefail
export RUNS=${RUNS:-runs/demo_detection} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} FLAGS="$*"

# Digits must not be mirrored, and have no colour.
digits="--data-dir $RUNS/digits --classes 10 --input-size 32 --crop-ratio 1 --crop-area 0.6,1 --flip 0 --color-jitter 0 --pca-noise 0"
tricks="--linear-scaling --base-lr 0.4 --warmup-epochs 1 --lr-mode cosine --last-gamma --no-wd --label-smoothing 0.1 --mixup-alpha 0.2"
# 75 steps per epoch. Regions take half of a step's time, so they are small and few; each anchor size has three shapes.
scenes="--task detection --model faster_rcnn_resnet18_v1d --data-dir $RUNS/scenes --classes 10 --input-size 128 --max-side 128 --flip 0"
regions="--anchor-scales 3,4 --rpn-channels 128 --proposals 50,20 --rpn-sample 32 --roi-sample 16 --roi-size 4 --max-boxes 10"
steps="--batch-size 4 --lr 0.02 --lr-mode cosine --warmup-epochs 0.3 --num-epochs 12 --val-frequency 12"

train_each_line() { # input lines: FOLDER FLAG...
  # shellcheck disable=SC2016 # the inner bash expands it
  xargs -L 1 -P "${JOBS:-2}" bash -o pipefail -c '
    python -m gluon_tricks train -j 1 --save-frequency 0 --log-interval 100 --resume auto --save-dir "$RUNS/$1" "${@:2}" $FLAGS |
      sed -u "s|^|$1: |"' train
}

python -m gluon_tricks prepare digits "$RUNS/digits"
python -m gluon_tricks prepare boxed-scenes "$RUNS/scenes"
for seed in ${SEEDS:-0}; do
  train_each_line <<<"classifier-$seed --model resnet18_v1d $digits $tricks --batch-size 32 --num-epochs 5 --seed $seed"
  train_each_line <<END
pretrained-$seed $scenes $regions $steps --seed $seed --backbone-params $RUNS/classifier-$seed
random-$seed $scenes $regions $steps --seed $seed
END
done
best="$RUNS/pretrained-${seed:?SEEDS is empty}"
python -m gluon_tricks predict "$best" --rec "$RUNS/scenes/val.rec" --keys 0-11 -o "$RUNS/drawn"
python -m gluon_tricks evaluate "$best" --rec-val "$RUNS/scenes/val.rec"
python -m gluon_tricks export "$best" -o "$RUNS/exported" --force
python -m gluon_tricks report "$RUNS"/{pretrained,random}-* -o "$RUNS/report"

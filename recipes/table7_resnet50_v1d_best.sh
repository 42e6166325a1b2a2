#!/usr/bin/env bash
# Table 7, Places365, ResNet-50-D, best: top-1 56.70 %, top-5 87.33 % (the paper, from memory).
# 8 V100, 1024 images a step, float16: hours not published.
# First: gluon-tricks prepare places365 SOURCE DATA
DATA=${DATA:-data/places365} GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1d --linear-scaling --classes 365 --dtype float16 --num-epochs 200 --warmup-epochs 5 \
  --lr-mode cosine --last-gamma --no-wd --label-smoothing 0.1 --mixup-alpha 0.2 "$@"

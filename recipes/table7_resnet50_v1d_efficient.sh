#!/usr/bin/env bash
# Table 7, Places365, ResNet-50-D, efficient: top-1 56.34 %, top-5 86.87 % (the paper, from memory).
# 8 V100, 1024 images a step, float16: hours not published.
# First: gluon-tricks prepare places365 SOURCE DATA
DATA=${DATA:-data/places365} GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1d --linear-scaling --classes 365 --dtype float16 --num-epochs 120 --warmup-epochs 5 \
  --lr-mode step --last-gamma --no-wd "$@"

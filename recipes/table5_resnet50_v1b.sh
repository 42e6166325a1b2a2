#!/usr/bin/env bash
# Table 5, ResNet-50-B, efficient: top-1 76.66 %, top-5 93.28 % in the paper.
# 8 V100, 1024 images a step, float16: 8.3 hours (the authors' log).
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1b --dtype float16 --linear-scaling --warmup-epochs 5 --last-gamma --no-wd \
  --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

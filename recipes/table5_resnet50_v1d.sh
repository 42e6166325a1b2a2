#!/usr/bin/env bash
# Table 5, ResNet-50-D, efficient: top-1 77.16 %, top-5 93.52 % in the paper.
# 8 V100, 1024 images a step, float16: 8.6 hours (the authors' log).
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1d --dtype float16 --linear-scaling --warmup-epochs 5 --last-gamma --no-wd \
  --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

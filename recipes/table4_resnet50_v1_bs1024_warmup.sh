#!/usr/bin/env bash
# Table 4, ResNet-50, + warmup, BS = 1024: top-1 75.93 %, top-5 92.84 % in the paper.
# 8 V100, 1024 images a step, float32: hours not published.
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1 --linear-scaling --warmup-epochs 5 \
  --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

#!/usr/bin/env bash
# Table 2, ResNet-50, baseline: top-1 75.87 %, top-5 92.70 % in the paper.
# 8 V100, 256 images a step, float32: 26.6 hours (Table 3).
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1 --lr 0.1 \
  --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

#!/usr/bin/env bash
# Table 4, ResNet-50, + warmup, BS = 256: top-1 76.03 %, top-5 92.81 % in the paper.
# 8 V100, 256 images a step, float32: 26.6 hours (Table 3).
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1 --linear-scaling --warmup-epochs 5 \
  --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

#!/usr/bin/env bash
# Table 2, MobileNet, baseline: top-1 69.03 %, top-5 88.71 % in the paper.
# 8 V100, 256 images a step, float32: 12.4 hours (Table 3).
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model mobilenet1.0 --lr 0.1 \
  --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

#!/usr/bin/env bash
# Table 2, Inception-V3, baseline: top-1 77.32 %, top-5 93.43 % in the paper.
# 8 V100, 256 images a step, float32: 39.6 hours (Table 3).
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model inceptionv3 --input-size 299 --lr 0.1 \
  --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

#!/usr/bin/env bash
# Table 8, ResNet-50-B, standard: top-1 76.14 % in the paper (from memory); a backbone of Tables 8 and 9.
# 8 V100, 256 images a step, float32: hours not published.
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1b --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

#!/usr/bin/env bash
# Table 4, ResNet-50, + FP16, BS = 256: top-1 76.15 %, top-5 93.09 % in the paper.
# 8 V100, 256 images a step, float16: hours not published.
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1 --dtype float16 --linear-scaling --warmup-epochs 5 --last-gamma --no-wd \
  --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

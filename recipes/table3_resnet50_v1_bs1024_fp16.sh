#!/usr/bin/env bash
# Table 3, ResNet-50, BS = 1024, FP16: top-1 76.21 %, top-5 92.97 % in the paper.
# 8 V100, 1024 images a step, float16: 8.8 hours (Table 3).
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1 --dtype float16 --linear-scaling --warmup-epochs 5 --last-gamma --no-wd \
  --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

#!/usr/bin/env bash
# Table 6, ResNet-50-D, + cosine: top-1 77.91 %, top-5 93.81 % in the paper.
# 8 V100, 1024 images a step, float16: 8.6 hours (the authors' log).
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1d --dtype float16 --linear-scaling --warmup-epochs 5 --last-gamma --no-wd \
  --lr-mode cosine --num-epochs 120 "$@"

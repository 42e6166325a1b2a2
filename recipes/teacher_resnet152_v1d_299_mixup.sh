#!/usr/bin/env bash
# Teacher, ResNet-152-D, mixup, 299 px, for Inception-V3 (section 5.3). The paper has no figure of it.
# 8 V100, 256 images a step, float32: hours not published.
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet152_v1d --input-size 299 --linear-scaling --warmup-epochs 5 --last-gamma --no-wd \
  --lr-mode cosine --num-epochs 200 --label-smoothing 0.1 --mixup-alpha 0.2 "$@"

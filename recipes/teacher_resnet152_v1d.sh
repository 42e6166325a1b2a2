#!/usr/bin/env bash
# Teacher, ResNet-152-D, 224 px, for ResNet-50-D and MobileNet (section 5.3). The paper has no figure of it.
# 8 V100, 256 images a step, float32: 57.9 hours (the authors' log).
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet152_v1d --linear-scaling --warmup-epochs 5 --last-gamma --no-wd \
  --lr-mode cosine --num-epochs 120 --label-smoothing 0.1 "$@"

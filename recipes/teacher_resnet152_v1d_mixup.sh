#!/usr/bin/env bash
# Teacher, ResNet-152-D, mixup, 224 px, for ResNet-50-D and MobileNet (section 5.3); the authors' log of it: top-1 80.62 %, top-5 95.29 %.
# 8 V100, 256 images a step, float32: 96.4 hours (the authors' log).
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet152_v1d --linear-scaling --warmup-epochs 5 --last-gamma --no-wd \
  --lr-mode cosine --num-epochs 200 --label-smoothing 0.1 --mixup-alpha 0.2 "$@"

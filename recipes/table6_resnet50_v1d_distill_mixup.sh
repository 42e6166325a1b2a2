#!/usr/bin/env bash
# Table 6, ResNet-50-D, + distillation and mixup: top-1 79.29 %, top-5 94.63 % in the paper.
# 8 V100, 1024 images a step, float16: hours not published.
# First: recipes/teacher_resnet152_v1d_mixup.sh
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1d --dtype float16 --linear-scaling --warmup-epochs 5 --last-gamma --no-wd \
  --lr-mode cosine --num-epochs 200 --label-smoothing 0.1 --mixup-alpha 0.2 \
  --teacher "${RUNS:-runs}/teacher_resnet152_v1d_mixup" --temperature 20 "$@"

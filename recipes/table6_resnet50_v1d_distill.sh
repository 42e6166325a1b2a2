#!/usr/bin/env bash
# Table 6, ResNet-50-D, + distillation, no mixup: top-1 78.67 %, top-5 94.36 % in the paper.
# 8 V100, 1024 images a step, float16: hours not published.
# First: recipes/teacher_resnet152_v1d.sh
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1d --dtype float16 --linear-scaling --warmup-epochs 5 --last-gamma --no-wd \
  --lr-mode cosine --num-epochs 120 --label-smoothing 0.1 \
  --teacher "${RUNS:-runs}/teacher_resnet152_v1d" --temperature 20 "$@"

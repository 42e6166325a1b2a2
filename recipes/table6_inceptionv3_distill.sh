#!/usr/bin/env bash
# Table 6, Inception-V3, + distillation, no mixup: top-1 78.26 %, top-5 94.01 % in the paper.
# 8 V100, 1024 images a step, float16: hours not published.
# First: recipes/teacher_resnet152_v1d_299.sh
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model inceptionv3 --input-size 299 --dtype float16 --linear-scaling --warmup-epochs 5 --no-wd \
  --lr-mode cosine --num-epochs 120 --label-smoothing 0.1 \
  --teacher "${RUNS:-runs}/teacher_resnet152_v1d_299" --temperature 20 "$@"

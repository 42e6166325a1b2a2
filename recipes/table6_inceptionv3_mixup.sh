#!/usr/bin/env bash
# Table 6, Inception-V3, + mixup, no distillation: top-1 78.77 %, top-5 94.39 % in the paper.
# 8 V100, 1024 images a step, float16: 26.7 hours (Table 3).
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model inceptionv3 --input-size 299 --dtype float16 --linear-scaling --warmup-epochs 5 --no-wd \
  --lr-mode cosine --num-epochs 200 --label-smoothing 0.1 --mixup-alpha 0.2 "$@"

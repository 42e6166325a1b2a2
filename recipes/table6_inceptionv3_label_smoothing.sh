#!/usr/bin/env bash
# Table 6, Inception-V3, + label smoothing: top-1 78.40 %, top-5 94.13 % in the paper.
# 8 V100, 1024 images a step, float16: 16.0 hours (Table 3).
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model inceptionv3 --input-size 299 --dtype float16 --linear-scaling --warmup-epochs 5 --no-wd \
  --lr-mode cosine --num-epochs 120 --label-smoothing 0.1 "$@"

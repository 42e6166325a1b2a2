#!/usr/bin/env bash
# Table 6, MobileNet, + mixup, no distillation: top-1 73.28 %, top-5 91.30 % in the paper.
# 8 V100, 1024 images a step, float16: 12.3 hours (Table 3).
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model mobilenet1.0 --dtype float16 --linear-scaling --warmup-epochs 5 --no-wd \
  --lr-mode cosine --num-epochs 200 --label-smoothing 0.1 --mixup-alpha 0.2 "$@"

#!/usr/bin/env bash
# Table 3, MobileNet, BS = 1024, FP16: top-1 71.90 %, top-5 90.47 % in the paper.
# 8 V100, 1024 images a step, float16: 7.4 hours (Table 3).
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model mobilenet1.0 --dtype float16 --linear-scaling --warmup-epochs 5 --no-wd \
  --lr-mode step --lr-decay-epoch 30,60,90 --num-epochs 120 "$@"

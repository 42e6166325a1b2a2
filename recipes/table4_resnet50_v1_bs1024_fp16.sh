#!/usr/bin/env bash
# Table 4, ResNet-50, + FP16, BS = 1024: top-1 76.21 %, top-5 92.97 % in the paper.
# 8 V100, 1024 images a step, float16: 8.8 hours (Table 3).
# The same run as recipes/table3_resnet50_v1_bs1024_fp16.sh.
exec "$(dirname "$0")/table3_resnet50_v1_bs1024_fp16.sh" "$@"

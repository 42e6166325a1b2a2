#!/usr/bin/env bash
# Table 3, ResNet-50, BS = 256, FP32: top-1 75.87 %, top-5 92.70 % in the paper.
# 8 V100, 256 images a step, float32: 26.6 hours (Table 3).
# The same run as recipes/table2_resnet50_v1_baseline.sh.
exec "$(dirname "$0")/table2_resnet50_v1_baseline.sh" "$@"

#!/usr/bin/env bash
# Table 4, ResNet-50, linear scaling, BS = 256: top-1 75.87 %, top-5 92.70 % in the paper.
# 8 V100, 256 images a step, float32: 26.6 hours (Table 3).
# The same run as recipes/table2_resnet50_v1_baseline.sh.
exec "$(dirname "$0")/table2_resnet50_v1_baseline.sh" "$@"

#!/usr/bin/env bash
# Table 3, MobileNet, BS = 256, FP32: top-1 69.03 %, top-5 88.71 % in the paper.
# 8 V100, 256 images a step, float32: 12.4 hours (Table 3).
# The same run as recipes/table2_mobilenet_baseline.sh.
exec "$(dirname "$0")/table2_mobilenet_baseline.sh" "$@"

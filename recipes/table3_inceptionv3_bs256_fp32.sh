#!/usr/bin/env bash
# Table 3, Inception-V3, BS = 256, FP32: top-1 77.32 %, top-5 93.43 % in the paper.
# 8 V100, 256 images a step, float32: 39.6 hours (Table 3).
# The same run as recipes/table2_inceptionv3_baseline.sh.
exec "$(dirname "$0")/table2_inceptionv3_baseline.sh" "$@"

#!/usr/bin/env bash
# Table 6, Inception-V3, efficient: top-1 77.50 %, top-5 93.60 % in the paper.
# 8 V100, 1024 images a step, float16: 16.0 hours (Table 3).
# The same run as recipes/table3_inceptionv3_bs1024_fp16.sh.
exec "$(dirname "$0")/table3_inceptionv3_bs1024_fp16.sh" "$@"

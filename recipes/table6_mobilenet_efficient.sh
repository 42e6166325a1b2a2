#!/usr/bin/env bash
# Table 6, MobileNet, efficient: top-1 71.90 %, top-5 90.53 % in the paper.
# 8 V100, 1024 images a step, float16: 7.4 hours (Table 3).
# The same run as recipes/table3_mobilenet_bs1024_fp16.sh.
exec "$(dirname "$0")/table3_mobilenet_bs1024_fp16.sh" "$@"

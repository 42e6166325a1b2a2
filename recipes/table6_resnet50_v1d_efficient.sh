#!/usr/bin/env bash
# Table 6, ResNet-50-D, efficient: top-1 77.16 %, top-5 93.52 % in the paper.
# 8 V100, 1024 images a step, float16: 8.6 hours (the authors' log).
# The same run as recipes/table5_resnet50_v1d.sh.
exec "$(dirname "$0")/table5_resnet50_v1d.sh" "$@"

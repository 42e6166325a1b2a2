#!/usr/bin/env bash
# Assembled-CNN, E1, ResNet-50-D: top-1 77.37 % (arXiv 2001.06268, version 1).
# 8 P40, 1024 images a step, float16: hours not published.
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1d --bn-momentum 0.997 --last-gamma --dtype float16 --loss-scale 128 --optimizer sgd \
  --momentum-form outside --linear-scaling --warmup-epochs 5 --warmup-from 0 --lr-mode cosine --no-wd \
  --no-wd-form norms --crop-area 0.1,1 --rgb-std 1,1,1 --color-jitter 0 --pca-noise 0 "$@"

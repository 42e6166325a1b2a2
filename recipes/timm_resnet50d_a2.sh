#!/usr/bin/env bash
# timm, ResNet-50-D, A2: top-1 80.268 % (arXiv 2110.00476; results-imagenet.csv of timm).
# 4 V100, 2048 images a step, float16: hours not published.
GLOBAL_BATCH=2048 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1d --drop-path 0.05 --crop-ratio 0.95 --dtype float16 --optimizer lamb --clip-norm 1 --lr 0.005 \
  --warmup-epochs 5 --lr-mode cosine --lr-min 1e-06 --num-epochs 300 --wd 0.02 --no-wd --rgb-mean 123.675,116.28,103.53 \
  --rgb-std 58.395,57.12,57.375 --color-jitter 0 --pca-noise 0 --auto-augment randaugment \
  --auto-augment-form timm --randaugment-magnitude 7 --randaugment-std 0.5 --repeated-augmentation 3 --loss bce \
  --bce-target-threshold 0.2 --mixup-alpha 0.1 --cutmix 1 --mixup-partner reverse "$@"

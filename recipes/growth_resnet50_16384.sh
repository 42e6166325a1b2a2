#!/usr/bin/env bash
# batch growth, ResNet-50, 16,384 throughout: top-1 75.0 % (arXiv 1711.00489, from memory).
# TPU, 16384 images a step, float16: hours not published.
GLOBAL_BATCH=16384 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1b --last-gamma --dtype float16 --momentum-form outside --linear-scaling --warmup-epochs 5 \
  --lr-decay-epoch 30,60,80 --num-epochs 90 --rgb-mean 123.675,116.28,103.53 --rgb-std 58.395,57.12,57.375 \
  --color-jitter 0 --pca-noise 0 "$@"

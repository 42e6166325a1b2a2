#!/usr/bin/env bash
# Assembled-CNN, Food-101, Assemble-ResNet-50, + mixup: top-1 92.11 % (arXiv 2001.06268, version 1).
# 4 GPUs, 256 images a step, float32: hours not published.
# First: recipes/assembled_e11.sh; gluon-tricks prepare food101 SOURCE DATA
DATA=${DATA:-data/food101} GPUS=${GPUS:-4} GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model assemble_resnet50 --lr 0.01 --classes 101 --drop-block 0.3 --drop-block-from 0.1 --bn-momentum 0.966 \
  --crop-area 0.1,1 --color-jitter 0 --pca-noise 0 --rgb-std 1,1,1 --num-epochs 100 --optimizer sgd \
  --momentum-form outside --wd 0.001 --warmup-epochs 5 --warmup-from 0 --lr-mode cosine --no-wd --no-wd-form norms \
  --mixup-alpha 0.2 --mixup-type 1 --use-params "${RUNS:-runs}/assembled_e11" "$@"

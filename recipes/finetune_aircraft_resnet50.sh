#!/usr/bin/env bash
# Assembled-CNN, Aircraft, ResNet-50: top-1 78.8 % (arXiv 2001.06268, version 1).
# 4 GPUs, 256 images a step, float32: hours not published.
# First: recipes/assembled_e0.sh; gluon-tricks prepare aircraft SOURCE DATA
DATA=${DATA:-data/aircraft} GPUS=${GPUS:-4} GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1b --lr 0.01 --classes 100 --bn-momentum 0.9 --crop-area 0.1,1 --color-jitter 0 --pca-noise 0 \
  --rgb-std 1,1,1 --num-epochs 800 --optimizer sgd --momentum-form outside --wd 0.001 --warmup-epochs 5 \
  --warmup-from 0 --lr-mode cosine --no-wd --no-wd-form norms --use-params "${RUNS:-runs}/assembled_e0" "$@"

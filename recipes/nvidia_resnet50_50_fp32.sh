#!/usr/bin/env bash
# NVIDIA, ResNet-50 v1.5, 50 epochs, FP32: top-1 76.33 % (github NVIDIA/DeepLearningExamples, MxNet/Classification/RN50v1.5).
# 8 GPUs, 768 images a step, float32: hours not published.
GLOBAL_BATCH=768 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1b --optimizer sgd --momentum 0.875 --linear-scaling --base-lr 0.256 --warmup-epochs 5 \
  --lr-mode cosine --num-epochs 50 --wd 3.0517578125e-05 --no-wd --no-wd-form norms --color-jitter 0 \
  --pca-noise 0 --label-smoothing 0.1 "$@"

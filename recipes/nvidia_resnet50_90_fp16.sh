#!/usr/bin/env bash
# NVIDIA, ResNet-50 v1.5, 90 epochs, FP16: top-1 77.15 % (github NVIDIA/DeepLearningExamples, MxNet/Classification/RN50v1.5).
# 8 GPUs, 1536 images a step, float16: hours not published.
GLOBAL_BATCH=1536 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1b --dtype float16 --optimizer sgd --momentum 0.875 --linear-scaling --base-lr 0.256 \
  --warmup-epochs 5 --lr-mode cosine --num-epochs 90 --wd 3.0517578125e-05 --no-wd --no-wd-form norms \
  --color-jitter 0 --pca-noise 0 --label-smoothing 0.1 "$@"

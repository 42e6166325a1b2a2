#!/usr/bin/env bash
# Table 9, ADE20K, ResNet-50-D, + distillation, no mixup: pixel accuracy 78.97 %, mIoU 38.90 % (the paper, from memory).
# 4 V100, 16 images a step, float32: hours not published.
# First: recipes/table6_resnet50_v1d_distill.sh; gluon-tricks prepare ade20k SOURCE DATA
DATA=${DATA:-data/ade20k} GPUS=${GPUS:-4} GLOBAL_BATCH=16 exec "$(dirname "$0")/launch.sh" "$0" \
  --task segmentation --model fcn_resnet50_v1d --lr 0.01 --classes 150 --input-size 480 --crop-ratio 1 \
  --color-jitter 0 --pca-noise 0 --num-epochs 120 --optimizer sgd --lr-mode poly --poly-power 0.9 \
  --backbone-params "${RUNS:-runs}/table6_resnet50_v1d_distill" "$@"

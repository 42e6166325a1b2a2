#!/usr/bin/env bash
# Table 8, VOC 2007, ResNet-50-D, + mixup, no distillation: mAP 81.10 % (the paper, from memory).
# 4 V100, 4 images a step, float32: hours not published.
# First: recipes/table6_resnet50_v1d_mixup.sh; gluon-tricks prepare voc SOURCE DATA
DATA=${DATA:-data/voc} GPUS=${GPUS:-4} GLOBAL_BATCH=4 exec "$(dirname "$0")/launch.sh" "$0" \
  --task detection --model faster_rcnn_resnet50_v1d --lr 0.001 --classes 20 --input-size 600 \
  --color-jitter 0 --pca-noise 0 --num-epochs 20 --lr-decay-epoch 14,20 --optimizer sgd --wd 0.0005 \
  --backbone-params "${RUNS:-runs}/table6_resnet50_v1d_mixup" "$@"

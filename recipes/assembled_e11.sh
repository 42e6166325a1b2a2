#!/usr/bin/env bash
# Assembled-CNN, E11, + AutoAugment: Assemble-ResNet-50: top-1 82.78 % (arXiv 2001.06268, version 1).
# 8 P40, 1024 images a step, float16: hours not published.
# First: gluon-tricks logits TEACHER DATA/train.rec -o DATA/amoebanet_a.logits
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model assemble_resnet50 --drop-block 0.1 --bn-momentum 0.997 --last-gamma --test-size 256 --dtype float16 \
  --loss-scale 128 --optimizer sgd --momentum-form outside --linear-scaling --warmup-epochs 5 --warmup-from 0 \
  --lr-mode cosine --num-epochs 600 --no-wd --no-wd-form norms --crop-area 0.1,1 --rgb-std 1,1,1 \
  --color-jitter 0 --pca-noise 0 --auto-augment imagenet --auto-augment-form tpu --label-smoothing 0.1 \
  --smoothing-form gluoncv --mixup-alpha 0.2 --mixup-type 1 \
  --teacher-logits "${DATA:-data/imagenet}/amoebanet_a.logits" --temperature 1 "$@"

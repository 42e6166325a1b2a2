#!/usr/bin/env bash
# torchvision, ResNet-50, IMAGENET1K_V2: top-1 80.858 %, top-5 95.434 % (the blog post of 2021-11-18).
# 8 GPUs, 1024 images a step, float32: hours not published.
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model resnet50_v1b --input-size 176 --test-size 224 --crop-ratio 0.9655 --optimizer sgd \
  --momentum-form outside --lr 0.5 --warmup-epochs 5 --warmup-lr 0.005 --lr-mode cosine --num-epochs 600 \
  --wd 2e-05 --no-wd --no-wd-form norms --ema 0.998908 --ema-every 32 --rgb-mean 123.675,116.28,103.53 \
  --rgb-std 58.395,57.12,57.375 --color-jitter 0 --pca-noise 0 --auto-augment trivial --random-erasing 0.1 \
  --repeated-augmentation 4 --label-smoothing 0.1 --smoothing-form gluoncv --mixup-alpha 0.2 --cutmix 1 "$@"

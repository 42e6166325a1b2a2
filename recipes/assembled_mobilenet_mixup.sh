#!/usr/bin/env bash
# Assembled-CNN, M3, MobileNet + mixup: top-1 73.54 % (github clovaai/assembled-cnn, README).
# 8 P40, 1024 images a step, float16: hours not published.
GLOBAL_BATCH=1024 exec "$(dirname "$0")/launch.sh" "$0" \
  --model mobilenet1.0 --bn-momentum 0.997 --dtype float16 --loss-scale 128 --optimizer sgd \
  --momentum-form outside --linear-scaling --warmup-epochs 5 --warmup-from 0 --lr-mode cosine \
  --num-epochs 200 --no-wd --no-wd-form norms --crop-area 0.1,1 --rgb-std 1,1,1 --color-jitter 0 \
  --pca-noise 0 --label-smoothing 0.1 --smoothing-form gluoncv --mixup-alpha 0.2 --mixup-type 1 "$@"

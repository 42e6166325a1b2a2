#!/usr/bin/env bash
# Big-Little Net, bL-ResNeXt-50 32x4d: top-1 78.38 % (github IBM/BigLittleNet, README).
# hardware not stated, 256 images a step, float32: hours not published.
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model blresnext50_32x4d --last-gamma --momentum-form outside --lr-mode cosine --num-epochs 110 \
  --rgb-mean 123.675,116.28,103.53 --rgb-std 58.395,57.12,57.375 --color-form gluoncv --pca-noise 0 "$@"

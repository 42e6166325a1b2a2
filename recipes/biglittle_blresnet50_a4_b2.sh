#!/usr/bin/env bash
# Big-Little Net, bL-ResNet-50 (4, 2): top-1 76.80 % (arXiv 1807.03848, quoted by github k0pch4/big-little-net).
# hardware not stated, 256 images a step, float32: hours not published.
GLOBAL_BATCH=256 exec "$(dirname "$0")/launch.sh" "$0" \
  --model blresnet50 --bl-alpha 4 --bl-beta 2 --last-gamma --momentum-form outside --lr-mode cosine \
  --num-epochs 110 --rgb-mean 123.675,116.28,103.53 --rgb-std 58.395,57.12,57.375 --color-form gluoncv \
  --pca-noise 0 "$@"

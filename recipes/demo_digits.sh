#!/usr/bin/env bash
# The demo: ResNet-D with the paper's tricks on 1,797 real handwritten digits, in about 4 minutes on 2 cores: a teacher, a student
# with every trick but distillation, and the student with distillation (sections 3 to 5). The same command resumes a stopped demo.
set -euo pipefail
OUT=${OUT:-runs/demo} TEACHER=${TEACHER:-resnet50_v1d} STUDENT=${STUDENT:-resnet34_v1d}
train() { # digits must not be mirrored, and have no colour
    gluon-tricks train --data-dir "$OUT/data" --classes 10 --input-size 32 --crop-ratio 1 --crop-area 0.6,1 --flip 0 --color-jitter 0 \
        --pca-noise 0 --batch-size 32 --linear-scaling --base-lr 0.4 --warmup-epochs 1 --lr-mode cosine --last-gamma --no-wd \
        --label-smoothing 0.1 --mixup-alpha 0.2 --log-interval 15 --resume auto "$@"
}
gluon-tricks prepare digits "$OUT/data"
train --model "$TEACHER" --num-epochs 5 --save-dir "$OUT/teacher" "$@"
train --model "$STUDENT" --num-epochs 6 --save-dir "$OUT/student" "$@"
train --model "$STUDENT" --num-epochs 6 --teacher "$OUT/teacher" --save-dir "$OUT/distilled" "$@"
gluon-tricks evaluate "$OUT/distilled" --rec-val "$OUT/data/val.rec"
gluon-tricks export "$OUT/distilled" -o "$OUT/exported" --force
gluon-tricks report "$OUT/teacher" "$OUT/student" "$OUT/distilled" -o "$OUT/report"
printf '%-11s %s\n' report: "$OUT/report/report.html" checkpoint: "$OUT/distilled/best" "exported:" "$OUT/exported"

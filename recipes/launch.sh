#!/usr/bin/env bash
# What all recipes share: GLOBAL_BATCH=N launch.sh RECIPE FLAG... trains with N images a step into the folder RUNS/RECIPE.
# These variables say where; flags behind a recipe's name win over all that stands here and in the recipe.
#
#   DATA=data/imagenet    folder with train.rec, train.idx, val.rec and val.idx
#   RUNS=runs             folder of the runs; a teacher is looked for there too
#   GPUS=8                GPUs of a machine; 0: the CPU
#   ACCUMULATE=1          micro-batches a step, where GLOBAL_BATCH / GPUS images do not fit into a GPU
#   THREADS               decoding threads of a process; default: the cores, shared out among a machine's workers
#   LAUNCHER=local        one process for the GPUs of this machine; or
#   LAUNCHER=horovod      NP workers, one a GPU, on HOSTS=a:8,b:8 (default: on this machine)
#   LAUNCHER=print        print the command of LAUNCHER=local and do nothing
set -euo pipefail
recipe=$(basename "$1" .sh)
launcher=${LAUNCHER:-local} gpus=${GPUS:-8} accumulate=${ACCUMULATE:-1} cores=$(nproc)

if [ "$launcher" = horovod ]; then
  parts=$((${NP:?is the number of Horovod workers} * accumulate))
  flags=(--kvstore horovod --num-gpus $((gpus > 0)) -j "${THREADS:-$((cores > gpus && gpus > 0 ? cores / gpus : 1))}")
  start=(horovodrun -np "$NP" ${HOSTS:+-H "$HOSTS"})
else
  parts=$(((gpus > 0 ? gpus : 1) * accumulate))
  flags=(--kvstore device --num-gpus "$gpus" -j "${THREADS:-$cores}")
  start=()
fi
if ((GLOBAL_BATCH % parts)); then
  echo "$recipe: $GLOBAL_BATCH images a step cannot be shared out evenly among $parts parts (GPUS or NP, times ACCUMULATE)" >&2
  exit 2
fi
if ((gpus > 0)); then
  # The GPUs compute. OpenMP's threads wait by spinning, which takes the cores from the threads that decode images.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  # Sums of float16 numbers are made in float32; MXNet's default is to make them in float16.
  export MXNET_SAFE_ACCUMULATION=${MXNET_SAFE_ACCUMULATION:-1}
fi
command=("${start[@]}" "${PYTHON:-python}" -m gluon_tricks train --data-dir "${DATA:-data/imagenet}" --save-dir "${RUNS:-runs}/$recipe"
  --resume auto --batch-size $((GLOBAL_BATCH / parts)) --accumulate "$accumulate" "${flags[@]}" "${@:2}")
if [ "$launcher" = print ]; then
  printf '%q ' "${command[@]}"
  echo
elif [ "$launcher" = local ] || [ "$launcher" = horovod ]; then
  exec "${command[@]}"
else
  echo "LAUNCHER=$launcher: local, horovod or print" >&2
  exit 2
fi

#!/usr/bin/env bash
# Shared by all recipes: GLOBAL_BATCH=N launch.sh RECIPE FLAG... trains with N images per step into the folder RUNS/RECIPE.
# These variables control where; flags after a recipe's name override those here and in the recipe.
#
#   DATA=data/imagenet    folder with train.rec, train.idx, val.rec and val.idx
#   RUNS=runs             folder of the runs, and of the teachers
#   GPUS=8                GPUs per machine; 0: the CPU
#   ACCUMULATE=1          micro-batches per step, if GLOBAL_BATCH / GPUS images do not fit into a GPU
#   THREADS               decoding threads per process; default: the cores, divided among a machine's workers
#   LAUNCHER=local        one process for the GPUs of this machine
#   LAUNCHER=horovod      NP workers, one a GPU, on HOSTS=a:8,b:8 (default: on this machine)
#   LAUNCHER=worker       one of NP workers that another program starts, such as mpirun or srun
#   RESTARTS=0            with LAUNCHER=horovod: number of restarts after failures, on the hosts that still answer
#   LAUNCHER=plan         print what LAUNCHER=local would train, without training
#   LAUNCHER=print        print the command of LAUNCHER=local, and do nothing
set -euo pipefail
recipe=$(basename "$1" .sh) launcher=${LAUNCHER:-local} gpus=${GPUS:-8} accumulate=${ACCUMULATE:-1}
cores=$(env -u OMP_NUM_THREADS nproc) # nproc would return that variable's value
package=("${PYTHON:-python}" -m gluon_tricks)

case $launcher in
local | plan | print)
  parts=$(((gpus > 0 ? gpus : 1) * accumulate))
  flags=(--kvstore device --num-gpus "$gpus" -j "${THREADS:-$cores}")
  if [ "$launcher" = plan ]; then start=("${package[@]}" plan); else start=("${package[@]}" train); fi
  ;;
horovod | worker)
  parts=$((${NP:?is the number of Horovod workers} * accumulate))
  flags=(--num-gpus $((gpus > 0)) -j "${THREADS:-$((gpus > 0 && cores > gpus ? cores / gpus : 1))}")
  if [ "$launcher" = worker ]; then
    start=("${package[@]}" train --kvstore horovod)
  elif ((${RESTARTS:-0})); then
    start=("${package[@]}" launch --kvstore horovod -n "$NP" ${HOSTS:+--hosts "$HOSTS"} --restarts "$RESTARTS" -- train)
    flags+=(--elastic keep-batch)
  else
    start=(horovodrun -np "$NP" ${HOSTS:+-H "$HOSTS"} "${package[@]}" train --kvstore horovod)
  fi
  ;;
*)
  echo "LAUNCHER=$launcher: has to be local, horovod, worker, plan or print" >&2
  exit 2
  ;;
esac
if ((GLOBAL_BATCH % parts)); then
  echo "$recipe: $GLOBAL_BATCH images per step cannot be divided into $parts equal parts (GPUS or NP, times ACCUMULATE)" >&2
  exit 2
fi
if ((gpus > 0)); then
  # The GPUs compute. OpenMP's threads spin while they wait, which would take the cores from the decoding threads.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  # Softmax, LayerNorm and norm of float16 numbers sum in float32 instead of MXNet's default, float16.
  export MXNET_SAFE_ACCUMULATION=${MXNET_SAFE_ACCUMULATION:-1}
  # The settings of --deterministic: a stopped or killed run resumes with the same bits as one that never stopped.
  export MXNET_ENFORCE_DETERMINISM=${MXNET_ENFORCE_DETERMINISM:-1}
  export MXNET_CUDNN_AUTOTUNE_DEFAULT=${MXNET_CUDNN_AUTOTUNE_DEFAULT:-0}
  # Rows of float32 compute in float32: GPUs since the A100 would multiply in TF32, with a mantissa of 10 bits.
  dtype=float32 previous=
  for word in "${@:2}"; do
    case "$previous $word" in
    "--dtype "*) dtype=$word ;;
    *" --dtype="*) dtype=${word#*=} ;;
    esac
    previous=$word
  done
  if [ "$dtype" = float32 ]; then export NVIDIA_TF32_OVERRIDE=${NVIDIA_TF32_OVERRIDE:-0}; fi
fi
words=("${start[@]}" --data-dir "${DATA:-data/imagenet}" --save-dir "${RUNS:-runs}/$recipe"
  --resume auto --batch-size $((GLOBAL_BATCH / parts)) --accumulate "$accumulate" "${flags[@]}" "${@:2}")
if [ "$launcher" = print ]; then
  printf '%q ' "${words[@]}"
  echo
else
  exec "${words[@]}"
fi

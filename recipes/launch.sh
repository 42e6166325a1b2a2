#!/usr/bin/env bash
# What all recipes share: GLOBAL_BATCH=N launch.sh RECIPE FLAG... trains with N images a step into the folder RUNS/RECIPE.
# These variables say where; flags behind a recipe's name win over all that stands here and in the recipe.
#
#   DATA=data/imagenet    folder with train.rec, train.idx, val.rec and val.idx
#   RUNS=runs             folder of the runs; a teacher is looked for there too
#   GPUS=8                GPUs of a machine; 0: the CPU
#   ACCUMULATE=1          micro-batches a step, if GLOBAL_BATCH / GPUS images do not fit into a GPU
#   THREADS               decoding threads of a process; default: the cores, shared out among a machine's workers
#   LAUNCHER=local        one process for the GPUs of this machine
#   LAUNCHER=horovod      NP workers, one a GPU, on HOSTS=a:8,b:8 (default: on this machine)
#   LAUNCHER=worker       one of NP workers that something else starts, such as mpirun or srun
#   RESTARTS=0            with LAUNCHER=horovod: how often to start again after a failure, on the hosts that still answer
#   LAUNCHER=plan         say what LAUNCHER=local would train, without training
#   LAUNCHER=print        print the command of LAUNCHER=local, and do nothing
set -euo pipefail
recipe=$(basename "$1" .sh) launcher=${LAUNCHER:-local} gpus=${GPUS:-8} accumulate=${ACCUMULATE:-1}
cores=$(env -u OMP_NUM_THREADS nproc) # which would count that variable's threads
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
  echo "LAUNCHER=$launcher is none of local, horovod, worker, plan and print" >&2
  exit 2
  ;;
esac
if ((GLOBAL_BATCH % parts)); then
  echo "$recipe: $GLOBAL_BATCH images a step cannot be shared out evenly among $parts parts (GPUS or NP, times ACCUMULATE)" >&2
  exit 2
fi
if ((gpus > 0)); then
  # The GPUs compute. OpenMP's threads wait by spinning, which takes the cores from the threads that decode images.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  # Softmax, LayerNorm and norm of float16 numbers add up in float32; MXNet's default is to add up in float16.
  export MXNET_SAFE_ACCUMULATION=${MXNET_SAFE_ACCUMULATION:-1}
  # What --deterministic sets: a run that was stopped or killed goes on with the bits of one that never stopped.
  export MXNET_ENFORCE_DETERMINISM=${MXNET_ENFORCE_DETERMINISM:-1}
  export MXNET_CUDNN_AUTOTUNE_DEFAULT=${MXNET_CUDNN_AUTOTUNE_DEFAULT:-0}
  # Rows of float32 are float32: from the A100 on, GPUs would multiply in TF32, with 10 bits behind the point.
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

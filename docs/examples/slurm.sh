#!/usr/bin/env bash
# A row of Table 6 on two hosts of eight GPUs each under Slurm, in the image of tools/docker/gpu.Dockerfile:
#
#     apptainer build gluon_tricks.sif docker-daemon://gluon_tricks:gpu
#     DATA=/data/imagenet RUNS=/runs sbatch docs/examples/slurm.sh [FLAG...]
#
# srun starts the workers, which meet through PMIx and then MPI. Two minutes before the time is up Slurm sends SIGTERM to
# all of them: they write a checkpoint and end with 143, and the job is queued again and resumes from it. Each task sees
# all GPUs of its host and takes the one with its local rank, so do not request GPUs per task.
#SBATCH --job-name=bag-of-tricks
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
: "${DATA:?is the folder of train.rec and val.rec}" "${RUNS:?is the folder of the runs}" # absolute paths

code=0
srun --mpi=pmix --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
  apptainer exec --nv --pwd /opt/gluon_tricks --bind "$DATA,$RUNS" "${IMAGE:-gluon_tricks.sif}" \
  env LAUNCHER=worker NP="$SLURM_NTASKS" GPUS="${SLURM_GPUS_ON_NODE:-0}" THREADS="$SLURM_CPUS_PER_TASK" \
  DATA="$DATA" RUNS="$RUNS" /opt/gluon_tricks/recipes/table6_resnet50_v1d_mixup.sh "$@" || code=$?
if [ "$code" = 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"

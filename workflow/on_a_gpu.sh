# bash workflow/on_a_gpu.sh COMMAND: on a GPU of its own; it waits where all are taken.
# A machine without GPUs, and a queue that has given one already, change nothing.
# In a job of SLURM that is told to stop, COMMAND ends with 75, and the job is queued again.
set -euo pipefail
case "${CUDA_VISIBLE_DEVICES-not set}" in
  "not set") gpus=$(nvidia-smi --query-gpu=index --format=csv,noheader 2>&1) || gpus= ;;
  *,*) gpus=${CUDA_VISIBLE_DEVICES//,/ } ;;
  *) gpus= ;;
esac
mine=
while [ -n "$gpus" ] && [ -z "$mine" ]; do
  for gpu in $gpus; do
    exec 9> ".snakemake/gpu-$(uname -n)-$gpu.lock" # held for as long as the command lives
    if flock --nonblock 9; then
      mine=$gpu
      export CUDA_VISIBLE_DEVICES=$gpu
      break
    fi
  done
  [ -n "$mine" ] || sleep 1
done
[ -n "${SLURM_JOB_ID:-}" ] || exec "$@"
trap : TERM USR1 # SLURM tells every process of a job; this one waits for COMMAND
code=0
"$@" || code=$?
if [ "$code" = 75 ] && scontrol show job "$SLURM_JOB_ID" | grep -qw JobState=RUNNING; then
  scontrol requeue "$SLURM_JOB_ID" # not where somebody has cancelled it
  sleep "${REQUEUE_SECONDS:-60}" # until SLURM ends this start of the job
fi
exit "$code"

#!/usr/bin/env bash
# A training run that is killed at random 20 times, and resumed each time, ends with the same bytes as
# one left alone.
#
#   tests/training_kills.sh OCTET [SEED]
set -euo pipefail
octet=$1
RANDOM=${2:-7}
kills=20
digits=$(cd "$(dirname "$0")/../examples/digits" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

train() {
  "$@" "$octet" train "$digits/digits_cnn.onnx" --init --data "$digits/train-images-idx3-ubyte.gz" \
    --samples 400 --epochs 5 --batch 16 --lr 0.05 --optimizer adam --held-back 100 --crop-padding 1 --quiet \
    "${options[@]}" >/dev/null
}

options=(-o "$work/whole.onnx" --checkpoint "$work/unused" --checkpoint-seconds 0)
start=$(date +%s%N)
train env
whole=$((($(date +%s%N) - start) / 1000000))

# Attempts that end within a 25th of the run's time each: all of them together are shorter than it.
# What a kill leaves behind, so that resuming is known to have had something to go on from.
states=()
options=(-o "$work/resumed.onnx" --checkpoint "$work/state" --checkpoint-seconds 0 --resume)
for ((kill = 1; kill <= kills; ++kill)); do
  milliseconds=$((1 + RANDOM % (whole / 25 + 1)))
  code=0
  train timeout -s KILL "$((milliseconds / 1000)).$(printf %03d $((milliseconds % 1000)))" 2>/dev/null || code=$?
  if ((code != 137)); then
    echo "attempt $kill ended with $code after at most $milliseconds ms"
    exit 1
  fi
  [ -f "$work/state" ] && states+=("$(sha256sum <"$work/state")")
done
different=$(printf '%s\n' "${states[@]}" | sort -u | wc -l)
if ((different < 2)); then
  echo "the kills left $different different checkpoints: nothing was resumed"
  exit 1
fi
train env
cmp "$work/whole.onnx" "$work/resumed.onnx"
echo "killed $kills times, $different different checkpoints: the same bytes"

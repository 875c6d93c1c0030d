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
  "$octet" train "$digits/digits_cnn.onnx" --init --data "$digits/train-images-idx3-ubyte.gz" \
    --samples 400 --epochs 12 --batch 16 --lr 0.05 --optimizer adam --held-back 100 --crop-padding 1 --quiet \
    --checkpoint-seconds 0 "$@" >/dev/null
}

train -o "$work/whole.onnx" --checkpoint "$work/unused"

# Most attempts are killed a random while after their first new checkpoint, so that each goes on from
# what another left; every fifth at a random time after its start.
for ((kill = 1; kill <= kills; ++kill)); do
  [ ! -f "$work/state" ] || cp "$work/state" "$work/before"
  train -o "$work/resumed.onnx" --checkpoint "$work/state" --resume 2>/dev/null &
  pid=$!
  if ((kill % 5 != 0)); then
    until [ -f "$work/state" ] && ! cmp -s "$work/state" "$work/before"; do
      kill -0 "$pid" || break
      sleep 0.005
    done
  fi
  sleep "0.0$(printf %02d $((RANDOM % 30)))"
  pkill -KILL -P "$pid" || true
  code=0
  wait "$pid" || code=$?
  if ((code != 137)); then
    echo "attempt $kill ended with $code"
    exit 1
  fi
done
train -o "$work/resumed.onnx" --checkpoint "$work/state" --resume
cmp "$work/whole.onnx" "$work/resumed.onnx"
echo "killed $kills times: the same bytes"

#!/usr/bin/env bash
# A small network from random weights to an integer .tflite file, the way TensorFlow's tutorial does it:
# trained in float for 5 epochs, quantized after training (dynamic and full integer), then trained
# quantization-aware for one epoch. Prints sizes, accuracies on the test images and times.
#
#   examples/tutorial.sh [--build FOLDER] [--seed N] [--keep FOLDER] [MNIST]
#
# MNIST: folder with the four IDX files of MNIST (784-100-10 on 60,000 images). Without it the bundled
# digits (64-64-10 on 1,437 images, more epochs for as many steps). --keep: where the models stay.
#
# Rates and batch were chosen on 5,000 held-back training images of MNIST.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../build/release seed=1 keep="" data=""
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --keep) keep=$2; shift 2 ;;
    -*) sed -n '2,/^set/p' "$0" | grep '^#' >&2; exit 1 ;;
    *) data=$1; shift ;;
  esac
done
octet=$build/octet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=${keep:-$work}
mkdir -p "$out"

network=mnist_mlp float_epochs=5 aware_epochs=1
if [ -z "$data" ]; then
  data=$here/digits network=digits_mlp float_epochs=60 aware_epochs=10
fi
file() { # images of a set, compressed or not
  local path=$data/$1-images-idx3-ubyte
  if [ -f "$path" ]; then echo "$path"; else echo "$path.gz"; fi
}
train=$(file train) test=$(file t10k)
recipe=(--recipe "$here/digits/recipe.json")

now() { echo "${EPOCHREALTIME/./}"; }
declare -A seconds
# timed NAME COMMAND...: runs it; its time is that of the row NAME.
timed() {
  local name=$1 start
  shift
  start=$(now)
  "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; echo "tutorial.sh: failed: $*" >&2; exit 2; }
  seconds[$name]=$(awk -v us="$(($(now) - start))" 'BEGIN { printf "%.2f", us / 1e6 }')
}

row() { # NAME FILE
  local top1
  top1=$("$octet" eval "$out/$2" --data "$test" "${recipe[@]}" --json --quiet |
    awk -F'[:,]' '/"top1"/ { printf "%.2f", 100 * $2 }')
  printf '%-34s %10d %9s %9s\n' "$1" "$(stat -c %s "$out/$2")" "$top1" "${seconds[$2]}"
}

begin=$(now)
"$build/examples/networks" "$network" "$work/random.onnx" "$seed" >"$work/log"
learn=("$octet" train --data "$train" "${recipe[@]}" --seed "$seed" --quiet --micro-batch 32 --clip-norm 0)
timed float.onnx "${learn[@]}" "$work/random.onnx" -o "$out/float.onnx" \
  --epochs "$float_epochs" --batch 64 --lr 0.1
timed float.tflite "$octet" convert "$out/float.onnx" -o "$out/float.tflite" --quiet
timed dynamic.tflite "$octet" quantize "$out/float.onnx" -o "$out/dynamic.tflite" --quiet
timed int8.tflite "$octet" quantize "$out/float.onnx" -o "$out/int8.tflite" --data "$train" \
  "${recipe[@]}" --per-tensor --io int8 --seed "$seed" --quiet
timed qat.tflite "${learn[@]}" "$out/float.onnx" -o "$out/qat.tflite" --qat --per-tensor --io int8 \
  --epochs "$aware_epochs" --batch 64 --lr 0.01

printf '%-34s %10s %9s %9s\n' "" bytes "top-1 %" seconds
row "float, trained" float.onnx
row "float .tflite" float.tflite
row "dynamic range, after training" dynamic.tflite
row "full integer, after training" int8.tflite
row "full integer, quantization-aware" qat.tflite
awk -v us="$(($(now) - begin))" 'BEGIN { printf "in all, evaluation included: %.2f s\n", us / 1e6 }'

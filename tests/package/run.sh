#!/usr/bin/env bash
# Installs a finished build into a temporary prefix, builds the program beside this script against
# it, and runs that and the installed binary on the bundled example.
#
#   tests/package/run.sh BUILD_FOLDER
set -euo pipefail
build=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
digits=$here/../../examples/digits
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

quietly() {
  "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; echo "failed: $*" >&2; exit 1; }
}

quietly cmake --install "$build" --prefix "$work/prefix"
quietly cmake -S "$here" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS="-Wall -Wextra -Wpedantic -Werror"
quietly cmake --build "$work/build"

library=$(ldd "$work/build/octet_user" | awk '/liboctet/ {print $3}')
case "$library" in
  "$(realpath "$work")"/prefix/*) ;;
  *) echo "octet_user runs with '$library', not with the installed library" >&2; exit 1 ;;
esac

"$work/build/octet_user" "$digits/digits_mlp.onnx" "$digits/train-images-idx3-ubyte.gz" "$work/int8.onnx"
[ -s "$work/int8.onnx" ] || { echo "octet_user wrote no model" >&2; exit 1; }
"$work/build/networks" digits_cnn "$work/new.onnx" 1
"$work/prefix/bin/octet" train "$work/new.onnx" --data "$digits/train-images-idx3-ubyte.gz" --epochs 1 \
  --recipe "$digits/recipe.json" --quiet -o "$work/trained.onnx" | head -n 1
"$work/prefix/bin/octet" inspect "$work/int8.onnx" | head -n 3

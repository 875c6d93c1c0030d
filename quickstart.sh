#!/usr/bin/env bash
# From a fresh clone to a measured int8 model: installs what is missing, builds octet, quantizes the
# bundled digits model and compares it with the float model on images that neither has seen.
set -euo pipefail
cd "$(dirname "$0")"

scripts/setup.sh
echo "Building octet (about ten minutes on two cores the first time) ..."
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
log=build/quickstart-build.log
if ! { cmake --preset release && cmake --build --preset release --target octet_cli; } >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "quickstart.sh: the build failed, see $log" >&2
  exit 1
fi

octet=build/release/octet
digits=examples/digits
output=build/digits_cnn_int8.onnx
run() { echo; echo "\$ $*"; "$@"; }
run "$octet" quantize "$digits/digits_cnn.onnx" --data "$digits/train-images-idx3-ubyte.gz" -o "$output"
run "$octet" compare "$digits/digits_cnn.onnx" "$output" --data "$digits/t10k-images-idx3-ubyte.gz"
echo
echo "The quantized model is $output; any ONNX runtime runs it."

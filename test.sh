#!/usr/bin/env bash
# Builds and tests everything from a clean tree; each step can be asked for by name.
#
#   ./test.sh [all|unit|asan|fuzz|package|parity|format]...
#
# format   clang-format and the include table       asan   the tests under ASan and UBSan
# unit     release build, all tests                 fuzz   each fuzz target, OCTET_FUZZ_SECONDS (30)
# package  install, build a user's program on it    parity against ONNX Runtime and LiteRT (Python, build/venv)
#
# Steps run on after one fails; the unit tests come last, and what failed is named at the end.
set -euo pipefail
cd "$(dirname "$0")"

known=(format asan fuzz package parity unit)
asked=("${@:-all}")
for step in "${asked[@]}"; do
  [[ " all ${known[*]} " == *" $step "* ]] ||
    { echo "test.sh: unknown step '$step' (known: all ${known[*]})" >&2; exit 1; }
done
wanted() { [[ " ${asked[*]} " == *" all "* || " ${asked[*]} " == *" $1 "* ]]; }

jobs=$(nproc)
if command -v ccache >/dev/null; then
  export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
# Two workers share the machine with the tests' own threads; sleeping beats spinning there.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

build() {
  local preset=$1 log=build/$1-build.log
  shift
  mkdir -p build
  if ! { cmake --preset "$preset" && cmake --build --preset "$preset" -j "$jobs" "$@"; } >"$log" 2>&1; then
    grep -E -A 20 'FAILED|error|Error' "$log" | head -n 80 >&2 || tail -n 40 "$log" >&2
    echo "test.sh: building the $preset preset failed, see $log" >&2
    return 1
  fi
}

step_format() { scripts/format.sh --check && scripts/check_includes.py; }
step_unit() { build release && ctest --preset release; }
step_asan() {
  local log=build/asan-tests.log
  build asan || return 1
  ctest --preset asan >"$log" 2>&1 || { tail -n 150 "$log" >&2; return 1; }
  grep 'tests passed' "$log"
}
step_fuzz() { scripts/fuzz.sh "${OCTET_FUZZ_SECONDS:-30}"; }
step_package() { build release && tests/package/run.sh build/release; }
step_parity() {
  scripts/setup.sh --python && build release &&
    build/venv/bin/python tests/parity/run.py build/release/octet &&
    build/venv/bin/python tests/parity/node_cases.py build/release/octet &&
    build/venv/bin/python tests/parity/tflite_ops.py build/release/octet &&
    build/venv/bin/python tests/parity/tflite_nodes.py build/release/octet &&
    build/venv/bin/python tests/parity/tflite_convert.py build/release/octet &&
    build/venv/bin/python tests/parity/tflite_models.py build/release/octet --inputs 60 &&
    build/venv/bin/python tests/parity/litert_limits.py build/release/octet &&
    build/venv/bin/python tests/parity/litert_rows.py --octet build/release/octet &&
    build/venv/bin/python tests/parity/litert_rows_elementwise.py --octet build/release/octet &&
    build/venv/bin/python tests/parity/litert_rows_wide.py --octet build/release/octet &&
    build/venv/bin/python tests/parity/openvino_rows.py &&
    build/venv/bin/python tests/parity/openvino_parity.py build/release/octet
}

scripts/setup.sh --dev
failed=()
for step in "${known[@]}"; do
  wanted "$step" || continue
  echo "== $step"
  started=$SECONDS
  "step_$step" || failed+=("$step")
  [ "$step" = unit ] || echo "-- $step took $((SECONDS - started)) s"
done

if [ ${#failed[@]} -gt 0 ]; then
  echo "test.sh: FAILED: ${failed[*]}"
  exit 1
fi

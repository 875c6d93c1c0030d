#!/usr/bin/env bash
# Builds and tests everything from a clean tree; each step can be asked for by name.
#
#   ./test.sh [all|unit|asan|fuzz|package|parity|format]...
#
# format   clang-format and the include table       asan   the tests under ASan and UBSan; with `all`
#                                                          without those labelled `long` (tests/CMakeLists.txt)
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
named() { [[ " ${asked[*]} " == *" $1 "* ]]; }
wanted() { named all || named "$1"; }

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
  local log=build/asan-tests.log some=()
  named asan || some=(--label-exclude long)
  build asan || return 1
  ctest --preset asan "${some[@]}" >"$log" 2>&1 || { tail -n 150 "$log" >&2; return 1; }
  grep 'tests passed' "$log"
}
step_fuzz() { scripts/fuzz.sh "${OCTET_FUZZ_SECONDS:-30}"; }
step_package() { build release && tests/package/run.sh build/release; }
# One script a line, the longest first, as many at a time as there are cores.
parity_checks() {
  local octet=build/release/octet
  cat <<CHECKS
run.py $octet
networks.py $octet
tflite_convert.py $octet
tflite_models.py $octet --inputs 60
litert_rows_elementwise.py --octet $octet
litert_rows_wide.py --octet $octet
litert_rows.py --octet $octet
openvino_parity.py $octet
tflite_ops.py $octet
tflite_nodes.py $octet
node_cases.py $octet
litert_limits.py $octet
openvino_rows.py
CHECKS
}
parity_check() {
  local log=build/parity/${1%.py}.log
  if build/venv/bin/python "tests/parity/$1" "${@:2}" >"$log" 2>&1; then
    echo "parity $1: $(tail -n 1 "$log")"
  else
    tail -n 60 "$log" >&2
    echo "parity $1: FAILED, see $log" >&2
    return 1
  fi
}
export -f parity_check
step_parity() {
  scripts/setup.sh --python && build release || return 1
  mkdir -p build/parity
  parity_checks | xargs -P "$jobs" -I{} bash -c 'parity_check $1' _ {}
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

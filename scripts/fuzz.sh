#!/usr/bin/env bash
# Builds the fuzz targets with clang and runs each for SECONDS (default 30), one per core at a time.
#
#   scripts/fuzz.sh [SECONDS] [TARGET...]     e.g. scripts/fuzz.sh 3600 onnx
#
# fuzz/TARGET.options holds further libFuzzer options of a target, such as its memory limit.
# New inputs are kept in build/fuzz/corpus/TARGET, crashing ones in build/fuzz/crashes/TARGET-*.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-30}
[ $# -gt 0 ] && shift
[[ $seconds =~ ^[0-9]+$ ]] || { echo "fuzz.sh: SECONDS must be a whole number" >&2; exit 1; }

mkdir -p build
log=build/asan-fuzz-build.log
if ! { cmake --preset asan && cmake --build --preset asan --target fuzzers; } >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "fuzz.sh: the build failed, see $log" >&2
  exit 1
fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for program in build/asan/fuzz/fuzz_*; do targets+=("${program##*/fuzz_}"); done
fi

run_one() {
  local target=$1 corpus=build/fuzz/corpus/$1 log=build/fuzz/$1.log seeds=() options=()
  mkdir -p "$corpus" build/fuzz/crashes
  [ -d "fuzz/seeds/$target" ] && seeds=("fuzz/seeds/$target")
  [ -f "fuzz/$target.options" ] && read -ra options <"fuzz/$target.options"
  if OMP_NUM_THREADS=1 "build/asan/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=20 \
    -rss_limit_mb=3000 -max_len=65536 -print_final_stats=1 \
    "${options[@]}" -artifact_prefix="build/fuzz/crashes/$target-" "$corpus" "${seeds[@]}" >"$log" 2>&1; then
    echo "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in ${seconds} s, no failure"
  else
    tail -n 60 "$log" >&2
    echo "fuzz $target: FAILED, see $log and build/fuzz/crashes/" >&2
    return 1
  fi
}
export -f run_one
export seconds
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'run_one "$1"' _ {} ||
  { echo "fuzz.sh: at least one target failed" >&2; exit 1; }

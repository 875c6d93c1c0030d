#!/usr/bin/env bash
# Formats the C++ sources in place; with --check, lists what would change and fails.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(find src include tests fuzz bench examples \( -name '*.cpp' -o -name '*.h' \) 2>/dev/null | sort)
if [ "${1:-}" = --check ]; then
  clang-format --dry-run -Werror "${files[@]}"
else
  clang-format -i "${files[@]}"
fi

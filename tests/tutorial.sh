#!/usr/bin/env bash
# The tutorial on the bundled digits: every model is at least 94 % right, integer ones lose at most two
# images of a hundred and are less than half as large.
#
#   tests/tutorial.sh BUILD_FOLDER
set -euo pipefail
table=$("$(dirname "$0")/../examples/tutorial.sh" --build "$1")
echo "$table"
awk '
  $(NF - 1) ~ /^[0-9.]+$/ && NF > 3 && !/in all/ {
    rows++; bytes = $(NF - 2); top1 = $(NF - 1)
    if (/trained/ && !/quantization/ && !/after/) { float_bytes = bytes; float_top1 = top1 }
    if (top1 < 94) { print "below 94 %: " $0; bad = 1 }
    if (/integer|dynamic/ && (top1 < float_top1 - 2 || bytes * 2 > float_bytes)) { print "lost: " $0; bad = 1 }
  }
  END { if (rows != 5) { print rows " rows, not 5"; bad = 1 }; exit bad }' <<<"$table"

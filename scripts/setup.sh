#!/usr/bin/env bash
# Installs what octet needs to build on Debian 12 and fetches onnx-ml.proto and tflite.fbs. Quick when all is there.
#
#   scripts/setup.sh            compiler, libraries, onnx-ml.proto, tflite.fbs
#   scripts/setup.sh --dev      also clang, its linker, sanitizer runtime and OpenMP, clang-format, clang-tidy
#   scripts/setup.sh --python   also build/venv with the packages that the parity tests compare with
#   scripts/setup.sh --openvino the same and OpenVINO (a download of 60 MB), for tests/parity/openvino_*.py
set -euo pipefail
cd "$(dirname "$0")/.."

onnx_version=1.23.2
tflite_version=2.18.0
openvino_version=2026.4.1
proto=build/deps/onnx-ml.proto
proto_sha256=8f39d0a1ae1abef5ca648922cdb06716d6bd1573c9e972b42854c16e9e352c16
schema=build/deps/tflite.fbs
schema_sha256=b005d889b1c6156a41e856b93851ffe0ed35c826d7d943df5cda6eff8692a1c2
tflite_wheel_sha256=a49a4316530377c597bb272176c12d5d3c4453640118b068c93a8c3cc6c5c2c1

packages=(g++ cmake ninja-build libdnnl-dev ocl-icd-opencl-dev libprotobuf-dev protobuf-compiler
  flatbuffers-compiler libflatbuffers-dev
  libcli11-dev libfmt-dev nlohmann-json3-dev libturbojpeg0-dev libstb-dev zlib1g-dev libexpected-dev
  libxxhash-dev libgtest-dev libbenchmark-dev python3 python3-pip python3-venv unzip)
with_python=no
with_openvino=no
for option in "$@"; do
  case "$option" in
    --dev) packages+=(clang lld libclang-rt-14-dev libomp-14-dev clang-format clang-tidy ccache) ;;
    --python) with_python=yes ;;
    --openvino) with_python=yes with_openvino=yes ;;
    *) echo "setup.sh: unknown option $option (known: --dev, --python, --openvino)" >&2; exit 1 ;;
  esac
done

die() { echo "setup.sh: $*" >&2; exit 1; }

# Runs a command silently; its output appears only when it fails.
quietly() {
  local what=$1 log
  shift
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    die "$what failed (command: $*)"
  fi
  rm -f "$log"
}

install_packages() {
  command -v dpkg-query >/dev/null || {
    echo "setup.sh: no dpkg here; install what matches: ${packages[*]}" >&2
    return
  }
  local missing=() package
  for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "not root and no sudo; install by hand: ${missing[*]}"
    root=(sudo)
  fi
  echo "setup.sh: installing ${missing[*]}" >&2
  quietly "apt-get update" "${root[@]}" apt-get update -q
  quietly "apt-get install" "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qy --no-install-recommends "${missing[@]}"
}

proto_is_good() {
  [ -f "$proto" ] && echo "$proto_sha256  $proto" | sha256sum --check --status
}

# The ONNX wire format is taken from the project that defines it, at a fixed version.
fetch_proto() {
  proto_is_good && return 0
  local folder
  folder=$(mktemp -d)
  quietly "downloading the onnx package $onnx_version from PyPI" python3 -m pip download --quiet \
    --disable-pip-version-check --no-deps --only-binary=:all: -d "$folder" "onnx==$onnx_version"
  mkdir -p "$(dirname "$proto")"
  quietly "unpacking onnx-ml.proto" unzip -qjo "$folder"/onnx-*.whl onnx/onnx-ml.proto \
    -d "$(dirname "$proto")"
  rm -rf "$folder"
  proto_is_good || die "$proto does not have the expected SHA-256 $proto_sha256"
}

schema_is_good() {
  [ -f "$schema" ] && echo "$schema_sha256  $schema" | sha256sum --check --status
}

# The schema of .tflite files is derived from what flatc made of the original for Python.
fetch_schema() {
  schema_is_good && return 0
  local folder
  folder=$(mktemp -d)
  quietly "downloading the tflite package $tflite_version from PyPI" python3 -m pip download --quiet \
    --disable-pip-version-check --no-deps --only-binary=:all: -d "$folder" "tflite==$tflite_version"
  echo "$tflite_wheel_sha256  $(echo "$folder"/tflite-*.whl)" | sha256sum --check --status ||
    die "the tflite package does not have the expected SHA-256 $tflite_wheel_sha256"
  mkdir -p "$(dirname "$schema")"
  quietly "deriving tflite.fbs" python3 scripts/tflite_schema.py "$folder"/tflite-*.whl "$schema"
  rm -rf "$folder"
  schema_is_good || die "$schema does not have the expected SHA-256 $schema_sha256"
}

make_venv() {
  local stamp=build/venv/.requirements
  cmp -s scripts/requirements.txt "$stamp" && return 0
  [ -x build/venv/bin/python ] || quietly "making build/venv" python3 -m venv build/venv
  quietly "installing Python packages" build/venv/bin/python -m pip install --quiet \
    --disable-pip-version-check --only-binary=:all: -r scripts/requirements.txt
  cp scripts/requirements.txt "$stamp"
}

install_packages
fetch_proto
fetch_schema
if [ "$with_python" = yes ]; then make_venv; fi
if [ "$with_openvino" = yes ]; then
  quietly "installing OpenVINO" build/venv/bin/python -m pip install --quiet \
    --disable-pip-version-check --only-binary=:all: "openvino==$openvino_version"
fi

// The .tflite reader and everything that runs on a model before any data is seen; what it gives is
// written and read again.
//
// Few random bytes are a flatbuffer, so every input also patches a good model: groups of four
// bytes, position (16 bits), what to do, and a byte to do it with. fuzz/seeds/tflite_reader has a
// small file of each kind: float, float16, int8 with float and with integer borders, int16,
// dynamic, uint8.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "formats/tflite/tflite.h"
#include "formats/tflite_builder.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"

namespace {

using namespace octet;

void try_model(std::span<const std::byte> bytes) {
  auto model = octet::tflite::parse(bytes);
  if (!model || !verify(*model) || !infer_shapes(model->graph) || !verify(*model)) return;
  const auto written = octet::tflite::serialize(*model);
  // What octet wrote it must be able to read.
  if (written && !octet::tflite::parse(std::as_bytes(std::span(*written)))) __builtin_trap();
}

std::string patched(std::string bytes, const std::uint8_t* data, std::size_t size) {
  for (std::size_t i = 0; i + 4 <= size; i += 4) {
    const std::size_t position = (data[i] + std::size_t{256} * data[i + 1]) % bytes.size();
    const auto value = static_cast<char>(data[i + 3]);
    if (data[i + 2] % 2 == 0) {
      bytes[position] = value;
    } else {
      bytes[position] = static_cast<char>(bytes[position] + value);
    }
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try_model(std::as_bytes(std::span(data, size)));
  static const auto good = testing::mixed_model();
  const auto bytes = patched(good, data, size);
  try_model(std::as_bytes(std::span(bytes)));
  return 0;
}

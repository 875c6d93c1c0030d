// The ONNX reader and everything that runs on a model before any data is seen.

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/onnx/onnx.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace octet;
  auto graph = onnx::parse(std::as_bytes(std::span(data, size)), "/nonexistent");
  if (!graph) return 0;
  const bool sound = verify(*graph).has_value();
  auto model = onnx::absorb_qdq(std::move(*graph));
  if (!sound || !model) return 0;
  if (!infer_shapes(model->graph) || !verify(*model)) return 0;
  const auto emitted = onnx::emit_qdq(*model);
  if (!emitted) return 0;
  const auto bytes = onnx::serialize(*emitted);
  // What octet wrote it must be able to read.
  if (bytes && !onnx::parse(std::as_bytes(std::span(*bytes)), "/nonexistent")) __builtin_trap();
  return 0;
}

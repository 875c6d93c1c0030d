#pragma once
// Reading and writing model files, whatever the format; the suffix picks it.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "graph/plan.h"

namespace octet {

/// A model as it came from a file. `model.plan` is empty for a float model; for a quantized one the
/// Q/DQ nodes have been absorbed into the plan and payloads.
struct ModelFile {
  QuantizedGraph model;
  std::string format;       ///< "onnx", "tflite"
  std::string hash;         ///< content hash of the file (external data included)
  std::uint64_t bytes = 0;  ///< size on disk (external data included)
};

/// Reads, upgrades to the canonical opset, checks structure (see graph/verify.h), infers shapes.
/// Errors of kind bad_input name the file and the byte, node or tensor at fault.
[[nodiscard]] Result<ModelFile> read_model(const std::filesystem::path& path);

/// The same of bytes that stand, or are to stand, at `path`; external data are looked for beside
/// it.
[[nodiscard]] Result<ModelFile> decode_model(std::span<const std::byte> bytes,
                                             const std::filesystem::path& path);

/// Fails when write_model knows no format for the suffix of `path`.
[[nodiscard]] Status check_model_suffix(const std::filesystem::path& path);

/// The bytes of a float (empty plan) or quantized model in the format of `path`.
[[nodiscard]] Result<std::string> encode_model(const QuantizedGraph& model,
                                               const std::filesystem::path& path);

/// Writes float (empty plan) or quantized models, atomically.
[[nodiscard]] Status write_model(const QuantizedGraph& model, const std::filesystem::path& path);

}  // namespace octet

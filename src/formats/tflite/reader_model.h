#pragma once
// A .tflite file after its checks: what the translation of operators may rely on.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/shape.h"
#include "formats/tflite/wire.h"
#include "graph/plan.h"

namespace octet::tflite {

struct FileTensor {
  std::string name;  ///< unique, never empty
  Shape shape;       ///< in the file's order; dynamic_dim where the signature leaves it open
  DType dtype = DType::undefined;  ///< DType::other for types that octet does not know
  std::string type_name;           ///< as the schema calls it
  /// Of integer types with scales. Codes are signed (u8 less 128, zero points alike); per-channel
  /// axes in the file's order.
  std::optional<Quantization> quantization;
  bool is_constant = false;
  std::span<const std::byte> data;  ///< of constants: exactly the bytes that shape and dtype need

  [[nodiscard]] int rank() const { return static_cast<int>(shape.size()); }
  /// Holds codes of an activation or a weight, as opposed to indices and biases.
  [[nodiscard]] bool is_coded() const {
    return quantization && dtype != DType::i32 && dtype != DType::i64;
  }
};

struct FileOperator {
  std::string label;  ///< "operator 3 (CONV_2D)"
  wire::BuiltinOperator code = wire::BuiltinOperator::ADD;
  const wire::Operator* wire = nullptr;
  std::vector<int> inputs;  ///< tensor numbers; -1 where an optional input is absent
  std::vector<int> outputs;
};

/// The one subgraph of a model. Every tensor that an operator reads is a constant, a graph input or
/// made by an operator before it; each is made once.
struct FileModel {
  const wire::Model* wire = nullptr;
  std::span<const std::byte> bytes;
  std::shared_ptr<std::byte[]> aligned;  ///< holds `bytes` when the caller's were not aligned
  std::vector<FileTensor> tensors;
  std::vector<FileOperator> operators;
  std::vector<int> inputs;
  std::vector<int> outputs;

  [[nodiscard]] FileTensor& tensor(int number) { return tensors[static_cast<std::size_t>(number)]; }
  [[nodiscard]] const FileTensor& tensor(int number) const {
    return tensors[static_cast<std::size_t>(number)];
  }
};

/// Verifies the flatbuffer and everything above. Fails on sparse and variable tensors, control flow
/// and several subgraphs. `bytes` must outlive the result.
[[nodiscard]] Result<FileModel> open_model_bytes(std::span<const std::byte> bytes);

/// Contents of a buffer of the model, which may lie behind the flatbuffer; empty for none.
[[nodiscard]] Result<std::span<const std::byte>> buffer_bytes(const FileModel& model,
                                                              std::uint32_t number);

}  // namespace octet::tflite

#pragma once
// What the writer makes of a graph before it is encoded: the tensors and operators of the file's
// one subgraph, in any order.

#include <optional>
#include <string>
#include <vector>

#include "arithmetic/params.h"
#include "core/tensor.h"
#include "formats/tflite/wire.h"
#include "graph/plan.h"

namespace octet::tflite {

/// An index of Draft::tensors; `none` is also how the file marks an absent input.
enum class TensorId : std::int32_t { none = -1 };

[[nodiscard]] constexpr std::size_t index(TensorId id) { return static_cast<std::size_t>(id); }

struct DraftTensor {
  /// The whole name, or what follows the name of `parent`. Made unique when encoded.
  std::string name;
  TensorId parent = TensorId::none;
  DType dtype = DType::f32;
  Shape shape;  ///< in stored order; any negative extent is dynamic, equal ones are the same extent
  std::optional<QuantParams> params;  ///< zero points as the stored type counts, axis as stored
  std::optional<Tensor> data;         ///< of a constant, as stored
  /// A constant that the graph does not have (a permutation, a target shape): equal ones are
  /// written once.
  bool invented = false;
};

struct DraftOperator {
  wire::BuiltinOperator code{};
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;
  wire::BuiltinOptionsUnion options;
};

struct Draft {
  std::vector<DraftTensor> tensors;
  std::vector<DraftOperator> operators;
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;

  TensorId add(DraftTensor tensor) {
    tensors.push_back(std::move(tensor));
    return static_cast<TensorId>(tensors.size() - 1);
  }
  [[nodiscard]] DraftTensor& tensor(TensorId id) { return tensors[index(id)]; }
  [[nodiscard]] const DraftTensor& tensor(TensorId id) const { return tensors[index(id)]; }
};

/// DType::undefined for types that the file's tensors do not have.
[[nodiscard]] std::optional<wire::TensorType> wire_type(DType dtype);

/// The smallest version of the operator that runs on these tensors with these options: the table of
/// tensorflow/lite/tools/versioning/op_version.cc.
[[nodiscard]] std::int32_t operator_version(const Draft& draft, const DraftOperator& op);

/// Encodes the draft with the graph's metadata. Operators come in depth-first order from the
/// outputs, those that nothing needs are left out; so the bytes depend on what is computed only,
/// and reading and writing a file gives the same one.
[[nodiscard]] Result<std::string> encode(Draft draft, const QuantizedGraph& model);

}  // namespace octet::tflite

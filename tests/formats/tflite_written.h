#pragma once
// What the writer of .tflite files made, for tests to look at.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "formats/tflite/tflite.h"
#include "formats/tflite/wire.h"
#include "graph/plan.h"
#include "graph/shape_inference.h"

namespace octet::testing {

namespace wire = octet::tflite::wire;

class Written {
 public:
  explicit Written(QuantizedGraph model) {
    auto inferred = infer_shapes(model.graph);
    EXPECT_TRUE(inferred.has_value()) << (inferred ? "" : inferred.error().message);
    auto serialized = tflite::serialize(model);
    EXPECT_TRUE(serialized.has_value()) << (serialized ? "" : serialized.error().message);
    if (!serialized) return;
    bytes = std::move(*serialized);
    flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                   bytes.size());
    EXPECT_TRUE(wire::VerifyModelBuffer(verifier));
    model_.reset(wire::GetModel(bytes.data())->UnPack());
  }
  explicit Written(Graph graph) : Written(QuantizedGraph{std::move(graph), {}}) {}

  [[nodiscard]] const wire::ModelT& model() const { return *model_; }
  [[nodiscard]] const wire::SubGraphT& graph() const { return *model_->subgraphs[0]; }

  /// "TRANSPOSE CONV_2D.3 ...": names in order, versions other than 1 behind a dot.
  [[nodiscard]] std::string operators() const {
    std::string out;
    for (const auto& op : graph().operators) {
      const auto& code = *model_->operator_codes[op->opcode_index];
      if (!out.empty()) out += ' ';
      out += wire::EnumNameBuiltinOperator(code.builtin_code);
      if (code.version != 1) out += '.' + std::to_string(code.version);
    }
    return out;
  }
  [[nodiscard]] const wire::OperatorT& op(std::size_t i) const { return *graph().operators[i]; }
  [[nodiscard]] const wire::TensorT& tensor(std::int32_t i) const {
    return *graph().tensors[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] const wire::TensorT& tensor(std::string_view name) const {
    for (const auto& found : graph().tensors) {
      if (found->name == name) return *found;
    }
    ADD_FAILURE() << "no tensor " << name;
    return *graph().tensors[0];
  }
  [[nodiscard]] const wire::TensorT& input(std::size_t op_number, std::size_t slot) const {
    return tensor(op(op_number).inputs[slot]);
  }
  template <class T>
  [[nodiscard]] std::vector<T> data(const wire::TensorT& tensor) const {
    const auto& stored = model_->buffers[tensor.buffer]->data;
    std::vector<T> out(stored.size() / sizeof(T));
    std::memcpy(out.data(), stored.data(), out.size() * sizeof(T));
    return out;
  }

  /// What octet reads from the file.
  [[nodiscard]] QuantizedGraph read() const {
    auto parsed = tflite::parse(std::as_bytes(std::span(bytes)));
    EXPECT_TRUE(parsed.has_value()) << (parsed ? "" : parsed.error().message);
    return parsed ? std::move(*parsed) : QuantizedGraph{};
  }
  /// Read and written once more: the same bytes.
  void expect_fixpoint() const {
    const Written again(read());
    EXPECT_EQ(again.operators(), operators());
    EXPECT_TRUE(again.bytes == bytes);
  }

  std::string bytes;

 private:
  std::unique_ptr<wire::ModelT> model_ = std::make_unique<wire::ModelT>();
};

/// Quantizes a value to signed codes of this scale and zero point.
inline void set_codes(QuantizedGraph& model, ValueId value, float scale, std::int32_t zero_point,
                      int bits = 8, DType storage = DType::i8) {
  Quantization out;
  out.scheme.bits = bits;
  out.scheme.symmetry = zero_point == 0 ? Symmetry::symmetric : Symmetry::asymmetric;
  out.params = {{scale}, {zero_point}, -1};
  out.storage = storage;
  model.plan.values[value] = out;
}

/// Gives a weight codes with one scale for each index of an axis, and a payload.
inline void set_weight_codes(QuantizedGraph& model, ValueId value, int axis, int channels) {
  const auto& constant = *model.graph.constant(value);
  Quantization out;
  out.scheme = {8, Symmetry::symmetric, Granularity::per_channel, axis, CodeRange::narrow};
  out.params.axis = axis;
  for (int c = 0; c < channels; ++c) {
    out.params.scale.push_back(0.01F * static_cast<float>(c + 1));
    out.params.zero_point.push_back(0);
  }
  Tensor codes(DType::i8, constant.shape());
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    codes.mutable_data<std::int8_t>()[i] = static_cast<std::int8_t>(i * 37 % 255 - 127);
  }
  model.plan.values[value] = out;
  model.plan.payloads[value] = std::move(codes);
}

}  // namespace octet::testing

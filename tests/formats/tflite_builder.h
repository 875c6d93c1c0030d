#pragma once
// Small .tflite models for the tests.

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/tflite/tflite.h"
#include "formats/tflite/wire.h"

namespace octet::testing {

namespace wire = octet::tflite::wire;

/// What a tensor has beside name, shape and type.
struct Codes {
  std::vector<float> scale;
  std::vector<std::int64_t> zero_point;
  int axis = 0;
};

/// A model of one subgraph; tensors and operators in the order in which they are added.
class TfliteBuilder {
 public:
  TfliteBuilder() {
    model_.version = 3;
    model_.buffers.push_back(std::make_unique<wire::BufferT>());
    model_.subgraphs.push_back(std::make_unique<wire::SubGraphT>());
  }

  wire::ModelT& model() { return model_; }
  wire::SubGraphT& graph() { return *model_.subgraphs[0]; }
  wire::TensorT& tensor(int number) { return *graph().tensors[static_cast<std::size_t>(number)]; }
  wire::OperatorT& op(int number) { return *graph().operators[static_cast<std::size_t>(number)]; }

  int add(const std::string& name, std::vector<int> shape,
          wire::TensorType type = wire::TensorType::FLOAT32, const Codes& codes = {}) {
    auto tensor = std::make_unique<wire::TensorT>();
    tensor->name = name;
    tensor->shape = std::move(shape);
    tensor->type = type;
    if (!codes.scale.empty()) {
      tensor->quantization = std::make_unique<wire::QuantizationParametersT>();
      tensor->quantization->scale = codes.scale;
      tensor->quantization->zero_point = codes.zero_point;
      tensor->quantization->quantized_dimension = codes.axis;
    }
    graph().tensors.push_back(std::move(tensor));
    return static_cast<int>(graph().tensors.size()) - 1;
  }

  int input(const std::string& name, std::vector<int> shape,
            wire::TensorType type = wire::TensorType::FLOAT32, const Codes& codes = {}) {
    graph().inputs.push_back(add(name, std::move(shape), type, codes));
    return graph().inputs.back();
  }

  int output(const std::string& name, std::vector<int> shape,
             wire::TensorType type = wire::TensorType::FLOAT32, const Codes& codes = {}) {
    graph().outputs.push_back(add(name, std::move(shape), type, codes));
    return graph().outputs.back();
  }

  template <class T>
  int constant(const std::string& name, std::vector<int> shape, const std::vector<T>& values,
               wire::TensorType type, const Codes& codes = {}) {
    const auto number = add(name, std::move(shape), type, codes);
    auto buffer = std::make_unique<wire::BufferT>();
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
    buffer->data.assign(bytes, bytes + values.size() * sizeof(T));
    model_.buffers.push_back(std::move(buffer));
    tensor(number).buffer = static_cast<std::uint32_t>(model_.buffers.size() - 1);
    return number;
  }
  int floats(const std::string& name, std::vector<int> shape, const std::vector<float>& values) {
    return constant(name, std::move(shape), values, wire::TensorType::FLOAT32);
  }
  int integers(const std::string& name, const std::vector<std::int32_t>& values) {
    return constant(name, {static_cast<int>(values.size())}, values, wire::TensorType::INT32);
  }

  /// An operator; `options` may be of any table, or nothing.
  template <class Options = wire::AddOptionsT>
  int add_op(wire::BuiltinOperator code, std::vector<int> inputs, std::vector<int> outputs,
             const Options* options = nullptr) {
    auto entry = std::make_unique<wire::OperatorCodeT>();
    entry->builtin_code = code;
    entry->deprecated_builtin_code =
        static_cast<std::int8_t>(std::min(static_cast<int>(code), 127));
    model_.operator_codes.push_back(std::move(entry));
    auto made = std::make_unique<wire::OperatorT>();
    made->opcode_index = static_cast<std::uint32_t>(model_.operator_codes.size() - 1);
    made->inputs = std::move(inputs);
    made->outputs = std::move(outputs);
    if (options != nullptr) made->builtin_options.Set(Options(*options));
    graph().operators.push_back(std::move(made));
    return static_cast<int>(graph().operators.size()) - 1;
  }

  [[nodiscard]] std::string bytes() const {
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(wire::Model::Pack(builder, &model_), wire::ModelIdentifier());
    return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
  }

 private:
  wire::ModelT model_;
};

inline Result<QuantizedGraph> parse_tflite(std::string_view bytes) {
  return octet::tflite::parse(std::as_bytes(std::span(bytes)));
}

/// A 3x3 convolution with stride 1: SAME, without an activation unless given.
inline wire::Conv2DOptionsT conv_options(
    wire::ActivationFunctionType activation = wire::ActivationFunctionType::NONE) {
  wire::Conv2DOptionsT options;
  options.stride_h = options.stride_w = 1;
  options.fused_activation_function = activation;
  return options;
}

/// x [1,4,4,2] -> CONV_2D with weights [3,3,3,2] that count from 0 -> y [1,4,4,3].
inline TfliteBuilder conv_model(
    wire::ActivationFunctionType activation = wire::ActivationFunctionType::NONE) {
  TfliteBuilder builder;
  std::vector<float> weights(54);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i);
  const auto x = builder.input("x", {1, 4, 4, 2});
  const auto w = builder.floats("w", {3, 3, 3, 2}, weights);
  const auto b = builder.floats("b", {3}, {1, 2, 3});
  const auto y = builder.output("y", {1, 4, 4, 3});
  const auto options = conv_options(activation);
  builder.add_op(wire::BuiltinOperator::CONV_2D, {x, w, b}, {y}, &options);
  return builder;
}

/// A model of several kinds of operators, quantized and not.
inline std::string mixed_model() {
  auto builder = conv_model(wire::ActivationFunctionType::RELU);
  builder.graph().outputs.clear();
  const Codes codes{{0.5F}, {3}};
  const auto begin = builder.integers("begin", {0, 1, 1, 0});
  const auto end = builder.integers("end", {1, 3, 3, 3});
  const auto strides = builder.integers("strides", {1, 1, 1, 1});
  const auto cut = builder.add("cut", {1, 2, 2, 3});
  const auto coded = builder.add("coded", {1, 2, 2, 3}, wire::TensorType::INT8, codes);
  const auto shape = builder.integers("shape", {1, 12});
  const auto flat = builder.add("flat", {1, 12}, wire::TensorType::INT8, codes);
  const auto w = builder.constant<std::int8_t>("fw", {2, 12}, std::vector<std::int8_t>(24, 3),
                                               wire::TensorType::INT8, {{0.1F, 0.2F}, {0, 0}});
  const auto b = builder.constant<std::int32_t>("fb", {2}, {1, 2}, wire::TensorType::INT32);
  const auto y = builder.output("out", {1, 2}, wire::TensorType::INT8, codes);
  const wire::StridedSliceOptionsT slice;
  const wire::FullyConnectedOptionsT product;
  builder.add_op(wire::BuiltinOperator::STRIDED_SLICE, {3, begin, end, strides}, {cut}, &slice);
  builder.add_op(wire::BuiltinOperator::QUANTIZE, {cut}, {coded});
  builder.add_op(wire::BuiltinOperator::RESHAPE, {coded, shape}, {flat});
  builder.add_op(wire::BuiltinOperator::FULLY_CONNECTED, {flat, w, b}, {y}, &product);
  return builder.bytes();
}

}  // namespace octet::testing

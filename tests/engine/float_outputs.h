#pragma once
// All outputs of a node, and walking tensors by coordinates: for oracles that share no code with
// the engine.

#include "engine/float_support.h"

namespace octet::testing {

using Attributes = std::map<std::string, Attribute, std::less<>>;
using Ints = std::vector<std::int64_t>;

/// Outputs of the node with all inputs constant, in plain order.
inline Result<std::vector<Tensor>> evaluate_all(const std::string& op,
                                                const std::vector<Tensor>& inputs,
                                                std::size_t outputs, Attributes attributes = {}) {
  auto made = one_node(op, inputs, std::move(attributes));
  for (std::size_t i = 1; i < outputs; ++i) {
    Value value;
    value.name = "more" + std::to_string(i);
    const auto id = made.graph.add_value(value);
    made.graph.node(made.node).outputs.push_back(id);
  }
  return evaluate_constant_node(made.graph, made.node);
}

/// Coordinates of the flat element `i`.
inline Ints coordinates(const Shape& shape, std::int64_t i) {
  Ints at(shape.size());
  for (std::size_t d = shape.size(); d-- > 0; i /= shape[d]) at[d] = i % shape[d];
  return at;
}

/// Flat element at the coordinates, or -1 outside.
inline std::int64_t flat(const Shape& shape, const Ints& at) {
  std::int64_t i = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (at[d] < 0 || at[d] >= shape[d]) return -1;
    i = i * shape[d] + at[d];
  }
  return i;
}

inline double value_at(const Tensor& t, const Ints& at) {
  return static_cast<double>(t.data<float>()[flat(t.shape(), at)]);
}

/// A tensor whose element at each place is fn(coordinates).
inline Tensor tensor_of(const Shape& shape, const std::function<double(const Ints&)>& fn) {
  Tensor out(DType::f32, shape);
  for (std::int64_t i = 0; i < out.size(); ++i) {
    out.mutable_data<float>()[i] = static_cast<float>(fn(coordinates(shape, i)));
  }
  return out;
}

/// Runs the node on plain and on channels-last activations and compares both.
inline void expect_in_both_orders(const std::string& op, const std::vector<Tensor>& inputs,
                                  const Attributes& attributes, const Tensor& expected,
                                  double tolerance, const std::string& what) {
  const auto plain = evaluate(op, inputs, attributes);
  OCTET_ASSERT_OK(plain);
  expect_near(*plain, expected, tolerance, what);
  const auto last = run_channels_last(op, inputs, attributes);
  OCTET_ASSERT_OK(last);
  expect_near(to_plain(*last).tensor, expected, tolerance, what + " channels-last");
}

}  // namespace octet::testing

#pragma once
// Small graphs of one node and naive double-precision loops to compare the float engine with.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "engine/float/float_op.h"
#include "engine/float/float_program.h"

namespace octet::testing {

inline Tensor random_tensor(Shape shape, unsigned seed, float low = -1.0F, float high = 1.0F) {
  Tensor tensor(DType::f32, std::move(shape));
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    tensor.mutable_data<float>()[i] = uniform(generator);
  }
  return tensor;
}

inline Tensor ints(std::vector<std::int64_t> values) {
  return Tensor::from<std::int64_t>(values, {static_cast<std::int64_t>(values.size())});
}

/// 0, 1, 2, ...
template <class T>
Tensor counting(Shape shape) {
  Tensor tensor(DTypeOf<T>::value, std::move(shape));
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    tensor.mutable_data<T>()[i] = static_cast<T>(i);
  }
  return tensor;
}

/// A graph of one node under test.
struct OneNode {
  Graph graph;
  NodeId node = NodeId::none;
};

/// Inputs become constants where `constant` says so (all by default); an empty tensor is an absent
/// input.
inline OneNode one_node(const std::string& op, const std::vector<Tensor>& inputs,
                        std::map<std::string, Attribute, std::less<>> attributes = {},
                        const std::function<bool(std::size_t)>& constant = {}) {
  OneNode made;
  Node node;
  node.op = op;
  node.name = "the_node";
  node.attributes = std::move(attributes);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].empty()) {
      node.inputs.push_back(ValueId::none);
      continue;
    }
    Value value;
    value.name = "in" + std::to_string(i);
    value.dtype = inputs[i].dtype();
    value.shape = inputs[i].shape();
    const bool is_constant = !constant || constant(i);
    if (is_constant) value.constant = inputs[i];
    const auto id = made.graph.add_value(value);
    if (!is_constant) made.graph.inputs.push_back(id);
    node.inputs.push_back(id);
  }
  Value out;
  out.name = "out";
  node.outputs.push_back(made.graph.add_value(out));
  made.graph.outputs.push_back(node.outputs.front());
  made.node = made.graph.add_node(node);
  return made;
}

/// First output of the node with all inputs constant.
inline Result<Tensor> evaluate(const std::string& op, const std::vector<Tensor>& inputs,
                               std::map<std::string, Attribute, std::less<>> attributes = {}) {
  const auto made = one_node(op, inputs, std::move(attributes));
  OCTET_ASSIGN(auto outputs, evaluate_constant_node(made.graph, made.node));
  return outputs.front();
}

/// The node run on activations in channels-last order where they have rank 4.
inline Result<Activation> run_channels_last(
    const std::string& op, const std::vector<Tensor>& inputs,
    std::map<std::string, Attribute, std::less<>> attributes = {}) {
  const auto made = one_node(op, inputs, std::move(attributes), [](std::size_t) { return false; });
  OCTET_ASSIGN(const auto float_op, make_float_op(made.graph, made.node));
  std::vector<Activation> activations;
  for (const auto& input : inputs) {
    const Activation plain{input, false};
    const bool reorders = input.dtype() == DType::f32 && input.rank() == 4;
    activations.push_back(reorders ? to_channels_last(plain) : plain);
  }
  std::vector<const Activation*> pointers;
  for (const auto& a : activations) pointers.push_back(a.tensor.empty() ? nullptr : &a);
  const auto state = float_op->make_state();
  OCTET_ASSIGN(auto outputs, float_op->run(pointers, state.get()));
  return outputs.front();
}

inline void expect_near(const Tensor& actual, const Tensor& expected, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(actual.dtype(), DType::f32) << what;
  ASSERT_EQ(actual.shape(), expected.shape()) << what;
  for (std::int64_t i = 0; i < actual.size(); ++i) {
    const auto a = static_cast<double>(actual.data<float>()[i]);
    const auto e = static_cast<double>(expected.data<float>()[i]);
    ASSERT_LE(std::fabs(a - e), tolerance * (1.0 + std::fabs(e))) << what << " at " << i;
  }
}

#define OCTET_ASSERT_OK(result) ASSERT_TRUE((result).has_value()) << (result).error().message

}  // namespace octet::testing

#pragma once
// Simplifies a graph and checks numerically that its function stayed.

#include <gtest/gtest.h>

#include <cmath>

#include "engine/float/float_program.h"
#include "graph/dump.h"
#include "graph/graph_builder.h"
#include "graph/shape_inference.h"
#include "passes/pipeline.h"

namespace octet::testing {

inline std::vector<std::string> ops_of(const Graph& graph) {
  std::vector<std::string> ops;
  const auto order = graph.topological_order();
  EXPECT_TRUE(order);
  for (const auto id : *order) ops.push_back(graph.node(id).op);
  return ops;
}

using Ops = std::vector<std::string>;

inline std::vector<Tensor> run(const Graph& graph, const std::vector<Tensor>& inputs) {
  const auto program = compile_float(graph);
  if (!program) {
    ADD_FAILURE() << program.error().message << "\n" << dump({graph, {}});
    return {};
  }
  auto session = (*program)->session();
  EXPECT_TRUE(session);
  auto outputs = (*session)->run(inputs);
  if (!outputs) {
    ADD_FAILURE() << outputs.error().message << "\n" << dump({graph, {}});
    return {};
  }
  return *outputs;
}

inline void expect_near(const Tensor& actual, const Tensor& expected, double tolerance) {
  ASSERT_EQ(actual.shape(), expected.shape());
  ASSERT_EQ(actual.dtype(), DType::f32);
  const auto a = actual.values<float>();
  const auto b = expected.values<float>();
  double largest = 1;
  for (const float x : b) largest = std::max(largest, std::abs(static_cast<double>(x)));
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], tolerance * largest) << "element " << i;
  }
}

/// Simplifies and compares what both graphs compute, with dynamic extents set to `batch`. Returns
/// the simplified graph.
inline Graph checked_simplify(GraphBuilder& builder, std::int64_t batch = 3,
                              double tolerance = 2e-6) {
  Graph graph = builder.graph;
  EXPECT_TRUE(infer_shapes(graph));
  Graph simplified = builder.graph;
  const auto status = simplify(simplified);
  if (!status) {
    ADD_FAILURE() << status.error().message;
    return simplified;
  }
  std::vector<Tensor> inputs;
  for (const auto id : graph.inputs) {
    auto shape = *graph.value(id).shape;
    for (auto& dim : shape) dim = dim == dynamic_dim ? batch : dim;
    inputs.push_back(GraphBuilder::pseudo_random(shape, 7 + static_cast<int>(inputs.size())));
  }
  const auto before = run(graph, inputs);
  const auto after = run(simplified, inputs);
  EXPECT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    expect_near(after[i], before[i], tolerance);
  }
  // The outputs keep their names, and a second run finds nothing more to do.
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    EXPECT_EQ(simplified.value(simplified.outputs[i]).name, graph.value(graph.outputs[i]).name);
  }
  Graph again = simplified;
  EXPECT_TRUE(simplify(again));
  EXPECT_EQ(dump({again, {}}), dump({simplified, {}}));
  return simplified;
}

}  // namespace octet::testing

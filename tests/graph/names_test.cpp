#include <gtest/gtest.h>

#include <set>

#include "graph/graph.h"

namespace octet {
namespace {

TEST(Names, AreUniqueAndNumberedInARow) {
  Graph graph;
  std::set<std::string> names;
  for (int i = 0; i < 100; ++i) {
    Node node;
    node.op = "Relu";
    const auto id = graph.add_node(std::move(node));
    EXPECT_EQ(graph.node(id).name, i == 0 ? "Relu" : "Relu_" + std::to_string(i));
    names.insert(graph.node(id).name);
  }
  EXPECT_EQ(names.size(), 100U);
}

TEST(Names, StayUniqueWhereNumbersAreMissing) {
  Graph graph;
  std::set<std::string> names;
  const auto add = [&](const std::string& name) {
    const auto id = graph.add_constant(name, Tensor::from<float>({0.0F}, {}));
    EXPECT_TRUE(names.insert(graph.value(id).name).second) << graph.value(id).name;
  };
  for (const auto* name : {"w", "w_1", "w_2", "w_4", "w_8", "w_7"}) add(name);
  for (int i = 0; i < 20; ++i) add("w");
}

}  // namespace
}  // namespace octet

#include "octet/graph_builder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "engine/float/float_program.h"
#include "formats/model_file.h"

namespace octet::testing {
namespace {

using Shape64 = std::vector<std::int64_t>;

class GraphBuilderTest : public ::testing::Test {
 protected:
  GraphBuilderTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("octet_builder_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~GraphBuilderTest() override { std::filesystem::remove_all(folder_); }

  Graph written(const GraphBuilder& net, const std::string& file = "net.onnx") {
    const auto path = folder_ / file;
    const auto summary = net.write(path);
    EXPECT_TRUE(summary) << (summary ? "" : summary.error().message);
    auto model = read_model(path);
    EXPECT_TRUE(model) << (model ? "" : model.error().message);
    return model ? std::move(model->model.graph) : Graph();
  }

  static void expect_error(const GraphBuilder& net, const std::string& part) {
    const auto result = net.write("/nowhere/x.onnx");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::usage);
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  }

  std::filesystem::path folder_;
};

GraphBuilder::Value every_layer(GraphBuilder& net) {
  auto x = net.input("x", {4, 9, 10});
  x = net.relu(net.batch_norm(net.conv2d(x, 8, {3, 5})));
  Conv2dOptions halving;
  halving.stride = 2;
  x = net.relu6(net.depthwise_conv2d(x, 3, halving));
  x = net.hard_swish(net.max_pool(net.upsample(x, 2), 2));
  x = net.concat({x, net.average_pool(net.upsample(x, 2), 2)});
  x = net.multiply(x, net.sigmoid(net.global_average_pool(x)));
  x = net.transpose(net.reshape(x, {16, 25}), {1, 0});
  const auto heads =
      net.softmax(net.matmul(net.dense(x, 6), net.transpose(net.dense(x, 6), {1, 0})));
  x = net.layer_norm(net.add(x, net.matmul(heads, net.gelu(net.dense(x, 16, false)))));
  return net.dense(net.flatten(net.tanh(x)), 3);
}

TEST_F(GraphBuilderTest, ShapesAreThoseOfOneSample) {
  GraphBuilder net("shapes");
  const auto image = net.input("x", {3, 9, 10});
  Conv2dOptions strided;
  strided.stride = {2, 3};
  EXPECT_EQ(net.shape(net.conv2d(image, 8, 3, strided)).value(), (Shape64{8, 5, 4}));
  strided.padding = 0;
  EXPECT_EQ(net.shape(net.conv2d(image, 8, {3, 1}, strided)).value(), (Shape64{8, 4, 4}));
  EXPECT_EQ(net.shape(net.max_pool(image, {2, 3}, 1)).value(), (Shape64{3, 8, 8}));
  EXPECT_EQ(net.shape(net.upsample(image, 3)).value(), (Shape64{3, 27, 30}));
  EXPECT_EQ(net.shape(net.flatten(image)).value(), Shape64{270});
  EXPECT_EQ(net.shape(net.transpose(image, {2, 0, 1})).value(), (Shape64{10, 3, 9}));
  EXPECT_EQ(net.shape(every_layer(net)).value(), Shape64{3});
}

TEST_F(GraphBuilderTest, WritesWhatRuns) {
  GraphBuilder net("all", 3);
  net.output("y", every_layer(net));
  const Graph graph = written(net);
  const auto program = compile_float(graph).value();
  Tensor x(DType::f32, {2, 4, 9, 10});
  for (std::int64_t i = 0; i < x.size(); ++i)
    x.mutable_data<float>()[i] = std::sin(0.7F * static_cast<float>(i));
  const auto y = program->session().value()->run(std::span(&x, 1)).value();
  ASSERT_EQ(y.front().shape(), (Shape{2, 3}));
  EXPECT_NE(y.front().data<float>()[0], y.front().data<float>()[3]);
  for (const float number : y.front().values<float>()) EXPECT_TRUE(std::isfinite(number));
}

TEST_F(GraphBuilderTest, SamePaddingPutsTheOddRowAtTheEnd) {
  GraphBuilder net("padding");
  Conv2dOptions halving;
  halving.stride = 2;
  net.output("y", net.conv2d(net.input("x", {1, 8, 9}), 1, 3, halving));
  const Graph graph = written(net);
  EXPECT_EQ(graph.node(NodeId{0}).ints_attribute("pads"), (Shape64{0, 1, 1, 1}));
}

/// As He et al. draw them: standard deviation sqrt(2 / inputs of one output); biases are 0.
TEST_F(GraphBuilderTest, WeightsFollowSeedAndFanIn) {
  const auto weights = [&](std::uint64_t seed) {
    GraphBuilder net("dense", seed);
    net.output("y", net.dense(net.input("x", {200}), 500));
    const Graph graph = written(net);
    for (const float bias : graph.constant(graph.node(NodeId{0}).input(2))->values<float>())
      EXPECT_EQ(bias, 0.0F);
    return *graph.constant(graph.node(NodeId{0}).input(1));
  };
  const auto first = weights(1);
  double squares = 0;
  for (const float w : first.values<float>()) squares += static_cast<double>(w) * w;
  EXPECT_NEAR(squares / 100000, 2.0 / 200, 0.0002);
  EXPECT_TRUE(identical(first, weights(1)));
  EXPECT_FALSE(identical(first, weights(2)));
}

TEST_F(GraphBuilderTest, CountsParametersAndWritesBothFormats) {
  GraphBuilder net("two");
  auto x = net.relu(net.batch_norm(net.conv2d(net.input("x", {1, 8, 8}), 4, 3)));
  net.output("y", net.dense(net.flatten(x), 10));
  const auto summary = net.write(folder_ / "n.onnx");
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->parameters, 4 * 9 + 4 + 2 * 4 + 256 * 10 + 10);
  EXPECT_EQ(summary->bytes, std::filesystem::file_size(folder_ / "n.onnx"));
  const Graph lite = written(net, "n.tflite");
  EXPECT_EQ(lite.outputs.size(), 1U);
}

TEST_F(GraphBuilderTest, TheFirstMistakeIsTold) {
  const auto with = [](auto define) {
    GraphBuilder net("wrong");
    const auto image = net.input("x", {3, 8, 8});
    net.output("y", define(net, image));
    return net;
  };
  using G = GraphBuilder;
  using V = GraphBuilder::Value;
  expect_error(with([](G& n, V x) { return n.relu(n.conv2d(n.flatten(x), 8, 3)); }), "layer 1");
  expect_error(with([](G& n, V x) { return n.conv2d(x, 0, 3); }), "0 is no extent");
  expect_error(with([](G& n, V x) { return n.reshape(x, {5, 5}); }), "192 elements");
  expect_error(with([](G& n, V x) { return n.add(x, n.max_pool(x, 2)); }), "[?,3,4,4]");
  expect_error(with([](G& n, V) { return n.relu({99}); }), "no layer");
  expect_error(with([](G& n, V x) { return n.transpose(x, {0, 0, 1}); }), "layer 0");
  expect_error(with([](G& n, V x) {
                 Conv2dOptions grouped;
                 grouped.groups = 2;
                 return n.conv2d(x, 8, 3, grouped);
               }),
               "2 groups");
  expect_error(GraphBuilder("empty"), "no output");
}

}  // namespace
}  // namespace octet::testing

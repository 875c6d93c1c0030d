#include <filesystem>

#include "formats/model_file.h"
#include "graph/dump.h"
#include "passes/quantize_fixture.h"

namespace octet {
namespace {

using testing::Attributes;
using testing::error_of;
using testing::GraphBuilder;
using testing::Ints;
using testing::quantize;
using Ops = std::vector<std::string>;

/// x -> Conv -> Relu -> MaxPool -> Conv -> GlobalAveragePool -> Flatten -> Gemm -> Reshape ->
/// Softmax
GraphBuilder classifier() {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 3, 8, 8}, {"N"});
  const auto c1 = b.node("Conv", {x, b.weights("w1", {4, 3, 3, 3}), b.weights("b1", {4})}, "c1",
                         {{"pads", Ints{1, 1, 1, 1}}});
  const auto r1 = b.node("Relu", {c1}, "r1");
  const auto p1 =
      b.node("MaxPool", {r1}, "p1", {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}});
  const auto c2 = b.node("Conv", {p1, b.weights("w2", {6, 4, 3, 3}, 2)}, "c2");
  const auto g = b.node("GlobalAveragePool", {c2}, "g");
  const auto f = b.node("Flatten", {g}, "f");
  const auto l = b.node("Gemm", {f, b.weights("w3", {5, 6}, 3), b.weights("b3", {5}, 4)}, "l",
                        {{"transB", std::int64_t{1}}});
  const auto s = b.node("Reshape", {l, b.ints("s_shape", {-1, 1, 5})}, "s");
  b.output(b.node("Softmax", {s}, "y"));
  return b;
}

TEST(Placement, ClassifierWithFloatTail) {
  const auto q = quantize(classifier().graph, {{"r1", {0.0F, 4.0F}}});
  EXPECT_EQ(q.reason("y_node"), "operator Softmax stays float in target onnxruntime");
  EXPECT_EQ(q.reason("s_node"), "no integer node reads its output");
  EXPECT_EQ(q.report.float_nodes.size(), 2U);
  EXPECT_EQ(q.report.integer_mac_share, 1.0);
  EXPECT_EQ(q.model.plan.target, "onnxruntime");
  for (const auto* value : {"x", "r1", "p1", "c2", "g", "f", "w1", "b1", "w2", "w3", "b3"}) {
    EXPECT_NE(q.find(value), nullptr) << value;
  }
  // The logits stay floats: the runtime has them so from the integer product.
  for (const auto* value : {"c1", "l", "s", "y"}) EXPECT_EQ(q.find(value), nullptr) << value;
  EXPECT_EQ(q.find("x")->storage, DType::u8);
  EXPECT_EQ(q.find("w1")->storage, DType::i8);
  EXPECT_EQ(q.find("b1")->storage, DType::i32);
  EXPECT_EQ(q.find("w1")->params.axis, 0);
  EXPECT_EQ(q.find("w3")->params.axis, 0);
}

TEST(Placement, ObservesOnlyWhatDecidesParams) {
  auto b = classifier();
  ASSERT_TRUE(simplify(b.graph));
  const auto values = values_to_observe(b.graph, {});
  ASSERT_TRUE(values);
  Ops names;
  for (const auto id : *values) names.push_back(b.graph.value(id).name);
  EXPECT_EQ(names, (Ops{"x", "r1", "c2", "g"}));
}

TEST(Placement, KeptFloatNodesAndTheirShare) {
  QuantizeOptions options;
  options.keep_float = {"c2_*", "nothing*"};
  const auto q = quantize(classifier().graph, {}, options);
  EXPECT_EQ(q.reason("c2_node"), "kept by --keep-float");
  EXPECT_EQ(q.reason("g_node"), "input c2 is not quantized");
  EXPECT_EQ(q.reason("p1_node"), "no integer node reads its output");
  EXPECT_TRUE(q.noted("--keep-float nothing* matches no node"));
  // c1: 4*3*9*64; c2: 6*4*9*4 (2x2 outputs); l: 30.
  EXPECT_NEAR(q.report.integer_mac_share, (6912.0 + 30) / (6912 + 864 + 30), 1e-12);
}

TEST(Placement, ReasonsOfFloatNodes) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 6});
  const auto v = b.input("v", {6, 6});
  const auto a = b.node("MatMul", {x, v}, "a");
  const auto c = b.node("Gemm", {x, b.weights("w", {6, 6})}, "c", {{"alpha", 0.5F}});
  const auto d = b.node("Gemm", {x, b.weights("w2", {6, 6}), b.weights("s", {1})}, "d");
  const auto e = b.node("MatMul", {x, b.weights("w3", {6, 6})}, "e");
  const auto p = b.node("Pad", {e, b.ints("pads", {0, 1, 0, 1}), b.scalar("fill", 2)}, "p");
  const auto k =
      b.node("Clip", {e, b.node("ReduceMax", {x}, "m", {{"keepdims", std::int64_t{0}}})}, "k");
  for (const auto id : {a, c, d, p, k}) b.output(id);
  const auto q = quantize(b.graph);
  EXPECT_EQ(q.reason("a_node"), "");
  EXPECT_EQ(q.reason("c_node"), "alpha, beta or transA is set");
  EXPECT_EQ(q.reason("d_node"), "its bias is broadcast");
  EXPECT_EQ(q.reason("e_node"), "");
  EXPECT_EQ(q.reason("p_node"), "it pads with something else than the constant 0");
  EXPECT_EQ(q.reason("k_node"), "its bounds are not constant");
  EXPECT_EQ(q.find("w3")->params.axis, 1);
}

TEST(Placement, NothingToQuantizeSaysWhy) {
  GraphBuilder b;
  const auto x = b.input("x", {2, 6});
  b.output(b.node("Softmax", {x}, "y"));
  EXPECT_NE(error_of(b.graph).find("operator Softmax stays float"), std::string::npos);
  GraphBuilder c;
  const auto u = c.input("u", {6});
  c.output(c.node("Softmax", {c.node("MatMul", {u, c.input("v", {6, 6})}, "m")}, "y"));
  EXPECT_NE(error_of(c.graph).find("m_node (MatMul): its inputs are neither matrices"),
            std::string::npos);
}

TEST(Pipeline, RefusesWrongPassNames) {
  const auto graph = classifier().graph;
  QuantizeOptions options;
  options.skip = {"plaice"};
  auto message = error_of(graph, options);
  EXPECT_NE(message.find("plaice"), std::string::npos);
  for (const auto name : pass_names()) EXPECT_NE(message.find(name), std::string::npos);
  options.skip = {"calibrate"};
  EXPECT_NE(error_of(graph, options).find("cannot do without"), std::string::npos);
  options.skip = {};
  options.dump_after = {"nothing"};
  EXPECT_NE(error_of(graph, options).find("nothing"), std::string::npos);
  options.dump_after = {};
  options.target = "toaster";
  EXPECT_NE(error_of(graph, options).find("onnxruntime"), std::string::npos);
}

TEST(Pipeline, NamesPassAndValueInErrors) {
  QuantizeReport report;
  const auto nothing = [](const Graph&, const std::vector<ValueId>&) -> Result<Statistics> {
    return Statistics{};
  };
  const auto model = quantize_static(classifier().graph, {}, nothing, report);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message.find("pass calibrate"), std::string::npos);
  EXPECT_NE(model.error().message.find("value x"), std::string::npos);
}

TEST(Pipeline, RefusesWeightsThatAreNotFinite) {
  auto b = classifier();
  const auto w = b.graph.find_value("w2");
  b.graph.value(w).constant->mutable_data<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(error_of(b.graph).find("w2"), std::string::npos);
}

TEST(Pipeline, TimesAndDumpsPasses) {
  QuantizeOptions options;
  options.dump_after = {"place", "absorb_activations"};
  std::vector<std::pair<std::string, std::string>> dumps;
  options.dump = [&](std::string_view pass, std::string_view text) {
    dumps.emplace_back(pass, text);
  };
  const auto q = quantize(classifier().graph, {}, options);
  ASSERT_EQ(dumps.size(), 2U);
  EXPECT_EQ(dumps[0].first, "place");
  EXPECT_NE(dumps[0].second.find("Relu"), std::string::npos);
  EXPECT_EQ(dumps[1].second, dump(q.model));
  EXPECT_EQ(q.report.passes.size(), pass_names().size());
}

TEST(Pipeline, GoldenDump) {
  GraphBuilder b;
  const auto x = b.input("x", {1, 1, 2, 2});
  const auto w = b.constant("w", Tensor::from<float>({1.0F, -2.0F}, {2, 1, 1, 1}));
  const auto bias = b.constant("b", Tensor::from<float>({0.5F, -0.25F}, {2}));
  const auto r = b.node("Relu", {b.node("Conv", {x, w, bias}, "c")}, "r");
  const auto y = b.node("Add", {r, b.constant("k", Tensor::from<float>({1.0F}, {1}))}, "y");
  const auto v = b.constant("v", Tensor::from<float>({1.0F, 1.0F}, {1, 2, 1, 1}));
  b.output(b.node("Conv", {y, v}, "z"));
  QuantizeOptions options;
  options.skip = {"correct_bias"};
  const auto q = quantize(b.graph, {{"x", {-1.0F, 1.55F}}, {"r", {0.0F, 2.55F}}}, options);
  EXPECT_EQ(
      dump(q.model),
      "graph \n"
      "input x: f32 [1,1,2,2] q(s8 asymmetric per-tensor, scale 0.01, zero -28, u8, observed)\n"
      "Conv c_node(x, w: f32 [2,1,1,1] [1,-2] codes q(s8 symmetric narrow per-channel(0), "
      "scale 0.007874016,0.015748031, zero 0,0, i8, observed), b: f32 [2] [0.5,-0.25] codes "
      "q(s32 symmetric per-channel(0), scale 7.874016e-05,0.00015748032, zero 0,0, i32, "
      "derived)) -> r: f32 [1,2,2,2] q(s8 asymmetric per-tensor, scale 0.01, zero -128, u8, "
      "observed)\n"
      "Add y_node(r, k: f32 [1] [1] codes q(s8 asymmetric per-tensor, scale 0.003921569, "
      "zero -128, u8, observed)) -> y: f32 [1,2,2,2] q(s8 asymmetric per-tensor, scale "
      "0.007843138, zero -1, u8, observed)\n"
      "Conv z_node(y, v: f32 [1,2,1,1] [1,1] codes q(s8 symmetric narrow per-channel(0), scale "
      "0.007874016, zero 0, i8, observed)) -> z: f32 [1,1,2,2] q(s8 asymmetric per-tensor, scale "
      "0.007843138, zero -1, u8, observed)\n"
      "output z\n");
}

TEST(Pipeline, RealModelsRunWhollyInIntegers) {
  const std::filesystem::path models = OCTET_SOURCE_DIR "/../shared/models";
  if (!std::filesystem::exists(models)) GTEST_SKIP() << "no ../shared/models";
  const std::map<std::string, std::size_t> expected = {
      {"cifar10/resnet20.onnx", 0},
      {"cifar10/resnet20_bn.onnx", 0},
      {"cifar10/resnet56.onnx", 0},
      {"imagenet/mobilenet_v1_075_224.onnx", 2},   // Flatten, Softmax
      {"imagenet/mobilenet_v2_100_224.onnx", 2}};  // Reshape, Softmax
  for (const auto& [path, float_nodes] : expected) {
    auto file = read_model(models / path);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(simplify(file->model.graph));
    QuantizeReport report;
    ASSERT_TRUE(report_placement(file->model.graph, {}, report)) << path;
    EXPECT_EQ(report.float_nodes.size(), float_nodes) << path;
    EXPECT_EQ(report.integer_mac_share, 1.0) << path;
  }
}

}  // namespace
}  // namespace octet

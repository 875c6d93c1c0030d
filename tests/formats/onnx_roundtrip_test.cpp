// Reading and writing: what octet does not interpret survives, and bytes settle after one write.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/file.h"
#include "formats/onnx_builder.h"

namespace octet::testing {
namespace {

using ::testing::ElementsAre;

/// A graph full of things that octet only carries.
wire::ModelProto exotic_model() {
  auto model = empty_model(17);
  model.set_ir_version(8);
  model.set_producer_name("maker");
  model.set_producer_version("1.2");
  model.set_domain("org.example");
  model.set_model_version(7);
  model.set_doc_string("model doc");
  add_opset(model, 1, "my.domain");
  auto* property = model.add_metadata_props();
  property->set_key("author");
  property->set_value("me");
  auto* function = model.add_functions();
  function->set_name("f");
  function->set_domain("my.domain");
  model.add_training_info()->mutable_algorithm()->set_name("sgd");
  model.mutable_graph()->set_doc_string("graph doc");
  add_input(model, "x", {1, 4});
  auto* dim = model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type();
  dim->mutable_shape()->mutable_dim(0)->set_dim_param("batch");
  dim->mutable_shape()->mutable_dim(1)->set_denotation("DATA_CHANNEL");
  model.mutable_graph()->mutable_input(0)->set_doc_string("the input");
  auto& node = add_node(model, "Mystery", {"x", "", "w"}, {"h", "", "k"}, "mystery");
  node.set_domain("my.domain");
  node.set_doc_string("node doc");
  set_int(node, "alpha", 3);
  set_float(node, "beta", 0.25F);
  set_ints(node, "dims", {1, 2});
  add_attribute(node, "mode", wire::AttributeProto::STRING).set_s("cubic");
  add_attribute(node, "body", wire::AttributeProto::GRAPH).mutable_g()->set_name("sub");
  auto& tensor = *add_attribute(node, "table", wire::AttributeProto::TENSOR).mutable_t();
  tensor.set_name("named");
  tensor.set_data_type(wire::TensorProto::INT64);
  tensor.add_dims(1);
  tensor.add_int64_data(5);
  add_node(model, "Relu", {"h"}, {"y"}, "relu");
  add_floats(model, "w", {2}, {1, 2}).set_doc_string("weights");
  *model.mutable_graph()->add_value_info() = info("h", {1, 4});
  add_output(model, "y", {1, 4});
  add_output(model, "k", {1, 4});
  return model;
}

/// Attributes in the order of their names.
void sort_attributes(wire::NodeProto& node) {
  auto* list = node.mutable_attribute();
  std::sort(list->begin(), list->end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
}

TEST(OnnxRoundTrip, UnknownThingsSurvive) {
  auto model = exotic_model();
  const auto out = rewritten(model);
  // What may differ: the IR version, and the order of attributes.
  model.set_ir_version(10);
  sort_attributes(*model.mutable_graph()->mutable_node(0));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(out.graph().node(i).SerializeAsString(), model.graph().node(i).SerializeAsString());
  }
  EXPECT_EQ(out.SerializeAsString(), model.SerializeAsString());
}

TEST(OnnxRoundTrip, SecondWriteHasTheSameBytes) {
  const auto first = rewritten(exotic_model()).SerializeAsString();
  const auto graph = parse_text(first);
  ASSERT_TRUE(graph.has_value()) << graph.error().message;
  EXPECT_EQ(onnx::serialize(*graph).value(), first);
}

TEST(OnnxRoundTrip, DynamicDimensionsKeepTheirNames) {
  const auto graph = parse_proto(exotic_model());
  ASSERT_TRUE(graph.has_value());
  const auto& input = graph->value(graph->inputs[0]);
  EXPECT_EQ(*input.shape, (Shape{dynamic_dim, 4}));
  EXPECT_THAT(input.dim_names, ElementsAre("batch", ""));
}

TEST(OnnxRoundTrip, UnsortedNodesAreWrittenSorted) {
  auto model = empty_model();
  add_input(model, "x", {4});
  add_node(model, "Relu", {"b"}, {"y"}, "third");
  add_node(model, "Relu", {"a"}, {"b"}, "second");
  add_node(model, "Relu", {"x"}, {"a"}, "first");
  add_output(model, "y", {4});
  const auto out = rewritten(model);
  ASSERT_EQ(out.graph().node_size(), 3);
  EXPECT_EQ(out.graph().node(0).name(), "first");
  EXPECT_EQ(out.graph().node(1).name(), "second");
  EXPECT_EQ(out.graph().node(2).name(), "third");
}

TEST(OnnxRoundTrip, ConstantNodesBecomeConstants) {
  auto model = empty_model();
  add_input(model, "x", {4});
  set_float(add_node(model, "Constant", {}, {"f"}), "value_float", 2.5F);
  set_ints(add_node(model, "Constant", {}, {"i"}), "value_ints", {3, -4});
  auto& node = add_node(model, "Constant", {}, {"t"});
  auto& tensor = *add_attribute(node, "value", wire::AttributeProto::TENSOR).mutable_t();
  tensor.set_data_type(wire::TensorProto::FLOAT);
  tensor.add_float_data(7);
  auto& strings = add_node(model, "Constant", {}, {"s"});
  add_attribute(strings, "value_string", wire::AttributeProto::STRING).set_s("kept as a node");
  add_node(model, "Mystery", {"x", "f", "i", "t", "s"}, {"y"});
  add_output(model, "y", {4});
  const auto graph = parse_proto(model);
  ASSERT_TRUE(graph.has_value()) << graph.error().message;
  const auto constant = [&](const char* name) { return graph->constant(graph->find_value(name)); };
  EXPECT_EQ(constant("f")->values<float>()[0], 2.5F);
  EXPECT_EQ(constant("f")->rank(), 0);
  EXPECT_THAT(constant("i")->values<std::int64_t>(), ElementsAre(3, -4));
  EXPECT_EQ(constant("t")->values<float>()[0], 7.0F);
  EXPECT_EQ(constant("s"), nullptr);
  EXPECT_EQ(graph->node_slots(), 2U);
}

TEST(OnnxRoundTrip, UnusedConstantsAreNotWritten) {
  auto model = relu_model();
  add_floats(model, "unused", {4}, {1, 2, 3, 4});
  EXPECT_EQ(rewritten(model).graph().initializer_size(), 0);
}

TEST(OnnxRoundTrip, ProvenanceIsWrittenAsMetadata) {
  auto graph = parse_proto(relu_model()).value();
  graph.metadata["octet.version"] = "0.1.0";
  graph.producer = "octet";
  wire::ModelProto out;
  ASSERT_TRUE(out.ParseFromString(onnx::serialize(graph).value()));
  ASSERT_EQ(out.metadata_props_size(), 1);
  EXPECT_EQ(out.metadata_props(0).key(), "octet.version");
  EXPECT_EQ(out.metadata_props(0).value(), "0.1.0");
  EXPECT_EQ(out.producer_name(), "octet");
}

TEST(OnnxRoundTrip, TooLargeForOneFile) {
  auto graph = parse_proto(relu_model()).value();
  // The same storage under many names: the file would repeat it.
  const Tensor big(DType::u8, {std::int64_t{1} << 28});
  Node node;
  node.op = "Mystery";
  for (int i = 0; i < 8; ++i) node.inputs.push_back(graph.add_constant("big", big));
  Value value;
  value.name = "z";
  node.outputs = {graph.add_value(value)};
  graph.add_node(node);
  const auto bytes = onnx::serialize(graph);
  ASSERT_FALSE(bytes.has_value());
  EXPECT_EQ(bytes.error().message,
            "the weights up to big_7 take 2147483648 bytes; an ONNX file holds at most 2147483647");
}

TEST(OnnxRoundTrip, RealModels) {
  const std::filesystem::path models = OCTET_SOURCE_DIR "/../shared/models";
  if (!std::filesystem::exists(models)) GTEST_SKIP() << "needs ../shared/models";
  for (const auto* name :
       {"cifar10/resnet20.onnx", "cifar10/resnet20_bn.onnx", "cifar10/resnet56.onnx",
        "imagenet/mobilenet_v1_075_224.onnx", "imagenet/mobilenet_v2_100_224.onnx"}) {
    const auto view = FileView::open(models / name);
    ASSERT_TRUE(view.has_value()) << view.error().message;
    const auto graph = onnx::parse(view->bytes(), models);
    ASSERT_TRUE(graph.has_value()) << name << graph.error().message;
    EXPECT_EQ(graph->opsets.at(""), 21);
    const auto first = onnx::serialize(*graph).value();
    EXPECT_LE(first.size(), view->bytes().size());
    const auto again = parse_text(first);
    ASSERT_TRUE(again.has_value()) << name << again.error().message;
    EXPECT_EQ(onnx::serialize(*again).value(), first) << name;
  }
}

}  // namespace
}  // namespace octet::testing

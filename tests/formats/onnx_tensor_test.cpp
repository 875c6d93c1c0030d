// Element types in both encodings, and external data.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <bit>
#include <filesystem>
#include <fstream>

#include "formats/onnx_builder.h"

namespace octet::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Tensor& constant(const Graph& graph, const std::string& name) {
  const auto id = graph.find_value(name);
  EXPECT_NE(id, ValueId::none) << name;
  return *graph.constant(id);
}

TEST(OnnxTensor, EveryTypeInItsTypedField) {
  auto model = relu_model();
  const auto add = [&](int type) -> wire::TensorProto& {
    return add_initializer(model, "t" + std::to_string(type), {3}, type);
  };
  using P = wire::TensorProto;
  for (const int type : {P::INT8, P::INT16, P::INT32, P::UINT8, P::UINT16, P::BOOL}) {
    auto& tensor = add(type);
    for (const int value : {1, 0, 7}) tensor.add_int32_data(value);
  }
  for (const int type : {P::UINT32, P::UINT64}) {
    auto& tensor = add(type);
    for (const unsigned value : {1U, 0U, 7U}) tensor.add_uint64_data(value);
  }
  auto& int64 = add(P::INT64);
  for (const int value : {-1, 0, 7}) int64.add_int64_data(value);
  auto& float64 = add(P::DOUBLE);
  for (const double value : {0.5, 0.0, -2.0}) float64.add_double_data(value);
  auto& float32 = add(P::FLOAT);
  for (const float value : {0.5F, 0.0F, -2.0F}) float32.add_float_data(value);
  for (const int bits : {0x3C00, 0, 0xC000}) {
    if (bits == 0x3C00) add(P::FLOAT16);
    model.mutable_graph()->mutable_initializer(11)->add_int32_data(bits);
  }
  auto& bfloat = add(P::BFLOAT16);
  for (const int bits : {0x3F80, 0, 0xC000}) bfloat.add_int32_data(bits);
  for (const int type : {P::INT4, P::UINT4}) {
    auto& tensor = add(type);
    tensor.add_int32_data(0x0F);  // elements 15 and 0
    tensor.add_int32_data(0x07);
  }
  const auto graph = parse_proto(model);
  ASSERT_TRUE(graph.has_value()) << graph.error().message;
  const auto integers = [&](int type) {
    return to_int64(constant(*graph, "t" + std::to_string(type))).value();
  };
  for (const int type : {P::INT8, P::INT16, P::INT32, P::UINT8, P::UINT16, P::UINT32, P::UINT64}) {
    EXPECT_THAT(integers(type), ElementsAre(1, 0, 7)) << type;
  }
  EXPECT_THAT(integers(P::INT64), ElementsAre(-1, 0, 7));
  EXPECT_THAT(integers(P::BOOL), ElementsAre(1, 0, 1));  // any non-zero is true
  EXPECT_THAT(integers(P::INT4), ElementsAre(-1, 0, 7));
  EXPECT_THAT(integers(P::UINT4), ElementsAre(15, 0, 7));
  for (const int type : {P::FLOAT, P::DOUBLE}) {
    const auto real = to_f32(constant(*graph, "t" + std::to_string(type))).value();
    EXPECT_THAT(real.values<float>(), ElementsAre(0.5F, 0.0F, -2.0F)) << type;
  }
  for (const int type : {P::FLOAT16, P::BFLOAT16}) {
    const auto real = to_f32(constant(*graph, "t" + std::to_string(type))).value();
    EXPECT_THAT(real.values<float>(), ElementsAre(1.0F, 0.0F, -2.0F)) << type;
  }
}

TEST(OnnxTensor, ExoticTypesSurviveUnchanged) {
  auto model = empty_model();
  add_input(model, "x", {2});
  auto& strings = add_initializer(model, "names", {2}, wire::TensorProto::STRING);
  strings.add_string_data("a");
  strings.add_string_data("b");
  auto& float8 = add_initializer(model, "f8", {3}, wire::TensorProto::FLOAT8E4M3FN);
  float8.set_raw_data("abc");
  auto& newer = add_initializer(model, "future", {3}, 99);
  newer.set_raw_data("xyz");
  add_node(model, "Mystery", {"x", "names", "f8", "future"}, {"y"}, "m").set_domain("my.domain");
  add_opset(model, 3, "my.domain");
  add_output(model, "y", {2});
  const auto out = rewritten(model);
  ASSERT_EQ(out.graph().initializer_size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(out.graph().initializer(i).SerializeAsString(),
              model.graph().initializer(i).SerializeAsString());
  }
}

TEST(OnnxTensor, InitializersListedAsInputsAreNotInputs) {
  auto model = empty_model();
  add_input(model, "x", {1, 2});
  add_input(model, "w", {2, 2});
  add_floats(model, "w", {2, 2}, {1, 2, 3, 4});
  add_node(model, "MatMul", {"x", "w"}, {"y"});
  add_output(model, "y", {1, 2});
  const auto graph = parse_proto(model);
  ASSERT_TRUE(graph.has_value()) << graph.error().message;
  ASSERT_EQ(graph->inputs.size(), 1U);
  EXPECT_EQ(graph->value(graph->inputs[0]).name, "x");
  EXPECT_TRUE(graph->value(graph->find_value("w")).is_constant());
}

class ExternalData : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    base_ = std::filesystem::temp_directory_path() /
            (std::string("octet_external_") + test->name() + std::to_string(::getpid()));
    std::filesystem::remove_all(base_);
    folder_ = base_ / "model";
    std::filesystem::create_directories(folder_);
    const float values[] = {1, 2, 3, 4};
    std::ofstream(folder_ / "w.bin", std::ios::binary)
        .write(reinterpret_cast<const char*>(values), sizeof values);
    std::filesystem::copy_file(folder_ / "w.bin", base_ / "outside.bin");
  }
  void TearDown() override { std::filesystem::remove_all(base_); }

  static wire::ModelProto model(const std::string& location, const std::string& offset = "",
                                const std::string& length = "") {
    auto out = relu_model();
    auto& tensor = add_initializer(out, "w", {2}, wire::TensorProto::FLOAT);
    tensor.set_data_location(wire::TensorProto::EXTERNAL);
    const auto add = [&](const std::string& key, const std::string& value) {
      auto* entry = tensor.add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    if (!location.empty()) add("location", location);
    if (!offset.empty()) add("offset", offset);
    if (!length.empty()) add("length", length);
    return out;
  }

  std::filesystem::path base_;
  std::filesystem::path folder_;
};

TEST_F(ExternalData, OffsetAndLength) {
  const auto graph = parse_proto(model("w.bin", "4", "8"), folder_);
  ASSERT_TRUE(graph.has_value()) << graph.error().message;
  EXPECT_THAT(constant(*graph, "w").values<float>(), ElementsAre(2.0F, 3.0F));
  const auto rest = parse_proto(model("w.bin", "8"), folder_);
  ASSERT_TRUE(rest.has_value()) << rest.error().message;
  EXPECT_THAT(constant(*rest, "w").values<float>(), ElementsAre(3.0F, 4.0F));
}

TEST_F(ExternalData, BadRanges) {
  EXPECT_EQ(parse_error(model("w.bin", "12", "8"), folder_),
            "tensor w: its external data needs 8 bytes from byte 12 of w.bin, which has 16");
  EXPECT_EQ(parse_error(model("w.bin", "17"), folder_),
            "tensor w: its external data starts at byte 17 of w.bin, which has 16 bytes");
  EXPECT_THAT(parse_error(model("w.bin", "18446744073709551615", "8"), folder_),
              HasSubstr("starts at byte 18446744073709551615"));
  EXPECT_THAT(parse_error(model("w.bin", "4", "4"), folder_), HasSubstr("needs 8 bytes"));
  EXPECT_THAT(parse_error(model("w.bin", "-1"), folder_), HasSubstr("offset \"-1\""));
  EXPECT_THAT(parse_error(model("w.bin", "1x"), folder_), HasSubstr("is not a number"));
}

TEST_F(ExternalData, MissingFileIsNamed) {
  EXPECT_THAT(parse_error(model("gone.bin"), folder_),
              HasSubstr("gone.bin with its external data is missing"));
  EXPECT_THAT(parse_error(model(""), folder_),
              HasSubstr("tensor w: its external data names no file"));
}

TEST_F(ExternalData, StaysInsideTheFolder) {
  std::filesystem::create_symlink(base_ / "outside.bin", folder_ / "link.bin");
  for (const std::string& path :
       {std::string("../outside.bin"), (base_ / "outside.bin").string(),
        std::string("a/../../outside.bin"), std::string("link.bin"), std::string("/etc/passwd")}) {
    EXPECT_THAT(parse_error(model(path, "0", "8"), folder_),
                HasSubstr("outside the model's folder"))
        << path;
  }
  EXPECT_THAT(parse_error(model("."), folder_), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace octet::testing

// read_model and write_model on real paths.

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/file.h"
#include "formats/model_file.h"
#include "formats/onnx_builder.h"

namespace octet::testing {
namespace {

using ::testing::HasSubstr;

class ModelFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("octet_model_file_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path put(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  static std::string error_of(const std::filesystem::path& path) {
    const auto file = read_model(path);
    if (file) return "";
    EXPECT_EQ(file.error().kind, ErrorKind::bad_input);
    EXPECT_THAT(file.error().message, HasSubstr(path.string()));
    EXPECT_EQ(file.error().message.find('\n'), std::string::npos);
    return file.error().message;
  }

  std::filesystem::path folder_;
};

TEST_F(ModelFileTest, WriteThenRead) {
  const auto path = put("in.onnx", relu_model().SerializeAsString());
  const auto first = read_model(path);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(first->format, "onnx");
  EXPECT_EQ(first->bytes, std::filesystem::file_size(path));
  EXPECT_EQ(first->hash.size(), 32U);
  EXPECT_TRUE(first->model.plan.empty());
  ASSERT_TRUE(write_model(first->model, folder_ / "a.onnx").has_value());
  const auto second = read_model(folder_ / "a.onnx");
  ASSERT_TRUE(second.has_value()) << second.error().message;
  ASSERT_TRUE(write_model(second->model, folder_ / "b.onnx").has_value());
  EXPECT_EQ(FileView::open(folder_ / "a.onnx")->text(), FileView::open(folder_ / "b.onnx")->text());
}

TEST_F(ModelFileTest, ExternalDataCountsInHashAndSize) {
  auto model = empty_model();
  add_input(model, "x", {2});
  auto& tensor = add_initializer(model, "w", {2}, wire::TensorProto::FLOAT);
  tensor.set_data_location(wire::TensorProto::EXTERNAL);
  auto* entry = tensor.add_external_data();
  entry->set_key("location");
  entry->set_value("w.bin");
  add_node(model, "Add", {"x", "w"}, {"y"});
  add_output(model, "y", {2});
  const auto path = put("m.onnx", model.SerializeAsString());
  put("w.bin", std::string(8, '\1'));
  const auto first = read_model(path);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(first->bytes, std::filesystem::file_size(path) + 8);
  put("w.bin", std::string(8, '\2'));
  EXPECT_NE(read_model(path)->hash, first->hash);
}

TEST_F(ModelFileTest, BadFilesAreNamed) {
  EXPECT_THAT(error_of(folder_ / "none.onnx"), HasSubstr("No such file"));
  EXPECT_THAT(error_of(put("empty.onnx", "")), HasSubstr("the file is empty"));
  EXPECT_THAT(error_of(put("text.onnx", "hello")), HasSubstr("not an ONNX model"));
  EXPECT_THAT(error_of(put("m.tflite", "x")), HasSubstr("not a TFLite model"));
  EXPECT_THAT(error_of(put("m.pb", "x")), HasSubstr(".pb is no model format"));
  EXPECT_THAT(error_of(put("m", "x")), HasSubstr("needs a suffix"));
  EXPECT_THAT(error_of(folder_), HasSubstr("suffix"));
  auto cycle = empty_model();
  add_input(cycle, "x", {4});
  add_node(cycle, "Add", {"x", "b"}, {"a"}, "first");
  add_node(cycle, "Relu", {"a"}, {"b"}, "second");
  add_output(cycle, "b", {4});
  EXPECT_THAT(error_of(put("cycle.onnx", cycle.SerializeAsString())), HasSubstr("cycle"));
  auto rank = empty_model();
  add_input(rank, "x", {1, 2, 4, 4});
  add_floats(rank, "w", {3, 2}, {1, 2, 3, 4, 5, 6});
  add_node(rank, "Conv", {"x", "w"}, {"y"}, "conv");
  rank.mutable_graph()->add_output()->set_name("y");
  EXPECT_THAT(error_of(put("rank.onnx", rank.SerializeAsString())), HasSubstr("conv"));
}

TEST_F(ModelFileTest, UnwritablePath) {
  const auto graph = parse_proto(relu_model());
  const auto status = write_model({*graph, {}}, folder_ / "no" / "such" / "m.onnx");
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, HasSubstr("m.onnx"));
  EXPECT_FALSE(write_model({*graph, {}}, folder_ / "m.txt").has_value());
}

}  // namespace
}  // namespace octet::testing

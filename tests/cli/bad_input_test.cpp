// Every kind of bad input: one line that names it, the right exit code, no file left behind.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <limits>

#include "cli/cli_runner.h"
#include "core/file.h"
#include "formats/onnx/onnx.h"

namespace octet::testing {
namespace {

const std::string model = digits("digits_cnn.onnx");
const std::string train = digits("train-images-idx3-ubyte.gz");

std::vector<std::string> quantize_command(const std::string& input, const std::string& output,
                                          const std::string& data = train) {
  return {"quantize", input, "-o", output, "--data", data, "--quiet"};
}

/// The example's graph, changed and written to `path`.
template <class Change>
void write_changed(const std::string& path, Change change) {
  const auto file = FileView::open(model);
  ASSERT_TRUE(file);
  auto graph = onnx::parse(file->bytes(), OCTET_SOURCE_DIR);
  ASSERT_TRUE(graph) << graph.error().message;
  change(*graph);
  const auto bytes = onnx::serialize(*graph);
  ASSERT_TRUE(bytes) << bytes.error().message;
  write_text(path, *bytes);
}

/// First constant of rank 4: the weights of a convolution.
Tensor& first_weights(Graph& graph) {
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    auto& value = graph.value(static_cast<ValueId>(i));
    if (value.constant && value.constant->rank() == 4) return *value.constant;
  }
  ADD_FAILURE() << "the example has no convolution";
  static Tensor none;
  return none;
}

TEST(BadUsage, ExitsWithOne) {
  expect_refusal(octet({}), 1, "");
  expect_refusal(octet({"fly"}), 1, "octet");
  expect_refusal(octet({"quantize", model, "--no-such-option"}), 1, "no-such-option");
  expect_refusal(octet({"quantize", model, "-o", "/tmp/x.onnx", "--method", "static"}), 1,
                 "--data");
  expect_refusal(
      octet({"quantize", model, "-o", "/tmp/x.onnx", "--data", train, "--observer", "x"}), 1,
      "minmax");
  expect_refusal(
      octet({"quantize", model, "-o", "/tmp/x.onnx", "--stats", "s", "--observer", "auto"}), 1,
      "--observer auto needs the samples");
  for (const std::string target : {"openvino", "tflite", "tflite-micro"}) {
    expect_refusal(octet({"quantize", model, "-o", "/tmp/x.onnx", "--data", train, "--target",
                          target, "--int16", "*"}),
                   1, "target " + target);
  }
  expect_refusal(octet({"quantize", model, "-o", "/tmp/x.onnx", "--data", train, "--target", "x"}),
                 1, "onnxruntime");
  expect_refusal(octet({"quantize", model, "-o", "/tmp/x.onnx", "--data", train, "--skip", "x"}), 1,
                 "calibrate");
  expect_refusal(octet({"eval", model, "--data", train, "--engine", "integer"}), 1, "integer");
}

TEST(BadModel, MissingEmptyTruncatedRandom) {
  const TemporaryFolder folder;
  const auto output = folder / "out.onnx";
  expect_refusal(octet(quantize_command(folder / "none.onnx", output)), 2, "none.onnx");
  write_text(folder / "empty.onnx", "");
  expect_refusal(octet(quantize_command(folder / "empty.onnx", output)), 2, "empty");
  const auto whole = read_text(model);
  for (const std::size_t part : {1U, 2U, 3U, 10U}) {
    write_text(folder / "cut.onnx", whole.substr(0, whole.size() * part / 11));
    expect_refusal(octet(quantize_command(folder / "cut.onnx", output)), 2, "cut.onnx");
  }
  std::string random(5000, '\0');
  std::uint32_t state = 1;
  for (auto& c : random) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24);
  write_text(folder / "random.onnx", random);
  expect_refusal(octet(quantize_command(folder / "random.onnx", output)), 2, "random.onnx");
  write_text(folder / "model.pb", whole);
  expect_refusal(octet(quantize_command(folder / "model.pb", output)), 2, "model.pb");
  EXPECT_EQ(folder.files(), 4U);
}

TEST(BadModel, NanAndInfiniteWeights) {
  const TemporaryFolder folder;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    write_changed(folder / "bad.onnx",
                  [bad](Graph& graph) { first_weights(graph).mutable_data<float>()[3] = bad; });
    expect_refusal(octet(quantize_command(folder / "bad.onnx", folder / "out.onnx")), 2, "finite");
  }
  EXPECT_EQ(folder.files(), 1U);
}

TEST(BadModel, UnknownOperatorIsNamedWithItsNode) {
  const TemporaryFolder folder;
  write_changed(folder / "odd.onnx", [](Graph& graph) {
    for (std::size_t i = 0; i < graph.node_slots(); ++i) {
      auto& node = graph.node(static_cast<NodeId>(i));
      if (node.op != "Relu") continue;
      node.op = "Flurb";
      node.name = "the_odd_one";
      return;
    }
    FAIL() << "the example has no Relu";
  });
  const auto outcome = octet(quantize_command(folder / "odd.onnx", folder / "out.onnx"));
  expect_refusal(outcome, 2, "Flurb");
  EXPECT_NE(outcome.err.find("the_odd_one"), std::string::npos) << outcome.err;
  EXPECT_EQ(octet({"inspect", folder / "odd.onnx"}).code, 0);
}

TEST(BadModel, QuantizedAlready) {
  const TemporaryFolder folder;
  ASSERT_EQ(octet(quantize_command(model, folder / "a.onnx")).code, 0);
  expect_refusal(octet(quantize_command(folder / "a.onnx", folder / "b.onnx")), 2,
                 "quantized already");
  EXPECT_EQ(folder.files(), 1U);
}

TEST(OddModel, ZeroWeightsStillQuantize) {
  const TemporaryFolder folder;
  write_changed(folder / "zero.onnx", [](Graph& graph) {
    auto& weights = first_weights(graph);
    std::fill_n(weights.mutable_data<float>(), weights.size(), 0.0F);
  });
  const auto outcome = octet(quantize_command(folder / "zero.onnx", folder / "out.onnx"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(octet({"eval", folder / "out.onnx", "--data", train, "--quiet"}).code, 0);
}

TEST(BadData, MissingEmptyUndecodable) {
  const TemporaryFolder folder;
  const auto output = folder / "out.onnx";
  expect_refusal(octet(quantize_command(model, output, folder / "none")), 2, "none");
  std::filesystem::create_directory(folder / "empty");
  expect_refusal(octet(quantize_command(model, output, folder / "empty")), 2, "empty");
  std::filesystem::create_directories(folder / "classes/a");
  std::filesystem::copy_file(digits("images/0/00.png"), folder / "classes/a/good.png");
  write_text(folder / "classes/a/bad.png", "not an image");
  expect_refusal(octet(quantize_command(model, output, folder / "classes")), 2, "bad.png");
  EXPECT_FALSE(std::filesystem::exists(output));
  const auto skipped = octet({"quantize", model, "-o", output, "--data", folder / "classes",
                              "--skip-undecodable", "--json"});
  EXPECT_EQ(skipped.code, 0) << skipped.err;
  EXPECT_EQ(nlohmann::json::parse(skipped.out)["skipped_samples"], 1);
  EXPECT_NE(skipped.err.find("bad.png"), std::string::npos) << skipped.err;
}

TEST(BadData, ClassCountThatDoesNotFit) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "classes/a");
  std::filesystem::copy_file(digits("images/0/00.png"), folder / "classes/a/0.png");
  expect_refusal(octet({"eval", model, "--data", folder / "classes", "--quiet"}), 2, "class");
}

TEST(BadData, LabelsOutsideTheRange) {
  const TemporaryFolder folder;
  std::filesystem::copy_file(digits("images/0/00.png"), folder / "0.png");
  write_text(folder / "labels.txt", "0.png\t12\n");
  expect_refusal(octet({"eval", model, "--data", folder / "", "--quiet"}), 2, "12");
}

TEST(BadModel, FixedBatchIsRefusedWithTheReason) {
  const TemporaryFolder folder;
  write_changed(folder / "b3.onnx", [](Graph& graph) {
    auto& input = graph.value(graph.inputs[0]);
    input.shape->front() = 3;
    input.dim_names.clear();
  });
  expect_refusal(octet(quantize_command(folder / "b3.onnx", folder / "out.onnx")), 2,
                 "batch is fixed at 3");
}

TEST(BadModel, ControlCharactersInNamesStayOnOneLine) {
  const TemporaryFolder folder;
  write_changed(folder / "evil.onnx", [](Graph& graph) {
    for (std::size_t i = 0; i < graph.node_slots(); ++i) {
      auto& node = graph.node(static_cast<NodeId>(i));
      if (node.op != "Relu") continue;
      node.op = "Flurb";
      node.name = "two\nlines\x1b[31m";
      return;
    }
  });
  const auto outcome = octet(quantize_command(folder / "evil.onnx", folder / "out.onnx"));
  expect_refusal(outcome, 2, "two\\x0Alines\\x1B[31m");
  EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos);
}

TEST(BadOutput, UnknownSuffixIsRefusedBeforeTheWork) {
  const TemporaryFolder folder;
  expect_refusal(octet(quantize_command(model, folder / "out.bin", folder / "none")), 2, "out.bin");
}

TEST(Merge, OfTheSameSamplesTwiceIsRefused) {
  const TemporaryFolder folder;
  const auto stats = folder / "stats";
  ASSERT_EQ(octet({"calibrate", model, "--data", train, "-o", stats, "--quiet"}).code, 0);
  expect_refusal(octet({"calibrate", "--merge", stats, stats, "-o", folder / "sum"}), 2,
                 "same samples");
}

TEST(BadRecipe, IsNamed) {
  const TemporaryFolder folder;
  write_text(folder / "r.json", "{\"men\": 3}");
  expect_refusal(octet({"eval", model, "--data", train, "--recipe", folder / "r.json", "--quiet"}),
                 2, "men");
}

TEST(BadOutput, UnwritablePathAndFullDisk) {
  const TemporaryFolder folder;
  expect_refusal(octet(quantize_command(model, folder / "no/such/out.onnx")), 2, "out.onnx");
  expect_refusal(octet(quantize_command(model, "/dev/full")), 2, "/dev/full");
  // A file size limit makes the write itself fail, as a full disk does.
  const auto limited = octet(quantize_command(model, folder / "out.onnx"), "ulimit -f 2;");
  expect_refusal(limited, 2, "out.onnx");
  EXPECT_EQ(folder.files(), 0U);
}

TEST(Interrupt, LeavesNothingBehind) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "classes/a");
  const auto image = digits("images/0/00.png");
  for (int i = 0; i < 20000; ++i) {
    std::filesystem::create_symlink(image, folder / "classes/a/" + std::to_string(i) + ".png");
  }
  // The signal must come while the sweep runs. Before octet handles signals, on a busy machine, it
  // merely ends the process: later then. A machine too fast for that finishes with code 0.
  for (double seconds = 0.025; seconds < 30; seconds *= 2) {
    const auto outcome = octet({"calibrate", model, "--data", folder / "classes", "-o",
                                folder / "out", "--quiet", "--samples", "20000"},
                               fmt::format("timeout --preserve-status -s INT {}", seconds));
    if (outcome.code == 0) GTEST_SKIP() << "done before the signal came";
    ASSERT_EQ(outcome.code, 130) << outcome.err;
    ASSERT_EQ(folder.files(), 1U);
    if (outcome.err.empty()) continue;
    EXPECT_NE(outcome.err.find("interrupted"), std::string::npos) << outcome.err;
    return;
  }
  FAIL() << "never saw an interrupted sweep";
}

}  // namespace
}  // namespace octet::testing

// Advice carried out: what stands in its way, by which samples, and beside which answers.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "analysis/sensitivity.h"
#include "api/advice_trials.h"
#include "api/provenance.h"
#include "api/quantizing.h"
#include "core/file.h"
#include "data/npy.h"
#include "formats/model_file.h"
#include "formats/onnx/onnx.h"
#include "graph/graph_builder.h"
#include "octet/evaluate.h"

namespace octet::testing {
namespace {

namespace fs = std::filesystem;

std::string digits(const std::string& name) {
  return std::string(OCTET_SOURCE_DIR) + "/examples/digits/" + name;
}

class AdviceTrial : public ::testing::Test {
 protected:
  const fs::path folder =
      fs::temp_directory_path() / ("octet_advice_" + std::to_string(::getpid()));
  std::string model = digits("digits_cnn.onnx");
  const std::string int8 = (folder / "int8.onnx").string();
  DataSource calibration;
  DataSource evaluation;

  AdviceTrial() {
    fs::create_directories(folder);
    calibration.path = digits("train-images-idx3-ubyte.gz");
    calibration.recipe = digits("recipe.json");
    calibration.samples = 140;
    evaluation = calibration;
    evaluation.path = digits("t10k-images-idx3-ubyte.gz");
    evaluation.samples = 300;
  }
  ~AdviceTrial() override { fs::remove_all(folder); }

  QuantizeRequest request() const {
    QuantizeRequest request;
    request.model = model;
    request.output = int8;
    request.data = calibration;
    return request;
  }

  static void make(const QuantizeRequest& request) {
    const auto made = quantize(request);
    ASSERT_TRUE(made) << made.error().message;
  }

  std::string write(const std::string& name, const Tensor& tensor) const {
    const auto path = (folder / name).string();
    const auto bytes = encode_npy(tensor);
    EXPECT_TRUE(bytes && write_file(path, std::string_view(*bytes)));
    return path;
  }

  /// The samples of `selection`, as arrays that need no recipe.
  DataSource arrays(const std::string& name, const OpenData& data,
                    const std::vector<std::int64_t>& selection) const {
    Tensor x;
    LoaderOptions all;
    all.batch_size = static_cast<int>(selection.size());
    EXPECT_TRUE(for_each_batch(*data.dataset, selection, all, [&](int, const Batch& batch) {
      x = batch.inputs[0];
      return Status();
    }));
    DataSource source;
    source.path = write(name, x);
    return source;
  }

  std::string obstacle(const std::function<void(ModelFile&)>& change = {}) const {
    const auto original = open_model(model);
    auto quantized = open_model(int8);
    EXPECT_TRUE(original && quantized);
    if (change) change(*quantized);
    return AdviceTrials::obstacle(*original, *quantized);
  }

  std::unique_ptr<AdviceTrials> trials() const {
    const auto quantized = open_model(int8);
    EXPECT_TRUE(quantized) << quantized.error().message;
    DiagnoseRequest request;
    request.model = model;
    request.quantized = int8;
    request.data = evaluation;
    auto made = AdviceTrials::make(request, *quantized);
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(*made) : nullptr;
  }

  QuantizeRequest coarse_request() const {
    auto coarse = request();
    coarse.weight_bits = 3;
    return coarse;
  }

  /// KL of two files on samples.
  double kl(const std::string& quantized, const DataSource& data) const {
    CompareRequest compared;
    compared.first = model;
    compared.second = quantized;
    compared.data = data;
    compared.layers = "none";
    compared.measure_speed = false;
    const auto found = compare(compared);
    EXPECT_TRUE(found) << found.error().message;
    return found ? found->kl.value_or(-1) : -1;
  }
};

TEST_F(AdviceTrial, HasNoObstacleWhereOctetQuantizedBySamples) {
  make(request());
  EXPECT_EQ(obstacle(), "");
}

TEST_F(AdviceTrial, KnowsItsObstacles) {
  make(request());
  const auto metadata = [](ModelFile & file) -> auto& { return file.model.graph.metadata; };
  EXPECT_EQ(obstacle([&](ModelFile& file) { metadata(file).erase("octet.float_model"); }),
            "it is not known how the model was quantized");
  EXPECT_EQ(obstacle([&](ModelFile& file) { metadata(file)["octet.float_model"] = "another"; }),
            "the model was quantized from another float model");
  EXPECT_EQ(obstacle([&](ModelFile& file) { metadata(file)["octet.training"] = "{}"; }),
            "the model was trained, which is not done again");
  EXPECT_EQ(obstacle([&](ModelFile& file) {
              metadata(file)["octet.options"] = R"({"requantize": true})";
            }),
            "the model was quantized without samples");
  auto without = request();
  without.data = {};
  without.data.recipe = calibration.recipe;
  without.data_free = true;
  make(without);
  EXPECT_EQ(obstacle(), "the model was quantized without samples");
}

/// The same by hand: quantized by the one part of the data as arrays, compared on the other.
TEST_F(AdviceTrial, QuantizesBySamplesThatItDoesNotJudgeBy) {
  make(coarse_request());
  const auto tried = trials();
  ASSERT_NE(tried, nullptr);
  const auto graph = open_model(model)->model.graph;
  const auto data = open_data(evaluation, graph, 0);
  ASSERT_TRUE(data) << data.error().message;
  const auto parts = hold_back(data->selection, calibration.samples, 256);
  ASSERT_EQ(parts.calibration.size(), 140U);
  const auto judged = arrays("judged.npy", *data, parts.judged);
  EXPECT_EQ(tried->samples(), 300 - 140);
  const double now = kl(int8, judged);
  EXPECT_NEAR(tried->now().distance.kl.value_or(0), now, 1e-9 * now);

  auto by_hand = coarse_request();
  by_hand.data = arrays("calibration.npy", *data, parts.calibration);
  by_hand.output = (folder / "by_hand.onnx").string();
  make(by_hand);
  const auto anew = tried->run({});
  ASSERT_TRUE(anew) << anew.error().message;
  const double expected = kl(by_hand.output, judged);
  EXPECT_NEAR(anew->distance.kl.value_or(0), expected, 1e-9 * expected);
  EXPECT_NE(anew->distance.kl.value_or(0), now) << "other samples than the file's";

  by_hand.weight_bits = 0;
  make(by_hand);
  const auto eight = tried->run({"--weights", "int8"});
  ASSERT_TRUE(eight) << eight.error().message;
  const double better = kl(by_hand.output, judged);
  EXPECT_NEAR(eight->distance.kl.value_or(0), better, 1e-9 * better);
  EXPECT_GT(gain_interval(tried->now(), *eight).low, 0);
}

/// One sample may be what is wrong: its remedy is more of them.
TEST_F(AdviceTrial, TakesMoreSamplesThanATooSmallCalibration) {
  calibration.samples = 1;
  make(request());
  const auto tried = trials();
  ASSERT_NE(tried, nullptr);
  EXPECT_EQ(tried->samples(), 300 - 128);
  const auto anew = tried->run({});
  ASSERT_TRUE(anew) << anew.error().message;
  EXPECT_GT(gain_interval(tried->now(), *anew).low, 0);
}

/// The answers that outcomes are measured from are the float model's: with one layer of 8 bits
/// left, little stands between them.
TEST_F(AdviceTrial, OfNearlyAllLayersInFloatComesNearTheFloatModelsAnswers) {
  make(coarse_request());
  const auto tried = trials();
  ASSERT_NE(tried, nullptr);
  const auto quantized = open_model(int8);
  ASSERT_TRUE(quantized);
  const auto layers = integer_layers(quantized->model);
  ASSERT_TRUE(layers);
  ASSERT_GT(layers->size(), 3U);
  std::vector<std::string> options;
  for (const auto& layer : std::span(*layers).subspan(1)) {
    for (const auto id : layer.nodes) {
      options.insert(options.end(), {"--keep-float", quantized->model.graph.node(id).name});
    }
  }
  const auto outcome = tried->run(options);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_LT(outcome->distance.kl.value_or(1), 1e-4);
  EXPECT_EQ(outcome->distance.agreement, 1);
  EXPECT_GT(outcome->distance.sqnr_db, 30);
  EXPECT_LT(tried->now().distance.sqnr_db, 30);
  EXPECT_GT(gain_interval(tried->now(), *outcome).low, 0);
}

TEST_F(AdviceTrial, OptionsThatLeaveNothingToQuantizeAreAnError) {
  make(request());
  const auto quantized = open_model(int8);
  ASSERT_TRUE(quantized);
  std::vector<std::string> options;
  const auto& graph = quantized->model.graph;
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto& node = graph.node(static_cast<NodeId>(i));
    if (node.alive) options.insert(options.end(), {"--keep-float", node.name});
  }
  const auto tried = trials();
  ASSERT_NE(tried, nullptr);
  const auto outcome = tried->run(options);
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().message.find("no node can run in integers"), std::string::npos);
  EXPECT_TRUE(tried->run({})) << "and other trials go on";
}

/// One number out: no scores of classes, so errors are noise over signal.
TEST_F(AdviceTrial, JudgesNumbersByTheirNoise) {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 24}, {"N", ""});
  const auto hidden =
      b.node("Relu", {b.node("MatMul", {x, b.weights("first", {24, 32})}, "wide")}, "kept");
  const auto narrow =
      b.node("Relu", {b.node("MatMul", {hidden, b.weights("second", {32, 16}, 2)}, "mid")}, "low");
  b.output(b.node("MatMul", {narrow, b.weights("third", {16, 1}, 3)}, "number"));
  b.graph.opsets[""] = 21;
  const auto bytes = onnx::serialize(b.graph);
  ASSERT_TRUE(bytes) << bytes.error().message;
  model = (folder / "number.onnx").string();
  ASSERT_TRUE(write_file(model, std::string_view(*bytes)));
  evaluation = calibration = {};
  calibration.path = write("x.npy", GraphBuilder::pseudo_random({200, 24}, 5));
  evaluation.path = write("y.npy", GraphBuilder::pseudo_random({200, 24}, 6));
  auto coarse = request();
  coarse.weight_bits = coarse.edge_weight_bits = 2;
  make(coarse);
  const auto tried = trials();
  ASSERT_NE(tried, nullptr);
  EXPECT_EQ(tried->samples(), 100);
  EXPECT_FALSE(tried->now().distance.kl);
  EXPECT_FALSE(tried->now().distance.agreement);
  const auto eight = tried->run({"--weights", "int8"});
  ASSERT_TRUE(eight) << eight.error().message;
  EXPECT_GT(eight->distance.sqnr_db, tried->now().distance.sqnr_db + 10);
  const auto gain = gain_interval(tried->now(), *eight);
  EXPECT_GT(gain.low, 0);
  const auto noise = [](double db) { return std::pow(10.0, -db / 10); };
  const double expected = noise(tried->now().distance.sqnr_db) - noise(eight->distance.sqnr_db);
  EXPECT_NEAR((gain.low + gain.high) / 2, expected, 1e-9);
}

}  // namespace
}  // namespace octet::testing

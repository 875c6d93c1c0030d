// From a quantized model back to the request that made it, and what trying advice rests on.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>

#include "api/advice_trials.h"
#include "api/provenance.h"
#include "api/quantize_command.h"
#include "api/quantizing.h"
#include "formats/model_file.h"

namespace octet::testing {
namespace {

std::string digits(const std::string& name) {
  return std::string(OCTET_SOURCE_DIR) + "/examples/digits/" + name;
}

QuantizeRequest request_for(const std::string& output) {
  QuantizeRequest request;
  request.model = digits("digits_cnn.onnx");
  request.output = output;
  request.data.path = digits("train-images-idx3-ubyte.gz");
  request.data.recipe = digits("recipe.json");
  request.data.samples = 64;
  return request;
}

std::string bytes_of(const QuantizeRequest& request, QuantizedGraph* model = nullptr) {
  auto made = quantize_in_memory(request, nullptr);
  EXPECT_TRUE(made) << made.error().message;
  if (!made) return "";
  const auto bytes = encode_model(made->model, request.output);
  EXPECT_TRUE(bytes) << bytes.error().message;
  if (model != nullptr) *model = std::move(made->model);
  return bytes.value_or("");
}

void expect_made_again(const QuantizeRequest& request) {
  QuantizedGraph model;
  const auto bytes = bytes_of(request, &model);
  const auto provenance = read_provenance(model.graph);
  auto again = request_from_provenance(provenance);
  EXPECT_EQ(number_from_provenance(provenance, "samples"), 64);
  EXPECT_EQ(number_from_provenance(provenance, "classes"), 10);
  again.model = request.model;
  again.output = request.output;
  again.data = request.data;
  EXPECT_TRUE(bytes_of(again) == bytes) << provenance.at("options");
}

TEST(Provenance, GivesTheRequestThatMadeTheModel) {
  auto request = request_for("out.onnx");
  expect_made_again(request);
  request.per_channel = false;
  expect_made_again(request);
  request.optimize = "none";
  request.observer = "minmax";
  expect_made_again(request);
  request = request_for("out.onnx");
  request.optimize = "best";
  request.keep_float = {"conv_6"};
  request.wide = {"relu_5_out"};
  expect_made_again(request);
  request = request_for("out.onnx");
  request.optimize = "best";
  request.per_channel = false;
  request.absorb_bias = true;
  expect_made_again(request);
  request = request_for("out.tflite");
  request.target = "tflite";
  request.activation_storage = "int16";
  expect_made_again(request);
}

TEST(Provenance, GivesTheRequestOfFewBits) {
  auto request = request_for("out.onnx");
  request.weight_bits = 3;
  request.edge_weight_bits = 5;
  request.learn_rounding = false;
  expect_made_again(request);
  request = request_for("out.onnx");
  request.weights = "int4";
  request.weight_observer = "mse";
  request.equalize = false;
  expect_made_again(request);
  request = request_for("out.onnx");
  request.narrow = {"conv_6"};
  request.activation_bits = 6;
  request.bias_correction = false;
  expect_made_again(request);
  request = request_for("out.onnx");
  request.reduce_range = true;
  expect_made_again(request);
}

TEST(Provenance, OfOtherToolsSaysNothing) {
  const auto request = request_from_provenance({});
  EXPECT_EQ(request.observer, "mse");
  EXPECT_FALSE(request.per_channel);
  EXPECT_EQ(request_from_provenance({{"options", "no JSON"}}).weights, "int8");
  EXPECT_EQ(number_from_provenance({{"samples", "many"}}, "samples"), 0);
}

TEST(Advice, ChangesTheRequest) {
  QuantizeRequest request;
  request.weight_bits = 4;
  request.edge_weight_bits = 6;
  request.per_channel = false;
  request.learn_rounding = false;
  request.equalize = false;
  apply_advice(std::vector<std::string>{"--weights", "int8", "--keep-float", "a[0]", "--keep-float",
                                        "b", "--int16", "v"},
               request);
  EXPECT_EQ(request.weight_bits, 0);
  EXPECT_EQ(request.edge_weight_bits, 0);
  EXPECT_FALSE(request.learn_rounding) << "8 bits ask for none";
  EXPECT_EQ(request.keep_float, (std::vector<std::string>{"a\\[0\\]", "b"})) << "names, not globs";
  EXPECT_EQ(request.wide, (std::vector<std::string>{"v"}));
  EXPECT_EQ(request.per_channel, false);
  request.equalize = true;
  apply_advice(std::vector<std::string>{"--per-channel", "--observer", "minmax"}, request);
  EXPECT_EQ(request.per_channel, true);
  EXPECT_FALSE(request.equalize);
  EXPECT_EQ(request.observer, "minmax");
}

TEST(Advice, JudgesByOtherSamplesThanItQuantizesBy) {
  std::vector<std::int64_t> selection(300);
  std::iota(selection.begin(), selection.end(), 7);
  const auto parts = hold_back(selection, 200, 100);
  EXPECT_EQ(parts.calibration.size(), 150U) << "half of them";
  EXPECT_EQ(parts.judged.size(), 100U);
  std::vector<std::int64_t> both;
  std::set_intersection(parts.calibration.begin(), parts.calibration.end(), parts.judged.begin(),
                        parts.judged.end(), std::back_inserter(both));
  EXPECT_TRUE(both.empty());
  EXPECT_GT(parts.calibration.back(), 300);
  EXPECT_GT(parts.judged.back(), 300);
  EXPECT_EQ(hold_back(selection, 50, 1000).judged.size(), 250U);
}

AdviceOutcome outcome(const std::vector<double>& kl, bool scores = true) {
  AdviceOutcome out;
  for (const double value : kl) {
    PairedSample sample;
    if (scores) sample.kl = value;
    sample.noise = 2 * value;
    sample.signal = 4;
    out.samples.push_back(sample);
  }
  return out;
}

TEST(Advice, GainIsOfTheSameSamples) {
  // Differences 0.1, 0.1, 0.4: mean 0.2, standard deviation sqrt(0.02).
  const auto before = outcome({5.1, 0.3, 1.0});
  const auto after = outcome({5.0, 0.2, 0.6});
  const double half = 1.959964 * std::sqrt(0.02 / 3);
  const auto gain = gain_interval(before, after);
  EXPECT_NEAR(gain.low, 0.2 - half, 1e-6);
  EXPECT_NEAR(gain.high, 0.2 + half, 1e-6);
  EXPECT_GT(gain.low, 0) << "although samples differ much more than models";
  const auto of_noise =
      gain_interval(outcome({5.1, 0.3, 1.0}, false), outcome({5.0, 0.2, 0.6}, false));
  EXPECT_NEAR(of_noise.low, (0.2 - half) * 2 / 4, 1e-6) << "noise over signal";
}

}  // namespace
}  // namespace octet::testing

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "cli/models.h"
#include "data/dataset.h"
#include "formats/model_file.h"

namespace octet::testing {
namespace {

/// The bundled example, quantized, with a fault put in; compared with its float model.
class Diagnose : public ::testing::Test {
 protected:
  const TemporaryFolder folder;
  const std::string train = digits("train-images-idx3-ubyte.gz");
  const std::string test = digits("t10k-images-idx3-ubyte.gz");
  const std::string recipe = digits("recipe.json");
  std::string model = digits("digits_cnn.onnx");
  const std::string int8 = folder / "int8.onnx";

  void quantize(std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"quantize", model, "-o", int8});
    if (std::find(options.begin(), options.end(), "--data") == options.end()) {
      options.insert(options.end(), {"--data", train, "--recipe", recipe});
    }
    json_of(options);
  }

  nlohmann::json diagnosis(bool own_recipe = false) {
    std::vector<std::string> command = {"compare",    model,      int8,   "--data",    test,
                                        "--no-speed", "--layers", "none", "--diagnose"};
    if (!own_recipe) command.insert(command.end(), {"--recipe", recipe});
    return json_of(command)["diagnosis"];
  }

  /// Changes the quantized model.
  void edit(const std::function<void(QuantizedGraph&)>& change) {
    auto file = read_model(int8);
    ASSERT_TRUE(file) << file.error().message;
    change(file->model);
    const auto written = write_model(file->model, int8);
    ASSERT_TRUE(written) << written.error().message;
  }

  static ValueId input_of(const QuantizedGraph& quantized, const char* node, std::size_t input) {
    for (std::size_t i = 0; i < quantized.graph.node_slots(); ++i) {
      const auto& found = quantized.graph.node(static_cast<NodeId>(i));
      if (found.alive && found.name == node) return found.input(input);
    }
    return ValueId::none;
  }

  static void expect_first(const nlohmann::json& found, const std::string& cause,
                           const std::string& layer = "") {
    ASSERT_FALSE(found["causes"].empty()) << cause;
    const auto& first = found["causes"][0];
    EXPECT_EQ(first["cause"], cause) << first.dump(1);
    EXPECT_TRUE(layer.empty() || first["layer"] == layer) << first.dump(1);
    EXPECT_FALSE(first["evidence"].empty());
    EXPECT_EQ(first["command"].get<std::string>().rfind("octet quantize ", 0), 0U);
  }

  static void expect_gain(const nlohmann::json& found) {
    ASSERT_FALSE(found["causes"].empty());
    EXPECT_LT(found["causes"][0]["expected"]["kl"], 0.7 * found["quantized"]["kl"].get<double>());
  }
};

TEST_F(Diagnose, HealthyModelsGiveNoAlarm) {
  for (const auto* name : {"digits_cnn.onnx", "digits_mlp.onnx"}) {
    model = digits(name);
    for (const auto* scales : {"--per-channel", "--per-tensor"}) {
      quantize({scales});
      EXPECT_TRUE(diagnosis()["causes"].empty()) << name << scales << diagnosis()["causes"].dump(1);
    }
  }
  const auto text = octet({"compare", model, int8, "--data", test, "--recipe", recipe, "--no-speed",
                           "--diagnose", "--quiet"});
  EXPECT_NE(text.out.find("no cause found"), std::string::npos) << text.out;
}

TEST_F(Diagnose, CalibratedByAnotherRecipe) {
  write_text(folder / "wrong.json",
             R"({"color": "gray", "scale": 0.00392156862745098, "mean": [0.5], "std": [0.1]})");
  quantize({"--data", train, "--recipe", folder / "wrong.json"});
  expect_first(diagnosis(), "recipe");
}

TEST_F(Diagnose, BothFedByAWrongRecipe) {
  write_text(folder / "wrong.json", R"({"color": "gray", "scale": 1})");
  quantize({"--data", train, "--recipe", folder / "wrong.json"});
  const auto found = diagnosis(true);
  expect_first(found, "recipe");
  EXPECT_GE(found["causes"][0]["float_top1_gain"], 0) << found.dump(1);
}

TEST_F(Diagnose, OneWeightChannelOutOfScale) {
  model = folder / "scaled.onnx";
  auto file = read_model(digits("digits_cnn.onnx"));
  ASSERT_TRUE(file);
  for (const auto* name : {"layer_10_scale", "layer_10_bias"}) {
    auto& tensor = *file->model.graph.value(file->model.graph.find_value(name)).constant;
    tensor.mutable_data<float>()[0] *= 100;
  }
  ASSERT_TRUE(write_model(file->model, model));
  quantize({"--per-tensor", "--no-equalize"});
  const auto found = diagnosis();
  expect_first(found, "channel_range");
  expect_gain(found);
}

TEST_F(Diagnose, CalibratedOnFewSamples) {
  quantize({"--samples", "2"});
  const auto found = diagnosis();
  expect_first(found, "calibration_set");
  EXPECT_NE(found["causes"][0]["evidence"].dump().find("2 calibration samples"), std::string::npos);
  quantize({"--samples", "8"});
  EXPECT_EQ(diagnosis()["causes"].dump().find("too few"), std::string::npos);
}

TEST_F(Diagnose, CalibratedOnOneClass) {
  DatasetOptions options;
  options.recipe = *parse_recipe(read_text(recipe));
  const auto images = open_dataset(train, options);
  ASSERT_TRUE(images) << images.error().message;
  std::vector<std::int64_t> ones;
  for (std::size_t i = 0; i < (*images)->labels().size(); ++i) {
    if ((*images)->labels()[i] == 1) ones.push_back(static_cast<std::int64_t>(i));
  }
  Tensor chosen;
  LoaderOptions loader;
  loader.batch_size = static_cast<int>(ones.size());
  ASSERT_TRUE(for_each_batch(**images, ones, loader, [&](int, const Batch& batch) -> Status {
    chosen = batch.inputs[0];
    return {};
  }));
  const auto data = write_array(folder / "one.npy", chosen);
  quantize({"--data", data});
  expect_first(diagnosis(), "calibration_set");
  // What octet wrote of its classes says so whatever the ranges are.
  Tensor labels(DType::i64, {static_cast<std::int64_t>(ones.size())});
  std::fill_n(labels.mutable_data<std::int64_t>(), ones.size(), 1);
  quantize({"--data", data, "--labels", write_array(folder / "labels.npy", labels)});
  const auto labelled = diagnosis();
  expect_first(labelled, "calibration_set");
  EXPECT_NE(labelled["causes"][0]["evidence"].dump().find("of 1 of at least 10 classes"),
            std::string::npos)
      << labelled["causes"].dump(1);
}

TEST_F(Diagnose, AClippedRange) {
  quantize();
  edit([](QuantizedGraph& quantized) {
    quantized.plan.values.at(input_of(quantized, "conv_6", 0)).params.scale[0] *= 0.2F;
  });
  const auto found = diagnosis();
  expect_first(found, "clipped_observer", "relu_5_out");
  expect_gain(found);
}

TEST_F(Diagnose, ABiasBeyondInt32) {
  quantize();
  edit([](QuantizedGraph& quantized) {
    auto& codes = quantized.plan.payloads.at(input_of(quantized, "conv_6", 2));
    codes.mutable_data<std::int32_t>()[0] = std::numeric_limits<std::int32_t>::max();
  });
  const auto found = diagnosis();
  expect_first(found, "bias_overflow", "conv_6");
  expect_gain(found);
}

TEST_F(Diagnose, WeightsOfThreeBits) {
  quantize();
  edit([](QuantizedGraph& quantized) {
    auto& codes = quantized.plan.payloads.at(input_of(quantized, "conv_6", 1));
    auto* q = codes.mutable_data<std::int8_t>();
    for (std::int64_t i = 0; i < codes.size(); ++i) {
      q[i] = static_cast<std::int8_t>((q[i] + (q[i] < 0 ? -21 : 21)) / 42 * 42);
    }
  });
  const auto found = diagnosis();
  expect_first(found, "weight_bits", "conv_6");
  expect_gain(found);
}

/// What is predicted is what quantizing anew gives, within what other samples make of it.
TEST_F(Diagnose, AdviceWasTried) {
  quantize({"--bits-weights", "3", "--bits-first-last", "3"});
  const auto found = diagnosis();
  EXPECT_GT(found["advice_samples"], 100);
  const auto distance = [&](const std::string& path) {
    return json_of({"compare", model, path, "--data", test, "--recipe", recipe, "--no-speed",
                    "--layers", "none"})["kl"]
        .get<double>();
  };
  const double now = distance(int8);
  EXPECT_NEAR(found["quantized"]["kl"], now, 0.3 * now);
  expect_first(found, "weight_bits");
  EXPECT_FALSE(found["causes"][0]["expected"].is_null());
  auto all = found["causes"];
  for (const auto& advice : found["improvements"]) all.push_back(advice);
  for (const auto& advice : all) {
    if (advice["expected"].is_null()) continue;
    std::vector<std::string> command = {
        "quantize", model,      "-o",   folder / "anew.onnx", "--data",
        train,      "--recipe", recipe, "--bits-first-last",  "3"};
    const auto options = advice["options"].get<std::vector<std::string>>();
    const bool eight = std::find(options.begin(), options.end(), "--weights") != options.end();
    if (eight) command.resize(command.size() - 2);
    if (!eight) command.insert(command.end(), {"--bits-weights", "3"});
    command.insert(command.end(), options.begin(), options.end());
    json_of(command);
    const double predicted = now - advice["expected"]["kl"].get<double>();
    const double real = now - distance(folder / "anew.onnx");
    EXPECT_GT(real, 0) << advice.dump(1);
    EXPECT_GT(predicted, real / 2) << advice.dump(1);
    EXPECT_LT(predicted, real * 2) << advice.dump(1);
  }
}

TEST_F(Diagnose, AdviceOnAModelOfAnotherFloatModelIsSimulated) {
  quantize({"--bits-weights", "3", "--bits-first-last", "3"});
  auto file = read_model(model);
  ASSERT_TRUE(file);
  file->model.graph.metadata["changed"] = "yes";
  model = folder / "other.onnx";
  ASSERT_TRUE(write_model(file->model, model));
  const auto found = diagnosis();
  EXPECT_EQ(found["advice_samples"], 0);
  EXPECT_NE(found["notes"].dump().find("another float model"), std::string::npos);
  EXPECT_EQ(found["causes"][0]["cause"], "weight_bits");
}

TEST_F(Diagnose, SameForAnyThreadCount) {
  quantize();
  const auto run = [&](const char* threads) {
    return json_of({"compare", model, int8, "--data", test, "--recipe", recipe, "--no-speed",
                    "--layers", "none", "--diagnose", "--threads", threads})
        .dump();
  };
  EXPECT_EQ(run("1"), run("3"));
}

TEST_F(Diagnose, NeedsAFloatModelAndAQuantizedOne) {
  expect_refusal(octet({"compare", model, model, "--data", test, "--recipe", recipe, "--no-speed",
                        "--diagnose", "--quiet"}),
                 1, "diagnosis");
}

TEST(TargetMachine, PredictsEveryLayerThatCanRunInIntegers) {
  const auto found = json_of({"inspect", digits("digits_cnn.onnx"), "--target-machine"});
  const auto& machine = found["target_machine"];
  ASSERT_EQ(machine["layers"].size(), 8U) << machine.dump(1);
  for (const auto& layer : machine["layers"]) {
    EXPECT_GT(layer["float_ms"], 0) << layer.dump();
    EXPECT_GT(layer["integer_ms"], 0) << layer.dump();
    EXPECT_EQ(layer["pays"], layer["integer_ms"] < layer["float_ms"]);
  }
  EXPECT_EQ(machine["layers"][0]["nodes"].size(), 2U);
  EXPECT_GT(machine["integer_gmacs"], 0);
}

}  // namespace
}  // namespace octet::testing

// eval and compare by metrics, on models whose results one can work out by hand.

#include <cmath>

#include "cli/models.h"

namespace octet::testing {
namespace {

/// Samples (1, 2), (3, 4), (-1, 0), whose squares sum to 31.
std::string write_samples(const TemporaryFolder& folder) {
  return write_array(folder / "x.npy", Tensor::from<float>({1, 2, 3, 4, -1, 0}, {3, 2}));
}

TEST(Metrics, OfSeveralOutputsWithoutLabels) {
  const TemporaryFolder folder;
  const auto data = write_samples(folder);
  const auto first = write_affine(folder / "a.onnx", 2, 2, 1);
  const auto second = write_affine(folder / "b.onnx", 2, 2, 1.5F);
  const auto got = json_of({"compare", first, second, "--data", data});
  EXPECT_EQ(got["count"], 3);
  EXPECT_TRUE(got["metric"].is_null());
  EXPECT_TRUE(got["value"].is_null());
  EXPECT_TRUE(got["first"]["top1"].is_null());
  EXPECT_EQ(got["agreement"], 1.0);
  ASSERT_EQ(got["outputs"].size(), 2U);
  EXPECT_TRUE(got["outputs"][0]["sqnr_db"].is_null());  // infinite
  EXPECT_EQ(got["outputs"][0]["mse"], 0.0);
  EXPECT_EQ(got["outputs"][1]["mse"], 0.25);
  EXPECT_EQ(got["mse"], 0.125);
  // y: 4 * 31 = 124; z: (2, 3), (4, 5), (0, 1) give 55; the noise is 6 * 0.25.
  EXPECT_NEAR(got["sqnr_db"].get<double>(), 10 * std::log10(179 / 1.5), 1e-9);
  EXPECT_NEAR(got["outputs"][1]["sqnr_db"].get<double>(), 10 * std::log10(55 / 1.5), 1e-9);
  const auto by_metric =
      json_of({"compare", first, second, "--data", data, "--no-speed", "--metric", "mse"});
  EXPECT_EQ(by_metric["metric"], "mse");
  EXPECT_EQ(by_metric["value"], 0.125);
  const auto evaluated =
      json_of({"eval", second, "--reference", first, "--data", data, "--metric", "cosine"});
  EXPECT_EQ(evaluated["value"], got["cosine"]);
  EXPECT_TRUE(evaluated["top1"].is_null());
  EXPECT_EQ(evaluated["outputs"].size(), 2U);
}

TEST(Metrics, ReconstructionNeedsNoReference) {
  const TemporaryFolder folder;
  const auto half = write_scaled(folder / "half.onnx", 2, 0.5F);
  const auto got = json_of({"eval", half, "--data", write_samples(folder), "--metric", "mse"});
  EXPECT_NEAR(got["value"].get<double>(), 0.25 * 31 / 6, 1e-12);
}

TEST(Metrics, AreaUnderTheCurve) {
  const TemporaryFolder folder;
  const auto data = write_samples(folder);
  const auto half = write_scaled(folder / "half.onnx", 2, 0.5F);
  // Reconstruction errors are as 5 : 25 : 1, labels 0 1 1: one of two pairs is in order.
  const auto labels = write_array(folder / "l.npy", Tensor::from<std::int32_t>({0, 1, 1}, {3}));
  const std::vector<std::string> command = {"--data", data, "--labels", labels, "--metric", "auc"};
  auto evaluate = command;
  evaluate.insert(evaluate.begin(), {"eval", half});
  EXPECT_EQ(json_of(evaluate)["value"], 0.5);
  auto compare = command;
  compare.insert(compare.begin(), {"compare", half, write_scaled(folder / "b.onnx", 2, -1)});
  const auto compared = json_of(compare);
  EXPECT_EQ(compared["first"]["value"], 0.5);
  EXPECT_EQ(compared["second"]["value"], 0.5);

  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 2}, {"N", ""});
  b.output(b.node("ReduceSum", {x, b.ints("axes", {1})}, "score"));
  const auto scored = write_graph(folder / "score.onnx", std::move(b.graph));
  evaluate[1] = scored;  // sums 3, 7, -1
  EXPECT_EQ(json_of(evaluate)["value"], 0.5);
  const auto one = write_array(folder / "one.npy", Tensor::from<std::int32_t>({1, 1, 1}, {3}));
  expect_refusal(
      octet({"eval", scored, "--data", data, "--labels", one, "--metric", "auc", "--quiet"}), 2,
      "label 1");
  const auto two = write_array(folder / "two.npy", Tensor::from<std::int32_t>({0, 1, 2}, {3}));
  expect_refusal(
      octet({"eval", scored, "--data", data, "--labels", two, "--metric", "auc", "--quiet"}), 2,
      "label 2");
}

TEST(Metrics, ClassMetricsAsWithout) {
  const auto model = digits("digits_cnn.onnx");
  const auto test = digits("t10k-images-idx3-ubyte.gz");
  const auto plain = json_of({"eval", model, "--data", test});
  const auto top5 = json_of({"eval", model, "--data", test, "--metric", "top5"});
  EXPECT_EQ(top5["value"], plain["top5"]);
  EXPECT_EQ(top5["top1"], plain["top1"]);
  EXPECT_TRUE(plain["metric"].is_null());
  const auto self = json_of({"compare", model, model, "--data", test, "--metric", "top1"});
  EXPECT_EQ(self["value"], plain["top1"]);
  EXPECT_EQ(self["first"]["value"], plain["top1"]);
}

TEST(Metrics, SameNumbersForAnyThreadCount) {
  const TemporaryFolder folder;
  const auto model = digits("digits_cnn.onnx");
  const auto test = digits("t10k-images-idx3-ubyte.gz");
  const auto int8 = folder / "int8.onnx";
  json_of({"quantize", model, "-o", int8, "--data", test});
  const auto run = [&](const char* threads) {
    auto got = json_of({"compare", model, int8, "--data", test, "--no-speed", "--layers", "alike",
                        "--threads", threads});
    return got.dump();
  };
  const auto one = run("1");
  EXPECT_EQ(one, run("2"));
  EXPECT_EQ(one, run("3"));
}

TEST(Metrics, RequestsThatMakeNoSense) {
  const TemporaryFolder folder;
  const auto data = write_samples(folder);
  const auto model = write_scaled(folder / "a.onnx", 2, 0.5F);
  const auto refuse = [&](std::vector<std::string> options, int code, const std::string& what) {
    options.insert(options.begin(), {"eval", model, "--data", data, "--quiet"});
    expect_refusal(octet(options), code, what);
  };
  refuse({"--metric", "sharpness"}, 1, "cosine");
  refuse({"--metric", "sqnr"}, 1, "--reference");
  refuse({"--metric", "top1", "--reference", model}, 1, "no reference");
  refuse({"--reference", model}, 1, "--metric");
  refuse({}, 2, "no labels");
  refuse({"--metric", "auc"}, 2, "no labels");
  expect_refusal(octet({"eval", model, "--metric", "mse", "--quiet"}), 1, "--data");
  expect_refusal(octet({"compare", model, model, "--data", data, "--layers", "x", "--quiet"}), 1,
                 "propagated");
  expect_refusal(octet({"compare", model, model, "--data", data, "--layers", "alike", "--quiet"}),
                 1, "quantized");
  const auto wide = write_scaled(folder / "wide.onnx", 3, 1);
  const auto wide_data = write_array(folder / "w.npy", GraphBuilder::pseudo_random({4, 3}, 1));
  expect_refusal(octet({"eval", wide, "--data", wide_data, "--metric", "mse", "--quiet",
                        "--reference", model}),
                 2, "[");
}

TEST(Layers, FedAlikeLoseLessThanPropagated) {
  const TemporaryFolder folder;
  const auto model = digits("digits_cnn.onnx");
  const auto train = digits("train-images-idx3-ubyte.gz");
  const auto int8 = folder / "int8.onnx";
  json_of({"quantize", model, "-o", int8, "--data", train});
  const auto got = json_of({"compare", model, int8, "--data", train, "--samples", "64",
                            "--no-speed", "--layers", "alike"});
  int layers = 0;
  double alike = 0;
  double propagated = 0;
  double previous = -1000;
  for (const auto& layer : got["layers"]) {
    if (layer["op"] == "input") {
      EXPECT_TRUE(layer["sqnr_alike_db"].is_null());
      continue;
    }
    ++layers;
    alike += layer["sqnr_alike_db"].get<double>();
    propagated += layer["sqnr_db"].get<double>();
    EXPECT_GE(layer["sqnr_alike_db"].get<double>(), previous);
    previous = layer["sqnr_alike_db"].get<double>();
    // The first layer is fed the same either way.
    if (layer["name"] == "relu_2_out") {
      EXPECT_NEAR(layer["sqnr_db"].get<double>(), previous, 0.01);
    }
  }
  EXPECT_GE(layers, 8);
  EXPECT_GT(alike, propagated + 3 * layers);
  const auto none = json_of({"compare", model, int8, "--data", train, "--samples", "8",
                             "--no-speed", "--layers", "none"});
  EXPECT_TRUE(none["layers"].empty());
}

TEST(SeveralInputs, TokensAndMasksGoThroughEveryCommand) {
  const TemporaryFolder folder;
  const auto model = write_tokens(folder / "tokens.onnx");
  const auto data = write_token_data(folder);
  for (const std::string method : {"static", "dynamic", "weight-only"}) {
    const auto out = folder / method + ".onnx";
    json_of({"quantize", model, "-o", out, "--data", data, "--method", method});
    const auto got = json_of({"compare", model, out, "--data", data, "--layers", "alike"});
    EXPECT_GT(got["outputs"][0]["sqnr_db"].get<double>(), 20) << method;
    EXPECT_EQ(got["count"], 6);
    const auto evaluated =
        json_of({"eval", out, "--reference", model, "--data", data, "--metric", "sqnr"});
    EXPECT_EQ(evaluated["value"], got["sqnr_db"]);
    EXPECT_EQ(evaluated["outputs"][0]["sqnr_db"], got["outputs"][0]["sqnr_db"]) << method;
    EXPECT_GT(json_of({"bench", out, "--batch", "2", "--seconds", "0.01"})["runs"], 0);
  }
  json_of({"calibrate", model, "--data", data, "-o", folder / "stats"});
  json_of({"quantize", model, "-o", folder / "s.onnx", "--stats", folder / "stats"});
  const auto ran = json_of({"run", model, "--input", "ids=" + data + "/ids.npy", "--input",
                            "in/keep=" + data + "/in_keep.npy", "-o", folder / "out"});
  EXPECT_EQ(ran["files"].size(), 2U);
  EXPECT_TRUE(std::filesystem::exists(folder / "out/out_scores.npy"));
  const auto classes = read_npy(folder / "out/out_classes.npy");
  ASSERT_TRUE(classes);
  EXPECT_EQ(classes->dtype(), DType::i64);
  EXPECT_EQ(classes->shape(), (Shape{6, 7}));
}

TEST(Bench, LayersThatMultiplyHaveAShareOfThePeak) {
  const auto got = json_of(
      {"bench", digits("digits_cnn.onnx"), "--batch", "32", "--layers", "--seconds", "0.01"});
  int with_share = 0;
  for (const auto& layer : got["layers"]) {
    ASSERT_TRUE(layer.contains("peak_share"));
    if (layer["macs"] == 0) {
      EXPECT_TRUE(layer["peak_share"].is_null());
    } else if (layer["peak_share"].is_number()) {
      ++with_share;
      EXPECT_GT(layer["peak_share"], 0);
    }
  }
  EXPECT_GT(with_share, 2);
}

TEST(Bench, LayersSayWhatTheyMoveAndWhereIntegersDoNotPay) {
  const TemporaryFolder folder;
  const auto model = folder / "int8.onnx";
  ASSERT_EQ(octet({"quantize", digits("digits_cnn.onnx"), "-o", model, "--data",
                   digits("train-images-idx3-ubyte.gz"), "--recipe", digits("recipe.json"),
                   "--samples", "20", "--quiet"})
                .code,
            0);
  const auto got = json_of({"bench", model, "--layers", "--seconds", "0.01"});
  std::int64_t macs = 0;
  for (const auto& layer : got["layers"]) {
    macs += layer["macs"].get<std::int64_t>();
    EXPECT_GT(layer["bytes"], 0) << layer;
    const bool says = !layer["remark"].get<std::string>().empty();
    EXPECT_TRUE(!says || layer["macs"] > 0) << layer;
  }
  EXPECT_EQ(got["macs"], macs);
  EXPECT_GT(macs, 1000);
}

TEST(Bench, ShapesThatTheModelLeavesOpen) {
  const TemporaryFolder folder;
  const auto model = write_tokens(folder / "tokens.onnx");
  const auto run = [&](const std::string& shape) {
    return octet({"bench", model, "--seconds", "0.01", "--shape", shape, "--quiet"});
  };
  EXPECT_EQ(run("ids=2x9").code, 0);  // the mask follows: the extents have the same names
  expect_refusal(run("2y9"), 1, "2y9");
  expect_refusal(run("2x"), 1, "2x");
  EXPECT_EQ(octet({"bench", model, "--seconds", "0.01"}).code, 0);
}

}  // namespace
}  // namespace octet::testing

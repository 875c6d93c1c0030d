// quantize's methods, types, configuration files, and what they leave in the model.

#include "cli/models.h"

namespace octet::testing {
namespace {

using Json = nlohmann::json;

const std::string model = digits("digits_cnn.onnx");
const std::string train = digits("train-images-idx3-ubyte.gz");
const std::string test = digits("t10k-images-idx3-ubyte.gz");

std::vector<std::string> quantize(const std::string& output,
                                  const std::vector<std::string>& options) {
  std::vector<std::string> command = {"quantize", model, "-o", output, "--quiet"};
  command.insert(command.end(), options.begin(), options.end());
  return command;
}

TEST(Method, DefaultIsStaticWithDataAndDynamicWithout) {
  const TemporaryFolder folder;
  EXPECT_EQ(json_of(quantize(folder / "s.onnx", {"--data", train}))["method"], "static");
  const auto made = json_of(quantize(folder / "d.onnx", {}));
  EXPECT_EQ(made["method"], "dynamic");
  EXPECT_EQ(made["samples"], 0);
  EXPECT_GT(made["integer_mac_share"], 0.5);
  EXPECT_EQ(json_of(quantize(folder / "h.onnx", {"--weights", "float16"}))["method"],
            "weight-only");
}

TEST(Method, EachGivesASmallerModelAsGood) {
  const TemporaryFolder folder;
  const std::vector<std::vector<std::string>> ways = {
      {"--method", "dynamic"},
      {"--method", "dynamic", "--dynamic-form", "qdq"},
      {"--method", "weight-only"},
      {"--method", "weight-only", "--weights", "float16"},
      {"--data", train, "--target", "openvino"},
  };
  for (const auto& way : ways) {
    const auto out = folder / "out.onnx";
    const auto made = json_of(quantize(out, way));
    EXPECT_LT(made["output_bytes"].get<double>(), made["input_bytes"].get<double>() * 0.55);
    const auto compared = json_of({"compare", model, out, "--data", test, "--no-speed"});
    EXPECT_GT(compared["second"]["top1"], 0.97) << way.back();
    EXPECT_GT(compared["sqnr_db"], 25) << way.back();
  }
}

TEST(Method, OptionsItHasNoUseForAreNamed) {
  const TemporaryFolder folder;
  const auto notes = [&](const std::vector<std::string>& options) {
    return json_of(quantize(folder / "x.onnx", options))["notes"].dump();
  };
  EXPECT_NE(notes({"--activations", "int8"}).find("no use for --activations"), std::string::npos);
  EXPECT_NE(notes({"--bits-activations", "4"}).find("--bits-activations"), std::string::npos);
  EXPECT_NE(notes({"--weights", "float16", "--bits-weights", "4"}).find("--bits-weights"),
            std::string::npos);
  EXPECT_EQ(notes({"--bits-weights", "4"}).find("no use"), std::string::npos);
  EXPECT_EQ(notes({"--data", train, "--activations", "int8"}).find("no use"), std::string::npos);
}

TEST(Method, RefusalsSayWhatThereIs) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::vector<std::string>& options, const std::string& what) {
    expect_refusal(octet(quantize(folder / "x.onnx", options)), 1, what);
  };
  refuse({"--method", "static"}, "dynamic");
  refuse({"--method", "static"}, "--data-free");
  refuse({"--data-free", "--data", train}, "neither");
  refuse({"--data-free", "--method", "dynamic"}, "--method static");
  refuse({"--data-free", "--refine-bias"}, "samples");
  refuse({"--stats", "s", "--equalize"}, "samples");
  refuse({"--stats", "s", "--absorb-bias"}, "samples");
  refuse({"--method", "magic"}, "weight-only");
  refuse({"--weights", "int5"}, "float16");
  refuse({"--weights", "int4", "--method", "dynamic"}, "weight-only");
  refuse({"--weights", "int4", "--bits-weights", "5", "--data", train}, "5 bits");
  refuse({"--bits-first-last", "9", "--data", train}, "2 to 8");
  refuse({"--stats", "s", "--adaround"}, "samples");
  refuse({"--data-free", "--adaround"}, "samples");
  refuse({"--stats", "s", "--adaround-scope", "block"}, "samples");
  refuse({"--adaround-scope", "x", "--data", train}, "layer and block");
  refuse({"--adaround-scope", "block", "--data", train}, "--adaround turns it on");
  refuse({"--weights", "float16", "--method", "dynamic"}, "weight-only");
  refuse({"--dynamic-form", "qdq", "--data", train}, "dynamic");
  refuse({"--dynamic-form", "x"}, "integer");
  refuse({"--io", "uint8", "--data", train}, ".tflite");
  refuse({"--io", "x", "--data", train}, "float");
  refuse({"--input-layout", "x", "--data", train}, "nhwc");
  refuse({"--optimize", "x", "--data", train}, "fast");
  refuse({"--activations", "int16", "--data", train}, "tflite");
  refuse({"--activations", "x", "--data", train}, "uint8");
  refuse({"--target", "tflite", "--activations", "uint8", "--data", train}, "int16");
  refuse({"--target", "tflite", "--bits-activations", "7", "--data", train}, "7 bits");
  refuse({"--target", "tflite", "--dynamic-form", "qdq"}, "--dynamic-form");
  refuse({"--rule", "x", "--data", train}, "openvino");
  refuse({"--per-channel", "--per-tensor", "--data", train}, "excludes");
  refuse({"--data", train, "--stats", "s"}, "not both");
  EXPECT_EQ(folder.files(), 0U);
}

TEST(Optimize, NoneAndFastStandForBiasCorrection) {
  const TemporaryFolder folder;
  const auto bytes = [&](const std::vector<std::string>& options) {
    auto all = options;
    all.insert(all.end(), {"--data", train});
    json_of(quantize(folder / "x.onnx", all));
    return read_text(folder / "x.onnx");
  };
  const auto plain = bytes({});
  const auto none = bytes({"--optimize", "none"});
  EXPECT_TRUE(plain == bytes({"--optimize", "fast"}));
  EXPECT_FALSE(plain == none);
  EXPECT_TRUE(none == bytes({"--no-bias-correction"}));
  EXPECT_TRUE(plain == bytes({"--optimize", "none", "--bias-correction"}));
}

TEST(Rule, TravelsInTheModel) {
  const TemporaryFolder folder;
  json_of(quantize(folder / "a.onnx", {"--data", train}));
  json_of(quantize(folder / "b.onnx", {"--data", train, "--rule", "openvino"}));
  const auto a = json_of({"inspect", folder / "a.onnx"});
  const auto b = json_of({"inspect", folder / "b.onnx"});
  EXPECT_EQ(b["provenance"]["rule"], "openvino");
  EXPECT_FALSE(a["provenance"].contains("rule"));
  const auto compared =
      json_of({"compare", folder / "a.onnx", folder / "b.onnx", "--data", test, "--no-speed"});
  EXPECT_GT(compared["sqnr_db"], 20);
}

TEST(Requantize, DequantizesFirst) {
  const TemporaryFolder folder;
  json_of(quantize(folder / "a.onnx", {"--data", train}));
  auto again = quantize(folder / "b.onnx", {"--data", train});
  again[1] = folder / "a.onnx";
  expect_refusal(octet(again), 2, "--requantize");
  again.emplace_back("--requantize");
  json_of(again);
  const auto info = json_of({"inspect", folder / "b.onnx"});
  EXPECT_EQ(info["provenance"]["options"]["requantize"], true);
  const auto compared =
      json_of({"compare", model, folder / "b.onnx", "--data", test, "--no-speed"});
  EXPECT_GT(compared["second"]["top1"], 0.97);
  // A float model is taken as it is.
  json_of(quantize(folder / "c.onnx", {"--data", train, "--requantize"}));
}

TEST(Provenance, NamesMethodOptionsAndData) {
  const TemporaryFolder folder;
  json_of(quantize(folder / "s.onnx", {"--data", train, "--samples", "100", "--seed", "3",
                                       "--observer", "minmax", "--keep-float", "conv_0"}));
  const auto made = json_of({"inspect", folder / "s.onnx"})["provenance"];
  EXPECT_EQ(made["options"]["method"], "static");
  EXPECT_EQ(made["options"]["observer"], "minmax");
  EXPECT_EQ(made["options"]["seed"], 3);
  EXPECT_EQ(made["options"]["keep_float"], Json({"conv_0"}));
  EXPECT_EQ(made["samples"], "100");
  EXPECT_EQ(made["data"], "train-images-idx3-ubyte.gz");
  EXPECT_EQ(made["float_model"].get<std::string>().size(), 32U);
  EXPECT_EQ(made["statistics"].get<std::string>().size(), 32U);
  EXPECT_FALSE(made["version"].get<std::string>().empty());

  json_of(quantize(folder / "f.onnx", {"--data", train, "--samples", "50", "--weights", "int4",
                                       "--bits-first-last", "7", "--adaround"}));
  const auto few = json_of({"inspect", folder / "f.onnx"})["provenance"]["options"];
  EXPECT_EQ(few["weights"], "int4");
  EXPECT_EQ(few["bits_first_last"], 7);
  EXPECT_EQ(few["bits_depthwise"], 8);
  EXPECT_EQ(few["packed"], true);
  EXPECT_EQ(few["adaround"], true);

  json_of(quantize(folder / "d.onnx", {}));
  const auto dynamic = json_of({"inspect", folder / "d.onnx"});
  EXPECT_EQ(dynamic["provenance"]["options"]["method"], "dynamic");
  EXPECT_FALSE(dynamic["provenance"].contains("samples"));
  int at_run_time = 0;
  int weights = 0;
  for (const auto& value : dynamic["quantized_values"]) {
    at_run_time += value["origin"] == "dynamic" ? 1 : 0;
    weights += value["name"].get<std::string>().ends_with("_weight") ? 1 : 0;
  }
  EXPECT_GT(weights, 2);
  EXPECT_EQ(at_run_time, weights);
  EXPECT_FALSE(dynamic["float_nodes"].empty());

  json_of(quantize(folder / "h.onnx", {"--weights", "float16"}));
  const auto half = json_of({"inspect", folder / "h.onnx"})["quantized_values"];
  ASSERT_FALSE(half.empty());
  EXPECT_EQ(half[0]["scheme"], "f16");
  const auto text = octet({"inspect", folder / "s.onnx"});
  EXPECT_NE(text.out.find("\"observer\":\"minmax\""), std::string::npos) << text.out;
}

TEST(Config, SavedFileGivesTheSameBytes) {
  const TemporaryFolder folder;
  json_of(quantize(folder / "a.onnx",
                   {"--data", train, "--samples", "64", "--observer", "percentile", "--per-tensor",
                    "--keep-float", "conv_0", "--keep-float", "gemm*", "--bits-weights", "6",
                    "--no-bias-correction", "--dry-run", "--save-config", folder / "c.json"}));
  const auto saved = Json::parse(read_text(folder / "c.json"));
  EXPECT_EQ(saved["samples"], 64);
  EXPECT_EQ(saved["keep-float"], Json({"conv_0", "gemm*"}));
  EXPECT_EQ(saved["bias-correction"], false);
  EXPECT_EQ(saved["per-tensor"], true);
  EXPECT_EQ(saved["observer"], "percentile");
  EXPECT_FALSE(saved.contains("target"));  // the suffix of the output decides
  EXPECT_FALSE(saved.contains("output"));
  EXPECT_FALSE(saved.contains("dry-run"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.onnx"));

  json_of(
      quantize(folder / "b.onnx", {"--data", train, "--samples", "64", "--observer", "percentile",
                                   "--per-tensor", "--keep-float", "conv_0", "--keep-float",
                                   "gemm*", "--bits-weights", "6", "--no-bias-correction"}));
  json_of(quantize(folder / "c.onnx", {"--config", folder / "c.json"}));
  EXPECT_TRUE(read_text(folder / "b.onnx") == read_text(folder / "c.onnx"));
  // Saved once more it is the same file.
  json_of(quantize(folder / "d.onnx",
                   {"--config", folder / "c.json", "--save-config", folder / "c2.json"}));
  EXPECT_EQ(read_text(folder / "c.json"), read_text(folder / "c2.json"));
}

TEST(Config, CommandLineGoesBeforeTheFile) {
  const TemporaryFolder folder;
  write_text(folder / "c.json", Json({{"data", train},
                                      {"observer", "minmax"},
                                      {"per-channel", true},
                                      {"samples", 32},
                                      {"output", folder / "from_file.onnx"}})
                                    .dump());
  json_of(quantize(folder / "a.onnx",
                   {"--config", folder / "c.json", "--observer", "entropy", "--per-tensor"}));
  const auto options = json_of({"inspect", folder / "a.onnx"})["provenance"]["options"];
  EXPECT_EQ(options["observer"], "entropy");
  EXPECT_EQ(options["per_channel"], false);
  EXPECT_FALSE(std::filesystem::exists(folder / "from_file.onnx"));
  json_of({"quantize", model, "--config", folder / "c.json"});
  EXPECT_TRUE(std::filesystem::exists(folder / "from_file.onnx"));
  json_of(quantize(folder / "b.onnx",
                   {"--data", train, "--samples", "32", "--observer", "minmax", "--per-channel"}));
  EXPECT_TRUE(read_text(folder / "b.onnx") == read_text(folder / "from_file.onnx"));
}

TEST(Config, BadFilesAreOneLine) {
  const TemporaryFolder folder;
  const auto config = folder / "c.json";
  const auto refuse = [&](const std::string& text, const std::string& what) {
    write_text(config, text);
    expect_refusal(octet(quantize(folder / "x.onnx", {"--config", config})), 2, what);
  };
  refuse(R"({"obsrver": "mse"})", "obsrver");
  refuse(R"({"config": "c.json"})", "'config'");
  refuse(R"({"samples": "many", "data": "x"})", "samples");
  refuse(R"({"samples": -1, "data": "x"})", "samples");
  refuse(R"({"samples": [1, 2]})", "samples");
  refuse(R"({"reduce-range": 1})", "reduce-range");
  refuse(R"({"observer": true})", "observer");
  refuse(R"({"keep-float": {"a": 1}})", "keep-float");
  refuse(R"({"observer": null})", "observer");
  refuse("[1]", "object");
  refuse("{", "object");
  refuse("", "object");
  refuse(std::string(2000000, ' '), "2000000");
  expect_refusal(octet(quantize(folder / "x.onnx", {"--config", folder / "none.json"})), 2,
                 "none.json");
  expect_refusal(octet(quantize(folder / "x.onnx",
                                {"--data", train, "--save-config", folder / "no/such.json"})),
                 2, "such.json");
  EXPECT_EQ(folder.files(), 1U);
}

TEST(Config, WorksForEvalCompareAndCalibrate) {
  const TemporaryFolder folder;
  write_text(folder / "c.json", Json({{"data", test}, {"samples", 50}}).dump());
  EXPECT_EQ(json_of({"eval", model, "--config", folder / "c.json"})["count"], 50);
  EXPECT_EQ(json_of({"compare", model, model, "--config", folder / "c.json"})["count"], 50);
  EXPECT_EQ(
      json_of({"calibrate", model, "-o", folder / "s", "--config", folder / "c.json"})["samples"],
      50);
}

}  // namespace
}  // namespace octet::testing

// .tflite in and out: quantize, convert, rules, integer inputs and outputs, layouts.

#include <algorithm>
#include <cmath>

#include "cli/models.h"

namespace octet::testing {
namespace {

using Json = nlohmann::json;

const std::string model = digits("digits_cnn.onnx");
const std::string train = digits("train-images-idx3-ubyte.gz");
const std::string test = digits("t10k-images-idx3-ubyte.gz");

Json quantize(const std::string& output, std::vector<std::string> options) {
  std::vector<std::string> command = {"quantize", model, "-o", output};
  command.insert(command.end(), options.begin(), options.end());
  return json_of(command);
}

Json quantized_value(const Json& inspection, const std::string& name) {
  for (const auto& value : inspection["quantized_values"]) {
    if (value["name"] == name) return value;
  }
  return {};
}

TEST(Tflite, SuffixPicksTargetAndRule) {
  const TemporaryFolder folder;
  const auto made = quantize(folder / "a.tflite", {"--data", train});
  EXPECT_EQ(made["integer_mac_share"], 1.0);
  EXPECT_TRUE(made["float_nodes"].empty());
  const auto info = json_of({"inspect", folder / "a.tflite"});
  EXPECT_EQ(info["format"], "tflite");
  EXPECT_EQ(info["provenance"]["options"]["target"], "tflite");
  EXPECT_FALSE(info["provenance"].contains("rule"));
  EXPECT_EQ(info["inputs"][0]["dtype"], "f32");
  const auto& output = info["outputs"][0]["name"];
  EXPECT_EQ(quantized_value(info, output)["storage"], "i8");
  const auto compared =
      json_of({"compare", model, folder / "a.tflite", "--data", test, "--no-speed"});
  EXPECT_GT(compared["second"]["top1"], 0.97);
  EXPECT_EQ(compared["second"]["engine"], "integer");
  quantize(folder / "m.tflite", {"--data", train, "--target", "tflite-micro"});
  const auto micro = json_of({"inspect", folder / "m.tflite"});
  EXPECT_EQ(micro["provenance"]["rule"], "tflite");
}

TEST(Int4, RunsAndStaysTheSameInBothFormats) {
  const TemporaryFolder folder;
  for (const std::string suffix : {".onnx", ".tflite"}) {
    const auto path = folder / ("q" + suffix);
    quantize(path, {"--data", train, "--weights", "int4"});
    json_of({"convert", path, "-o", folder / ("again" + suffix)});
    EXPECT_TRUE(read_text(path) == read_text(folder / ("again" + suffix)));
    int packed = 0;
    const auto inspection = json_of({"inspect", path});
    for (const auto& value : inspection["quantized_values"]) {
      packed += value["storage"] == "i4" ? 1 : 0;
    }
    EXPECT_GT(packed, 0);
    const auto compared = json_of({"compare", model, path, "--data", test, "--no-speed"});
    EXPECT_GT(compared["second"]["top1"], 0.95);
    EXPECT_EQ(compared["second"]["engine"], "integer");
  }
}

/// What is made for one runtime is not written in another's format.
TEST(Tflite, OtherTargetsAreRefused) {
  const TemporaryFolder folder;
  for (const auto* target : {"onnxruntime", "openvino"}) {
    expect_refusal(octet({"quantize", model, "-o", folder / "x.tflite", "--data", train, "--quiet",
                          "--target", target}),
                   1, "tflite-micro");
  }
  EXPECT_EQ(folder.files(), 0U);
}

TEST(Tflite, OneCalibrationGivesTwoFilesOfTheSameNumbers) {
  const TemporaryFolder folder;
  json_of({"calibrate", model, "--target", "tflite", "--data", train, "-o", folder / "stats"});
  for (const auto* name : {"a.tflite", "a.onnx"}) {
    quantize(folder / name, {"--target", "tflite", "--stats", folder / "stats"});
  }
  const auto a = json_of({"inspect", folder / "a.tflite"});
  const auto b = json_of({"inspect", folder / "a.onnx"});
  EXPECT_EQ(b["provenance"]["rule"], "xnnpack");
  int compared = 0;
  for (const auto& value : a["quantized_values"]) {
    const auto other = quantized_value(b, value["name"]);
    if (other.is_null()) continue;  // stated in one format only
    ++compared;
    EXPECT_EQ(value["scale"], other["scale"]) << value["name"];
    EXPECT_EQ(value["zero_point"], other["zero_point"]) << value["name"];
  }
  EXPECT_GT(compared, 10);
  const auto codes =
      json_of({"compare", folder / "a.tflite", folder / "a.onnx", "--data", test, "--no-speed"});
  EXPECT_EQ(codes["agreement"], 1.0);
  EXPECT_EQ(codes["differing_values"], 0);
  EXPECT_GT(codes["compared_values"], 1000);
}

TEST(Tflite, MethodsWithoutDataGiveSmallerModels) {
  const TemporaryFolder folder;
  const std::vector<std::vector<std::string>> ways = {
      {"--method", "dynamic"}, {"--method", "weight-only"}, {"--weights", "float16"}};
  for (const auto& way : ways) {
    const auto made = quantize(folder / "w.tflite", way);
    EXPECT_LT(made["output_bytes"].get<double>(), made["input_bytes"].get<double>() * 0.6);
    const auto compared =
        json_of({"compare", model, folder / "w.tflite", "--data", test, "--no-speed"});
    EXPECT_GT(compared["sqnr_db"], 25) << way.back();
    EXPECT_GT(compared["agreement"], 0.98) << way.back();
  }
}

TEST(Tflite, WideActivations) {
  const TemporaryFolder folder;
  quantize(folder / "w.tflite", {"--data", train, "--activations", "int16"});
  const auto info = json_of({"inspect", folder / "w.tflite"});
  EXPECT_EQ(quantized_value(info, info["outputs"][0]["name"])["storage"], "i16");
  quantize(folder / "n.tflite", {"--data", train});
  const auto sqnr = [&](const char* name) {
    const auto c = json_of({"compare", model, folder / name, "--data", test, "--no-speed"});
    return c["sqnr_db"].get<double>();
  };
  EXPECT_GT(sqnr("w.tflite"), sqnr("n.tflite") + 3);
  quantize(folder / "other.tflite", {"--data", train, "--activations", "int16", "--samples", "20"});
  const auto differing = [&](const char* other) {
    const auto c =
        json_of({"compare", folder / "w.tflite", folder / other, "--data", test, "--no-speed"});
    EXPECT_GT(c["compared_values"], 1000);
    return c["differing_values"].get<int>();
  };
  EXPECT_EQ(differing("w.tflite"), 0);
  EXPECT_GT(differing("other.tflite"), 0) << "of other ranges";
}

/// Codes and what they stand for give the same outputs.
TEST(Tflite, IntegerInputsAndOutputs) {
  const TemporaryFolder folder;
  const auto image = GraphBuilder::pseudo_random({1, 1, 8, 8}, 3);
  write_array(folder / "x.npy", image);
  for (const auto* type : {"int8", "uint8"}) {
    const auto file = folder / "q.tflite";
    quantize(file, {"--data", train, "--io", type});
    const auto info = json_of({"inspect", file});
    const auto stored = type[0] == 'u' ? DType::u8 : DType::i8;
    EXPECT_EQ(info["inputs"][0]["dtype"], std::string(name(stored)));
    EXPECT_EQ(info["outputs"][0]["dtype"], std::string(name(stored)));
    const auto input = quantized_value(info, info["inputs"][0]["name"]);
    Tensor codes(stored, image.shape());
    for (std::int64_t i = 0; i < image.size(); ++i) {
      const auto q = std::nearbyint(image.data<float>()[i] / input["scale"].get<float>()) +
                     input["zero_point"].get<float>();
      const auto code = static_cast<int>(std::clamp(q, -128.0F, 127.0F));
      codes.mutable_data<std::uint8_t>()[i] =
          static_cast<std::uint8_t>(stored == DType::u8 ? code + 128 : code);
    }
    write_array(folder / "q.npy", codes);
    json_of({"run", file, "--input", folder / "x.npy", "-o", folder / "from_floats.npy"});
    json_of({"run", file, "--input", folder / "q.npy", "-o", folder / "from_codes.npy"});
    const auto result = read_npy(folder / "from_codes.npy");
    ASSERT_TRUE(result);
    EXPECT_EQ(result->dtype(), stored);
    EXPECT_TRUE(identical(*result, *read_npy(folder / "from_floats.npy")));
    write_array(folder / "w.npy", Tensor::zeros(DType::i32, image.shape()));
    expect_refusal(
        octet({"run", file, "--input", folder / "w.npy", "-o", folder / "y.npy", "--quiet"}), 2,
        std::string(name(stored)));
    // Accuracy is a matter of floats all the same.
    EXPECT_GT(json_of({"eval", file, "--data", test})["top1"], 0.97);
  }
}

TEST(Tflite, IntegerInputsNeedAFormatThatHasThem) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::string& output, std::vector<std::string> options,
                          const std::string& what) {
    std::vector<std::string> command = {"quantize", model, "-o", folder / output, "--quiet"};
    command.insert(command.end(), options.begin(), options.end());
    expect_refusal(octet(command), 1, what);
  };
  refuse("x.onnx", {"--data", train, "--io", "int8", "--target", "tflite"}, ".tflite");
  refuse("x.tflite", {"--io", "int8"}, "--method static");
  refuse("x.tflite", {"--data", train, "--io", "int16"}, "8 bits");
  refuse("x.tflite", {"--data", train, "--io", "int8", "--activations", "int16"}, "16 bits");
}

TEST(Rules, OverrideWhatTheModelStates) {
  const TemporaryFolder folder;
  const auto file = folder / "a.tflite";
  quantize(file, {"--data", train});
  write_array(folder / "x.npy", GraphBuilder::pseudo_random({1, 1, 8, 8}, 3));
  for (const auto* rule : {"onnx", "xnnpack", "tflite"}) {
    EXPECT_GT(json_of({"eval", file, "--data", test, "--rule", rule})["top1"], 0.97) << rule;
    json_of({"run", file, "--input", folder / "x.npy", "-o", folder / "y.npy", "--rule", rule});
    json_of({"bench", file, "--seconds", "0.01", "--rule", rule});
    const auto compared = json_of({"compare", file, file, "--data", test, "--no-speed",
                                   "--first-rule", rule, "--rule", rule});
    EXPECT_EQ(compared["differing_values"], 0) << rule;
  }
  for (const auto* command : {"eval", "bench"}) {
    std::vector<std::string> line = {command, file, "--rule", "x", "--quiet"};
    if (line[0] == "eval") line.insert(line.end(), {"--data", test});
    expect_refusal(octet(line), 1, "xnnpack");
  }
}

TEST(Rules, TravelInBothFormats) {
  const TemporaryFolder folder;
  for (const auto* suffix : {".onnx", ".tflite"}) {
    for (const auto* rule : {"onnx", "xnnpack", "tflite"}) {
      const auto file = folder / (std::string("r") + suffix);
      quantize(file, {"--target", "tflite", "--data", train, "--rule", rule});
      const auto stated = json_of({"inspect", file})["provenance"].value("rule", "");
      const std::string meant = suffix[1] == 't' ? "xnnpack" : "onnx";
      EXPECT_EQ(stated, rule == meant ? "" : rule);
      // Converted, the arithmetic stays.
      const auto other = folder / (suffix[1] == 't' ? "c.onnx" : "c.tflite");
      json_of({"convert", file, "-o", other});
      const auto compared =
          json_of({"compare", file, other, "--data", test, "--no-speed", "--samples", "200"});
      EXPECT_EQ(compared["differing_values"], 0) << suffix << " " << rule;
      EXPECT_EQ(compared["agreement"], 1.0);
    }
  }
}

TEST(Convert, FloatModelsThereAndBack) {
  const TemporaryFolder folder;
  const auto there = json_of({"convert", model, "-o", folder / "a.tflite"});
  EXPECT_EQ(there["from"], "onnx");
  EXPECT_EQ(there["to"], "tflite");
  EXPECT_EQ(there["quantized"], false);
  EXPECT_EQ(there["output_bytes"], std::filesystem::file_size(folder / "a.tflite"));
  json_of({"convert", folder / "a.tflite", "-o", folder / "b.onnx"});
  for (const auto* name : {"a.tflite", "b.onnx"}) {
    const auto compared = json_of({"compare", model, folder / name, "--data", test, "--no-speed"});
    EXPECT_TRUE(compared["sqnr_db"].is_null() || compared["sqnr_db"] > 100) << compared["sqnr_db"];
    EXPECT_EQ(compared["agreement"], 1.0);
    EXPECT_EQ(compared["first"]["top1"], compared["second"]["top1"]);
  }
}

TEST(Convert, OwnFilesAreReproducedByteForByte) {
  const TemporaryFolder folder;
  quantize(folder / "q.tflite", {"--data", train, "--io", "uint8"});
  quantize(folder / "d.tflite", {});
  json_of({"convert", model, "-o", folder / "f.tflite"});
  for (const auto* name : {"q.tflite", "d.tflite", "f.tflite"}) {
    json_of({"convert", folder / name, "-o", folder / "again.tflite"});
    EXPECT_TRUE(read_text(folder / name) == read_text(folder / "again.tflite")) << name;
  }
}

TEST(Convert, WhatOnnxCannotStateIsNotedOrRefused) {
  const TemporaryFolder folder;
  quantize(folder / "q.tflite", {"--data", train, "--io", "int8"});
  const auto made = json_of({"convert", folder / "q.tflite", "-o", folder / "q.onnx"});
  ASSERT_EQ(made["notes"].size(), 2U);
  EXPECT_NE(made["notes"][0].get<std::string>().find("is i8 in the .tflite file"),
            std::string::npos);
  expect_refusal(octet({"convert", model, "-o", folder / "x.pb", "--quiet"}), 2, ".tflite");
  expect_refusal(
      octet({"convert", model, "-o", folder / "x.onnx", "--input-layout", "hwc", "--quiet"}), 1,
      "nhwc");
}

/// Equal constants are one buffer, of which the reader takes only so many tensors.
TEST(Convert, WhatCouldNotBeReadAgainIsNotWritten) {
  const TemporaryFolder folder;
  GraphBuilder b;
  auto last = b.input("x", {1, 128});
  for (int i = 0; i < 24; ++i) {
    const auto n = std::to_string(i);
    last = b.node("MatMul", {last, b.weights("w" + n, {128, 128}, 1)}, "y" + n);
  }
  b.output(last);
  const auto source = write_graph(folder / "m.onnx", std::move(b.graph));
  expect_refusal(octet({"convert", source, "-o", folder / "m.tflite", "--quiet"}), 2, "m.tflite");
  EXPECT_EQ(folder.files(), 1U);
  write_text(folder / "m.tflite", "as it was");
  expect_refusal(octet({"convert", source, "-o", folder / "m.tflite", "--quiet"}), 2,
                 "the constants take far more space");
  EXPECT_EQ(read_text(folder / "m.tflite"), "as it was");
}

/// x [N,3,8,8] -> Conv -> Relu -> GlobalAveragePool -> Flatten -> Gemm
std::string write_images(const std::string& path) {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 3, 8, 8}, {"N", "", "", ""});
  const auto c = b.node("Conv", {x, b.weights("w", {6, 3, 3, 3}), b.weights("b", {6}, 2)}, "c");
  const auto g = b.node("GlobalAveragePool", {b.node("Relu", {c}, "r")}, "g");
  const auto f = b.node("Flatten", {g}, "f");
  b.output(b.node("Gemm", {f, b.weights("v", {6, 4}, 3), b.weights("u", {4}, 4)}, "y"));
  return write_graph(path, std::move(b.graph));
}

TEST(Convert, InputLayoutTurnsImagesAndNothingElse) {
  const TemporaryFolder folder;
  const auto images = write_images(folder / "images.onnx");
  write_array(folder / "data.npy", GraphBuilder::pseudo_random({20, 3, 8, 8}, 5));
  const auto plain = json_of({"convert", images, "-o", folder / "nchw.tflite"});
  EXPECT_EQ(plain["transposes"], 1);
  const auto last =
      json_of({"convert", images, "-o", folder / "nhwc.tflite", "--input-layout", "nhwc"});
  EXPECT_EQ(last["transposes"], 0);
  EXPECT_EQ(json_of({"inspect", folder / "nhwc.tflite"})["inputs"][0]["shape"], "[?,8,8,3]");
  const auto back = json_of(
      {"convert", folder / "nhwc.tflite", "-o", folder / "back.onnx", "--input-layout", "nchw"});
  EXPECT_EQ(back["transposes"], 0);
  EXPECT_EQ(json_of({"inspect", folder / "back.onnx"})["inputs"][0]["shape"], "[?,3,8,8]");
  // The second model is fed the first one's images, turned where it takes them so.
  for (const auto* name : {"nchw.tflite", "nhwc.tflite", "back.onnx"}) {
    const auto compared =
        json_of({"compare", images, folder / name, "--data", folder / "data.npy", "--no-speed"});
    EXPECT_TRUE(compared["sqnr_db"].is_null() || compared["sqnr_db"] > 100) << name;
    EXPECT_EQ(compared["agreement"], 1.0) << name;
  }
}

TEST(Layout, QuantizedModelsInEitherOrderComputeTheSame) {
  const TemporaryFolder folder;
  const auto images = write_images(folder / "images.onnx");
  write_array(folder / "data.npy", GraphBuilder::pseudo_random({20, 3, 8, 8}, 5));
  for (const auto* layout : {"nchw", "nhwc"}) {
    json_of({"quantize", images, "-o", folder / (std::string(layout) + ".tflite"), "--data",
             folder / "data.npy", "--input-layout", layout});
  }
  const auto same = json_of({"compare", folder / "nchw.tflite", folder / "nhwc.tflite", "--data",
                             folder / "data.npy", "--no-speed"});
  EXPECT_EQ(same["agreement"], 1.0);
  EXPECT_EQ(same["mse"], 0.0);
  const auto vain = json_of({"convert", digits("digits_mlp.onnx"), "-o", folder / "mlp.tflite",
                             "--input-layout", "nhwc"});
  EXPECT_NE(vain["notes"][0].get<std::string>().find("no image inputs"), std::string::npos);
}

}  // namespace
}  // namespace octet::testing

// The main job on the bundled example: quantize, evaluate, compare, calibrate, merge.

#include <gtest/gtest.h>

#include "cli/cli_runner.h"
#include "core/file.h"
#include "formats/onnx/onnx.h"

namespace octet::testing {
namespace {

using Json = nlohmann::json;

const std::string train = digits("train-images-idx3-ubyte.gz");
const std::string test = digits("t10k-images-idx3-ubyte.gz");

Json json_of(const std::vector<std::string>& arguments) {
  auto with_json = arguments;
  with_json.insert(with_json.end(), {"--json", "--quiet"});
  const auto outcome = octet(with_json);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return Json::parse(outcome.out, nullptr, false);
}

class MainJob : public ::testing::TestWithParam<const char*> {};

TEST_P(MainJob, QuantizedModelIsSmallerAndAsAccurate) {
  const TemporaryFolder folder;
  const auto model = digits(GetParam());
  const auto int8 = folder / "int8.onnx";
  const auto made = json_of({"quantize", model, "-o", int8, "--data", train});
  EXPECT_EQ(made["samples"], 512);
  EXPECT_GT(made["integer_mac_share"], 0.99);
  EXPECT_LT(made["output_bytes"], made["input_bytes"]);

  const auto compared = json_of({"compare", model, int8, "--data", test, "--no-speed"});
  EXPECT_GT(compared["first"]["top1"], 0.95);
  EXPECT_GE(compared["second"]["top1"].get<double>(),
            compared["first"]["top1"].get<double>() - 0.01);
  EXPECT_GT(compared["agreement"], 0.98);
  EXPECT_EQ(compared["first"]["engine"], "float");
  EXPECT_EQ(compared["second"]["engine"], "integer");

  const auto evaluated = json_of({"eval", int8, "--data", test});
  EXPECT_EQ(evaluated["top1"], compared["second"]["top1"]);
}

TEST_P(MainJob, SimulationEqualsIntegerEngineOnEveryCode) {
  const TemporaryFolder folder;
  const auto int8 = folder / "int8.onnx";
  json_of({"quantize", digits(GetParam()), "-o", int8, "--data", train});
  const auto compared = json_of({"compare", int8, int8, "--data", test, "--no-speed",
                                 "--first-engine", "simulate", "--engine", "integer"});
  EXPECT_GT(compared["compared_values"], 1000);
  EXPECT_EQ(compared["differing_values"], 0);
  EXPECT_EQ(compared["agreement"], 1.0);
}

TEST_P(MainJob, SameBytesForAnyThreadCountAndOnASecondRun) {
  const TemporaryFolder folder;
  const auto model = digits(GetParam());
  const char* threads[] = {"1", "2", "2"};
  for (int i = 0; i < 3; ++i) {
    json_of({"quantize", model, "-o", folder / std::to_string(i) + ".onnx", "--data", train,
             "--threads", threads[i]});
  }
  const auto first = read_text(folder / "0.onnx");
  EXPECT_FALSE(first.empty());
  EXPECT_TRUE(first == read_text(folder / "1.onnx"));
  EXPECT_TRUE(first == read_text(folder / "2.onnx"));
}

INSTANTIATE_TEST_SUITE_P(Digits, MainJob, ::testing::Values("digits_cnn.onnx", "digits_mlp.onnx"));

TEST(Statistics, StoredOnesGiveTheSameModel) {
  const TemporaryFolder folder;
  const auto model = digits("digits_cnn.onnx");
  json_of({"calibrate", model, "--data", train, "--samples", "512", "-o", folder / "stats"});
  json_of({"quantize", model, "-o", folder / "a.onnx", "--stats", folder / "stats"});
  json_of({"quantize", model, "-o", folder / "b.onnx", "--data", train});
  const auto a = json_of({"inspect", folder / "a.onnx"});
  const auto b = json_of({"inspect", folder / "b.onnx"});
  EXPECT_EQ(a["quantized_values"], b["quantized_values"]);
  EXPECT_EQ(a["provenance"]["statistics"], b["provenance"]["statistics"]);
}

/// The example without the recipe that it carries, as most models come.
std::string without_recipe(const TemporaryFolder& folder) {
  const auto file = FileView::open(digits("digits_cnn.onnx"));
  EXPECT_TRUE(file);
  auto graph = onnx::parse(file->bytes(), OCTET_SOURCE_DIR);
  EXPECT_TRUE(graph);
  graph->metadata.clear();
  const auto bytes = onnx::serialize(*graph);
  EXPECT_TRUE(bytes);
  write_text(folder / "plain.onnx", *bytes);
  return folder / "plain.onnx";
}

TEST(Recipe, TravelsThroughStatisticsIntoTheModelAndCompare) {
  const TemporaryFolder folder;
  const auto model = without_recipe(folder);
  const auto recipe = digits("recipe.json");
  json_of({"calibrate", model, "--data", train, "--recipe", recipe, "-o", folder / "stats"});
  json_of({"quantize", model, "--stats", folder / "stats", "-o", folder / "int8.onnx"});
  const auto evaluated = json_of({"eval", folder / "int8.onnx", "--data", test});
  EXPECT_GT(evaluated["top1"], 0.97);
  const auto compared = json_of({"compare", model, folder / "int8.onnx", "--data", test});
  EXPECT_GT(compared["first"]["top1"], 0.97);
  const auto warned = octet({"eval", model, "--data", test});
  EXPECT_NE(warned.err.find("no recipe"), std::string::npos) << warned.err;
}

TEST(Run, TapsOfAFloatModelHoldEveryComputedValue) {
  const TemporaryFolder folder;
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 8, 8), }";
  std::string npy = "\x93NUMPY\x01";
  npy += '\0';
  const std::string padded = header + std::string(118 - header.size() - 1, ' ') + "\n";
  npy += static_cast<char>(padded.size());
  npy += '\0';
  npy += padded + std::string(64 * 4, '\0');
  write_text(folder / "x.npy", npy);
  json_of({"run", digits("digits_cnn.onnx"), "--input", folder / "x.npy", "-o", folder / "y.npy",
           "--taps", folder / "taps"});
  const auto index = Json::parse(read_text(folder / "taps/index.json"));
  EXPECT_GT(index.size(), 5U);
  for (const auto& entry : index) {
    EXPECT_TRUE(std::filesystem::exists(folder / "taps/" + entry["file"].get<std::string>()));
  }
}

TEST(Statistics, MergedShardsAreTheBytesOfOneRun) {
  const TemporaryFolder folder;
  namespace fs = std::filesystem;
  for (int digit = 0; digit < 10; ++digit) {
    const auto name = std::to_string(digit);
    fs::create_directories(folder / "left/" + name);
    fs::create_directories(folder / "right/" + name);
    for (const auto& image : fs::directory_iterator(digits("images/" + name))) {
      const auto file = image.path().filename().string();
      const bool left = file < "07.png";
      fs::create_symlink(image.path(), folder / (left ? "left/" : "right/") + name + "/" + file);
    }
  }
  const auto model = digits("digits_cnn.onnx");
  for (const std::string observer : {"minmax", "percentile", "mse", "entropy"}) {
    const auto calibrate = [&](const std::string& data, const std::string& output) {
      json_of({"calibrate", model, "--data", data, "--observer", observer, "-o", folder / output});
    };
    calibrate(folder / "left", "left.stats");
    calibrate(folder / "right", "right.stats");
    calibrate(digits("images"), "all.stats");
    json_of({"calibrate", "--merge", folder / "left.stats", folder / "right.stats", "-o",
             folder / "merged.stats"});
    const auto all = read_text(folder / "all.stats");
    EXPECT_FALSE(all.empty());
    EXPECT_TRUE(all == read_text(folder / "merged.stats")) << observer;
  }
}

TEST(Statistics, OfAnotherModelAreRefused) {
  const TemporaryFolder folder;
  json_of({"calibrate", digits("digits_cnn.onnx"), "--data", train, "-o", folder / "stats"});
  expect_refusal(octet({"quantize", digits("digits_mlp.onnx"), "-o", folder / "a.onnx", "--stats",
                        folder / "stats"}),
                 2, "another model");
}

TEST(Inspect, NamesWhatStaysFloat) {
  const auto info = json_of({"inspect", digits("digits_cnn.onnx")});
  EXPECT_EQ(info["format"], "onnx");
  EXPECT_GT(info["macs"], 1000);
  EXPECT_GT(info["integer_mac_share"], 0.99);
  EXPECT_FALSE(info["quantized"]);
}

TEST(KeepFloat, OfEveryNodeLeavesNothingToQuantize) {
  const TemporaryFolder folder;
  expect_refusal(octet({"quantize", digits("digits_mlp.onnx"), "-o", folder / "a.onnx", "--data",
                        train, "--keep-float", "*", "--quiet"}),
                 2, "no node can run in integers");
  EXPECT_EQ(folder.files(), 0U);
}

}  // namespace
}  // namespace octet::testing

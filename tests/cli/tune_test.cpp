// octet tune on the bundled example.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "cli/models.h"
#include "core/hash.h"
#include "data/dataset.h"

namespace octet::testing {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

const std::string images = digits("train-images-idx3-ubyte.gz");
const std::string unseen = digits("t10k-images-idx3-ubyte.gz");
const std::string network = digits("digits_cnn.onnx");

Arguments tune(const std::string& output, const Arguments& more) {
  Arguments all = {"tune", network, "--data", images, "--val", unseen, "-o", output, "--quiet"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// Two bits lose points.
const Arguments few_bits = {"--bits-weights", "2", "--bits-activations", "2", "--observer", "mse"};

Arguments with(Arguments all, const Arguments& more) {
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

Json result(const Arguments& arguments, int code) {
  const auto outcome = octet(with(arguments, {"--json"}));
  EXPECT_EQ(outcome.code, code) << outcome.err;
  return Json::parse(outcome.out, nullptr, false);
}

std::vector<Json> log_of(const std::string& path) {
  std::vector<Json> lines;
  std::istringstream text(read_text(path));
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

/// The command of a trial, which writes to `output` instead.
void reproduce(const Json& trial, const std::string& output) {
  std::string command = trial["command"];
  command = command.substr(command.find(' '));
  const auto at = command.find(" -o ");
  const auto end = command.find(' ', at + 4);
  command = command.substr(0, at) + (end == std::string::npos ? "" : command.substr(end));
  command = fmt::format("'{}' {} -o '{}' --quiet > /dev/null", OCTET_BINARY, command, output);
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

TEST(Tune, StopsAtTheCheapestThatReachesTheTarget) {
  const TemporaryFolder folder;
  const auto made = result(tune(folder / "out.onnx", {"--max-drop", "1"}), 0);
  EXPECT_EQ(made["reached"], true);
  EXPECT_EQ(made["metric"], "top1");
  EXPECT_EQ(made["trials"].size(), 1U);
  EXPECT_EQ(made["best"]["method"], "none");
  EXPECT_LE(made["best"]["drop"], 1);
  EXPECT_LE(made["best"]["drop_low"], made["best"]["drop"]);
  EXPECT_GE(made["best"]["drop_high"], made["best"]["drop"]);
  EXPECT_GT(made["best"]["median_ms"], 0);
  const auto judged = json_of({"eval", folder / "out.onnx", "--data", unseen});
  EXPECT_DOUBLE_EQ(judged["top1"], made["best"]["value"]);
  const auto original = json_of({"eval", network, "--data", unseen});
  EXPECT_DOUBLE_EQ(original["top1"], made["float_value"]);
  EXPECT_EQ(read_text(folder / "out.onnx").size(), made["best"]["bytes"]);
  EXPECT_EQ(log_of(folder / "out.onnx.trials.jsonl").size(), 1U);
  EXPECT_EQ(folder.files(), 2U) << "nothing else is left";
}

TEST(Tune, WritesTheBestWhenTheTargetIsOutOfReach) {
  const TemporaryFolder folder;
  const auto arguments =
      with(tune(folder / "out.onnx", {"--max-drop", "-100", "--no-training"}), few_bits);
  const auto made = result(arguments, 3);
  EXPECT_EQ(made["reached"], false);
  double least = 1000;
  for (const auto& trial : made["trials"]) least = std::min<double>(least, trial["drop"]);
  EXPECT_EQ(made["best"]["drop"], least);
  const std::string limit = made["limit"];
  EXPECT_NE(limit.find("accuracy"), std::string::npos) << limit;
  EXPECT_NE(limit.find("layers that lose most"), std::string::npos) << limit;
  const auto judged = json_of({"eval", folder / "out.onnx", "--data", unseen});
  EXPECT_DOUBLE_EQ(judged["top1"], made["best"]["value"]);
}

TEST(Tune, CommandsOfTheLogMakeTheSameFiles) {
  const TemporaryFolder folder;
  const auto out = folder / "out.onnx";
  const auto log = folder / "log";
  result(with(tune(out, {"--max-drop", "-100", "--log", log}), few_bits), 3);
  int reproduced = 0;
  std::set<std::string> steps;
  for (const auto& line : log_of(log)) {
    if (line.contains("layers")) continue;
    ASSERT_FALSE(line.contains("error")) << line;
    steps.insert(line["step"].get<std::string>());
    reproduce(line, folder / "again.onnx");
    const auto made = read_text(folder / "again.onnx");
    EXPECT_EQ(content_hash(std::as_bytes(std::span(made))), line["hash"]) << line["command"];
    ++reproduced;
  }
  EXPECT_GE(reproduced, 6);
  EXPECT_TRUE(steps.contains("mixed"));
  EXPECT_TRUE(steps.contains("training"));
}

/// Killed again and again and resumed, a search ends with the same bytes and trials as one left
/// alone.
TEST(Tune, ResumedSearchesEndWithTheSameBytes) {
  const TemporaryFolder folder;
  const auto options = with({"--max-drop", "-100"}, few_bits);
  const auto whole = result(tune(folder / "whole.onnx", options), 3);
  const auto arguments = with(tune(folder / "resumed.onnx", options), {"--resume"});
  int killed = 0;
  Json resumed;
  for (; killed < 30; ++killed) {
    const auto outcome = octet(with(arguments, {"--json"}),
                               fmt::format("timeout -s KILL {:.2f}", 0.3 * std::pow(1.4, killed)));
    if (outcome.code != 3) continue;
    resumed = Json::parse(outcome.out);
    break;
  }
  EXPECT_GT(killed, 1);
  EXPECT_EQ(read_text(folder / "whole.onnx"), read_text(folder / "resumed.onnx"));
  ASSERT_EQ(resumed["trials"].size(), whole["trials"].size());
  bool taken = false;
  for (std::size_t i = 0; i < whole["trials"].size(); ++i) {
    EXPECT_EQ(resumed["trials"][i]["key"], whole["trials"][i]["key"]);
    EXPECT_EQ(resumed["trials"][i]["hash"], whole["trials"][i]["hash"]);
    EXPECT_EQ(resumed["trials"][i]["drop"], whole["trials"][i]["drop"]);
    taken = taken || resumed["trials"][i]["resumed"].get<bool>();
  }
  EXPECT_TRUE(taken);
}

TEST(Tune, MakesTheBestAgainWhereItIsGone) {
  const TemporaryFolder folder;
  const auto arguments = tune(folder / "out.onnx", {"--max-drop", "1"});
  result(arguments, 0);
  const auto bytes = read_text(folder / "out.onnx");
  write_text(folder / "out.onnx", "something else");
  const auto again = result(with(arguments, {"--resume"}), 0);
  EXPECT_EQ(again["trials"][0]["resumed"], true);
  EXPECT_EQ(read_text(folder / "out.onnx"), bytes);
  // Other options are other trials.
  const auto other = result(with(arguments, {"--resume", "--per-tensor"}), 0);
  EXPECT_EQ(other["trials"][0]["resumed"], false);
}

/// Arrays of the network's input, with labels, where training is a trial of its own.
class TuneOnArrays : public ::testing::Test {
 protected:
  const TemporaryFolder folder;
  Tensor x;
  Tensor y;

  void fill(std::int64_t count) {
    x = Tensor(DType::f32, {count, 1, 8, 8});
    y = Tensor(DType::i64, {count});
    for (std::int64_t i = 0; i < x.size(); ++i) {
      x.mutable_data<float>()[i] = static_cast<float>(i * 37 % 16) / 16;
    }
    for (std::int64_t i = 0; i < count; ++i) y.mutable_data<std::int64_t>()[i] = i % 10;
  }

  /// Whether the first trial, and that of training, were taken from the log.
  std::pair<bool, bool> resumed(bool labels) {
    Arguments arguments = {
        "tune", network, "--data", write_array(folder / "x.npy", x), "-o", folder / "out.onnx"};
    arguments = with(arguments, {"--val", unseen, "--recipe", digits("recipe.json"), "--max-drop",
                                 "-100", "--resume", "--quiet"});
    if (labels) arguments = with(arguments, {"--labels", write_array(folder / "y.npy", y)});
    const auto made = result(with(arguments, few_bits), 3);
    std::pair<bool, bool> out{made["trials"][0]["resumed"], false};
    int trained = 0;
    for (const auto& trial : made["trials"]) {
      if (trial["step"] != "training") continue;
      out.second = trial["resumed"];
      ++trained;
    }
    EXPECT_EQ(trained, 1);
    return out;
  }
};

TEST_F(TuneOnArrays, OtherLabelsAreOtherTrials) {
  fill(100);
  EXPECT_EQ(resumed(true), std::pair(false, false));
  EXPECT_EQ(resumed(true), std::pair(true, true));
  std::swap(y.mutable_data<std::int64_t>()[3], y.mutable_data<std::int64_t>()[4]);
  EXPECT_EQ(resumed(true), std::pair(false, false));
}

TEST_F(TuneOnArrays, SamplesThatOnlyTrainingReadsAreAnotherTraining) {
  constexpr std::int64_t calibrated = 512;
  fill(calibrated + 20);
  EXPECT_EQ(resumed(false), std::pair(false, false));
  DatasetOptions images_of_one;
  images_of_one.inputs = {{"input", DType::f32, {1, 1, 8, 8}, ImageLayout::nchw}};
  const auto dataset = open_dataset(folder / "x.npy", images_of_one);
  ASSERT_TRUE(dataset) << dataset.error().message;
  const auto chosen = select_samples(**dataset, calibrated, 0);
  std::int64_t other = 0;
  while (other < static_cast<std::int64_t>(chosen.size()) &&
         chosen[static_cast<std::size_t>(other)] == other) {
    ++other;
  }
  x.mutable_data<float>()[other * 64] += 0.25F;
  EXPECT_EQ(resumed(false), std::pair(true, false));
}

TEST(Tune, NeedsNoLabels) {
  const TemporaryFolder folder;
  const auto train = folder / "some-images-idx3-ubyte.gz";
  const auto val = folder / "more-images-idx3-ubyte.gz";
  std::filesystem::copy_file(images, train);
  std::filesystem::copy_file(unseen, val);
  Arguments arguments = {"tune",       network, "--data", train,
                         "--val",      val,     "-o",     folder / "out.onnx",
                         "--max-drop", "-100",  "--quiet"};
  const auto made = result(with(arguments, few_bits), 3);
  EXPECT_EQ(made["metric"], "agreement");
  EXPECT_EQ(made["float_value"], 1);
  const auto& last = made["trials"].back();
  EXPECT_EQ(last["step"], "training");
  EXPECT_FALSE(last.contains("error"));
  EXPECT_GT(last["value"], made["trials"][0]["value"]);
  const auto compared = json_of(
      {"compare", network, folder / "out.onnx", "--data", val, "--no-speed", "--layers", "none"});
  EXPECT_NEAR(compared["agreement"], made["best"]["value"].get<double>(), 1e-12);
}

TEST(Tune, KeepsTheBudgetOfBytes) {
  const TemporaryFolder folder;
  const auto plain = result(tune(folder / "plain.onnx", {"--max-drop", "5"}), 0);
  const double bytes = plain["best"]["bytes"];
  const auto budget = fmt::format("{:.0f}B", bytes * 0.85);
  const auto made = result(tune(folder / "small.onnx", {"--max-drop", "5", "--budget", budget}), 0);
  EXPECT_LE(read_text(folder / "small.onnx").size(), bytes * 0.85);
  EXPECT_NE(made["best"]["command"].get<std::string>().find("--int4"), std::string::npos);
  const auto missed = result(
      tune(folder / "none.onnx", {"--max-drop", "5", "--budget", "100B", "--no-training"}), 3);
  EXPECT_NE(missed["limit"].get<std::string>().find("size"), std::string::npos);
}

TEST(Tune, KeepsTheBudgetOfTime) {
  const TemporaryFolder folder;
  const auto made = result(
      with(tune(folder / "out.onnx", {"--max-drop", "-100", "--budget", "0.5s"}), few_bits), 3);
  EXPECT_NE(made["limit"].get<std::string>().find("time"), std::string::npos);
  EXPECT_LT(made["seconds"], 60);
  json_of({"eval", folder / "out.onnx", "--data", unseen});
}

TEST(Tune, ABudgetOfNoTimeStillMakesTheCheapestModel) {
  const TemporaryFolder folder;
  const auto out = folder / "out.onnx";
  const auto made =
      result(with(tune(out, {"--max-drop", "-100", "--budget", "0.001s"}), few_bits), 3);
  EXPECT_EQ(made["trials"].size(), 1U);
  EXPECT_NE(made["limit"].get<std::string>().find("time"), std::string::npos);
  json_of({"eval", out, "--data", unseen});
  EXPECT_EQ(octet(tune(out, {"--max-drop", "100", "--budget", "0.001s"})).code, 0)
      << "the cheapest model reaches the target";
}

TEST(Tune, FindsFronts) {
  const TemporaryFolder folder;
  const auto path = folder / "front.json";
  const auto made = result(tune(folder / "out.onnx", {"--max-drop", "1", "--pareto", path}), 0);
  EXPECT_EQ(made["best"]["method"], "none") << "fronts do not change what is written";
  const auto fronts = Json::parse(read_text(path));
  for (const std::string side : {"size", "latency"}) {
    const std::string cost = side == "size" ? "bytes" : "median_ms";
    double before = 0;
    double drop = 1000;
    ASSERT_FALSE(fronts[side].empty());
    for (const auto& point : fronts[side]) {
      EXPECT_GT(point[cost], before);
      EXPECT_LT(point["drop"], drop);
      before = point[cost];
      drop = point["drop"];
    }
  }
  const auto& smallest = fronts["size"][0];
  reproduce(smallest, folder / "again.onnx");
  EXPECT_EQ(read_text(folder / "again.onnx").size(), smallest["bytes"]);
}

TEST(Tune, RefusesWhatItCannotDo) {
  const TemporaryFolder folder;
  const auto out = folder / "out.onnx";
  expect_refusal(octet({"tune", network, "--data", images, "-o", out, "--quiet"}), 1, "--val");
  expect_refusal(octet(tune(out, {"--budget", "3 apples"})), 1, "10min, 3MB, 1.5ms");
  expect_refusal(octet(tune(out, {"--metric", "taste"})), 1, "agreement");
  expect_refusal(octet(tune(out, {"--optimize", "more"})), 1, "fast");
  for (const std::string budget : {"infs", "0.5B", "1e30GB", "nanmin"}) {
    expect_refusal(octet(tune(out, {"--budget", budget})), 1, budget);
  }
  expect_refusal(octet(tune(out, {"--max-drop", "nan"})), 1, "--max-drop");
  const auto model = folder / "model.onnx";
  std::filesystem::copy_file(network, model);
  const auto before = read_text(model);
  auto onto_itself = tune(model, {});
  onto_itself[1] = model;
  expect_refusal(octet(onto_itself), 1, "same file");
  expect_refusal(octet(tune(out, {"--log", out})), 1, "same file");
  EXPECT_EQ(read_text(model), before);
  write_text(folder / "log", "no trial\n");
  expect_refusal(octet(tune(out, {"--log", folder / "log", "--resume"})), 2, "line 1");
  EXPECT_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace octet::testing

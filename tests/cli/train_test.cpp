// octet train on the bundled example.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/models.h"
#include "core/file.h"

namespace octet::testing {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

const std::string images = digits("train-images-idx3-ubyte.gz");
const std::string unseen = digits("t10k-images-idx3-ubyte.gz");

Arguments train(const std::string& model, const std::string& output, const Arguments& more) {
  Arguments all = {"train", model, "--data", images, "-o", output};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

double accuracy(const std::string& model) {
  return json_of({"eval", model, "--data", unseen})["top1"];
}

TEST(Train, FromRandomWeights) {
  const TemporaryFolder folder;
  const auto mlp = folder / "mlp.onnx";
  const auto made = json_of(train(digits("digits_mlp.onnx"), mlp,
                                  {"--init", "--epochs", "20", "--lr", "0.1", "--batch", "32"}));
  ASSERT_EQ(made["epochs"].size(), 20U);
  EXPECT_LT(made["epochs"][19]["loss"], made["epochs"][0]["loss"]);
  EXPECT_EQ(made["samples"], 1437);
  EXPECT_GE(accuracy(mlp), 0.94);

  const auto cnn = folder / "cnn.onnx";
  json_of(train(
      digits("digits_cnn.onnx"), cnn,
      {"--init", "--epochs", "10", "--lr", "0.05", "--batch", "32", "--schedule", "onecycle"}));
  EXPECT_GE(accuracy(cnn), 0.93);
}

/// Few bits: rounding to nearest loses points that training wins back.
TEST(Train, AwareOfFewBitsBeatsRounding) {
  const TemporaryFolder folder;
  const auto rounded = folder / "rounded.onnx";
  const auto trained = folder / "trained.onnx";
  const Arguments bits = {"--bits-weights", "2", "--bits-activations", "3"};
  Arguments quantize = {
      "quantize", digits("digits_cnn.onnx"), "--data", images, "-o", rounded, "--optimize", "none"};
  quantize.insert(quantize.end(), bits.begin(), bits.end());
  json_of(quantize);
  Arguments more = {"--qat",   "--epochs", "10",        "--lr", "0.01",
                    "--batch", "32",       "--distill", "self"};
  more.insert(more.end(), bits.begin(), bits.end());
  json_of(train(digits("digits_cnn.onnx"), trained, more));
  EXPECT_GE(accuracy(trained), accuracy(rounded) + 0.05);
  EXPECT_GE(accuracy(trained), 0.93);
  const auto compared = json_of({"compare", trained, trained, "--data", unseen, "--no-speed",
                                 "--first-engine", "simulate", "--engine", "integer"});
  EXPECT_EQ(compared["differing_values"], 0);
}

/// Each way to train scales, and training without normalization, gives what the engine runs.
TEST(Train, WhatWasTrainedIsWhatRuns) {
  const TemporaryFolder folder;
  const auto out = folder / "out.onnx";
  const std::vector<Arguments> ways = {{"--scales", "lsq+"},
                                       {"--scales", "pact", "--weight-decay", "1e-4"},
                                       {"--scales", "fixed"},
                                       {"--batch-norm", "folded"}};
  for (const auto& way : ways) {
    Arguments more = {"--qat", "--epochs",           "2", "--batch",   "32", "--bits-weights",
                      "4",     "--bits-activations", "4", "--samples", "500"};
    more.insert(more.end(), way.begin(), way.end());
    json_of(train(digits("digits_cnn.onnx"), out, more));
    EXPECT_GE(accuracy(out), 0.95) << way[1];
    const auto compared = json_of({"compare", out, out, "--data", unseen, "--no-speed", "--json",
                                   "--quiet", "--first-engine", "simulate", "--engine", "integer"});
    EXPECT_EQ(compared["differing_values"], 0) << way[1];
  }
}

TEST(Train, NeedsNoLabelsToDistil) {
  const TemporaryFolder folder;
  // Images without their label file.
  const auto copied = folder / "some-images-idx3-ubyte.gz";
  std::filesystem::copy_file(images, copied);
  Arguments arguments = {
      "train", digits("digits_cnn.onnx"), "--data", copied, "--qat", "--epochs", "1",
      "-o",    folder / "out.onnx",       "--quiet"};
  expect_refusal(octet(arguments), 2, "--distill");
  arguments.insert(arguments.end(), {"--distill", "self"});
  json_of(arguments);
  EXPECT_GE(accuracy(folder / "out.onnx"), 0.97);
}

TEST(Train, SameBytesForAnyThreadCount) {
  const TemporaryFolder folder;
  const Arguments more = {"--qat", "--epochs", "2",   "--batch",   "64", "--crop-padding",
                          "1",     "--mixup",  "0.2", "--samples", "300"};
  for (const std::string threads : {"1", "2", "3"}) {
    auto with_threads = more;
    with_threads.insert(with_threads.end(), {"--threads", threads});
    json_of(train(digits("digits_cnn.onnx"), folder / (threads + ".onnx"), with_threads));
  }
  EXPECT_EQ(read_text(folder / "1.onnx"), read_text(folder / "2.onnx"));
  EXPECT_EQ(read_text(folder / "1.onnx"), read_text(folder / "3.onnx"));
}

/// Killed again and again and resumed, a run ends with the same bytes as one left alone.
TEST(Train, ResumedRunsEndWithTheSameBytes) {
  const TemporaryFolder folder;
  const Arguments more = {"--init", "--epochs",    "4",   "--batch",     "32",  "--lr",
                          "0.05",   "--held-back", "100", "--optimizer", "adam"};
  json_of(train(digits("digits_cnn.onnx"), folder / "whole.onnx", more));
  auto resumed = more;
  resumed.insert(resumed.end(),
                 {"--checkpoint", folder / "state", "--checkpoint-seconds", "0", "--resume"});
  const auto arguments = train(digits("digits_cnn.onnx"), folder / "resumed.onnx", resumed);
  int killed = 0;
  for (; killed < 200; ++killed) {
    // Later and later: slow builds get somewhere, too.
    const auto outcome =
        octet(arguments, fmt::format("timeout -s KILL {:.2f}", 0.15 + 0.03 * killed));
    if (outcome.code == 0) break;
  }
  EXPECT_GT(killed, 0);
  EXPECT_EQ(read_text(folder / "whole.onnx"), read_text(folder / "resumed.onnx"));
}

/// Labels without sense can be learned by heart only: a network that gets those of held-back
/// samples right has seen them, as partners of mixup.
TEST(Train, HeldBackSamplesAreNotMixedIn) {
  const TemporaryFolder folder;
  Tensor x(DType::f32, {300, 1, 8, 8});
  for (std::int64_t i = 0; i < x.size(); ++i) {
    x.mutable_data<float>()[i] = std::sin(static_cast<float>(i * i % 7919));
  }
  Tensor y(DType::i32, {300});
  for (std::int32_t i = 0; i < 300; ++i) y.mutable_data<std::int32_t>()[i] = i * i * 31 % 101 % 10;
  const auto made = json_of({"train", digits("digits_mlp.onnx"), "-o", folder / "out.onnx",
                             "--data", write_array(folder / "x.npy", x), "--labels",
                             write_array(folder / "y.npy", y), "--epochs", "60", "--lr", "0.1",
                             "--batch", "32", "--held-back", "150", "--mixup", "0.5"});
  EXPECT_LT(made["epochs"][59]["held_back_top1"], 0.3);
}

TEST(Train, WritesHistoryAndStopsEarly) {
  const TemporaryFolder folder;
  const auto made = json_of(train(digits("digits_mlp.onnx"), folder / "out.onnx",
                                  {"--epochs", "50", "--lr", "1e-9", "--held-back", "100",
                                   "--patience", "3", "--history", folder / "history"}));
  EXPECT_EQ(made["epochs"].size(), 4U);
  const auto text = read_text(folder / "history");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
  EXPECT_TRUE(Json::parse(text.substr(0, text.find('\n')))["held_back_top1"].is_number());
}

TEST(Train, RefusesWhatItCannotDo) {
  const TemporaryFolder folder;
  const auto model = digits("digits_mlp.onnx");
  const auto out = folder / "out.onnx";
  const auto with = [&](Arguments more) {
    Arguments all = {"train", model, "--data", images, "-o", out, "--epochs", "1", "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    return octet(all);
  };
  expect_refusal(with({"--optimizer", "lion"}), 1, "sgd, adam, adamw");
  expect_refusal(with({"--schedule", "up"}), 1, "onecycle");
  expect_refusal(with({"--batch-norm", "frozen"}), 1, "trained, folded");
  expect_refusal(with({"--qat", "--scales", "lsq++"}), 1, "lsq, lsq+, pact, fixed");
  expect_refusal(with({"--resume"}), 1, "--checkpoint");
  expect_refusal(with({"--patience", "2"}), 1, "--held-back");
  expect_refusal(with({"--lr", "0"}), 1, "--lr");
  expect_refusal(with({"--batch", "0"}), 1, "--batch");
  write_text(folder / "state", "no checkpoint");
  expect_refusal(with({"--checkpoint", folder / "state", "--resume"}), 2, "state");
  EXPECT_EQ(folder.files(), 1U);
}

}  // namespace
}  // namespace octet::testing

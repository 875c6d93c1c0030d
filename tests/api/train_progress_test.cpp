// What a receiver of progress is told while training runs.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "octet/train.h"

namespace octet::testing {
namespace {

TEST(TrainProgress, TellsLossAndAccuracyOfTheEpochSoFar) {
  const auto output = std::filesystem::temp_directory_path() /
                      ("octet_progress_" + std::to_string(::getpid()) + ".onnx");
  TrainRequest request;
  request.model = OCTET_SOURCE_DIR "/examples/digits/digits_mlp.onnx";
  request.data.path = OCTET_SOURCE_DIR "/examples/digits/train-images-idx3-ubyte.gz";
  request.output = output;
  request.epochs = 2;
  std::vector<std::string> tasks;
  std::vector<std::int64_t> samples;
  request.progress = [&](std::string_view task, std::int64_t done, std::int64_t total) {
    EXPECT_EQ(total, 2 * 1437);  // of the whole run, not of an epoch
    samples.push_back(done);
    tasks.emplace_back(task);
  };
  const auto summary = train(request, {});
  std::filesystem::remove(output);
  ASSERT_TRUE(summary) << summary.error().message;
  ASSERT_EQ(tasks.size(), 24U);  // steps: two epochs of 1,437 samples in batches of 128
  EXPECT_EQ(samples.front(), 128);
  EXPECT_EQ(samples.back(), 2 * 1437);
  EXPECT_TRUE(std::is_sorted(samples.begin(), samples.end()));
  EXPECT_EQ(tasks.front().substr(0, 26), "training: epoch 1/2, loss ");
  // All samples of an epoch: the numbers that its result has.
  char whole[80];
  std::snprintf(whole, sizeof whole, "training: epoch 2/2, loss %.4f, top-1 %.2f %%",
                summary->epochs[1].loss, 100 * summary->epochs[1].top1);
  EXPECT_EQ(tasks.back(), whole);
}

}  // namespace
}  // namespace octet::testing

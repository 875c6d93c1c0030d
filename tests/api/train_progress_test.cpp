// What a receiver of progress is told while training runs.

#include <gtest/gtest.h>
#include <unistd.h>

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
  request.progress = [&](std::string_view task, std::int64_t done, std::int64_t total) {
    EXPECT_LE(done, total);
    tasks.emplace_back(task);
  };
  const auto summary = train(request, {});
  std::filesystem::remove(output);
  ASSERT_TRUE(summary) << summary.error().message;
  ASSERT_EQ(tasks.size(), 24U);  // steps: two epochs of 1,437 samples in batches of 128
  EXPECT_EQ(tasks.front().substr(0, 16), "epoch 1/2: loss ");
  // All samples of an epoch: the numbers that its result has.
  char whole[64];
  std::snprintf(whole, sizeof whole, "epoch 2/2: loss %.4f, top-1 %.2f %%", summary->epochs[1].loss,
                100 * summary->epochs[1].top1);
  EXPECT_EQ(tasks.back(), whole);
}

}  // namespace
}  // namespace octet::testing

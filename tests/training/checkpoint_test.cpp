#include "training/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "core/file.h"

namespace octet {
namespace {

class Checkpoint : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ =
        std::filesystem::temp_directory_path() /
        ("octet_checkpoint_" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
         std::to_string(::getpid()));
    state_.epoch = 3;
    state_.step = 40;
    state_.position = 128;
    state_.loss_sum = 1.25;
    state_.correct = 100;
    state_.parameters.emplace(ValueId{4}, Tensor::from<float>({1, 2, 3, 4}, {2, 2}));
    state_.moments[ValueId{4}] = {{0.5F, 0, 0, 1}, {}};
    state_.best_accuracy = 0.75;
    state_.best_epoch = 2;
    state_.best_parameters.emplace(ValueId{4}, Tensor::from<float>({1, 2, 3, 5}, {2, 2}));
    state_.epochs.push_back({1, 0.5, 0.8, 0.7, 0.01, 2, 100});
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::filesystem::path path_;
  TrainingState state_;
};

TEST_F(Checkpoint, ReadsBackWhatWasWritten) {
  ASSERT_TRUE(write_checkpoint(path_, "run", state_).has_value());
  const auto read = read_checkpoint(path_, "run");
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->epoch, 3);
  EXPECT_EQ(read->step, 40);
  EXPECT_EQ(read->position, 128);
  EXPECT_EQ(read->loss_sum, 1.25);
  EXPECT_EQ(read->correct, 100);
  EXPECT_TRUE(identical(read->parameters.at(ValueId{4}), state_.parameters.at(ValueId{4})));
  EXPECT_EQ(read->moments.at(ValueId{4}).first, state_.moments.at(ValueId{4}).first);
  EXPECT_EQ(read->best_accuracy, 0.75);
  EXPECT_TRUE(
      identical(read->best_parameters.at(ValueId{4}), state_.best_parameters.at(ValueId{4})));
  ASSERT_EQ(read->epochs.size(), 1U);
  EXPECT_EQ(read->epochs[0].held_back_accuracy, 0.7);
}

TEST_F(Checkpoint, OfAnotherRunIsRefused) {
  ASSERT_TRUE(write_checkpoint(path_, "run", state_).has_value());
  const auto read = read_checkpoint(path_, "other");
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().kind, ErrorKind::bad_input);
}

TEST_F(Checkpoint, DamagedOrCutOffIsRefused) {
  ASSERT_TRUE(write_checkpoint(path_, "run", state_).has_value());
  const auto file = FileView::open(path_);
  ASSERT_TRUE(file.has_value());
  const std::string whole(file->text());
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    ASSERT_TRUE(write_file(path_, std::string_view(whole).substr(0, size)).has_value());
    EXPECT_FALSE(read_checkpoint(path_, "run").has_value()) << size;
  }
  for (std::size_t at = 0; at < whole.size(); at += 5) {
    auto changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x40);
    ASSERT_TRUE(write_file(path_, std::string_view(changed)).has_value());
    EXPECT_FALSE(read_checkpoint(path_, "run").has_value()) << at;
  }
}

}  // namespace
}  // namespace octet

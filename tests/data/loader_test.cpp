#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>

#include "core/log.h"
#include "core/parallel.h"
#include "data/dataset.h"
#include "data/held_dataset.h"
#include "support.h"

namespace octet {
namespace {

/// Sample i is the number i; some fail to decode.
class NumberDataset final : public Dataset {
 public:
  explicit NumberDataset(std::int64_t size, std::vector<std::int32_t> labels = {},
                         std::set<std::int64_t> bad = {})
      : size_(size), labels_(std::move(labels)), bad_(std::move(bad)) {}
  std::int64_t size() const override { return size_; }
  const std::string& name() const override { return name_; }
  const std::vector<std::int32_t>& labels() const override { return labels_; }
  int class_count() const override { return 0; }
  Result<std::unique_ptr<SampleStream>> stream(std::vector<std::int64_t> selection) const override {
    class Stream final : public SampleStream {
     public:
      explicit Stream(std::vector<std::int64_t> s) : selection_(std::move(s)) {}
      Result<std::optional<RawSample>> next() override {
        if (at_ == selection_.size()) return std::nullopt;
        RawSample sample;
        sample.index = selection_[at_++];
        sample.name = std::to_string(sample.index);
        return std::optional<RawSample>(std::move(sample));
      }

     private:
      std::vector<std::int64_t> selection_;
      std::size_t at_ = 0;
    };
    return std::unique_ptr<SampleStream>(std::make_unique<Stream>(std::move(selection)));
  }
  Result<std::vector<Tensor>> decode(const RawSample& sample) const override {
    if (bad_.count(sample.index) > 0) return bad_input("sample {} is bad", sample.index);
    const auto value = static_cast<float>(sample.index);
    return std::vector<Tensor>{Tensor::from<float>({value, value + 0.5F}, {1, 2})};
  }

 private:
  std::int64_t size_;
  std::string name_ = "numbers";
  std::vector<std::int32_t> labels_;
  std::set<std::int64_t> bad_;
};

class Loader : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_thread_count(GetParam()); }
  void TearDown() override {
    set_thread_count(0);
    set_log_sink({});
    clear_cancel();
  }
};

using Batches = std::map<std::int64_t, std::vector<std::int64_t>>;

TEST_P(Loader, BatchesCoverTheSelectionOnce) {
  const NumberDataset dataset(103);
  const auto selection = select_samples(dataset, 50, 3);
  Batches batches;
  std::mutex mutex;
  LoaderOptions options;
  options.batch_size = 8;
  const auto report =
      for_each_batch(dataset, selection, options, [&](int worker, const Batch& batch) -> Status {
        EXPECT_GE(worker, 0);
        EXPECT_LT(worker, thread_count());
        EXPECT_EQ(batch.inputs[0].shape(),
                  (Shape{static_cast<std::int64_t>(batch.indices.size()), 2}));
        for (std::size_t i = 0; i < batch.indices.size(); ++i) {
          EXPECT_EQ(batch.inputs[0].data<float>()[2 * i], static_cast<float>(batch.indices[i]));
          EXPECT_EQ(batch.names[i], std::to_string(batch.indices[i]));
        }
        const std::lock_guard lock(mutex);
        batches[batch.first] = batch.indices;
        return {};
      });
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->samples, 50);
  std::vector<std::int64_t> seen;
  for (const auto& [first, indices] : batches) {
    EXPECT_EQ(first, static_cast<std::int64_t>(seen.size()));
    seen.insert(seen.end(), indices.begin(), indices.end());
  }
  EXPECT_EQ(seen, selection);
  EXPECT_EQ(batches.size(), 7U);
}

TEST_P(Loader, TheFirstUndecodableSampleIsReported) {
  const NumberDataset dataset(200, {}, {57, 58, 120, 199});
  for (int repeat = 0; repeat < 20; ++repeat) {
    const auto report = for_each_batch(dataset, select_samples(dataset, 0, 0), {},
                                       [](int, const Batch&) -> Status { return {}; });
    EXPECT_EQ(test::message_of(report), "sample 57 is bad");
  }
}

TEST_P(Loader, SkippedSamplesAreLeftOutCountedAndLogged) {
  std::vector<std::string> lines;
  set_log_sink([&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  const NumberDataset dataset(20, {}, {3, 8, 9, 10, 11});
  LoaderOptions options;
  options.batch_size = 4;
  options.undecodable = Undecodable::skip;
  Batches batches;
  std::mutex mutex;
  const auto report = for_each_batch(dataset, select_samples(dataset, 0, 0), options,
                                     [&](int, const Batch& batch) -> Status {
                                       const std::lock_guard lock(mutex);
                                       batches[batch.first] = batch.indices;
                                       return {};
                                     });
  ASSERT_TRUE(report);
  EXPECT_EQ(report->samples, 15);
  EXPECT_EQ(report->skipped, 5);
  EXPECT_EQ(lines.size(), 5U);
  EXPECT_EQ(
      batches,
      (Batches{{0, {0, 1, 2}}, {4, {4, 5, 6, 7}}, {12, {12, 13, 14, 15}}, {16, {16, 17, 18, 19}}}));
  const NumberDataset hopeless(2, {}, {0, 1});
  EXPECT_ERROR(
      for_each_batch(hopeless, {0, 1}, options, [](int, const Batch&) -> Status { return {}; }),
      "none of the 2 samples could be decoded; the first: sample 0 is bad");
}

TEST_P(Loader, ErrorsAndExceptionsOfTheVisitorEndTheSweep) {
  const NumberDataset dataset(100);
  const auto all = select_samples(dataset, 0, 0);
  EXPECT_EQ(test::message_of(for_each_batch(dataset, all, {},
                                            [](int, const Batch& batch) -> Status {
                                              if (batch.first < 30) return {};
                                              return bad_input("visit {}", batch.first);
                                            })),
            "visit 30");
  EXPECT_EQ(test::message_of(for_each_batch(
                dataset, all, {},
                [](int, const Batch&) -> Status { throw std::runtime_error("thrown"); })),
            "thrown");
}

TEST_P(Loader, CancelAndProgressAreHonoured) {
  const NumberDataset dataset(100);
  LoaderOptions options;
  options.task = "test";
  std::int64_t last = 0;
  options.progress = [&](std::string_view task, std::int64_t done, std::int64_t total) {
    EXPECT_EQ(task, "test");
    EXPECT_EQ(total, 100);
    EXPECT_GE(done, last);
    last = done;
  };
  const auto visit = [](int, const Batch&) -> Status { return {}; };
  ASSERT_TRUE(for_each_batch(dataset, select_samples(dataset, 0, 0), options, visit));
  EXPECT_EQ(last, 100);
  std::atomic<int> visits{0};
  const auto report =
      for_each_batch(dataset, select_samples(dataset, 0, 0), {}, [&](int, const Batch&) -> Status {
        if (++visits == 5) request_cancel();
        return {};
      });
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::cancelled);
  EXPECT_LT(visits, 50);
}

INSTANTIATE_TEST_SUITE_P(Threads, Loader, testing::Values(1, 2, 5));

TEST(SelectSamples, IsEvenOverTheClasses) {
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 90; ++i) labels.push_back(i < 60 ? 0 : i < 88 ? 1 : 5);
  const NumberDataset dataset(90, labels);
  const auto counts = [&](std::int64_t count, std::uint64_t seed) {
    std::map<std::int32_t, int> out;
    const auto chosen = select_samples(dataset, count, seed);
    EXPECT_EQ(static_cast<std::int64_t>(chosen.size()), count);
    EXPECT_EQ(std::set<std::int64_t>(chosen.begin(), chosen.end()).size(), chosen.size());
    EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
    for (const auto i : chosen) ++out[labels[static_cast<std::size_t>(i)]];
    return out;
  };
  EXPECT_EQ(counts(6, 1), (std::map<std::int32_t, int>{{0, 2}, {1, 2}, {5, 2}}));
  EXPECT_EQ(counts(42, 1), (std::map<std::int32_t, int>{{0, 20}, {1, 20}, {5, 2}}));
  EXPECT_EQ(counts(80, 1), (std::map<std::int32_t, int>{{0, 50}, {1, 28}, {5, 2}}));
  std::set<std::int32_t> gets_the_odd_one;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    for (const auto& [label, count] : counts(4, seed)) {
      if (count == 2) gets_the_odd_one.insert(label);
    }
  }
  EXPECT_EQ(gets_the_odd_one.size(), 3U);
}

TEST(SelectSamples, DependsOnTheSeedAloneAndCoversTheSet) {
  const NumberDataset dataset(1000);
  EXPECT_EQ(select_samples(dataset, 20, 5), select_samples(dataset, 20, 5));
  EXPECT_NE(select_samples(dataset, 20, 5), select_samples(dataset, 20, 6));
  EXPECT_EQ(select_samples(dataset, 0, 5).size(), 1000U);
  EXPECT_EQ(select_samples(dataset, 5000, 5).size(), 1000U);
  // A draw that favoured some places would miss this by far: each is drawn 200 times on average,
  // with a standard deviation of 13.4.
  std::vector<int> hits(10, 0);
  const NumberDataset ten(10);
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    for (const auto i : select_samples(ten, 2, seed)) ++hits[static_cast<std::size_t>(i)];
  }
  for (const auto count : hits) EXPECT_NEAR(count, 200, 60);
}

TEST(SelectSamples, TheDrawIsTheSameOnEveryPlatform) {
  // SplitMix64 and Fisher-Yates, computed apart in Python.
  EXPECT_EQ(select_samples(NumberDataset(100), 5, 42),
            (std::vector<std::int64_t>{2, 9, 13, 83, 86}));
}

/// Counts how often samples are read.
class CountingDataset final : public Dataset {
 public:
  CountingDataset(std::int64_t size, int& streams) : numbers_(size), streams_(streams) {}
  std::int64_t size() const override { return numbers_.size(); }
  const std::string& name() const override { return numbers_.name(); }
  const std::vector<std::int32_t>& labels() const override { return numbers_.labels(); }
  int class_count() const override { return 0; }
  Result<std::unique_ptr<SampleStream>> stream(std::vector<std::int64_t> selection) const override {
    ++streams_;
    OCTET_ASSIGN(const auto inner, numbers_.stream(std::move(selection)));
    std::vector<RawSample> all;
    while (true) {
      OCTET_ASSIGN(auto sample, inner->next());
      if (!sample) break;
      sample->bytes.resize(10);
      all.push_back(std::move(*sample));
    }
    std::reverse(all.begin(), all.end());  // storage order is not the order of indices
    return std::unique_ptr<SampleStream>(std::make_unique<Stored>(std::move(all)));
  }
  Result<std::vector<Tensor>> decode(const RawSample& sample) const override {
    return numbers_.decode(sample);
  }

 private:
  class Stored final : public SampleStream {
   public:
    explicit Stored(std::vector<RawSample> samples) : samples_(std::move(samples)) {}
    Result<std::optional<RawSample>> next() override {
      if (at_ == samples_.size()) return std::nullopt;
      return samples_[at_++];
    }

   private:
    std::vector<RawSample> samples_;
    std::size_t at_ = 0;
  };
  NumberDataset numbers_;
  int& streams_;
};

std::vector<std::int64_t> indices_of(const Dataset& dataset, std::vector<std::int64_t> selection) {
  std::vector<std::int64_t> found;
  const auto stream = dataset.stream(std::move(selection));
  EXPECT_TRUE(stream) << stream.error().message;
  while (true) {
    const auto sample = (*stream)->next();
    EXPECT_TRUE(sample) << sample.error().message;
    if (!sample || !*sample) return found;
    found.push_back((*sample)->index);
  }
}

TEST(HoldSamples, ReadsOnceAndKeepsTheOrder) {
  int streams = 0;
  const auto held = hold_samples(std::make_unique<CountingDataset>(20, streams), {2, 3, 5, 7}, 40);
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_EQ(indices_of(**held, {2, 3, 5, 7}), (std::vector<std::int64_t>{7, 5, 3, 2}));
  EXPECT_EQ(indices_of(**held, {3, 7}), (std::vector<std::int64_t>{7, 3}));
  EXPECT_EQ(streams, 1);
  EXPECT_EQ(indices_of(**held, {3, 8}), (std::vector<std::int64_t>{8, 3}));
  EXPECT_EQ(streams, 2) << "a sample that is not held comes from the data set";
}

TEST(HoldSamples, KeepsNothingBeyondTheLimit) {
  int streams = 0;
  const auto held = hold_samples(std::make_unique<CountingDataset>(20, streams), {2, 3, 5, 7}, 39);
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_EQ(indices_of(**held, {3, 7}), (std::vector<std::int64_t>{7, 3}));
  EXPECT_EQ(streams, 2);
}

}  // namespace
}  // namespace octet

#include "calibration/statistics.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "core/hash.h"
#include "core/parallel.h"
#include "graph/graph_builder.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

using testing::GraphBuilder;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

Statistics some_statistics(ObserverKind observer = ObserverKind::mse) {
  Statistics statistics;
  statistics.model_hash = "0123";
  statistics.data_fingerprint = "0123456789abcdef0123456789abcdef";
  statistics.recipe = "{\"crop\": 8}";
  statistics.samples = 17;
  statistics.observer = observer;
  int seed = 1;
  for (const auto* name : {"a", "b", "conv/out:0"}) {
    auto& seen = statistics.values[name];
    const auto sample = GraphBuilder::pseudo_random({1, 10, 10, 10}, seed++);
    seen.histogram.observe(sample.values<float>());
    TapView view;
    view.shape = sample.shape();
    view.values = sample.values<float>();
    seen.means.observe(view);
    if (observer == ObserverKind::moving_average) {
      seen.average_minimum = -0.25 * seed;
      seen.average_maximum = 0.1 * seed;
    }
  }
  return statistics;
}

TEST(StatisticsCodec, RoundTrip) {
  for (const auto kind : {ObserverKind::mse, ObserverKind::moving_average}) {
    auto statistics = some_statistics(kind);
    statistics.values["empty"];
    statistics.values["range"].histogram.observe_range(std::vector<float>{1.5F, -3.0F});
    const auto text = encode(statistics);
    const auto decoded = decode_statistics(bytes_of(text));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_TRUE(*decoded == statistics);
    EXPECT_EQ(encode(*decoded), text);
  }
}

TEST(StatisticsCodec, RejectsEveryTruncationAndDamage) {
  const auto text = encode(some_statistics());
  for (std::size_t size = 0; size < text.size(); size += 1 + size / 40) {
    EXPECT_FALSE(decode_statistics(bytes_of(text.substr(0, size)))) << size;
  }
  for (std::size_t at = 0; at < text.size(); at += 1 + at / 40) {
    auto damaged = text;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x11);
    EXPECT_FALSE(decode_statistics(bytes_of(damaged))) << at;
  }
  EXPECT_FALSE(decode_statistics(bytes_of(text + "x")));
}

TEST(StatisticsCodec, DamageBehindAValidChecksumIsRejectedOrHarmless) {
  const auto text = encode(some_statistics());
  const auto body = text.substr(0, text.size() - 32);
  int rejected = 0;
  for (std::size_t at = 8; at < body.size(); at += 3) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      auto damaged = body;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      damaged += content_hash(bytes_of(damaged));
      const auto decoded = decode_statistics(bytes_of(damaged));
      if (!decoded) {
        ++rejected;
        EXPECT_FALSE(decoded.error().message.empty());
        continue;
      }
      // What is accepted is a well-formed file of something else.
      EXPECT_EQ(encode(*decoded), damaged) << at;
    }
  }
  EXPECT_GT(rejected, 100);
}

TEST(StatisticsMerge, RefusesWhatDoesNotBelongTogether) {
  const auto a = some_statistics();
  auto b = a;
  EXPECT_TRUE(merge(a, b));
  b.observer = ObserverKind::entropy;
  EXPECT_FALSE(merge(a, b));
  b = a;
  b.model_hash = "other";
  EXPECT_FALSE(merge(a, b));
  b = a;
  b.values.erase("b");
  EXPECT_NE(merge(a, b).error().message.find("value b"), std::string::npos);
  EXPECT_NE(merge(b, a).error().message.find("value b"), std::string::npos);
  const auto average = some_statistics(ObserverKind::moving_average);
  EXPECT_FALSE(merge(average, average));
}

/// Samples of one f32 tensor each, in memory.
class MemoryDataset : public Dataset {
 public:
  explicit MemoryDataset(std::vector<Tensor> samples) : samples_(std::move(samples)) {}

  [[nodiscard]] std::int64_t size() const override {
    return static_cast<std::int64_t>(samples_.size());
  }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] const std::vector<std::int32_t>& labels() const override { return labels_; }
  [[nodiscard]] int class_count() const override { return 0; }
  [[nodiscard]] Result<std::unique_ptr<SampleStream>> stream(
      std::vector<std::int64_t> selection) const override {
    return std::make_unique<Stream>(std::move(selection));
  }
  [[nodiscard]] Result<std::vector<Tensor>> decode(const RawSample& sample) const override {
    return std::vector<Tensor>{samples_[static_cast<std::size_t>(sample.index)]};
  }

 private:
  class Stream : public SampleStream {
   public:
    explicit Stream(std::vector<std::int64_t> selection) : selection_(std::move(selection)) {}
    Result<std::optional<RawSample>> next() override {
      if (at_ == selection_.size()) return std::optional<RawSample>();
      RawSample sample;
      sample.index = selection_[at_++];
      sample.name = "sample" + std::to_string(sample.index);
      return std::optional<RawSample>(std::move(sample));
    }

   private:
    std::vector<std::int64_t> selection_;
    std::size_t at_ = 0;
  };

  std::vector<Tensor> samples_;
  std::string name_ = "memory";
  std::vector<std::int32_t> labels_;
};

struct Bench {
  GraphBuilder builder;
  std::vector<ValueId> values;

  Bench() {
    const auto x = builder.input("x", {dynamic_dim, 3, 9, 9}, {"N"});
    const auto y = builder.node("Conv", {x, builder.weights("w", {20, 3, 3, 3})}, "y");
    const auto z = builder.node("Relu", {y}, "z");
    builder.output(z);
    values = {x, y, z};
    EXPECT_TRUE(infer_shapes(builder.graph));
  }

  [[nodiscard]] Result<Statistics> run(const Dataset& data, std::int64_t first, std::int64_t count,
                                       ObserverKind observer) const {
    CalibrationOptions options;
    options.observer = observer;
    options.selection.resize(static_cast<std::size_t>(count));
    std::iota(options.selection.begin(), options.selection.end(), first);
    return calibrate(builder.graph, values, data, options);
  }
};

std::vector<Tensor> random_samples(int count) {
  std::vector<Tensor> samples;
  for (int i = 0; i < count; ++i) {
    auto tensor = GraphBuilder::pseudo_random({1, 3, 9, 9}, i + 1);
    for (std::int64_t k = 0; k < tensor.size(); ++k) {
      tensor.mutable_data<float>()[k] *= static_cast<float>(1 + i % 5);
    }
    samples.push_back(std::move(tensor));
  }
  return samples;
}

TEST(Calibrate, ShardsMergeToTheBytesOfOneRun) {
  const Bench bench;
  const MemoryDataset data(random_samples(23));
  for (const auto kind : {ObserverKind::mse, ObserverKind::minmax}) {
    const auto whole = bench.run(data, 0, 23, kind);
    ASSERT_TRUE(whole) << whole.error().message;
    const auto left = bench.run(data, 0, 7, kind);
    const auto right = bench.run(data, 7, 16, kind);
    ASSERT_TRUE(left && right);
    const auto merged = merge(*left, *right);
    ASSERT_TRUE(merged);
    EXPECT_EQ(encode(*merged), encode(*whole));
    EXPECT_EQ(whole->samples, 23);
    EXPECT_EQ(whole->values.at("x").histogram.total(), 23U * 3 * 81);
    EXPECT_EQ(whole->values.at("z").histogram.has_counts(), kind == ObserverKind::mse);
    EXPECT_EQ(whole->values.at("z").histogram.minimum(), 0.0F);
  }
}

TEST(Calibrate, SameBytesForAnyThreadCount) {
  const Bench bench;
  const MemoryDataset data(random_samples(31));
  for (const auto kind : {ObserverKind::entropy, ObserverKind::moving_average}) {
    set_thread_count(1);
    const auto one = bench.run(data, 0, 31, kind);
    ASSERT_TRUE(one);
    for (const int threads : {2, 5}) {
      set_thread_count(threads);
      const auto several = bench.run(data, 0, 31, kind);
      ASSERT_TRUE(several);
      EXPECT_EQ(encode(*several), encode(*one));
    }
    set_thread_count(0);
  }
}

TEST(Calibrate, MovingAverageFoldsSamplesInOrder) {
  const Bench bench;
  const auto samples = random_samples(9);
  const auto statistics = bench.run(MemoryDataset(samples), 0, 9, ObserverKind::moving_average);
  ASSERT_TRUE(statistics);
  double low = 0;
  double high = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto values = samples[i].values<float>();
    const double sample_low = *std::min_element(values.begin(), values.end());
    const double sample_high = *std::max_element(values.begin(), values.end());
    low = i == 0 ? sample_low : 0.9 * low + 0.1 * sample_low;
    high = i == 0 ? sample_high : 0.9 * high + 0.1 * sample_high;
  }
  EXPECT_NEAR(statistics->values.at("x").average_minimum, low, 1e-12);
  EXPECT_NEAR(statistics->values.at("x").average_maximum, high, 1e-12);
}

TEST(Calibrate, NamesTheValueAndSampleThatIsNotFinite) {
  const Bench bench;
  auto samples = random_samples(4);
  samples[2].mutable_data<float>()[5] = std::numeric_limits<float>::infinity();
  const auto statistics = bench.run(MemoryDataset(samples), 0, 4, ObserverKind::mse);
  ASSERT_FALSE(statistics);
  EXPECT_EQ(statistics.error().kind, ErrorKind::bad_input);
  EXPECT_NE(statistics.error().message.find("value x"), std::string::npos);
  EXPECT_NE(statistics.error().message.find("sample2"), std::string::npos);
  EXPECT_FALSE(bench.run(MemoryDataset(samples), 0, 0, ObserverKind::mse));
}

}  // namespace
}  // namespace octet

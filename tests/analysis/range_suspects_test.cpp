// Which cause narrow ranges are blamed on: an observer, or the samples that were calibrated on.

#include <gtest/gtest.h>

#include "analysis/suspects.h"
#include "graph/quantizations.h"

namespace octet::testing {
namespace {

constexpr std::size_t sample_count = 20;

/// Values whose ranges, [0, file] in the model and [0, 1] in the data, are all that is known.
class Ranges {
 public:
  Ranges& add(double file, std::size_t spared_samples, double clipped = 0.5) {
    Value value;
    value.name = "v" + std::to_string(model_.graph.value_slots());
    const auto id = model_.graph.add_value(value);
    model_.plan.values[id] = activation(0, file);
    auto& seen = statistics_.values[value.name];
    seen.histogram.observe_range(std::vector<float>{0, 1});
    auto& errors = errors_[id];
    errors.signal = 1;
    errors.clipping = file < 1 ? clipped : 0;
    for (std::size_t i = 0; i < sample_count; ++i) {
      const bool cut = file < 1 && i >= spared_samples;
      errors.samples.push_back(static_cast<std::int64_t>(i));
      errors.outside_by_sample.push_back(cut ? 0.01 : 0);
    }
    return *this;
  }

  Ranges& add_all(const std::vector<double>& files, std::size_t spared_samples) {
    for (const double file : files) add(file, spared_samples);
    return *this;
  }

  /// Sample by sample in turn.
  Ranges& label(std::size_t classes) {
    for (std::size_t i = 0; i < sample_count; ++i) {
      labels_.push_back(static_cast<std::int32_t>(i % classes));
    }
    return *this;
  }

  Ranges& label(std::vector<std::int32_t> labels) {
    labels_ = std::move(labels);
    return *this;
  }

  std::string cause() {
    statistics_.observer = ObserverKind::minmax;
    const auto found = range_suspects({model_, {}, errors_, statistics_, labels_, true});
    EXPECT_TRUE(found) << found.error().message;
    if (!found || found->empty()) return "";
    EXPECT_EQ(found->size(), 1U);
    EXPECT_TRUE(found->front().remedy);
    return found->front().cause;
  }

 private:
  QuantizedGraph model_;
  std::map<ValueId, ValueErrors> errors_;
  Statistics statistics_;
  std::vector<std::int32_t> labels_;
};

const std::vector<double> fitting = {0.97, 1.03, 1.0, 0.95, 1.05, 1.0, 0.98, 1.02};

TEST(RangeSuspects, FittingRangesAreNone) { EXPECT_EQ(Ranges().add_all(fitting, 0).cause(), ""); }

TEST(RangeSuspects, OneNarrowRangeIsAnObserversFault) {
  EXPECT_EQ(Ranges().add_all(fitting, 0).add(0.2, 0).cause(), "clipped_observer");
}

/// Quiet samples, of any class, lie inside any range.
TEST(RangeSuspects, SamplesThatAClippedRangeSparesAreNoCalibrationSet) {
  EXPECT_EQ(Ranges().add_all(fitting, 4).add(0.2, 4).label(4).cause(), "clipped_observer");
  EXPECT_EQ(Ranges().add_all(fitting, 4).add(0.2, 4).cause(), "calibration_set")
      << "without labels they may be what was calibrated on";
}

/// One class has three samples, and is not what was calibrated on: it speaks for no other.
TEST(RangeSuspects, OneClassOfManyDoesNotSpeakForTheSamples) {
  auto ranges = Ranges().add_all(fitting, 4).add(0.7, 4);
  std::vector<std::int32_t> labels(sample_count);
  for (std::size_t i = 0; i < sample_count; ++i) labels[i] = static_cast<std::int32_t>(i);
  labels[10] = labels[11] = labels[12];
  EXPECT_EQ(ranges.label(labels).cause(), "calibration_set");
}

/// Ranges that are a little narrow by chance cut off next to nothing beside the one at fault.
TEST(RangeSuspects, CountsRangesThatCutOffWhatTheWorstDoes) {
  const auto many = [](double clipped) {
    return Ranges()
        .add_all(fitting, 0)
        .add(0.2, 0)
        .add(0.75, 0, clipped)
        .add(0.7, 0, clipped)
        .add(0.76, 0, clipped);
  };
  EXPECT_EQ(many(1e-4).cause(), "clipped_observer");
  EXPECT_EQ(many(0.1).cause(), "calibration_set");
}

/// Two ranges of ten, narrower than the others by little, that spare some samples.
TEST(RangeSuspects, RangesThatAreNarrowEachByAnotherFactorAreOfTheSamples) {
  const std::vector<double> narrower = {0.97, 0.85, 1.0, 0.82, 0.95, 0.88, 0.9, 1.02};
  EXPECT_EQ(Ranges().add_all(narrower, 4).add(0.75, 4).add(0.7, 4).cause(), "calibration_set");
}

/// Where activations are bounded, two narrow ranges of the six that depend on the samples are many.
TEST(RangeSuspects, RangesThatTheModelBoundsDoNotCount) {
  const std::vector<double> bounded(24, 1.0);
  Ranges ranges;
  ranges.add_all({0.99, 0.98, 0.93, 1.02}, 0).add(0.65, 0).add(0.73, 0).add_all(bounded, 0);
  EXPECT_EQ(ranges.cause(), "calibration_set");
  Ranges one;
  one.add_all({0.99, 0.98, 0.93, 1.02}, 0).add(0.2, 0).add(0.2, 0).add_all(bounded, 0);
  EXPECT_EQ(one.cause(), "clipped_observer") << "two values share the range";
}

TEST(RangeSuspects, ManyNarrowRangesAreOfTheSamples) {
  EXPECT_EQ(Ranges().add_all({0.6, 0.7, 0.5, 1.0, 0.9}, 0).cause(), "calibration_set");
}

}  // namespace
}  // namespace octet::testing

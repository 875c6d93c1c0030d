#include "calibration/range_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "arithmetic/quantize.h"
#include "calibration/statistics.h"

namespace octet {
namespace {

constexpr QuantScheme asymmetric{8, Symmetry::asymmetric, Granularity::per_tensor, 0,
                                 CodeRange::full};
constexpr QuantScheme symmetric{8, Symmetry::symmetric, Granularity::per_tensor, 0,
                                CodeRange::narrow};

enum class Shape { normal, relu, laplace, relu6 };

std::vector<float> samples(Shape shape, std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0.3, 1.0);
  std::exponential_distribution<double> exponential(1.0);
  std::vector<float> values(count);
  for (auto& x : values) {
    switch (shape) {
      case Shape::normal: x = static_cast<float>(normal(random)); break;
      case Shape::relu: x = static_cast<float>(std::max(normal(random), 0.0)); break;
      case Shape::laplace:
        x = static_cast<float>((random() % 2 == 0 ? 1 : -3) * exponential(random));
        break;
      case Shape::relu6: x = static_cast<float>(std::clamp(4 * normal(random), 0.0, 6.0)); break;
    }
  }
  return values;
}

Histogram histogram_of(const std::vector<float>& values) {
  Histogram histogram;
  histogram.observe(values);
  return histogram;
}

double measured_error(const std::vector<float>& values, const QuantParams& params,
                      const QuantScheme& scheme) {
  double sum = 0;
  for (const float x : values) {
    const auto q = quantize_value(x, params.scale[0], params.zero_point[0],
                                  static_cast<int>(scheme.qmin()), static_cast<int>(scheme.qmax()));
    const double e =
        static_cast<double>(x) - static_cast<double>(params.scale[0]) * (q - params.zero_point[0]);
    sum += e * e;
  }
  return sum / static_cast<double>(values.size());
}

TEST(Distribution, SquaredErrorEqualsThatOfTheValues) {
  for (const auto shape : {Shape::normal, Shape::relu, Shape::laplace, Shape::relu6}) {
    const auto values = samples(shape, 50000);
    const Distribution distribution(histogram_of(values));
    for (const auto& scheme : {asymmetric, symmetric}) {
      for (const double clip : {1.0, 0.7, 0.3}) {
        const auto params =
            params_from_range(distribution.minimum() * clip, distribution.maximum() * clip, scheme);
        const double expected = measured_error(values, params, scheme);
        EXPECT_NEAR(distribution.squared_error(params, scheme), expected, 0.06 * expected);
      }
    }
  }
}

TEST(Distribution, ClippedErrorIsThatOfTheValuesBeyondTheCodes) {
  for (const auto shape : {Shape::normal, Shape::relu, Shape::laplace}) {
    const auto values = samples(shape, 50000);
    const Distribution distribution(histogram_of(values));
    for (const double clip : {1.0, 0.5, 0.3}) {
      const auto params = params_from_range(distribution.minimum() * clip,
                                            distribution.maximum() * clip, asymmetric);
      const double scale = static_cast<double>(params.scale[0]);
      const double low = scale * static_cast<double>(asymmetric.qmin() - params.zero_point[0]);
      const double high = scale * static_cast<double>(asymmetric.qmax() - params.zero_point[0]);
      double sum = 0;
      for (const float x : values) {
        const double value = static_cast<double>(x);
        if (value < low - scale / 2) sum += (low - value) * (low - value);
        if (value > high + scale / 2) sum += (value - high) * (value - high);
      }
      const double expected = sum / static_cast<double>(values.size());
      EXPECT_NEAR(distribution.clipped_error(params, asymmetric), expected,
                  0.06 * expected + 1e-3 * scale * scale);
    }
  }
}

TEST(Distribution, SquaredErrorEqualsIntegrationByPoints) {
  const auto histogram = histogram_of(samples(Shape::normal, 3000));
  const Distribution distribution(histogram);
  const double width = std::ldexp(1.0, histogram.width_exponent());
  for (const int bits : {2, 4, 8}) {
    auto scheme = asymmetric;
    scheme.bits = bits;
    const auto params = params_from_range(-1.5, 2.0, scheme);
    double sum = 0;
    constexpr int points = 200;
    for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
      if (histogram.counts()[i] == 0) continue;
      const double bin = static_cast<double>(histogram.first_bin()) + static_cast<double>(i);
      const double low = std::max(bin * width, distribution.minimum());
      const double high = std::min((bin + 1) * width, distribution.maximum());
      for (int p = 0; p < points; ++p) {
        const double x = low + (high - low) * (p + 0.5) / points;
        const double scale = static_cast<double>(params.scale[0]);
        const double code =
            std::clamp(std::nearbyint(x / scale) + params.zero_point[0],
                       static_cast<double>(scheme.qmin()), static_cast<double>(scheme.qmax()));
        const double e = x - scale * (code - params.zero_point[0]);
        sum += e * e * static_cast<double>(histogram.counts()[i]) / points;
      }
    }
    const double expected = sum / static_cast<double>(histogram.total());
    EXPECT_NEAR(distribution.squared_error(params, scheme), expected, 1e-3 * expected) << bits;
  }
}

TEST(MseRange, IsAsGoodAsAnExhaustiveSearch) {
  for (const auto shape : {Shape::normal, Shape::relu, Shape::laplace, Shape::relu6}) {
    for (const int bits : {4, 8}) {
      auto scheme = asymmetric;
      scheme.bits = bits;
      const auto histogram = histogram_of(samples(shape, 20000));
      const Distribution distribution(histogram);
      const auto error = [&](double low, double high) {
        const auto params = params_from_range(low, high, scheme);
        return distribution.squared_error(params, scheme) +
               2 * distribution.clipped_error(params, scheme);
      };
      const auto found = mse_range(histogram, scheme);
      double best = std::numeric_limits<double>::infinity();
      const int low_steps = distribution.minimum() < 0 ? 100 : 1;
      for (int i = 0; i < low_steps; ++i) {
        for (int j = 0; j < 100; ++j) {
          best = std::min(best, error(distribution.minimum() * (1 - i / 100.0),
                                      distribution.maximum() * (1 - j / 100.0)));
        }
      }
      EXPECT_LE(error(found.minimum, found.maximum), best * 1.03);
      EXPECT_LE(found.minimum, 0);
      EXPECT_GE(found.maximum, 0);
    }
  }
}

TEST(MseRange, ClipsOutliersAndKeepsOneSide) {
  auto values = samples(Shape::relu, 100000);
  values.push_back(60.0F);
  // With 4 bits the outlier would cost every other value more than its own clipping does.
  auto scheme = asymmetric;
  scheme.bits = 4;
  const auto range = mse_range(histogram_of(values), scheme);
  EXPECT_EQ(range.minimum, 0);
  EXPECT_LT(range.maximum, 20);
  EXPECT_GT(range.maximum, 2);
}

/// KL(P || Q) with the arrays written out.
double plain_divergence(const Histogram& histogram, const QuantParams& params,
                        const QuantScheme& scheme) {
  std::vector<double> counts(histogram.counts().begin(), histogram.counts().end());
  const auto zero = static_cast<std::size_t>(-histogram.first_bin());
  double neighbour = 0;
  if (zero > 0) neighbour = counts[zero - 1];
  if (zero + 1 < counts.size()) neighbour = std::max(neighbour, counts[zero + 1]);
  if (neighbour > 0) counts[zero] = std::min(counts[zero], neighbour);

  const double step = static_cast<double>(params.scale[0]);
  std::vector<int> code(counts.size(), -1000);  // of bins inside
  std::vector<double> p(counts.size(), 0.0);
  std::size_t first = counts.size();
  std::size_t last = 0;
  double below = 0;
  double above = 0;
  double inside = 0;
  double total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double centre =
        std::ldexp(static_cast<double>(histogram.first_bin()) + static_cast<double>(i) + 0.5,
                   histogram.width_exponent());
    const double position = centre / step + params.zero_point[0];
    total += counts[i];
    if (position < static_cast<double>(scheme.qmin()) - 0.5) {
      below += counts[i];
    } else if (position >= static_cast<double>(scheme.qmax()) + 0.5) {
      above += counts[i];
    } else {
      code[i] = static_cast<int>(std::floor(position + 0.5));
      first = std::min(first, i);
      last = i;
      p[i] = counts[i];
      inside += counts[i];
    }
  }
  p[first] += below;
  p[last] += above;
  double divergence = 0;
  for (std::size_t i = first; i <= last; ++i) {
    if (p[i] == 0) continue;
    double mass = 0;
    double filled = 0;
    for (std::size_t k = first; k <= last; ++k) {
      if (code[k] != code[i] || counts[k] == 0) continue;
      mass += counts[k];
      filled += 1;
    }
    const double q = mass > 0 ? mass / filled / inside : 1e-4 / inside;
    divergence += p[i] / total * std::log(p[i] / total / q);
  }
  return divergence;
}

TEST(Divergence, EqualsThePlainSum) {
  for (const auto shape : {Shape::normal, Shape::relu, Shape::laplace}) {
    const auto histogram = histogram_of(samples(shape, 20000));
    const Divergence divergence(histogram);
    for (const double clip : {1.0, 0.6, 0.2}) {
      const auto params =
          params_from_range(static_cast<double>(histogram.minimum()) * clip,
                            static_cast<double>(histogram.maximum()) * clip, asymmetric);
      const double expected = plain_divergence(histogram, params, asymmetric);
      EXPECT_NEAR(divergence(params, asymmetric), expected, 1e-9 + 1e-6 * std::abs(expected));
    }
  }
}

TEST(EntropyRange, ClipsALongTailOnTheRightSide) {
  auto values = samples(Shape::relu, 100000);
  for (int i = 0; i < 5; ++i) values.push_back(50.0F + static_cast<float>(i));
  const auto range = entropy_range(histogram_of(values), asymmetric);
  EXPECT_EQ(range.minimum, 0);
  EXPECT_LT(range.maximum, 25);
  EXPECT_GT(range.maximum, 2);
}

/// Puts the smallest and the largest values where sorting puts them.
void sort_ends(std::vector<float>& values) {
  constexpr int ends = 20;
  std::partial_sort(values.begin(), values.begin() + ends, values.end());
  std::partial_sort(values.rbegin(), values.rbegin() + ends, values.rend() - ends,
                    std::greater<>());
}

TEST(PercentileRange, EqualsSortedValues) {
  for (const auto shape : {Shape::normal, Shape::laplace, Shape::relu}) {
    auto values = samples(shape, 1000000);
    const auto histogram = histogram_of(values);
    const auto range = percentile_range(histogram, asymmetric);
    const auto magnitude = percentile_range(histogram, symmetric).maximum;
    const double width = std::ldexp(1.0, histogram.width_exponent());
    sort_ends(values);
    // 99.999 % of a million: five values lie beyond either end.
    EXPECT_NEAR(range.maximum, values[values.size() - 6], width + 0.05);
    EXPECT_GE(range.maximum, values[values.size() - 9] - width);
    EXPECT_LE(range.maximum, values[values.size() - 4] + width);
    if (shape != Shape::relu) {
      EXPECT_GE(range.minimum, values[3] - width);
      EXPECT_LE(range.minimum, values[8] + width);
    } else {
      EXPECT_EQ(range.minimum, 0);
    }
    for (auto& x : values) x = std::abs(x);
    sort_ends(values);
    EXPECT_GE(magnitude, values[values.size() - 14] - width);
    EXPECT_LE(magnitude, values[values.size() - 8] + width);
  }
}

TEST(ParamsFromStatistics, DegenerateValuesGiveValidParams) {
  for (const auto kind :
       {ObserverKind::minmax, ObserverKind::percentile, ObserverKind::mse, ObserverKind::entropy}) {
    for (const float value : {0.0F, 5.0F, -3.0F, 1e-40F, 1e38F, -1e-30F}) {
      for (const auto& scheme : {asymmetric, symmetric}) {
        ValueStatistics seen;
        seen.histogram.observe(std::vector<float>(100, value));
        const auto params = params_from_statistics(seen, kind, scheme);
        ASSERT_TRUE(params) << params.error().message;
        EXPECT_TRUE(validate(*params, scheme));
        const auto low = range_minimum(*params, scheme);
        const auto high = range_maximum(*params, scheme);
        const double step = static_cast<double>(params->scale[0]);
        EXPECT_LE(low, std::min(0.0, static_cast<double>(value)) + step) << value;
        EXPECT_GE(high, std::max(0.0, static_cast<double>(value)) - step) << value;
      }
    }
  }
}

TEST(ParamsFromStatistics, RefusesWhatCannotBeAnswered) {
  ValueStatistics seen;
  EXPECT_FALSE(params_from_statistics(seen, ObserverKind::mse, asymmetric));
  seen.histogram.observe_range(std::vector<float>{1.0F});
  EXPECT_FALSE(params_from_statistics(seen, ObserverKind::mse, asymmetric));
  EXPECT_TRUE(params_from_statistics(seen, ObserverKind::minmax, asymmetric));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  seen.histogram.observe_range(std::vector<float>{nan});
  EXPECT_FALSE(params_from_statistics(seen, ObserverKind::minmax, asymmetric));
}

}  // namespace
}  // namespace octet

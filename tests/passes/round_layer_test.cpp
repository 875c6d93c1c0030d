// Second-order rounding of one layer, with the errors computed apart from it.

#include "passes/round_layer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "arithmetic/quantize.h"

namespace octet {
namespace {

/// A grouped convolution on correlated inputs, whose outputs are those of the float weights plus
/// noise: what the layers before got wrong.
struct Case {
  WeightView view{2, 6, 4, 3, false};
  Tensor weight{DType::f32, {12, 4, 3}};
  LayerSamples samples;
  CodeLimits limits;
  std::vector<float> scale;

  Case(int bits, bool one_scale, int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    std::normal_distribution<float> normal;
    limits.high = (1 << (bits - 1)) - 1;
    limits.low = -limits.high;
    for (std::int64_t i = 0; i < weight.size(); ++i)
      weight.mutable_data<float>()[i] = normal(random);
    scale.assign(one_scale ? 1 : 12, 0.0F);
    for (std::int64_t i = 0; i < weight.size(); ++i) {
      float& of_channel = scale[one_scale ? 0 : static_cast<std::size_t>(i / 12)];
      const float needed = std::abs(weight.data<float>()[i]) / static_cast<float>(limits.high);
      of_channel = std::max(of_channel, needed);
    }
    samples.rows = 400;
    for (std::int64_t row = 0; row < 2 * samples.rows; ++row) {
      const float common = 1 + normal(random);
      const auto group = row / samples.rows;
      std::vector<float> x;
      for (int k = 0; k < 12; ++k) x.push_back(common + 0.5F * normal(random));
      samples.inputs.insert(samples.inputs.end(), x.begin(), x.end());
      for (std::int64_t o = 0; o < 6; ++o) {
        float y = 0.1F * normal(random) + static_cast<float>(o);
        for (std::int64_t k = 0; k < 12; ++k) {
          y += x[static_cast<std::size_t>(k)] * weight.data<float>()[(group * 6 + o) * 12 + k];
        }
        samples.outputs.push_back(y);
      }
    }
  }

  [[nodiscard]] LayerProblem problem() const {
    LayerProblem problem;
    problem.view = view;
    problem.weight = &weight;
    problem.scale = scale;
    problem.least_scale.assign(scale.size(), scale_floor);
    problem.limits = limits;
    problem.low = low;
    problem.high = high;
    return problem;
  }

  float low = -1e30F, high = 1e30F;

  /// Mean square error of an output channel behind the activation, with a bias that takes out the
  /// mean error before it where `bias` is nullptr.
  template <class Code>
  [[nodiscard]] double error(std::int64_t channel, float of_codes, const Code* codes,
                             const float* bias) const {
    const auto group = channel / 6;
    std::vector<double> given;
    double mean = 0;
    const auto wanted = [&](std::int64_t row) {
      const auto at = static_cast<std::size_t>((group * samples.rows + row) * 6 + channel % 6);
      return static_cast<double>(samples.outputs[at]);
    };
    const auto addend = [&](std::int64_t row) {
      const auto at = static_cast<std::size_t>((group * samples.rows + row) * 6 + channel % 6);
      return samples.addends.empty() ? 0.0 : static_cast<double>(samples.addends[at]);
    };
    for (std::int64_t row = 0; row < samples.rows; ++row) {
      const auto at = static_cast<std::size_t>(group * samples.rows + row);
      double y = bias == nullptr ? 0 : static_cast<double>(*bias);
      for (std::size_t k = 0; k < 12; ++k) {
        y += static_cast<double>(of_codes) * static_cast<double>(codes[k]) *
             static_cast<double>(samples.inputs[at * 12 + k]);
      }
      given.push_back(y);
      mean += (y - wanted(row)) / static_cast<double>(samples.rows);
    }
    double error = 0;
    for (std::int64_t row = 0; row < samples.rows; ++row) {
      const auto limited = [&](double sum) {
        return std::clamp(sum + addend(row), static_cast<double>(low), static_cast<double>(high));
      };
      const double y = given[static_cast<std::size_t>(row)] - (bias == nullptr ? mean : 0);
      const double e = limited(y) - limited(wanted(row));
      error += e * e / static_cast<double>(samples.rows);
    }
    return error;
  }

  [[nodiscard]] double nearest_error(std::int64_t channel) const {
    const float of_codes = scale[scale.size() == 1 ? 0 : static_cast<std::size_t>(channel)];
    std::vector<std::int32_t> codes;
    for (std::int64_t k = 0; k < 12; ++k) {
      codes.push_back(quantize_value(weight.data<float>()[channel * 12 + k], of_codes, 0,
                                     limits.low, limits.high));
    }
    return error(channel, of_codes, codes.data(), nullptr);
  }
};

double rounded_error(const Case& of, const LayerRounding& rounding, std::int64_t channel) {
  const auto c = static_cast<std::size_t>(channel);
  return of.error(channel, rounding.scale[rounding.scale.size() == 1 ? 0 : c],
                  rounding.codes.data<std::int8_t>() + channel * 12, &rounding.bias[c]);
}

TEST(RoundLayer, NoChannelEndsWorseThanWithNearestRounding) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (int seed = 0; seed < 5; ++seed) {
      const Case of(bits, false, seed);
      const auto rounding = round_layer(of.problem(), of.samples);
      ASSERT_TRUE(rounding);
      double all = 0;
      double nearest = 0;
      for (std::int64_t channel = 0; channel < 12; ++channel) {
        const double error = rounded_error(of, *rounding, channel);
        const double other = of.nearest_error(channel);
        EXPECT_LE(error, other * 1.001 + 1e-9) << bits << " bits, channel " << channel;
        all += error;
        nearest += other;
      }
      EXPECT_NEAR(rounding->error, all, 1e-3 * all);
      EXPECT_NEAR(rounding->nearest_error, nearest, 1e-3 * nearest);
      if (bits <= 4) {
        EXPECT_LT(all, 0.5 * nearest) << bits << " bits";
      }
    }
  }
}

TEST(RoundLayer, CountsWhatTheActivationLetsThrough) {
  double linear = 0;
  double limited = 0;
  for (int seed = 0; seed < 8; ++seed) {
    Case of(3, false, seed);
    std::mt19937 random(static_cast<unsigned>(seed));
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < of.samples.outputs.size(); ++i) {
      of.samples.addends.push_back(normal(random));
    }
    const auto before = round_layer(of.problem(), of.samples);
    of.low = 0;
    of.high = 6;
    const auto rounding = round_layer(of.problem(), of.samples);
    ASSERT_TRUE(before);
    ASSERT_TRUE(rounding);
    double all = 0;
    for (std::int64_t channel = 0; channel < 12; ++channel) {
      const double error = rounded_error(of, *rounding, channel);
      EXPECT_LE(error, of.nearest_error(channel) * 1.001 + 1e-9) << "channel " << channel;
      all += error;
      linear += rounded_error(of, *before, channel);
    }
    EXPECT_NEAR(rounding->error, all, 1e-3 * all);
    limited += all;
  }
  EXPECT_LT(limited, linear);
}

TEST(RoundLayer, WithOneScaleTheLayerDoesNot) {
  for (int bits = 2; bits <= 8; ++bits) {
    const Case of(bits, true, bits);
    const auto rounding = round_layer(of.problem(), of.samples);
    ASSERT_TRUE(rounding);
    ASSERT_EQ(rounding->scale.size(), 1U);
    double all = 0;
    double nearest = 0;
    for (std::int64_t channel = 0; channel < 12; ++channel) {
      all += rounded_error(of, *rounding, channel);
      nearest += of.nearest_error(channel);
    }
    EXPECT_LE(all, nearest * 1.001);
  }
}

TEST(RoundLayer, CodesStayInTheirRangeAndScalesAboveTheirLeast) {
  const Case of(4, false, 9);
  auto problem = of.problem();
  problem.least_scale = of.scale;
  problem.least_scale[5] *= 3;
  const auto rounding = round_layer(problem, of.samples);
  ASSERT_TRUE(rounding);
  for (std::size_t channel = 0; channel < 12; ++channel) {
    if (channel != 5) {
      EXPECT_GE(rounding->scale[channel], of.scale[channel]);
    }
  }
  for (const auto code : rounding->codes.values<std::int8_t>()) {
    EXPECT_GE(code, -7);
    EXPECT_LE(code, 7);
  }
}

TEST(RoundLayer, InputsThatNeverVaryLeaveNearestCodes) {
  Case of(4, false, 3);
  std::fill(of.samples.inputs.begin(), of.samples.inputs.end(), 0.0F);
  const auto rounding = round_layer(of.problem(), of.samples);
  ASSERT_TRUE(rounding);
  for (std::int64_t i = 0; i < of.weight.size(); ++i) {
    const auto channel = static_cast<std::size_t>(i / 12);
    EXPECT_NEAR(
        static_cast<float>(rounding->codes.data<std::int8_t>()[i]) * rounding->scale[channel],
        of.weight.data<float>()[i], rounding->scale[channel]);
  }
}

/// E(v) + k (v - w)'H(v - w) + d |v - w|^2 less what does not depend on v.
double objective(const std::vector<float>& moments, const std::vector<float>& weights,
                 const std::vector<float>& products, double k, double d,
                 const std::vector<int>& codes, float scale) {
  const auto n = codes.size();
  double error = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double v = static_cast<double>(scale) * codes[i];
    for (std::size_t j = 0; j < n; ++j) {
      const double other = static_cast<double>(scale) * codes[j];
      const auto w = static_cast<double>(weights[j]);
      error += v * static_cast<double>(moments[i * n + j]) * ((1 + k) * other - 2 * k * w);
    }
    error +=
        v * (d * (v - 2 * static_cast<double>(weights[i])) - 2 * static_cast<double>(products[i]));
  }
  return error;
}

TEST(RowRounder, ComesNearTheBestOfAllCodes) {
  constexpr std::size_t n = 5;
  constexpr CodeLimits limits{-3, 3};
  double gap = 0;
  double nearest_gap = 0;
  for (int seed = 0; seed < 20; ++seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    std::normal_distribution<float> normal;
    std::vector<float> factor(n * n), moments(n * n, 0.0F), weights(n), products(n, 0.0F);
    for (auto& f : factor) f = normal(random);
    for (auto& w : weights) w = normal(random);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        for (std::size_t k = 0; k < n; ++k)
          moments[i * n + j] += factor[i * n + k] * factor[j * n + k];
        products[i] += moments[i * n + j] * weights[j];
      }
    }
    double trace = 0;
    for (std::size_t i = 0; i < n; ++i) trace += static_cast<double>(moments[i * n + i]);
    const double damping = 0.01 * trace / static_cast<double>(n);
    const auto rounder = RowRounder::make(moments, n, {0.5, 0.01});
    ASSERT_TRUE(rounder);
    const auto row = rounder->target(weights, products, scale_floor);
    const float scale = 0.7F;
    double best = 0;
    for (int number = 0; number < 16807; ++number) {
      std::vector<int> codes;
      for (int rest = number, k = 0; k < static_cast<int>(n); ++k, rest /= 7)
        codes.push_back(rest % 7 - 3);
      best = std::min(best, objective(moments, weights, products, 0.5, damping, codes, scale));
    }
    auto found = rounder->successive(row, scale, limits);
    rounder->descend(row, limits, found);
    const std::vector<int> codes(found.codes.begin(), found.codes.end());
    EXPECT_NEAR(found.error, objective(moments, weights, products, 0.5, damping, codes, scale),
                1e-3);
    EXPECT_GE(found.error, best - 1e-3);
    gap += found.error - best;
    nearest_gap += rounder->nearest(row, scale, limits).error - best;
  }
  EXPECT_LT(gap, 0.2 * nearest_gap);
}

}  // namespace
}  // namespace octet

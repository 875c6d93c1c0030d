#include "kernels/conv_problem.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace octet::kernels::testing {
namespace {

float pick_multiplier(Random& random, Multipliers kind, int taps) {
  switch (kind) {
    case Multipliers::real:
      return random.real(0.2F, 2.0F) / (60.0F * std::sqrt(static_cast<float>(taps)));
    case Multipliers::ties: return random.of({0.5F, 0.25F, 0.125F, 0x1p-6F, 0x1p-9F});
    case Multipliers::large: return random.of({0x1.fffffep-1F, 0.75F, -0.75F, 0x1p-9F});
    case Multipliers::wild:
      return random.of({0.0F, 1e-30F, 1e30F, 0.75F, std::numeric_limits<float>::infinity(),
                        std::numeric_limits<float>::quiet_NaN()});
  }
  return 1;
}

/// Ties to even without the library's rounding.
double round_even(double x) {
  const double below = std::floor(x);
  const double rest = x - below;
  if (rest > 0.5) return below + 1;
  if (rest < 0.5) return below;
  return std::fmod(below, 2.0) == 0 ? below : below + 1;
}

std::uint8_t naive_code(const ConvParams& p, std::int64_t exact, int o) {
  const float y = static_cast<float>(wrapped(exact)) * p.multiplier[count(o)];
  const float low = static_cast<float>(p.low) - static_cast<float>(p.output_zero_point);
  const float high = static_cast<float>(p.high) - static_cast<float>(p.output_zero_point);
  if (!(y >= low)) return p.low;
  if (y > high) return p.high;
  return static_cast<std::uint8_t>(static_cast<int>(round_even(y)) + p.output_zero_point);
}

}  // namespace

Problem make_problem(const ConvGeometry& g, Random& random, Values values,
                     Multipliers multipliers) {
  Problem problem;
  auto& p = problem.params;
  p.geometry = g;
  const int taps = g.kernel_height * g.kernel_width * (g.in_channels / g.groups);
  p.weights.resize(count(std::int64_t{g.out_channels} * taps));
  for (auto& w : p.weights) {
    w = static_cast<std::int8_t>(values == Values::extreme ? random.of({-128, 127})
                                                           : random.in(-128, 127));
  }
  for (int o = 0; o < g.out_channels; ++o) {
    p.bias.push_back(
        multipliers == Multipliers::wild || multipliers == Multipliers::large
            ? random.of({std::numeric_limits<int>::max(), std::numeric_limits<int>::min(), 0, 77})
            : random.in(-3000, 3000));
    p.multiplier.push_back(pick_multiplier(random, multipliers, taps));
  }
  p.input_zero_point = static_cast<std::uint8_t>(random.of({0, 3, 128, 255}));
  p.output_zero_point = static_cast<std::uint8_t>(random.of({0, 3, 128, 255}));
  if (random.in(0, 2) == 0) p.low = static_cast<std::uint8_t>(random.in(0, 140));
  if (random.in(0, 2) == 0) p.high = static_cast<std::uint8_t>(random.in(140, 255));
  problem.input.resize(count(g.batch * g.in_height * g.in_width * g.in_channels) + guard);
  for (auto& x : problem.input) {
    x = static_cast<std::uint8_t>(values == Values::extreme ? random.of({0, 255})
                                                            : random.in(0, 255));
  }
  return problem;
}

std::int32_t wrapped(std::int64_t exact) {
  return static_cast<std::int32_t>(static_cast<std::uint64_t>(exact) & 0xFFFFFFFFU);
}

std::vector<std::int64_t> naive_sums(const Problem& problem, int zero_point) {
  const auto& p = problem.params;
  const auto& g = p.geometry;
  const int inputs = g.in_channels / g.groups;
  const int outputs = g.out_channels / g.groups;
  std::vector<std::int64_t> result;
  for (std::int64_t n = 0; n < g.batch; ++n) {
    for (int y = 0; y < g.out_height; ++y) {
      for (int x = 0; x < g.out_width; ++x) {
        for (int o = 0; o < g.out_channels; ++o) {
          std::int64_t sum = p.bias[count(o)];
          for (int t = 0; t < g.kernel_height * g.kernel_width; ++t) {
            const int iy = y * g.stride_height - g.pad_top + t / g.kernel_width * g.dilation_height;
            const int ix = x * g.stride_width - g.pad_left + t % g.kernel_width * g.dilation_width;
            if (iy < 0 || iy >= g.in_height || ix < 0 || ix >= g.in_width) continue;
            for (int c = 0; c < inputs; ++c) {
              const auto at = ((n * g.in_height + iy) * g.in_width + ix) * g.in_channels +
                              o / outputs * inputs + c;
              const auto w = (o * g.kernel_height * g.kernel_width + t) * inputs + c;
              sum += (int{problem.input[count(at)]} - zero_point) * int{p.weights[count(w)]};
            }
          }
          result.push_back(sum);
        }
      }
    }
  }
  return result;
}

std::vector<std::uint8_t> naive(const Problem& problem) {
  const auto sums = naive_sums(problem, problem.params.input_zero_point);
  std::vector<std::uint8_t> codes;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const auto o = static_cast<int>(i % count(problem.params.geometry.out_channels));
    codes.push_back(naive_code(problem.params, sums[i], o));
  }
  return codes;
}

std::string describe(const ConvGeometry& g) {
  return fmt::format("n{} in {}x{}x{} out {}x{}x{} k {}x{} s {}x{} d {}x{} p {},{} g{}", g.batch,
                     g.in_height, g.in_width, g.in_channels, g.out_height, g.out_width,
                     g.out_channels, g.kernel_height, g.kernel_width, g.stride_height,
                     g.stride_width, g.dilation_height, g.dilation_width, g.pad_top, g.pad_left,
                     g.groups);
}

bool fit_outputs(ConvGeometry& g, int pad_bottom, int pad_right) {
  const auto extent = [](int in, int pads, int kernel, int dilation, int stride) {
    const int room = in + pads - ((kernel - 1) * dilation + 1);
    return room < 0 ? 0 : room / stride + 1;
  };
  g.out_height = extent(g.in_height, g.pad_top + pad_bottom, g.kernel_height, g.dilation_height,
                        g.stride_height);
  g.out_width =
      extent(g.in_width, g.pad_left + pad_right, g.kernel_width, g.dilation_width, g.stride_width);
  return g.out_height > 0 && g.out_width > 0;
}

}  // namespace octet::kernels::testing

// Every convolution kernel that this CPU can run against a loop written apart from all of them,
// bit for bit, with sizes around the edges of tiles.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/conv.h"
#include "kernels/conv_problem.h"

namespace octet::kernels::testing {
namespace {

/// Runs rows in two calls split at `split`, each with fresh scratch memory full of rubbish, and
/// checks that nothing beyond the output is written.
std::vector<std::uint8_t> run_conv(const Conv& conv, const Problem& problem, std::int64_t split) {
  const auto& g = problem.params.geometry;
  const std::int64_t rows = g.batch * g.out_height;
  const std::size_t bytes = count(rows * g.out_width * g.out_channels);
  std::vector<std::uint8_t> output(bytes + 2 * guard, 0xA5);
  const auto part = [&](std::int64_t first, std::int64_t last) {
    std::vector<std::byte> memory(conv.scratch_bytes(g) + 64, std::byte{0x5A});
    const auto misaligned = reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
    conv.run(g, problem.input.data(), output.data() + guard, first, last,
             memory.data() + (misaligned == 0 ? 0 : 64 - misaligned));
  };
  part(split, rows);
  part(0, split);
  for (std::size_t i = 0; i < guard; ++i) {
    EXPECT_EQ(output[i], 0xA5) << conv.name() << " wrote before its output";
    EXPECT_EQ(output[guard + bytes + i], 0xA5) << conv.name() << " wrote behind its output";
  }
  return {output.begin() + guard, output.begin() + static_cast<std::ptrdiff_t>(guard + bytes)};
}

/// Four-byte outputs of rows in two calls, guarded likewise.
template <class T>
std::vector<T> run_numbers(const Conv& conv, const Problem& problem,
                           std::optional<InputParams> input, std::int64_t split) {
  const auto& g = problem.params.geometry;
  const std::int64_t rows = g.batch * g.out_height;
  const std::size_t elements = count(rows * g.out_width * g.out_channels);
  const T rubbish = T{123};
  std::vector<T> output(elements + 2 * guard, rubbish);
  for (const auto& [first, last] : {std::pair{split, rows}, std::pair{std::int64_t{0}, split}}) {
    std::vector<std::byte> memory(conv.scratch_bytes(g) + 64, std::byte{0x5A});
    const auto misaligned = reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
    std::byte* scratch = memory.data() + (misaligned == 0 ? 0 : 64 - misaligned);
    conv.run(g, ConvCall{problem.input.data(), output.data() + guard, first, last, scratch, input});
  }
  for (std::size_t i = 0; i < guard; ++i) {
    EXPECT_EQ(output[i], rubbish) << conv.name() << " wrote before its output";
    EXPECT_EQ(output[guard + elements + i], rubbish) << conv.name() << " wrote behind its output";
  }
  return {output.begin() + guard, output.begin() + static_cast<std::ptrdiff_t>(guard + elements)};
}

/// Same bits, any NaN being as good as any other.
bool same_float(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof a) == 0;
}

/// The other two forms of output of the same problem, with the zero point fixed and given late.
void check_numbers(Problem problem, std::int64_t split) {
  auto& p = problem.params;
  p.input_scale = 0.037F;
  p.output_bias.clear();
  for (int o = 0; o < p.geometry.out_channels; ++o) {
    p.output_bias.push_back(0.25F * static_cast<float>(o % 7) - 0.6F);
  }
  if (p.geometry.out_channels % 3 == 0) p.output_bias.clear();
  const InputParams late{static_cast<std::uint8_t>(p.input_zero_point ^ 0x55), 0.4F};
  const auto sums = naive_sums(problem, p.input_zero_point);
  const auto late_sums = naive_sums(problem, late.zero_point);
  for (const auto& kernel : conv_kernels()) {
    if (!isa_available(kernel.isa) || !kernel.accepts(p)) continue;
    const std::string where = std::string(kernel.name) + " " + std::to_string(p.output_bias.size());
    p.output = ConvOutput::accumulators;
    const auto accumulators = kernel.make(p);
    p.output = ConvOutput::floats;
    const auto floats = kernel.make(p);
    for (const bool use_late : {false, true}) {
      const auto input = use_late ? std::optional(late) : std::nullopt;
      const auto& exact = use_late ? late_sums : sums;
      const float scale = use_late ? late.scale : p.input_scale;
      const auto ints = run_numbers<std::int32_t>(*accumulators, problem, input, split);
      const auto reals = run_numbers<float>(*floats, problem, input, split);
      for (std::size_t i = 0; i < exact.size(); ++i) {
        const std::size_t o = i % p.multiplier.size();
        const std::int32_t acc = wrapped(exact[i]);
        ASSERT_EQ(ints[i], acc) << where << " accumulator " << i << " late " << use_late;
        const float multiplier = scale * p.multiplier[o];
        float want = static_cast<float>(acc) * multiplier;
        if (!p.output_bias.empty()) want += p.output_bias[o];
        ASSERT_TRUE(same_float(reals[i], want))
            << where << " float " << i << " is " << reals[i] << ", not " << want;
      }
    }
  }
}

/// The same by output channels, the last part first, where the kernel takes parts.
std::vector<std::uint8_t> run_channels(const Conv& conv, const Problem& problem) {
  const auto& g = problem.params.geometry;
  const std::int64_t rows = g.batch * g.out_height;
  std::vector<std::uint8_t> output(count(rows * g.out_width * g.out_channels), 0xA5);
  const int step = conv.channel_step();
  const int parts = (g.out_channels + step - 1) / step;
  for (int part = parts - 1; part >= 0; --part) {
    std::vector<std::byte> memory(conv.scratch_bytes(g) + 64, std::byte{0x5A});
    const auto misaligned = reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
    ConvCall call;
    call.input = problem.input.data();
    call.output = output.data();
    call.last_row = rows;
    call.scratch = memory.data() + (misaligned == 0 ? 0 : 64 - misaligned);
    call.channels = {part * step, (part + 1) * step};
    conv.run(g, call);
  }
  return output;
}

/// All kernels of the table that accept the problem; returns how many ran.
int check(const Problem& problem, std::int64_t split) {
  const auto& g = problem.params.geometry;
  const auto expected = naive(problem);
  int ran = 0;
  for (const auto& kernel : conv_kernels()) {
    if (!isa_available(kernel.isa) || !kernel.accepts(problem.params)) continue;
    const auto conv = kernel.make(problem.params);
    EXPECT_EQ(conv->name(), kernel.name);
    const auto actual = run_conv(*conv, problem, split);
    ++ran;
    if (conv->channel_step() > 0) {
      EXPECT_EQ(run_channels(*conv, problem), actual) << kernel.name << " by channels";
    }
    const auto [a, e] = std::mismatch(actual.begin(), actual.end(), expected.begin());
    if (a == actual.end()) continue;
    ADD_FAILURE() << kernel.name << ": " << describe(g) << " zx "
                  << int{problem.params.input_zero_point} << " zy "
                  << int{problem.params.output_zero_point} << " [" << int{problem.params.low} << ","
                  << int{problem.params.high} << "]: code " << (a - actual.begin()) << " is "
                  << int{*a} << ", expected " << int{*e};
  }
  return ran;
}

struct Sweep {
  int problems;
  bool depthwise;
  int max_pixels, max_in, max_out;
  int max_kernel;
};

void sweep(const Sweep& s, unsigned seed) {
  Random random(seed);
  int done = 0;
  int fast = 0;
  while (done < s.problems && !::testing::Test::HasFailure()) {
    ConvGeometry g;
    g.batch = random.in(1, 2);
    g.in_height = random.in(1, s.max_pixels);
    g.in_width = random.in(1, s.max_pixels);
    g.in_channels = random.in(1, s.max_in);
    g.out_channels = s.depthwise ? g.in_channels : random.in(1, s.max_out);
    if (s.depthwise) g.groups = g.in_channels;
    g.kernel_height = std::min(random.of({1, 2, 3, 3, 5}), s.max_kernel);
    g.kernel_width =
        random.in(0, 3) > 0 ? g.kernel_height : std::min(random.in(1, 5), s.max_kernel);
    g.stride_height = random.in(1, 2);
    g.stride_width = random.in(0, 9) > 0 ? g.stride_height : random.in(1, 3);
    g.dilation_height = random.in(0, 3) == 0 ? 2 : 1;
    g.dilation_width = random.in(0, 3) == 0 ? 2 : 1;
    g.pad_top = random.in(0, g.kernel_height);
    g.pad_left = random.in(0, g.kernel_width);
    if (random.in(0, 3) == 0) g.pad_top = g.pad_left = 0;
    const bool none = g.pad_left == 0 && random.in(0, 1) == 0;
    if (!fit_outputs(g, none ? 0 : random.in(0, 2), none ? 0 : random.in(0, 2))) continue;
    const auto problem = make_problem(
        g, random, random.of({Values::random, Values::extreme}),
        random.of({Multipliers::real, Multipliers::ties, Multipliers::large, Multipliers::wild}));
    const auto rows = static_cast<int>(g.batch) * g.out_height;
    const int split = random.in(0, rows);
    fast += check(problem, split) - 1;
    check_numbers(problem, split);
    ++done;
  }
  EXPECT_EQ(done, s.problems);
  const int available = isa_available(Isa::avx2) ? s.problems : 0;
  EXPECT_GE(fast, available) << "fast kernels took no part";
}

TEST(ConvKernels, GeneralConvolutionEqualsTheNaiveLoop) {
  sweep({300, false, 13, 20, 40, 5}, 1);
  sweep({60, false, 9, 70, 130, 5}, 2);
}

TEST(ConvKernels, PointwiseEqualsTheNaiveLoop) { sweep({200, false, 9, 70, 130, 1}, 3); }

TEST(ConvKernels, DepthwiseEqualsTheNaiveLoop) {
  sweep({250, true, 13, 40, 0, 5}, 4);
  sweep({150, true, 7, 200, 0, 3}, 5);
}

TEST(ConvKernels, EveryTileWidthAndHeight) {
  Random random(6);
  for (int outputs : {1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 96, 112, 129}) {
    for (int pixels = 1; pixels <= 25; ++pixels) {
      ConvGeometry g;
      g.in_width = g.out_width = pixels;
      g.in_channels = random.in(1, 9);
      g.out_channels = outputs;
      const auto problem = make_problem(g, random, Values::random, Multipliers::ties);
      check(problem, 0);
      check_numbers(problem, 0);
      if (HasFailure()) return;
    }
  }
}

TEST(ConvKernels, GroupsEqualTheNaiveLoop) {
  Random random(7);
  for (int i = 0; i < 60 && !HasFailure(); ++i) {
    ConvGeometry g;
    g.groups = random.in(2, 5);
    g.in_channels = g.groups * random.in(1, 9);
    g.out_channels = g.groups * random.in(1, 20);
    g.in_height = g.in_width = random.in(3, 8);
    g.kernel_height = g.kernel_width = random.of({1, 3});
    g.pad_top = g.pad_left = g.kernel_width / 2;
    g.stride_height = g.stride_width = random.in(1, 2);
    if (!fit_outputs(g, g.pad_top, g.pad_left)) continue;
    const auto problem = make_problem(g, random, Values::random, Multipliers::real);
    check(problem, g.out_height / 2);
    check_numbers(problem, g.out_height / 2);
  }
}

/// Weights of which `large_in_1000` are at the ends of the range, or else whole runs of four.
void enlarge_weights(ConvParams& params, int large_in_1000, Random& random) {
  const std::size_t filter = params.weights.size() / params.bias.size();
  const bool runs = random.in(0, 2) == 0;
  const auto ends = random.of({std::pair{-128, 127}, {-128, -128}, {127, 127}});
  for (std::size_t i = 0; i < params.weights.size(); ++i) {
    const bool large = runs ? i % filter / 4 % 6 == 0 : random.in(1, 1000) <= large_in_1000;
    const int end = random.in(0, 1) == 0 ? ends.first : ends.second;
    params.weights[i] = static_cast<std::int8_t>(large ? end : random.in(-30, 30));
  }
}

/// Pairs of weights that are too large for 16-bit sums with codes of 255: none, few, many, all.
TEST(ConvKernels, SumsOfPairsDoNotSaturate) {
  Random random(13);
  for (int i = 0; i < 80 && !HasFailure(); ++i) {
    ConvGeometry g;
    g.groups = random.of({1, 1, 2});
    g.in_channels = g.groups * random.in(1, 90);
    g.out_channels = g.groups * random.in(1, 40);
    g.in_height = g.in_width = random.in(1, 9);
    g.kernel_height = g.kernel_width = random.of({1, 1, 3});
    g.pad_top = g.pad_left = g.kernel_width / 2;
    g.dilation_width = random.of({1, 1, 2});
    if (!fit_outputs(g, g.pad_top, g.pad_left)) continue;
    auto problem = make_problem(g, random, Values::extreme, Multipliers::real);
    enlarge_weights(problem.params, random.of({0, 30, 80, 150, 1000}), random);
    if (random.in(0, 1) == 0) std::fill(problem.input.begin(), problem.input.end(), 255);
    check(problem, g.out_height / 2);
    check_numbers(problem, g.out_height / 2);
  }
}

TEST(ConvKernels, PointwiseInSeveralChunks) {
  Random random(8);
  ConvGeometry g;
  g.batch = 2;
  g.in_height = g.out_height = 7;
  g.in_width = g.out_width = 11;
  g.in_channels = 3000;
  g.out_channels = 20;
  check(make_problem(g, random, Values::random, Multipliers::real), 5);
  check(make_problem(g, random, Values::extreme, Multipliers::ties), 14);
}

TEST(ConvKernels, RealLayerShapes) {
  Random random(9);
  const auto layer = [&](int size, int in, int out, int kernel, int stride, int groups) {
    ConvGeometry g;
    g.in_height = g.in_width = size;
    g.in_channels = in;
    g.out_channels = out;
    g.kernel_height = g.kernel_width = kernel;
    g.stride_height = g.stride_width = stride;
    g.pad_top = g.pad_left = kernel / 2;
    g.groups = groups;
    ASSERT_TRUE(fit_outputs(g, kernel / 2, kernel / 2));
    check(make_problem(g, random, Values::random, Multipliers::real), g.out_height / 3);
  };
  layer(32, 3, 16, 3, 1, 1);
  layer(32, 16, 16, 3, 1, 1);
  layer(32, 16, 32, 3, 2, 1);
  layer(8, 64, 64, 3, 1, 1);
  layer(35, 3, 24, 3, 2, 1);
  layer(28, 96, 96, 3, 1, 96);
  layer(28, 144, 144, 3, 2, 144);
  layer(14, 40, 40, 5, 1, 40);
  layer(23, 3, 64, 7, 2, 1);
}

/// A model loaded for one size may be run at another, and with another batch.
TEST(ConvKernels, ExtentsMayChangeBetweenCalls) {
  Random random(10);
  for (int groups : {1, 12}) {
    ConvGeometry g;
    g.in_channels = g.out_channels = 12;
    g.groups = groups;
    g.kernel_height = g.kernel_width = 3;
    g.pad_top = g.pad_left = 1;
    g.in_height = g.in_width = 5;
    ASSERT_TRUE(fit_outputs(g, 1, 1));
    auto problem = make_problem(g, random, Values::random, Multipliers::real);
    for (const auto& kernel : conv_kernels()) {
      if (!isa_available(kernel.isa) || !kernel.accepts(problem.params)) continue;
      const auto conv = kernel.make(problem.params);
      auto other = problem;
      auto& h = other.params.geometry;
      h.batch = 3;
      h.in_height = 9;
      h.in_width = 17;
      ASSERT_TRUE(fit_outputs(h, 1, 1));
      other.input.resize(count(h.batch * h.in_height * h.in_width * h.in_channels) + guard);
      for (auto& x : other.input) x = static_cast<std::uint8_t>(random.in(0, 255));
      EXPECT_EQ(run_conv(*conv, other, 4), naive(other)) << kernel.name;
      EXPECT_EQ(run_conv(*conv, problem, 1), naive(problem)) << kernel.name;
    }
  }
}

constexpr std::string_view winograd = "u8s8_conv3x3_perchannel_onnx_winograd2x2__avx2";

bool takes(std::string_view name, const ConvParams& params) {
  return std::ranges::any_of(conv_kernels(), [&](const ConvKernel& kernel) {
    return kernel.name == name && kernel.accepts(params);
  });
}

/// Both extents even and odd, groups of tiles that begin and end within rows, rows that begin with
/// the second of a tile, channels that are no whole registers.
TEST(ConvKernels, WinogradEqualsTheNaiveLoop) {
  if (!isa_available(Isa::avx2)) GTEST_SKIP();
  Random random(13);
  int taken = 0;
  for (int i = 0; i < 120 && !HasFailure(); ++i) {
    ConvGeometry g;
    g.batch = random.in(1, 3);
    g.in_height = random.in(1, 9);
    g.in_width = random.in(1, 13);
    g.in_channels = random.in(8, 40);
    g.out_channels = random.of({8, 15, 16, 24, 31, 32, 33});
    if (random.in(0, 9) == 0) {
      g.in_channels = random.in(41, 80);
      g.out_channels = random.in(34, 80);
    }
    g.kernel_height = g.kernel_width = 3;
    g.pad_top = random.in(0, 2);
    g.pad_left = random.in(0, 2);
    if (!fit_outputs(g, random.in(0, 2), random.in(0, 2))) continue;
    const auto problem = make_problem(
        g, random, random.of({Values::random, Values::extreme}),
        random.of({Multipliers::real, Multipliers::ties, Multipliers::large, Multipliers::wild}));
    taken += takes(winograd, problem.params) ? 1 : 0;
    const int split = random.in(0, static_cast<int>(g.batch) * g.out_height);
    check(problem, split);
    check_numbers(problem, split);
  }
  EXPECT_GT(taken, 50);
}

TEST(ConvKernels, WinogradInSeveralChunks) {
  if (!isa_available(Isa::avx2)) GTEST_SKIP();
  Random random(14);
  ConvGeometry g;
  g.batch = 2;
  g.in_height = 5;
  g.in_width = 37;
  g.in_channels = 130;
  g.out_channels = 17;
  g.kernel_height = g.kernel_width = 3;
  g.pad_top = g.pad_left = 1;
  ASSERT_TRUE(fit_outputs(g, 1, 1));
  const auto problem = make_problem(g, random, Values::extreme, Multipliers::large);
  ASSERT_TRUE(takes(winograd, problem.params));
  check(problem, 5);
  check_numbers(problem, 8);
}

/// Four times a sum of products must fit 32 bits: 255 * 128 * 9 * 1827 < 2^29, not with 1828.
TEST(ConvKernels, WinogradIsLeftOutWhereSumsCouldOverflow) {
  if (!isa_available(Isa::avx2)) GTEST_SKIP();
  Random random(15);
  for (const int inputs : {1827, 1828}) {
    for (const int weight : {-128, 127}) {
      ConvGeometry g;
      g.in_height = g.in_width = 6;
      g.in_channels = inputs;
      g.out_channels = 16;
      g.kernel_height = g.kernel_width = 3;
      ASSERT_TRUE(fit_outputs(g, 0, 0));
      auto problem = make_problem(g, random, Values::random, Multipliers::real);
      for (auto& w : problem.params.weights) w = static_cast<std::int8_t>(random.of({-1, 0, 1}));
      const auto filter = problem.params.weights.end() - 9 * inputs;
      std::fill(filter, problem.params.weights.end(), static_cast<std::int8_t>(weight));
      EXPECT_EQ(takes(winograd, problem.params), inputs == 1827 || weight == 127);
      std::fill(problem.input.begin(), problem.input.end(), 255);
      problem.params.output = ConvOutput::accumulators;
      const auto conv = make_conv(problem.params, Isa::avx2);
      EXPECT_EQ(conv->name() == winograd, inputs == 1827 || weight == 127);
      const auto sums = naive_sums(problem, problem.params.input_zero_point);
      const auto ints = run_numbers<std::int32_t>(*conv, problem, {}, 3);
      for (std::size_t i = 0; i < sums.size(); ++i) ASSERT_EQ(ints[i], wrapped(sums[i]));
    }
  }
}

TEST(ConvKernels, MalformedParametersAreLeftToTheReference) {
  Random random(11);
  ConvGeometry g;
  g.in_channels = g.out_channels = 4;
  const auto good = make_problem(g, random, Values::random, Multipliers::real).params;
  auto negative_pad = good;
  negative_pad.geometry.pad_left = -1;
  auto short_weights = good;
  short_weights.weights.pop_back();
  auto empty_range = good;
  empty_range.low = 200;
  empty_range.high = 100;
  for (const auto& kernel : conv_kernels()) {
    if (kernel.isa == Isa::reference) continue;
    for (const auto& bad : {negative_pad, short_weights, empty_range}) {
      EXPECT_FALSE(kernel.accepts(bad)) << kernel.name;
    }
  }
}

TEST(ConvKernels, MatrixKernelsTakePartsOfTheirChannels) {
  Random random(12);
  ConvGeometry g;
  g.in_width = g.out_width = 5;
  g.in_channels = 64;
  g.out_channels = 150;
  const auto problem = make_problem(g, random, Values::random, Multipliers::real);
  for (const auto& kernel : conv_kernels()) {
    if (kernel.isa == Isa::reference || !isa_available(kernel.isa)) continue;
    if (!kernel.accepts(problem.params)) continue;
    const int step = kernel.make(problem.params)->channel_step();
    EXPECT_GT(step, 0) << kernel.name;
    EXPECT_LE(step, 64) << kernel.name;
  }
}

TEST(ConvKernels, TheTableStartsWithTheFastestAndEndsWithTheReference) {
  const auto kernels = conv_kernels();
  ASSERT_FALSE(kernels.empty());
  EXPECT_EQ(kernels.back().isa, Isa::reference);
  EXPECT_TRUE(std::is_sorted(kernels.begin(), kernels.end(),
                             [](const auto& a, const auto& b) { return a.isa > b.isa; }));
}

}  // namespace
}  // namespace octet::kernels::testing

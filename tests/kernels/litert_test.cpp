// Requantization by rules tflite and xnnpack: vector forms against the scalar formulas, bit for
// bit.

#include "kernels/litert.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace octet::kernels {
namespace {

using octet::litert::LayerForm;
using octet::litert::Product;
using octet::litert::Scaling;

/// Accumulators of one channel that land on and next to ties, and the largest there are.
std::vector<std::int32_t> accumulators(double factor, std::mt19937& random) {
  std::vector<std::int32_t> values = {0, 1, -1, INT32_MAX, INT32_MIN, INT32_MIN + 1};
  for (int half = -300; half <= 300; ++half) {
    const double at = half / 2.0 / factor;
    if (std::abs(at) > 2e9) continue;
    for (const int step : {-1, 0, 1}) values.push_back(static_cast<std::int32_t>(at) + step);
  }
  std::uniform_int_distribution<std::int32_t> any(INT32_MIN, INT32_MAX);
  while (values.size() < 2000) values.push_back(any(random));
  return values;
}

void check(const LayerForm& form, const std::vector<float>& scales, Isa isa) {
  constexpr float input_scale = 0.037F;
  constexpr float output_scale = 0.05F;
  std::mt19937 random(7);
  auto params = litert::make_requantization(form, input_scale, scales, output_scale);
  params.zero_point = 101;
  params.low = 3;
  params.high = 250;
  const std::size_t channels = scales.size();
  constexpr std::size_t rows = 2000;
  std::vector<std::int32_t> sums(rows * channels);
  std::vector<octet::litert::Channel> factors;
  for (std::size_t c = 0; c < channels; ++c) {
    factors.push_back(octet::litert::channel(form.product, input_scale, scales[c], output_scale));
    const auto values = accumulators(factors[c].real, random);
    for (std::size_t r = 0; r < rows; ++r) sums[r * channels + c] = values[r];
  }
  std::vector<std::uint8_t> codes(sums.size() + 1, 77);
  litert::requantize(params, sums.data(), codes.data(), rows, isa);
  EXPECT_EQ(codes.back(), 77) << "written beyond the end";
  for (std::size_t i = 0; i < sums.size(); ++i) {
    ASSERT_EQ(codes[i], octet::litert::requantize(form.scaling, factors[i % channels], sums[i],
                                                  params.zero_point, params.low, params.high))
        << name(isa) << " scaling " << static_cast<int>(form.scaling) << " channels " << channels
        << " accumulator " << sums[i];
  }
}

TEST(LitertKernels, RequantizationEqualsTheFormula) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> exponent(-36, 6);
  for (const auto isa : all_isas) {
    if (!isa_available(isa)) continue;
    for (const auto scaling :
         {Scaling::floating, Scaling::twice_rounded, Scaling::rounded_up, Scaling::real}) {
      for (const std::size_t channels : {1U, 3U, 8U, 16U, 37U}) {
        std::vector<float> scales = {0.25F, 0.0011F};
        while (scales.size() < channels) scales.push_back(std::exp2(exponent(random)));
        scales.resize(channels);
        check({scaling, Product::exact}, scales, isa);
        check({scaling, Product::rounded}, scales, isa);
      }
    }
  }
}

TEST(LitertKernels, AccumulatorsAddModulo2To32) {
  const std::vector<std::int32_t> addend = {1, INT32_MAX, -5};
  std::vector<std::int32_t> sum = {2, 1, INT32_MIN};
  litert::add_accumulators(addend.data(), sum.data(), 3);
  EXPECT_EQ(sum, (std::vector<std::int32_t>{3, INT32_MIN, INT32_MAX - 4}));
}

TEST(LitertKernels, APartOfTheRowsGoesToTheirOwnBuffer) {
  ConvParams params;
  params.geometry.in_height = params.geometry.out_height = 5;
  params.geometry.in_width = params.geometry.out_width = 7;
  params.geometry.in_channels = 8;
  params.geometry.out_channels = 8;
  params.output = ConvOutput::accumulators;
  params.bias.assign(8, 11);
  for (const int groups : {1, 8}) {
    for (const int kernel : {1, 3}) {
      ConvGeometry& g = params.geometry;
      g.groups = groups;
      g.kernel_height = g.kernel_width = kernel;
      g.pad_top = g.pad_left = kernel / 2;
      params.weights.resize(static_cast<std::size_t>(8 * kernel * kernel * 8 / groups));
      for (std::size_t i = 0; i < params.weights.size(); ++i) {
        params.weights[i] = static_cast<std::int8_t>(i * 37 % 255 - 127);
      }
      std::vector<std::uint8_t> input(5 * 7 * 8 + 64);
      for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::uint8_t>(i * 91);
      for (const auto isa : all_isas) {
        if (!isa_available(isa)) continue;
        const auto conv = make_conv(params, isa);
        std::vector<std::byte> memory(conv->scratch_bytes(g) + 64);
        auto* scratch = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64);
        std::vector<std::int32_t> whole(5 * 7 * 8), part(2 * 7 * 8);
        conv->run(g, input.data(), whole.data(), 0, 5, scratch);
        ConvCall call{input.data(), part.data(), 2, 4, scratch, {}};
        call.output_row = 2;
        conv->run(g, call);
        EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 2 * 7 * 8))
            << conv->name() << " groups " << groups << " kernel " << kernel;
      }
    }
  }
}

}  // namespace
}  // namespace octet::kernels

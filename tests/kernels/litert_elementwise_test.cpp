// Elementwise kernels of rules tflite and xnnpack against the formulas of src/arithmetic, bit for
// bit.

#include "kernels/litert_elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "arithmetic/litert_unary.h"
#include "kernels/x86/x86_litert_elementwise.h"

namespace octet::kernels {
namespace {

constexpr Rule both_rules[] = {Rule::tflite, Rule::xnnpack};

BinaryParams random_params(BinaryOp op, Rule rule, std::mt19937& random) {
  std::uniform_real_distribution<float> exponent(-6, 1);
  std::uniform_int_distribution<int> code(0, 255);
  const auto made = [&] {
    return CodeParams{std::exp2(exponent(random)), static_cast<std::uint8_t>(code(random)), 0, 255,
                      rule};
  };
  BinaryParams p{op, made(), made(), made()};
  if (op == BinaryOp::multiply || op == BinaryOp::squared_difference) {
    p.output.scale = p.a.scale * p.b.scale * 40;
  }
  // Results land on ties.
  if (code(random) % 2 == 0) p.a.scale = p.output.scale * 0.75F;
  p.output.low = static_cast<std::uint8_t>(code(random) / 2);
  p.output.high = 250;
  return p;
}

std::vector<std::uint8_t> random_codes(std::size_t count, std::mt19937& random) {
  std::vector<std::uint8_t> codes(count);
  for (auto& code : codes) code = static_cast<std::uint8_t>(random());
  return codes;
}

TEST(LitertElementwise, RowsEqualTheFormula) {
  std::mt19937 random(5);
  for (const auto op : {BinaryOp::add, BinaryOp::subtract, BinaryOp::multiply,
                        BinaryOp::squared_difference, BinaryOp::prelu}) {
    for (const auto rule : both_rules) {
      for (int round = 0; round < 40; ++round) {
        const auto params = random_params(op, rule, random);
        // Dense, one repeated, both spread out.
        const std::int64_t a_step = round % 4 == 1 ? 0 : round % 4 == 3 ? 2 : 1;
        const std::int64_t b_step = round % 4 == 2 ? 0 : round % 4 == 3 ? 3 : 1;
        BinaryGeometry g;
        g.extent = {1, 1, 3, 700 + round};
        g.a_stride = {0, 0, 5, a_step};
        g.b_stride = {0, 0, 9, b_step};
        const auto a = random_codes(3000, random);
        const auto b = random_codes(3000, random);
        const auto columns = static_cast<std::size_t>(g.extent[3]);
        std::vector<std::uint8_t> output(3 * columns + 1, 77);
        binary(params, g, a.data(), b.data(), output.data(), 0, 3);
        EXPECT_EQ(output.back(), 77) << "written beyond the end";
        const auto formula =
            octet::litert::binary(rule, litert::operation(op), litert::affine(params.a),
                                  litert::affine(params.b), litert::affine(params.output));
        for (std::size_t i = 0; i + 1 < output.size(); ++i) {
          const std::size_t row = i / columns;
          const std::size_t column = i % columns;
          const auto x = a[row * 5 + column * static_cast<std::size_t>(a_step)];
          const auto y = b[row * 9 + column * static_cast<std::size_t>(b_step)];
          ASSERT_EQ(output[i], litert::code(formula, x, y, params.output.low, params.output.high))
              << "op " << static_cast<int>(op) << " rule " << name(rule) << " round " << round;
        }
      }
    }
  }
}

TEST(LitertElementwise, QuantizeEqualsTheFormula) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto rule : both_rules) {
    for (auto p : {CodeParams{0.5F, 128}, CodeParams{0.1F, 0, 0, 255}, CodeParams{0.037F, 255, 10},
                   CodeParams{1e-12F, 100}, CodeParams{3e5F, 77, 77, 78}}) {
      p.rule = rule;
      std::vector<float> values = {0.0F, -0.0F, 1e38F, infinity, -infinity, std::nanf("")};
      for (int half = -600; half <= 600; ++half) {
        const float tie = static_cast<float>(half) * 0.5F * p.scale;
        for (const float x : {tie, std::nextafter(tie, 1e38F), std::nextafter(tie, -1e38F)}) {
          values.push_back(x);
        }
      }
      std::vector<std::uint8_t> codes(values.size());
      quantize_codes(p, values.data(), codes.data(), static_cast<std::int64_t>(values.size()));
      for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(codes[i],
                  octet::litert::quantize(rule, values[i], litert::affine(p), p.low, p.high))
            << values[i] << " at scale " << p.scale << " rule " << name(rule);
      }
    }
  }
}

}  // namespace
}  // namespace octet::kernels

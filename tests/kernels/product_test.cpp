// Products of two activations on every instruction set against a loop of their own; ranges; binary
// operators with one repeated operand.

#include "kernels/product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/elementwise.h"

namespace octet::kernels {
namespace {

constexpr std::size_t guard = 64;

struct Problem {
  ProductShape shape;
  ProductParams params;
  std::vector<std::uint8_t> a, b;
};

std::vector<std::uint8_t> random_codes(std::mt19937& random, std::int64_t count, bool extreme) {
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(count) + guard);
  for (auto& code : codes) {
    code = static_cast<std::uint8_t>(extreme ? (random() % 2) * 255 : random() % 256);
  }
  return codes;
}

Problem make_problem(std::mt19937& random, ProductShape shape, bool extreme) {
  Problem problem;
  problem.shape = shape;
  problem.a = random_codes(random, shape.rows * shape.depth, extreme);
  problem.b = random_codes(random, shape.depth * shape.columns, extreme);
  constexpr std::uint8_t zeros[] = {0, 1, 127, 128, 129, 255};
  problem.params.a_zero_point = zeros[random() % 6];
  problem.params.b_zero_point = zeros[random() % 6];
  problem.params.output_zero_point = static_cast<std::uint8_t>(random() % 256);
  problem.params.multiplier =
      random() % 4 == 0
          ? 0x1p-7F
          : 1.0F / (90.0F * std::sqrt(static_cast<float>(std::max<std::int64_t>(shape.depth, 1))));
  if (random() % 3 == 0) problem.params.low = 40;
  if (random() % 3 == 0) problem.params.high = 200;
  return problem;
}

std::vector<std::int32_t> exact(const Problem& p) {
  std::vector<std::int32_t> sums;
  for (std::int64_t m = 0; m < p.shape.rows; ++m) {
    for (std::int64_t n = 0; n < p.shape.columns; ++n) {
      std::int64_t sum = 0;
      for (std::int64_t k = 0; k < p.shape.depth; ++k) {
        const auto a = p.a[static_cast<std::size_t>(m * p.shape.depth + k)];
        const auto b = p.b[static_cast<std::size_t>(k * p.shape.columns + n)];
        sum += std::int64_t{a - p.params.a_zero_point} * (b - p.params.b_zero_point);
      }
      sums.push_back(static_cast<std::int32_t>(sum));
    }
  }
  return sums;
}

template <class T>
std::vector<T> run(const Problem& p, Isa isa) {
  const auto count = static_cast<std::size_t>(p.shape.rows * p.shape.columns);
  std::vector<T> output(count + 2 * guard, T{77});
  std::vector<std::byte> memory(product_scratch_bytes(p.shape, isa) + 64, std::byte{0x5A});
  const auto misaligned = reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
  product(p.params, p.shape, p.a.data(), p.b.data(), output.data() + guard,
          memory.data() + (64 - misaligned) % 64, isa);
  for (std::size_t i = 0; i < guard; ++i) {
    EXPECT_EQ(output[i], T{77});
    EXPECT_EQ(output[guard + count + i], T{77});
  }
  return {output.begin() + guard, output.end() - guard};
}

std::uint8_t code_of(const ProductParams& p, std::int32_t sum) {
  const double y = static_cast<double>(static_cast<float>(sum) * p.multiplier);
  double rounded = std::floor(y);
  if (y - rounded > 0.5 || (y - rounded == 0.5 && std::fmod(rounded, 2.0) != 0)) rounded += 1;
  const double code = rounded + p.output_zero_point;
  return static_cast<std::uint8_t>(std::min<double>(std::max<double>(code, p.low), p.high));
}

void check(Problem problem, Isa isa) {
  const auto sums = exact(problem);
  problem.params.output = ConvOutput::accumulators;
  const auto where =
      std::string(product_kernel_name(isa)) + " " + std::to_string(problem.shape.rows) + "x" +
      std::to_string(problem.shape.depth) + "x" + std::to_string(problem.shape.columns);
  ASSERT_EQ(run<std::int32_t>(problem, isa), sums) << where;
  problem.params.output = ConvOutput::codes;
  const auto codes = run<std::uint8_t>(problem, isa);
  problem.params.output = ConvOutput::floats;
  const auto floats = run<float>(problem, isa);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    ASSERT_EQ(codes[i], code_of(problem.params, sums[i])) << where << " code " << i;
    ASSERT_EQ(floats[i], static_cast<float>(sums[i]) * problem.params.multiplier) << where;
  }
}

TEST(Product, EveryIsaEqualsTheNaiveLoop) {
  std::mt19937 random(3);
  const auto extent = [&](unsigned most) { return static_cast<std::int64_t>(random() % most) + 1; };
  for (const auto isa : all_isas) {
    if (!isa_available(isa)) continue;
    for (int i = 0; i < 150 && !HasFailure(); ++i) {
      const ProductShape shape{extent(20), extent(i % 3 == 0 ? 9 : 150), extent(140)};
      check(make_problem(random, shape, i % 4 == 0), isa);
    }
    check(make_problem(random, {3, 0, 5}, false), isa);
  }
}

TEST(Range, PassesOverNaN) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  std::mt19937 random(4);
  for (const std::int64_t count : {0, 1, 7, 31, 32, 33, 64, 100, 257}) {
    std::vector<float> values(static_cast<std::size_t>(count));
    float low = 0;
    float high = 0;
    bool any = false;
    for (auto& x : values) {
      x = static_cast<float>(random() % 2001) - 700.0F;
      if (random() % 5 == 0) {
        x = nan;
        continue;
      }
      low = any ? std::min(low, x) : x;
      high = any ? std::max(high, x) : x;
      any = true;
    }
    const Range range = value_range(values.data(), count);
    EXPECT_EQ(range.minimum, low) << count;
    EXPECT_EQ(range.maximum, high) << count;
  }
  const std::vector<float> none(40, nan);
  EXPECT_EQ(value_range(none.data(), 40).minimum, 0);
  EXPECT_EQ(value_range(none.data(), 40).maximum, 0);
}

TEST(Binary, ARepeatedOperandEqualsItsCopies) {
  std::mt19937 random(5);
  for (const auto op : {BinaryOp::add, BinaryOp::subtract, BinaryOp::multiply, BinaryOp::divide}) {
    for (const std::int64_t count : {1, 9, 255, 256, 300, 1000}) {
      const auto many = random_codes(random, count, false);
      const BinaryParams params{op, {0.03F, 100}, {0.07F, 131}, {0.05F, 90, 5, 250}};
      const auto one = static_cast<std::uint8_t>(random() % 256);
      const std::vector<std::uint8_t> copies(static_cast<std::size_t>(count), one);
      for (const bool first : {false, true}) {
        BinaryGeometry g;
        g.extent = {1, 1, 1, count};
        g.a_stride[3] = g.b_stride[3] = 1;
        std::vector<std::uint8_t> want(static_cast<std::size_t>(count));
        binary(params, g, first ? copies.data() : many.data(), first ? many.data() : copies.data(),
               want.data(), 0, 1);
        (first ? g.a_stride[3] : g.b_stride[3]) = 0;
        std::vector<std::uint8_t> got(static_cast<std::size_t>(count));
        binary(params, g, first ? &one : many.data(), first ? many.data() : &one, got.data(), 0, 1);
        EXPECT_EQ(got, want) << static_cast<int>(op) << " " << count;
      }
    }
  }
}

TEST(Binary, DividesAsTheSpecificationDoes) {
  const BinaryParams params{BinaryOp::divide, {0.03F, 100}, {0.07F, 131}, {0.05F, 90, 5, 250}};
  BinaryGeometry g;
  g.extent = {1, 1, 1, 256};
  g.a_stride[3] = g.b_stride[3] = 1;
  std::vector<std::uint8_t> a(256), b(256), got(256);
  for (int i = 0; i < 256; ++i) {
    for (int j = 0; j < 256; ++j) {
      a[static_cast<std::size_t>(j)] = static_cast<std::uint8_t>(i);
      b[static_cast<std::size_t>(j)] = static_cast<std::uint8_t>(j);
    }
    binary(params, g, a.data(), b.data(), got.data(), 0, 1);
    for (int j = 0; j < 256; ++j) {
      const float x = 0.03F * static_cast<float>(i - 100);
      const float y = 0.07F * static_cast<float>(j - 131);
      const float quotient = (x / y) / 0.05F;
      int want = 5;
      if (!std::isnan(quotient)) {
        const float limited = std::fmin(std::fmax(quotient, -1000.0F), 1000.0F);
        want = static_cast<int>(std::nearbyint(static_cast<double>(limited))) + 90;
        want = std::min(std::max(want, 5), 250);
      }
      ASSERT_EQ(int{got[static_cast<std::size_t>(j)]}, want) << i << " / " << j;
    }
  }
}

}  // namespace
}  // namespace octet::kernels

// The vector elementwise kernels against the scalar formulas of src/arithmetic, bit for bit.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "arithmetic/quantize.h"
#include "arithmetic/requantize.h"
#include "kernels/x86/x86_elementwise.h"

#if defined(__x86_64__)

namespace octet::kernels {
namespace {

class X86Elementwise : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam())) GTEST_SKIP() << "this CPU has no " << name(GetParam());
    kernels_ = x86_elementwise_kernels(GetParam());
    ASSERT_NE(kernels_, nullptr);
  }
  const ElementwiseKernels* kernels_ = nullptr;
};

const std::vector<CodeParams>& code_params() {
  static const std::vector<CodeParams> all = {{0.5F, 128, 0, 255},    {0.1F, 0, 0, 255},
                                              {0.037F, 255, 10, 240}, {1.0F, 3, 3, 255},
                                              {1e-12F, 100, 0, 255},  {3e5F, 77, 77, 78}};
  return all;
}

/// Ties, their neighbours, the ends of the code range and what is not a number.
std::vector<float> values_for(const CodeParams& p) {
  std::vector<float> values;
  for (int q = -300; q <= 300; ++q) {
    const float tie = (static_cast<float>(q) + 0.5F) * p.scale;
    for (const float x : {static_cast<float>(q) * p.scale, tie, std::nextafter(tie, 1e38F),
                          std::nextafter(tie, -1e38F)}) {
      values.push_back(x);
    }
  }
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float x : {0.0F, -0.0F, 1e38F, -1e38F, infinity, -infinity, std::nanf(""),
                        -std::nanf(""), 1e-42F, -1e-42F, 3e9F, -3e9F}) {
    values.insert(values.end(), 5, x);
  }
  std::mt19937 random(5);
  for (int i = 0; i < 4000; ++i)
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
  return values;
}

TEST_P(X86Elementwise, QuantizeEqualsTheScalarFormula) {
  for (const auto& p : code_params()) {
    const auto values = values_for(p);
    std::vector<std::uint8_t> codes(values.size());
    kernels_->quantize(p, values.data(), codes.data(), static_cast<std::int64_t>(values.size()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(codes[i], quantize_value(values[i], p.scale, p.zero_point, p.low, p.high))
          << values[i] << " at scale " << p.scale;
    }
  }
}

TEST_P(X86Elementwise, DequantizeEqualsTheScalarFormula) {
  std::vector<std::uint8_t> codes(256);
  for (std::size_t i = 0; i < 256; ++i) codes[i] = static_cast<std::uint8_t>(i);
  for (const auto& p : code_params()) {
    for (const std::size_t count : {256U, 255U, 7U, 1U, 0U}) {
      std::vector<float> values(257, -1.0F);
      kernels_->dequantize(p, codes.data(), values.data(), static_cast<std::int64_t>(count));
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(values[i], dequantize_value(codes[i], p.scale, p.zero_point));
      }
      EXPECT_EQ(values[count], -1.0F) << "wrote behind the output";
    }
  }
}

std::int32_t binary_code(const BinaryParams& p, std::int32_t a, std::int32_t b) {
  const auto& c = p.output;
  if (p.op == BinaryOp::add) {
    const OnnxAdd add =
        onnx_add(p.a.scale, p.a.zero_point, p.b.scale, p.b.zero_point, c.scale, c.zero_point);
    return add_onnx(add, a, b, c.low, c.high);
  }
  const float x = dequantize_value(a, p.a.scale, p.a.zero_point);
  const float y = dequantize_value(b, p.b.scale, p.b.zero_point);
  const float z = p.op == BinaryOp::subtract ? x - y : x * y;
  return quantize_value(z, c.scale, c.zero_point, c.low, c.high);
}

TEST_P(X86Elementwise, BinaryEqualsTheScalarFormulaForAllPairs) {
  std::vector<std::uint8_t> a, b;
  for (int i = 0; i < 65536; ++i) {
    a.push_back(static_cast<std::uint8_t>(i));
    b.push_back(static_cast<std::uint8_t>(i >> 8));
  }
  for (const auto op : {BinaryOp::add, BinaryOp::subtract, BinaryOp::multiply}) {
    for (const float scale : {0.5F, 0.043F, 0.11F}) {
      const BinaryParams p{op, {0.5F, 128, 0, 255}, {scale, 9, 0, 255}, {1.0F, 120, 5, 250}};
      std::vector<std::uint8_t> output(a.size());
      kernels_->binary_row(p, a.data(), b.data(), output.data(), 65536);
      for (std::size_t i = 0; i < a.size(); ++i) {
        ASSERT_EQ(output[i], binary_code(p, a[i], b[i]))
            << static_cast<int>(a[i]) << " and " << static_cast<int>(b[i]) << " at scale " << scale;
      }
    }
  }
}

TEST_P(X86Elementwise, BinaryOfAnyLengthWritesNothingElse) {
  const BinaryParams p{BinaryOp::add, {0.5F, 128, 0, 255}, {0.25F, 9, 0, 255}, {1.0F, 120, 0, 255}};
  std::vector<std::uint8_t> a(40, 200), b(40, 50);
  std::vector<std::uint8_t> whole(40);
  kernels_->binary_row(p, a.data(), b.data(), whole.data(), 40);
  for (std::size_t count = 0; count < 40; ++count) {
    std::vector<std::uint8_t> output(41, 1);
    kernels_->binary_row(p, a.data(), b.data(), output.data(), static_cast<std::int64_t>(count));
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(output[i], whole[i]);
    EXPECT_EQ(output[count], 1);
  }
}

TEST_P(X86Elementwise, AddOfWhatNoCodeHolds) {
  std::vector<std::uint8_t> a, b;
  for (int i = 0; i < 256; ++i) {
    a.push_back(static_cast<std::uint8_t>(i));
    b.push_back(static_cast<std::uint8_t>(255 - 3 * i));
  }
  // Ratios of 1e9 pass the range of int32, those of 1e38 become infinite and infinity less
  // infinity is NaN.
  for (const float scale : {1e-9F, 1e-38F, 1e-44F, 1e30F}) {
    for (const std::uint8_t low : {std::uint8_t{0}, std::uint8_t{40}}) {
      const BinaryParams p{
          BinaryOp::add, {1.0F, 128, 0, 255}, {2.0F, 9, 0, 255}, {scale, 120, low, 250}};
      std::vector<std::uint8_t> output(a.size());
      kernels_->binary_row(p, a.data(), b.data(), output.data(), 256);
      for (std::size_t i = 0; i < a.size(); ++i) {
        ASSERT_EQ(output[i], binary_code(p, a[i], b[i])) << i << " at scale " << scale;
      }
    }
  }
}

TEST_P(X86Elementwise, LookupTakesFromTheTable) {
  if (kernels_->lookup == nullptr) GTEST_SKIP() << "the plain loop is used";
  LookupTable table{};
  for (std::size_t i = 0; i < 256; ++i) table[i] = static_cast<std::uint8_t>(37 * i + 11);
  std::vector<std::uint8_t> codes(700);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(5 * i);
  for (const std::size_t count : {0U, 1U, 63U, 64U, 65U, 700U}) {
    std::vector<std::uint8_t> output(701, 9);
    kernels_->lookup(table, codes.data(), output.data(), static_cast<std::int64_t>(count));
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(output[i], table[codes[i]]) << i;
    EXPECT_EQ(output[count], 9);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, X86Elementwise, ::testing::Values(Isa::avx2, Isa::avx512vnni),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST(X86ElementwiseChoice, TheReferenceIsKeptWhenAskedFor) {
  EXPECT_EQ(x86_elementwise_kernels(Isa::reference), nullptr);
}

}  // namespace
}  // namespace octet::kernels

#endif

// The quantized operators against exact sums and the arithmetic written out.

#include "engine/float_outputs.h"

namespace octet::testing {
namespace {

template <class T>
Tensor codes(Shape shape, unsigned seed) {
  Tensor tensor(DTypeOf<T>::value, std::move(shape));
  std::mt19937 generator(seed);
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    tensor.mutable_data<T>()[i] = static_cast<T>(generator());
  }
  return tensor;
}

std::int64_t code_at(const Tensor& t, std::int64_t i) {
  return to_int64(t).value()[static_cast<std::size_t>(i)];
}

std::int64_t clamp_round(double x, std::int64_t zero_point, std::int64_t low, std::int64_t high) {
  return std::clamp<std::int64_t>(std::llrint(x) + zero_point, low, high);
}

TEST(FloatInteger, DynamicQuantization) {
  for (const auto& [low, high] : {std::pair{-1.5F, 3.0F}, {0.5F, 2.0F}, {-4.0F, -1.0F}}) {
    const Tensor x = random_tensor({3, 17}, 1, low, high);
    const auto all = evaluate_all("DynamicQuantizeLinear", {x}, 3);
    OCTET_ASSERT_OK(all);
    float smallest = 0, largest = 0;
    for (const float v : x.values<float>()) {
      smallest = std::min(smallest, v);
      largest = std::max(largest, v);
    }
    const float scale = (largest - smallest) / 255;
    const auto zero = clamp_round(static_cast<double>(-smallest / scale), 0, 0, 255);
    EXPECT_EQ(all->at(1).data<float>()[0], scale);
    EXPECT_EQ(all->at(2).data<std::uint8_t>()[0], zero);
    for (std::int64_t i = 0; i < x.size(); ++i) {
      const float ratio = x.data<float>()[i] / scale;
      EXPECT_EQ(all->at(0).data<std::uint8_t>()[i],
                clamp_round(static_cast<double>(ratio), zero, 0, 255));
    }
  }
  const auto zeros = evaluate_all("DynamicQuantizeLinear", {Tensor::zeros(DType::f32, {2})}, 3);
  OCTET_ASSERT_OK(zeros);
  EXPECT_EQ(zeros->at(0).data<std::uint8_t>()[1], 0);
}

/// Zero points by row of A and by column of B.
std::int64_t product_at(const Tensor& a, const Tensor& az, const Tensor& b, const Tensor& bz,
                        std::int64_t row, std::int64_t column) {
  std::int64_t sum = 0;
  for (std::int64_t k = 0; k < a.dim(1); ++k) {
    sum += (code_at(a, row * a.dim(1) + k) - code_at(az, az.size() == 1 ? 0 : row)) *
           (code_at(b, k * b.dim(1) + column) - code_at(bz, bz.size() == 1 ? 0 : column));
  }
  return sum;
}

TEST(FloatInteger, MatMulInteger) {
  const Tensor a = codes<std::uint8_t>({3, 40}, 1);
  const Tensor b = codes<std::int8_t>({40, 5}, 2);
  for (const bool each : {false, true}) {
    const Tensor az = codes<std::uint8_t>(each ? Shape{3} : Shape{}, 3);
    const Tensor bz = codes<std::int8_t>(each ? Shape{5} : Shape{1}, 4);
    const auto y = evaluate("MatMulInteger", {a, b, az, bz});
    OCTET_ASSERT_OK(y);
    ASSERT_EQ(y->dtype(), DType::i32);
    ASSERT_EQ(y->shape(), (Shape{3, 5}));
    for (std::int64_t i = 0; i < y->size(); ++i) {
      EXPECT_EQ(code_at(*y, i), product_at(a, az, b, bz, i / 5, i % 5));
    }
  }
  const auto stacked =
      evaluate("MatMulInteger", {a.reshaped({3, 1, 2, 20}), b.reshaped({2, 20, 5})});
  OCTET_ASSERT_OK(stacked);
  EXPECT_EQ(stacked->shape(), (Shape{3, 2, 2, 5}));
  EXPECT_FALSE(evaluate("MatMulInteger", {a, a}));
  EXPECT_FALSE(evaluate("MatMulInteger", {a, b, codes<std::uint8_t>({2}, 3)}));
  EXPECT_FALSE(evaluate("MatMulInteger", {a, b, codes<std::int8_t>({}, 3)}));
  EXPECT_FALSE(evaluate("MatMulInteger", {random_tensor({3, 40}, 1), b}));
}

TEST(FloatInteger, QLinearMatMul) {
  const Tensor a = codes<std::int8_t>({3, 40}, 1);
  const Tensor b = codes<std::int8_t>({40, 5}, 2);
  const Tensor az = Tensor::from<std::int8_t>({3}, {});
  const Tensor bz = Tensor::from<std::int8_t>({-5, 0, 1, 2, 3}, {5});
  const Tensor a_scale = Tensor::from<float>({0.02F}, {});
  const Tensor b_scale = Tensor::from<float>({0.01F, 0.02F, 0.03F, 0.04F, 0.05F}, {5});
  const Tensor y_scale = Tensor::from<float>({0.5F}, {});
  const Tensor yz = Tensor::from<std::int8_t>({-7}, {});
  const auto y = evaluate("QLinearMatMul", {a, a_scale, az, b, b_scale, bz, y_scale, yz});
  OCTET_ASSERT_OK(y);
  ASSERT_EQ(y->dtype(), DType::i8);
  for (std::int64_t i = 0; i < y->size(); ++i) {
    const float scale = 0.02F * b_scale.data<float>()[i % 5] / 0.5F;
    const auto sum = static_cast<float>(product_at(a, az, b, bz, i / 5, i % 5));
    EXPECT_EQ(code_at(*y, i), clamp_round(static_cast<double>(sum * scale), -7, -128, 127));
  }
  EXPECT_FALSE(evaluate("QLinearMatMul",
                        {a, Tensor::from<float>({0}, {}), az, b, b_scale, bz, y_scale, yz}));
}

TEST(FloatInteger, Convolutions) {
  const Tensor x = codes<std::uint8_t>({2, 4, 5, 6}, 1);
  const Tensor w = codes<std::int8_t>({6, 2, 3, 2}, 2);
  const Tensor xz = Tensor::from<std::uint8_t>({131}, {});
  const Tensor wz = Tensor::from<std::int8_t>({1, -2, 3, 0, 0, 7}, {6});
  const Tensor bias = Tensor::from<std::int32_t>({1000, -5000, 0, 3, 9, 100000}, {6});
  const Attributes attributes{
      {"group", std::int64_t{2}}, {"strides", Ints{2, 1}}, {"pads", Ints{1, 0, 1, 1}}};
  const Shape out{2, 6, 3, 6};
  const auto sum_at = [&](std::int64_t i) {
    const Ints at = coordinates(out, i);
    std::int64_t sum = 0;
    for (std::int64_t k = 0; k < 12; ++k) {
      const Ints tap = coordinates({2, 3, 2}, k);
      const auto from =
          flat(x.shape(), {at[0], at[1] / 3 * 2 + tap[0], at[2] * 2 + tap[1] - 1, at[3] + tap[2]});
      if (from < 0) continue;
      sum += (code_at(x, from) - 131) * (code_at(w, at[1] * 12 + k) - code_at(wz, at[1]));
    }
    return sum;
  };
  const auto sums = evaluate("ConvInteger", {x, w, xz, wz}, attributes);
  OCTET_ASSERT_OK(sums);
  ASSERT_EQ(sums->shape(), out);
  const Tensor x_scale = Tensor::from<float>({0.02F}, {});
  const Tensor w_scale = Tensor::from<float>({0.01F, 0.02F, 0.03F, 0.04F, 0.05F, 0.06F}, {6});
  const Tensor y_scale = Tensor::from<float>({1.5F}, {});
  const Tensor yz = Tensor::from<std::uint8_t>({100}, {});
  const auto y =
      evaluate("QLinearConv", {x, x_scale, xz, w, w_scale, wz, y_scale, yz, bias}, attributes);
  OCTET_ASSERT_OK(y);
  for (std::int64_t i = 0; i < sums->size(); ++i) {
    const auto sum = sum_at(i);
    ASSERT_EQ(code_at(*sums, i), sum) << i;
    const auto c = static_cast<std::size_t>(i / 18 % 6);
    const float scale = 0.02F * w_scale.data<float>()[c] / 1.5F;
    const auto total = static_cast<float>(sum + bias.data<std::int32_t>()[c]);
    ASSERT_EQ(code_at(*y, i), clamp_round(static_cast<double>(total * scale), 100, 0, 255)) << i;
  }
  EXPECT_FALSE(evaluate("ConvInteger", {x, w, xz, wz}));
  EXPECT_FALSE(evaluate("ConvInteger", {x, w, xz, xz}, attributes));
  EXPECT_FALSE(evaluate("QLinearConv",
                        {x, x_scale, xz, w, w_scale, wz, y_scale, yz, random_tensor({6}, 1)},
                        attributes));
}

TEST(FloatQuantize, Blocks) {
  // Blocks of three along an axis of five: the last one holds two.
  const Tensor x = random_tensor({2, 5, 2}, 3, -3, 3);
  const Tensor scale = random_tensor({2, 2, 2}, 4, 0.01F, 0.05F);
  const Tensor zero = codes<std::uint8_t>({2, 2, 2}, 5);
  const Attributes attributes{{"axis", std::int64_t{1}}, {"block_size", std::int64_t{3}}};
  const auto q = evaluate("QuantizeLinear", {x, scale, zero}, attributes);
  OCTET_ASSERT_OK(q);
  const auto back = evaluate("DequantizeLinear", {*q, scale, zero}, attributes);
  OCTET_ASSERT_OK(back);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const Ints at = coordinates(x.shape(), i);
    const auto s = flat(scale.shape(), {at[0], at[1] / 3, at[2]});
    const float ratio = x.data<float>()[i] / scale.data<float>()[s];
    const auto code = clamp_round(static_cast<double>(ratio), code_at(zero, s), 0, 255);
    EXPECT_EQ(code_at(*q, i), code);
    EXPECT_FLOAT_EQ(back->data<float>()[i],
                    static_cast<float>(code - code_at(zero, s)) * scale.data<float>()[s]);
  }
  EXPECT_FALSE(
      evaluate("QuantizeLinear", {x, random_tensor({2, 3, 2}, 4, 0.01F, 0.05F)}, attributes));
  EXPECT_FALSE(evaluate("QuantizeLinear", {x, scale, zero},
                        {{"axis", std::int64_t{1}}, {"block_size", std::int64_t{-3}}}));
}

}  // namespace
}  // namespace octet::testing

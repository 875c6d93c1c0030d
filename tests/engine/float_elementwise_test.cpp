// Elementwise operators on all types, comparisons, logic and Where.

#include <limits>

#include "engine/float_support.h"

namespace octet::testing {
namespace {

Tensor bools(std::vector<std::uint8_t> values, Shape shape) {
  Tensor tensor(DType::boolean, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.mutable_data<std::uint8_t>());
  return tensor;
}

/// What op makes of two exactly representable numbers.
double oracle(const std::string& op, double a, double b) {
  if (op == "Add") return a + b;
  if (op == "Sub") return a - b;
  if (op == "Mul") return a * b;
  if (op == "Div") return std::trunc(a / b);
  if (op == "Max") return std::max(a, b);
  if (op == "Min") return std::min(a, b);
  if (op == "Mod") return a - b * std::floor(a / b);
  return std::pow(a, b);
}

template <class T>
void check_arithmetic() {
  Tensor a(DTypeOf<T>::value, {2, 1, 4});
  Tensor b(DTypeOf<T>::value, {3, 1});
  const bool is_signed = std::is_signed_v<T>;
  for (int i = 0; i < 8; ++i) {
    a.mutable_data<T>()[i] = static_cast<T>(is_signed ? 3 * i - 11 : 3 * i);
  }
  for (int i = 0; i < 3; ++i) b.mutable_data<T>()[i] = static_cast<T>(is_signed && i == 1 ? -2 : 3);
  for (const std::string op : {"Add", "Sub", "Mul", "Div", "Max", "Min", "Mod"}) {
    if (op == "Div" && std::is_floating_point_v<T>) continue;
    const auto result = evaluate(op, {a, b});
    OCTET_ASSERT_OK(result);
    ASSERT_EQ(result->shape(), (Shape{2, 3, 4})) << op;
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < 3; ++j) {
        for (int k = 0; k < 4; ++k) {
          const auto x = static_cast<double>(a.data<T>()[i * 4 + k]);
          const double wanted = oracle(op, x, static_cast<double>(b.data<T>()[j]));
          // Unsigned results below 0 wrap.
          if (wanted < 0 && !is_signed) continue;
          EXPECT_EQ(static_cast<double>(result->data<T>()[(i * 3 + j) * 4 + k]), wanted)
              << op << name(a.dtype());
        }
      }
    }
  }
}

TEST(FloatElementwiseTypes, Arithmetic) {
  check_arithmetic<float>();
  check_arithmetic<double>();
  check_arithmetic<std::int8_t>();
  check_arithmetic<std::uint8_t>();
  check_arithmetic<std::int16_t>();
  check_arithmetic<std::uint16_t>();
  check_arithmetic<std::int32_t>();
  check_arithmetic<std::uint32_t>();
  check_arithmetic<std::int64_t>();
  check_arithmetic<std::uint64_t>();
}

TEST(FloatElementwiseTypes, IntegersNeverTrap) {
  const Tensor lowest = Tensor::from<std::int32_t>({std::numeric_limits<std::int32_t>::min()}, {1});
  const Tensor minus_one = Tensor::from<std::int32_t>({-1}, {1});
  const Tensor zero = Tensor::from<std::int32_t>({0}, {1});
  EXPECT_TRUE(identical(*evaluate("Div", {lowest, minus_one}), lowest));
  EXPECT_TRUE(identical(*evaluate("Mod", {lowest, minus_one}), zero));
  EXPECT_TRUE(identical(*evaluate("Neg", {lowest}), lowest));
  EXPECT_TRUE(identical(*evaluate("Abs", {lowest}), lowest));
  for (const std::string op : {"Div", "Mod"}) {
    const auto by_zero = evaluate(op, {minus_one, zero});
    ASSERT_FALSE(by_zero) << op;
    EXPECT_NE(by_zero.error().message.find("division by zero"), std::string::npos);
  }
  // 3^41 modulo 2^64.
  EXPECT_EQ(evaluate("Pow", {ints({3}), ints({41})})->data<std::int64_t>()[0],
            static_cast<std::int64_t>(12157665459056928801ULL * 3));
}

TEST(FloatElementwiseTypes, ModFollowsDivisorOrDividend) {
  const Tensor a = ints({-7, 7, -7, 7});
  const Tensor b = ints({3, -3, -3, 3});
  EXPECT_TRUE(identical(*evaluate("Mod", {a, b}), ints({2, -2, -1, 1})));
  EXPECT_TRUE(
      identical(*evaluate("Mod", {a, b}, {{"fmod", std::int64_t{1}}}), ints({-1, 1, -1, 1})));
  const Tensor x = Tensor::from<float>({-7.5F, 7.5F}, {2});
  const Tensor y = Tensor::from<float>({2, -2}, {2});
  EXPECT_TRUE(identical(*evaluate("Mod", {x, y}, {{"fmod", std::int64_t{1}}}),
                        Tensor::from<float>({-1.5F, 1.5F}, {2})));
  EXPECT_TRUE(identical(*evaluate("Mod", {x, y}), Tensor::from<float>({0.5F, -0.5F}, {2})));
}

TEST(FloatElementwiseTypes, PowOfMixedTypes) {
  const Tensor base = Tensor::from<float>({2, 3, -2}, {3});
  EXPECT_TRUE(
      identical(*evaluate("Pow", {base, ints({3, 2, 3})}), Tensor::from<float>({8, 9, -8}, {3})));
  EXPECT_TRUE(identical(*evaluate("Pow", {ints({2, 4}), Tensor::from<float>({-1, 0.5F}, {2})}),
                        ints({0, 2})));
  EXPECT_TRUE(
      identical(*evaluate("Pow", {ints({2, -3, 5}), ints({10, 3, 0})}), ints({1024, -27, 1})));
  const auto squares =
      run_channels_last("Pow", {random_tensor({2, 3, 4, 5}, 1), Tensor::from<float>({2}, {})});
  OCTET_ASSERT_OK(squares);
  EXPECT_TRUE(squares->channels_last);
}

TEST(FloatElementwiseTypes, MaxAndMinPropagateNan) {
  const float nan = std::nanf("");
  const Tensor a = Tensor::from<float>({nan, 1, nan}, {3});
  const Tensor b = Tensor::from<float>({1, nan, nan}, {3});
  for (const std::string op : {"Max", "Min"}) {
    const auto result = evaluate(op, {a, b});
    OCTET_ASSERT_OK(result);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(result->data<float>()[i])) << op;
  }
}

TEST(FloatElementwiseTypes, PReluSlopeBroadcastsOneWay) {
  const Tensor x = random_tensor({2, 3, 2, 2}, 1);
  const Tensor slope = Tensor::from<float>({0.5F, 2, -1}, {3, 1, 1});
  const auto plain = evaluate("PRelu", {x, slope});
  OCTET_ASSERT_OK(plain);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const float v = x.data<float>()[i];
    EXPECT_EQ(plain->data<float>()[i], v < 0 ? v * slope.data<float>()[i / 4 % 3] : v);
  }
  const auto channels_last = run_channels_last("PRelu", {x, slope});
  OCTET_ASSERT_OK(channels_last);
  EXPECT_TRUE(channels_last->channels_last);
  EXPECT_TRUE(identical(to_plain(*channels_last).tensor, *plain));
  EXPECT_FALSE(evaluate("PRelu", {slope, x}));
}

TEST(FloatElementwiseTypes, ClipOfIntegersAndAttributes) {
  const Tensor x = Tensor::from<std::int8_t>({-100, 3, 100}, {3});
  EXPECT_TRUE(identical(*evaluate("Clip", {x, Tensor::from<std::int8_t>({-5}, {}),
                                           Tensor::from<std::int8_t>({5}, {})}),
                        Tensor::from<std::int8_t>({-5, 3, 5}, {3})));
  EXPECT_TRUE(identical(
      *evaluate("Clip", {Tensor::from<float>({-9, 0, 9}, {3})}, {{"min", -1.0F}, {"max", 2.0F}}),
      Tensor::from<float>({-1, 0, 2}, {3})));
  EXPECT_FALSE(evaluate("Clip", {x, Tensor::from<float>({1}, {})}));
  // max wins over min, as in ONNX.
  EXPECT_TRUE(
      identical(*evaluate("Clip", {Tensor::from<float>({0, 9}, {2}), Tensor::from<float>({4}, {}),
                                   Tensor::from<float>({2}, {})}),
                Tensor::from<float>({2, 2}, {2})));
}

TEST(FloatComparison, EveryTypeBroadcasts) {
  const Tensor a = Tensor::from<float>({1, 2, 3, std::nanf("")}, {4});
  const Tensor b = Tensor::from<float>({2, 3}, {2, 1});
  const auto expect = [&](const std::string& op, std::vector<std::uint8_t> wanted) {
    const auto result = evaluate(op, {a, b});
    OCTET_ASSERT_OK(result);
    EXPECT_TRUE(identical(*result, bools(std::move(wanted), {2, 4}))) << op;
  };
  expect("Equal", {0, 1, 0, 0, 0, 0, 1, 0});
  expect("Greater", {0, 0, 1, 0, 0, 0, 0, 0});
  expect("GreaterOrEqual", {0, 1, 1, 0, 0, 0, 1, 0});
  expect("Less", {1, 0, 0, 0, 1, 1, 0, 0});
  expect("LessOrEqual", {1, 1, 0, 0, 1, 1, 1, 0});
  constexpr auto big = std::numeric_limits<std::uint64_t>::max();
  EXPECT_TRUE(identical(*evaluate("Less", {Tensor::from<std::uint64_t>({1, big}, {2}),
                                           Tensor::from<std::uint64_t>({big, 1}, {2})}),
                        bools({1, 0}, {2})));
  // Any byte but 0 is true.
  EXPECT_TRUE(
      identical(*evaluate("Equal", {bools({7, 0}, {2}), bools({1, 1}, {2})}), bools({1, 0}, {2})));
  EXPECT_FALSE(evaluate("Equal", {a, ints({1, 2, 3, 4})}));
}

TEST(FloatComparison, Logic) {
  const Tensor a = bools({0, 0, 1, 9}, {4});
  const Tensor b = bools({0, 1, 0, 1}, {4});
  EXPECT_TRUE(identical(*evaluate("And", {a, b}), bools({0, 0, 0, 1}, {4})));
  EXPECT_TRUE(identical(*evaluate("Or", {a, b}), bools({0, 1, 1, 1}, {4})));
  EXPECT_TRUE(identical(*evaluate("Xor", {a, b}), bools({0, 1, 1, 0}, {4})));
  EXPECT_TRUE(identical(*evaluate("Not", {a}), bools({1, 1, 0, 0}, {4})));
  EXPECT_FALSE(evaluate("And", {a, ints({1, 2, 3, 4})}));
}

TEST(FloatComparison, WhereBroadcastsAllThree) {
  const Tensor condition = bools({1, 0}, {2, 1, 1});
  const Tensor a = counting<std::int64_t>({3, 1});
  const Tensor b = ints({10, 11, 12, 13});
  const auto result = evaluate("Where", {condition, a, b});
  OCTET_ASSERT_OK(result);
  ASSERT_EQ(result->shape(), (Shape{2, 3, 4}));
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 4; ++k) {
        EXPECT_EQ(result->data<std::int64_t>()[(i * 3 + j) * 4 + k], i == 0 ? j : 10 + k);
      }
    }
  }
  EXPECT_EQ(
      evaluate("Where", {bools({1}, {}), random_tensor({0, 3}, 1), random_tensor({3}, 1)})->shape(),
      (Shape{0, 3}));
  EXPECT_FALSE(evaluate("Where", {condition, a, random_tensor({4}, 1)}));
  EXPECT_FALSE(evaluate("Where", {condition, ints({1, 2, 3}), ints({1, 2})}));
}

TEST(FloatCastTypes, EveryHalfAndBrainSurvivesTheWayThere) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const std::int64_t code = dtype == DType::f16 ? 10 : 16;
    Tensor all(dtype, {65536});
    for (int i = 0; i < 65536; ++i) {
      all.mutable_data<std::uint16_t>()[i] = static_cast<std::uint16_t>(i);
    }
    const auto wide = evaluate("Cast", {all}, {{"to", std::int64_t{1}}});
    OCTET_ASSERT_OK(wide);
    const auto expected = to_f32(all);
    const auto back = evaluate("Cast", {*wide}, {{"to", code}});
    OCTET_ASSERT_OK(back);
    for (int i = 0; i < 65536; ++i) {
      const float value = wide->data<float>()[i];
      if (std::isnan(value)) {
        ASSERT_TRUE(std::isnan(expected->data<float>()[i])) << i;
        continue;
      }
      ASSERT_EQ(value, expected->data<float>()[i]) << i;
      ASSERT_EQ(back->data<std::uint16_t>()[i], i) << value;
    }
  }
}

TEST(FloatCastTypes, BooleansAndStrings) {
  const Tensor flags = bools({0, 1, 200}, {3});
  EXPECT_TRUE(identical(*evaluate("Cast", {flags}, {{"to", std::int64_t{7}}}), ints({0, 1, 1})));
  EXPECT_TRUE(
      identical(*evaluate("Cast", {ints({0, -4})}, {{"to", std::int64_t{9}}}), bools({0, 1}, {2})));
  const auto text = evaluate("Cast", {flags}, {{"to", std::int64_t{8}}});
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("string"), std::string::npos);
}

}  // namespace
}  // namespace octet::testing

// Elementwise, shape, movement, reduction and quantization operators.

#include <limits>

#include "engine/float_support.h"

namespace octet::testing {
namespace {

using Ints = std::vector<std::int64_t>;

double binary_oracle(const std::string& op, double a, double b) {
  if (op == "Add") return a + b;
  if (op == "Sub") return a - b;
  if (op == "Mul") return a * b;
  if (op == "Div") return a / b;
  if (op == "Max") return std::max(a, b);
  return std::min(a, b);
}

/// Elementwise result under broadcasting, index by index.
Tensor naive_binary(const std::string& op, const Tensor& a, const Tensor& b) {
  Tensor out(DType::f32, broadcast_shapes(a.shape(), b.shape()).value());
  const auto at = [&](const Tensor& t, std::int64_t flat) {
    std::int64_t offset = 0, stride = 1;
    for (int d = out.rank(), own = t.rank(); d-- > 0;) {
      const auto i = flat % out.dim(d);
      flat /= out.dim(d);
      if (--own < 0) continue;
      offset += t.dim(own) == 1 ? 0 : i * stride;
      stride *= t.dim(own);
    }
    return static_cast<double>(t.data<float>()[offset]);
  };
  for (std::int64_t i = 0; i < out.size(); ++i) {
    out.mutable_data<float>()[i] = static_cast<float>(binary_oracle(op, at(a, i), at(b, i)));
  }
  return out;
}

TEST(FloatElementwise, BinaryBroadcastsInBothOrders) {
  const std::pair<Shape, Shape> shapes[] = {
      {{2, 3, 4, 5}, {2, 3, 4, 5}},
      {{2, 3, 4, 5}, {}},
      {{}, {2, 3, 4, 5}},
      {{2, 3, 4, 5}, {3, 1, 1}},
      {{1, 3, 1, 1}, {2, 3, 4, 5}},
      {{2, 3, 4, 5}, {5}},
      {{2, 3, 4, 5}, {4, 1}},
      {{2, 3, 1, 1}, {2, 3, 4, 5}},
      {{2, 1, 4, 1}, {1, 3, 1, 5}},
      {{3}, {2, 1}},
      {{2, 3, 1, 2, 2}, {3, 4, 1, 2}},
      {{0, 3}, {3}},
  };
  for (const std::string op : {"Add", "Sub", "Mul", "Div", "Max", "Min"}) {
    for (const auto& [sa, sb] : shapes) {
      const Tensor a = random_tensor(sa, 1);
      const Tensor b = random_tensor(sb, 2, 0.5F, 2.0F);
      const Tensor expected = naive_binary(op, a, b);
      const auto plain = evaluate(op, {a, b});
      OCTET_ASSERT_OK(plain);
      expect_near(*plain, expected, 1e-6, op + to_string(sa) + to_string(sb));
      const auto channels_last = run_channels_last(op, {a, b});
      OCTET_ASSERT_OK(channels_last);
      expect_near(to_plain(*channels_last).tensor, expected, 1e-6,
                  op + " channels-last " + to_string(sa) + to_string(sb));
    }
  }
  EXPECT_FALSE(evaluate("Add", {random_tensor({2, 3}, 1), random_tensor({2}, 1)}));
  EXPECT_FALSE(evaluate("Add", {random_tensor({2}, 1), ints({1, 2})}));
}

TEST(FloatElementwise, PerChannelKeepsChannelsLast) {
  const auto result =
      run_channels_last("Mul", {random_tensor({2, 3, 4, 5}, 1), random_tensor({3, 1, 1}, 2)});
  OCTET_ASSERT_OK(result);
  EXPECT_TRUE(result->channels_last);
}

TEST(FloatElementwise, IntegersWrapAndNeverTrap) {
  constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
  const auto sum = evaluate("Add", {ints({lowest, 7}), ints({-1, 5})});
  OCTET_ASSERT_OK(sum);
  EXPECT_TRUE(identical(*sum, ints({std::numeric_limits<std::int64_t>::max(), 12})));
  const auto quotient = evaluate("Div", {ints({lowest, -7}), ints({-1, 2})});
  OCTET_ASSERT_OK(quotient);
  EXPECT_TRUE(identical(*quotient, ints({lowest, -3})));
  EXPECT_FALSE(evaluate("Div", {ints({1}), ints({0})}));
}

TEST(FloatElementwise, UnaryFunctions) {
  const Tensor x = random_tensor({2, 3, 5, 7}, 3, -8.0F, 8.0F);
  const auto check = [&](const std::string& op, const std::function<double(double)>& function,
                         const std::map<std::string, Attribute, std::less<>>& attributes = {},
                         const std::vector<Tensor>& more = {}) {
    Tensor expected(DType::f32, x.shape());
    for (std::int64_t i = 0; i < x.size(); ++i) {
      expected.mutable_data<float>()[i] =
          static_cast<float>(function(static_cast<double>(x.data<float>()[i])));
    }
    std::vector<Tensor> inputs{x};
    inputs.insert(inputs.end(), more.begin(), more.end());
    const auto actual = run_channels_last(op, inputs, attributes);
    OCTET_ASSERT_OK(actual);
    EXPECT_TRUE(actual->channels_last) << op;
    expect_near(to_plain(*actual).tensor, expected, 1e-6, op);
  };
  check("Relu", [](double v) { return std::max(v, 0.0); });
  check("LeakyRelu", [](double v) { return v < 0 ? 0.125 * v : v; }, {{"alpha", 0.125F}});
  check("Sigmoid", [](double v) { return 1.0 / (1.0 + std::exp(-v)); });
  check("Tanh", [](double v) { return std::tanh(v); });
  check("Exp", [](double v) { return std::exp(v); });
  check("Neg", [](double v) { return -v; });
  check("HardSigmoid", [](double v) { return std::clamp(0.25 * v + 0.5, 0.0, 1.0); },
        {{"alpha", 0.25F}, {"beta", 0.5F}});
  check("HardSwish", [](double v) { return v * std::clamp(v / 6.0 + 0.5, 0.0, 1.0); });
  check("Clip", [](double v) { return std::clamp(v, -1.0, 6.0); }, {},
        {Tensor::from<float>({-1}, {}), Tensor::from<float>({6}, {})});
  check("Clip", [](double v) { return std::min(v, 2.0); }, {},
        {Tensor{}, Tensor::from<float>({2}, {})});
  const auto root = evaluate("Sqrt", {Tensor::from<float>({0, 4, 2.25F}, {3})});
  OCTET_ASSERT_OK(root);
  EXPECT_TRUE(identical(*root, Tensor::from<float>({0, 2, 1.5F}, {3})));
}

TEST(FloatShape, ReshapeFlattenSqueeze) {
  const Tensor x = counting<float>({2, 3, 4});
  const auto shape_of = [](const Result<Tensor>& r) { return r ? r->shape() : Shape{-9}; };
  EXPECT_EQ(shape_of(evaluate("Reshape", {x, ints({0, -1})})), (Shape{2, 12}));
  EXPECT_EQ(shape_of(evaluate("Reshape", {x, ints({-1})})), (Shape{24}));
  EXPECT_EQ(shape_of(evaluate("Reshape", {Tensor::zeros(DType::f32, {0, 3}), ints({3, 0})},
                              {{"allowzero", std::int64_t{1}}})),
            (Shape{3, 0}));
  for (const auto& bad : {Ints{5, -1}, Ints{-1, -1}, Ints{2, 2}, Ints{0, 0, 0, 0}, Ints{-2, 12}}) {
    EXPECT_FALSE(evaluate("Reshape", {x, ints(bad)})) << to_string(bad);
  }
  EXPECT_EQ(shape_of(evaluate("Flatten", {x})), (Shape{2, 12}));
  EXPECT_EQ(shape_of(evaluate("Flatten", {x}, {{"axis", std::int64_t{0}}})), (Shape{1, 24}));
  EXPECT_EQ(shape_of(evaluate("Flatten", {x}, {{"axis", std::int64_t{-1}}})), (Shape{6, 4}));
  const Tensor ones = counting<std::uint8_t>({1, 3, 1, 2});
  EXPECT_EQ(shape_of(evaluate("Squeeze", {ones})), (Shape{3, 2}));
  EXPECT_EQ(shape_of(evaluate("Squeeze", {ones, ints({-2})})), (Shape{1, 3, 2}));
  EXPECT_FALSE(evaluate("Squeeze", {ones, ints({1})}));
  EXPECT_EQ(shape_of(evaluate("Unsqueeze", {x, ints({0, -1})})), (Shape{1, 2, 3, 4, 1}));
  EXPECT_FALSE(evaluate("Unsqueeze", {x, ints({0, 0})}));
}

TEST(FloatShape, ReshapeOfChannelsLastGivesLogicalOrder) {
  const Tensor x = counting<float>({2, 3, 2, 2});
  const auto result = run_channels_last("Reshape", {x, ints({-1})});
  OCTET_ASSERT_OK(result);
  EXPECT_TRUE(identical(result->tensor, x.reshaped({24})));
}

TEST(FloatShape, ShapeConstantsCastDropout) {
  const Tensor x = counting<float>({2, 3, 4});
  const auto part =
      evaluate("Shape", {x}, {{"start", std::int64_t{-2}}, {"end", std::int64_t{99}}});
  OCTET_ASSERT_OK(part);
  EXPECT_TRUE(identical(*part, ints({3, 4})));
  const auto filled = evaluate("ConstantOfShape", {ints({2, 2})},
                               {{"value", Tensor::from<std::int64_t>({7}, {1})}});
  OCTET_ASSERT_OK(filled);
  EXPECT_TRUE(identical(*filled, Tensor::from<std::int64_t>({7, 7, 7, 7}, {2, 2})));
  EXPECT_FALSE(evaluate("ConstantOfShape", {ints({1LL << 60})}));
  EXPECT_FALSE(evaluate("ConstantOfShape", {ints({-1})}));
  const auto constant = evaluate("Constant", {}, {{"value_floats", std::vector<float>{1, 2}}});
  OCTET_ASSERT_OK(constant);
  EXPECT_TRUE(identical(*constant, Tensor::from<float>({1, 2}, {2})));
  EXPECT_FALSE(evaluate("Constant", {}));
  const auto dropped = evaluate("Dropout", {x, Tensor::from<float>({0.5F}, {})});
  OCTET_ASSERT_OK(dropped);
  EXPECT_TRUE(identical(*dropped, x));
}

TEST(FloatCast, SaturatesAndRoundsHalves) {
  const Tensor x = Tensor::from<float>({-300, -1.5F, 0, 1.9F, 300, 3e9F}, {6});
  const auto to = [&](const Tensor& t, std::int64_t code) {
    return evaluate("Cast", {t}, {{"to", code}});
  };
  EXPECT_TRUE(identical(*to(x, 3), Tensor::from<std::int8_t>({-128, -1, 0, 1, 127, 127}, {6})));
  EXPECT_TRUE(identical(*to(x, 2), Tensor::from<std::uint8_t>({0, 0, 0, 1, 255, 255}, {6})));
  EXPECT_TRUE(
      identical(*to(x, 6), Tensor::from<std::int32_t>({-300, -1, 0, 1, 300, 2147483647}, {6})));
  const Tensor odd = Tensor::from<float>({std::nanf(""), -INFINITY, INFINITY}, {3});
  EXPECT_TRUE(identical(*to(odd, 7), ints({0, std::numeric_limits<std::int64_t>::min(),
                                           std::numeric_limits<std::int64_t>::max()})));
  EXPECT_EQ(to(odd, 9)->data<std::uint8_t>()[0], 1);
  // 2049 lies between two halves: to even; 65520 rounds up to infinity; 2^-25 ties to 0.
  const Tensor wide =
      Tensor::from<float>({1.0F, 2049, 2051, 65519, 65520, 0x1p-24F, 0x1p-25F, -0x1.8p-25F}, {8});
  const auto half = to(wide, 10);
  OCTET_ASSERT_OK(half);
  const std::uint16_t codes[] = {0x3C00, 0x6800, 0x6802, 0x7BFF, 0x7C00, 1, 0, 0x8001};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(half->data<std::uint16_t>()[i], codes[i]) << i;
  const auto back = to(*half, 1);
  OCTET_ASSERT_OK(back);
  EXPECT_TRUE(identical(*back, to_f32(*half).value()));
  EXPECT_EQ(to(Tensor::from<float>({0x1.01p0F}, {1}), 16)->data<std::uint16_t>()[0], 0x3F80);
  EXPECT_FALSE(to(x, 8));
}

TEST(FloatMovement, TransposeEveryTypeAndOrder) {
  const Tensor x = counting<std::int16_t>({2, 3, 4});
  const auto moved = evaluate("Transpose", {x}, {{"perm", Ints{2, 0, 1}}});
  OCTET_ASSERT_OK(moved);
  ASSERT_EQ(moved->shape(), (Shape{4, 2, 3}));
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 2; ++j)
      for (int k = 0; k < 3; ++k) {
        EXPECT_EQ(moved->data<std::int16_t>()[(i * 2 + j) * 3 + k], (j * 3 + k) * 4 + i);
      }
  EXPECT_EQ(evaluate("Transpose", {x})->shape(), (Shape{4, 3, 2}));
  EXPECT_FALSE(evaluate("Transpose", {x}, {{"perm", Ints{0, 0, 1}}}));
  // The shortcuts between NCHW and NHWC agree with the general way.
  const Tensor image = random_tensor({2, 3, 4, 5}, 1);
  for (const auto& perm : {Ints{0, 2, 3, 1}, Ints{0, 3, 1, 2}, Ints{3, 1, 0, 2}}) {
    const auto shortcut = run_channels_last("Transpose", {image}, {{"perm", perm}});
    OCTET_ASSERT_OK(shortcut);
    Tensor expected(DType::f32, shortcut->tensor.shape());
    const auto s = row_major_strides(image.shape());
    float* to = expected.mutable_data<float>();
    for (std::int64_t i = 0; i < expected.size(); ++i) {
      std::int64_t flat = i, offset = 0;
      for (std::size_t d = 4; d-- > 0;) {
        offset += flat % expected.shape()[d] * s[static_cast<std::size_t>(perm[d])];
        flat /= expected.shape()[d];
      }
      to[i] = image.data<float>()[offset];
    }
    EXPECT_TRUE(identical(to_plain(*shortcut).tensor, expected)) << to_string(perm);
    const auto plain = evaluate("Transpose", {image}, {{"perm", perm}});
    OCTET_ASSERT_OK(plain);
    EXPECT_TRUE(identical(*plain, expected)) << to_string(perm);
  }
}

TEST(FloatMovement, Slice) {
  const Tensor x = counting<std::int64_t>({10});
  const auto slice = [&](Ints start, Ints end, Ints step) {
    return evaluate("Slice", {x, ints(start), ints(end), ints({0}), ints(step)});
  };
  EXPECT_TRUE(identical(*slice({2}, {7}, {2}), ints({2, 4, 6})));
  EXPECT_TRUE(identical(*slice({-3}, {INT64_MAX}, {1}), ints({7, 8, 9})));
  EXPECT_TRUE(identical(*slice({-1}, {INT64_MIN}, {-3}), ints({9, 6, 3, 0})));
  EXPECT_TRUE(identical(*slice({99}, {4}, {-2}), ints({9, 7, 5})));
  EXPECT_TRUE(identical(*slice({5}, {5}, {1}), ints({})));
  EXPECT_TRUE(identical(*slice({0}, {10}, {INT64_MAX}), ints({0})));
  EXPECT_TRUE(identical(*slice({9}, {INT64_MIN}, {INT64_MIN}), ints({9})));
  EXPECT_FALSE(slice({0}, {1}, {0}));
  EXPECT_FALSE(evaluate("Slice", {x, ints({0}), ints({1, 2})}));
  // A ResNet's option-A shortcut, in both orders in memory.
  const Tensor image = random_tensor({2, 3, 5, 6}, 1);
  const std::vector<Tensor> inputs{image, ints({0, 4}), ints({5, -7}), ints({2, 3}), ints({2, -2})};
  const auto plain = evaluate("Slice", inputs);
  const auto other = run_channels_last("Slice", inputs);
  OCTET_ASSERT_OK(plain);
  OCTET_ASSERT_OK(other);
  ASSERT_EQ(plain->shape(), (Shape{2, 3, 3, 3}));
  EXPECT_TRUE(identical(to_plain(*other).tensor, *plain));
  EXPECT_EQ(plain->data<float>()[4], image.data<float>()[2 * 6 + 2]);
}

TEST(FloatMovement, Pad) {
  const Tensor x = Tensor::from<float>({1, 2, 3}, {1, 3});
  const auto pad = [&](const std::string& mode, Ints pads) {
    return evaluate("Pad", {x, ints(pads)}, {{"mode", mode}});
  };
  EXPECT_TRUE(identical(*pad("constant", {0, 1, 1, 2}),
                        Tensor::from<float>({0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0}, {2, 6})));
  EXPECT_TRUE(
      identical(*pad("reflect", {0, 2, 0, 1}), Tensor::from<float>({3, 2, 1, 2, 3, 2}, {1, 6})));
  EXPECT_TRUE(
      identical(*pad("edge", {0, 2, 0, 1}), Tensor::from<float>({1, 1, 1, 2, 3, 3}, {1, 6})));
  EXPECT_TRUE(identical(*pad("edge", {0, -1, 0, 1}), Tensor::from<float>({2, 3, 3}, {1, 3})));
  EXPECT_TRUE(identical(*pad("wrap", {0, 1, 0, 1}), Tensor::from<float>({3, 1, 2, 3, 1}, {1, 5})));
  EXPECT_FALSE(pad("constant", {0, -2, 0, -2}));
  EXPECT_FALSE(pad("constant", {0, 1LL << 50, 0, 0}));
  EXPECT_FALSE(pad("mirror", {0, 0, 0, 0}));
  const auto valued = evaluate("Pad", {counting<std::uint8_t>({2}), ints({1, 0}),
                                       Tensor::from<std::uint8_t>({9}, {}), ints({-1})});
  OCTET_ASSERT_OK(valued);
  EXPECT_TRUE(identical(*valued, Tensor::from<std::uint8_t>({9, 0, 1}, {3})));
  const std::vector<Tensor> inputs{random_tensor({2, 3, 4, 5}, 1), ints({0, 2, 1, -1, 1, 1, 0, 2})};
  for (const std::string mode : {"constant", "reflect", "edge"}) {
    const auto plain = evaluate("Pad", inputs, {{"mode", mode}});
    const auto other = run_channels_last("Pad", inputs, {{"mode", mode}});
    OCTET_ASSERT_OK(plain);
    OCTET_ASSERT_OK(other);
    EXPECT_TRUE(identical(to_plain(*other).tensor, *plain)) << mode;
  }
}

TEST(FloatMovement, GatherAndConcat) {
  const Tensor x = counting<std::int32_t>({2, 3});
  const auto gathered =
      evaluate("Gather", {x, ints({-1, 0}).reshaped({1, 2})}, {{"axis", std::int64_t{1}}});
  OCTET_ASSERT_OK(gathered);
  EXPECT_TRUE(identical(*gathered, Tensor::from<std::int32_t>({2, 0, 5, 3}, {2, 1, 2})));
  EXPECT_FALSE(evaluate("Gather", {x, ints({3})}, {{"axis", std::int64_t{1}}}));
  const auto joined = evaluate("Concat", {x, x}, {{"axis", std::int64_t{-1}}});
  OCTET_ASSERT_OK(joined);
  EXPECT_TRUE(
      identical(*joined, Tensor::from<std::int32_t>({0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5}, {2, 6})));
  EXPECT_FALSE(
      evaluate("Concat", {x, counting<std::int32_t>({3, 3})}, {{"axis", std::int64_t{1}}}));
  EXPECT_FALSE(evaluate("Concat", {x, counting<float>({2, 3})}, {{"axis", std::int64_t{1}}}));
  for (const std::int64_t axis : {0, 1, 2, 3}) {
    Shape second{2, 3, 4, 5};
    second[static_cast<std::size_t>(axis)] = 2;
    const std::vector<Tensor> parts{random_tensor({2, 3, 4, 5}, 1), random_tensor(second, 2)};
    const auto plain = evaluate("Concat", parts, {{"axis", axis}});
    const auto other = run_channels_last("Concat", parts, {{"axis", axis}});
    OCTET_ASSERT_OK(plain);
    OCTET_ASSERT_OK(other);
    EXPECT_TRUE(other->channels_last);
    EXPECT_TRUE(identical(to_plain(*other).tensor, *plain)) << axis;
  }
}

TEST(FloatReduction, BatchNormMeansAndSoftmax) {
  const Tensor x = random_tensor({2, 3, 4, 5}, 1);
  const Tensor gamma = random_tensor({3}, 2), beta = random_tensor({3}, 3);
  const Tensor mean = random_tensor({3}, 4), variance = random_tensor({3}, 5, 0.1F, 2.0F);
  Tensor normal(DType::f32, x.shape()), averages(DType::f32, {2, 3, 1, 1});
  for (std::int64_t plane = 0; plane < 6; ++plane) {
    const auto c = plane % 3;
    double sum = 0;
    for (std::int64_t i = plane * 20; i < plane * 20 + 20; ++i) {
      const auto v = static_cast<double>(x.data<float>()[i]);
      sum += v;
      normal.mutable_data<float>()[i] =
          static_cast<float>((v - static_cast<double>(mean.data<float>()[c])) /
                                 std::sqrt(static_cast<double>(variance.data<float>()[c]) + 1e-3) *
                                 static_cast<double>(gamma.data<float>()[c]) +
                             static_cast<double>(beta.data<float>()[c]));
    }
    averages.mutable_data<float>()[plane] = static_cast<float>(sum / 20);
  }
  const std::vector<Tensor> inputs{x, gamma, beta, mean, variance};
  const auto bn = evaluate("BatchNormalization", inputs, {{"epsilon", 1e-3F}});
  OCTET_ASSERT_OK(bn);
  expect_near(*bn, normal, 1e-6, "bn");
  const auto bn_last = run_channels_last("BatchNormalization", inputs, {{"epsilon", 1e-3F}});
  OCTET_ASSERT_OK(bn_last);
  expect_near(to_plain(*bn_last).tensor, normal, 1e-6, "bn channels-last");
  expect_near(*evaluate("GlobalAveragePool", {x}), averages, 1e-6, "gap");
  expect_near(to_plain(*run_channels_last("GlobalAveragePool", {x})).tensor, averages, 1e-6, "gap");
  const auto dropped =
      run_channels_last("ReduceMean", {x, ints({-1, 2})}, {{"keepdims", std::int64_t{0}}});
  OCTET_ASSERT_OK(dropped);
  expect_near(dropped->tensor, averages.reshaped({2, 3}), 1e-6, "mean");
  const auto over_channels = run_channels_last("ReduceMean", {x, ints({1})});
  OCTET_ASSERT_OK(over_channels);
  expect_near(to_plain(*over_channels).tensor, *evaluate("ReduceMean", {x, ints({1})}), 1e-6, "C");
  EXPECT_EQ(evaluate("ReduceMean", {x})->shape(), (Shape{1, 1, 1, 1}));

  const auto softmax = evaluate("Softmax", {x}, {{"axis", std::int64_t{1}}});
  OCTET_ASSERT_OK(softmax);
  for (std::int64_t n = 0; n < 2; ++n)
    for (std::int64_t p = 0; p < 20; ++p) {
      double total = 0;
      for (std::int64_t c = 0; c < 3; ++c) {
        total += std::exp(static_cast<double>(x.data<float>()[(n * 3 + c) * 20 + p]));
      }
      for (std::int64_t c = 0; c < 3; ++c) {
        const auto i = (n * 3 + c) * 20 + p;
        EXPECT_NEAR(static_cast<double>(softmax->data<float>()[i]),
                    std::exp(static_cast<double>(x.data<float>()[i])) / total, 1e-6);
      }
    }
  const auto large = evaluate("Softmax", {Tensor::from<float>({1000, 1000}, {2})});
  EXPECT_TRUE(identical(*large, Tensor::from<float>({0.5F, 0.5F}, {2})));
}

TEST(FloatReduction, SoftmaxOfManyShortLines) {
  for (const std::int64_t count : {1, 2, 5, 16, 17}) {
    for (const std::int64_t lines : {1, 2, 63, 64, 65, 200}) {
      const Tensor x = random_tensor({lines, count}, static_cast<unsigned>(lines), -4.0F, 9.0F);
      const auto y = evaluate("Softmax", {x}, {{"axis", std::int64_t{1}}});
      const auto log_y = evaluate("LogSoftmax", {x}, {{"axis", std::int64_t{-1}}});
      OCTET_ASSERT_OK(y);
      OCTET_ASSERT_OK(log_y);
      for (std::int64_t line = 0; line < lines; ++line) {
        const float* from = x.data<float>() + line * count;
        double total = 0;
        for (std::int64_t i = 0; i < count; ++i) total += std::exp(static_cast<double>(from[i]));
        for (std::int64_t i = 0; i < count; ++i) {
          const double want = std::exp(static_cast<double>(from[i])) / total;
          const auto at = line * count + i;
          ASSERT_NEAR(static_cast<double>(y->data<float>()[at]), want, 1e-6);
          ASSERT_NEAR(static_cast<double>(log_y->data<float>()[at]), std::log(want), 2e-6);
        }
      }
    }
  }
}

TEST(FloatQuantize, TiesSaturationAndTypes) {
  const Tensor scale = Tensor::from<float>({0.5F}, {});
  const Tensor x = Tensor::from<float>({-100, 0.25F, 0.75F, 0.5F, 1e30F, -0.25F}, {6});
  // x / 0.5 = 0.5, 1.5 round to 0, 2; the odd zero point is added after rounding.
  const auto u8 = evaluate("QuantizeLinear", {x, scale, Tensor::from<std::uint8_t>({3}, {})});
  OCTET_ASSERT_OK(u8);
  EXPECT_TRUE(identical(*u8, Tensor::from<std::uint8_t>({0, 3, 5, 4, 255, 3}, {6})));
  const auto i8 = evaluate("QuantizeLinear", {x, scale, Tensor::from<std::int8_t>({-1}, {})});
  OCTET_ASSERT_OK(i8);
  EXPECT_TRUE(identical(*i8, Tensor::from<std::int8_t>({-128, -1, 1, 0, 127, -1}, {6})));
  const auto u16 = evaluate("QuantizeLinear", {x, scale, Tensor::from<std::uint16_t>({300}, {})});
  OCTET_ASSERT_OK(u16);
  EXPECT_TRUE(identical(*u16, Tensor::from<std::uint16_t>({100, 300, 302, 301, 65535, 300}, {6})));
  const auto by_default = evaluate("QuantizeLinear", {x, scale});
  OCTET_ASSERT_OK(by_default);
  EXPECT_TRUE(identical(*by_default, Tensor::from<std::uint8_t>({0, 0, 2, 1, 255, 0}, {6})));
  const auto back = evaluate("DequantizeLinear", {*u8, scale, Tensor::from<std::uint8_t>({3}, {})});
  OCTET_ASSERT_OK(back);
  EXPECT_TRUE(identical(*back, Tensor::from<float>({-1.5F, 0, 1, 0.5F, 126, 0}, {6})));
  const auto wide =
      evaluate("DequantizeLinear", {Tensor::from<std::int32_t>({-7, INT32_MAX}, {2}), scale});
  OCTET_ASSERT_OK(wide);
  EXPECT_TRUE(identical(*wide, Tensor::from<float>({-3.5F, 0x1p30F}, {2})));
}

TEST(FloatQuantize, PerAxisAndRefusals) {
  const Tensor x = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor scales = Tensor::from<float>({1, 0.5F, 2}, {3});
  const Tensor zeros = Tensor::from<std::int8_t>({0, 1, -1}, {3});
  const auto codes = evaluate("QuantizeLinear", {x, scales, zeros}, {{"axis", std::int64_t{-1}}});
  OCTET_ASSERT_OK(codes);
  EXPECT_TRUE(identical(*codes, Tensor::from<std::int8_t>({1, 5, 1, 4, 11, 2}, {2, 3})));
  const auto back = evaluate("DequantizeLinear", {*codes, scales, zeros});
  OCTET_ASSERT_OK(back);
  EXPECT_TRUE(identical(*back, Tensor::from<float>({1, 2, 4, 4, 5, 6}, {2, 3})));
  EXPECT_FALSE(evaluate("QuantizeLinear", {x, scales, zeros}, {{"axis", std::int64_t{0}}}));
  EXPECT_FALSE(evaluate("QuantizeLinear", {x, Tensor::from<float>({0}, {})}));
  EXPECT_FALSE(evaluate("QuantizeLinear", {x, scales, zeros}, {{"block_size", std::int64_t{2}}}));
  EXPECT_FALSE(
      evaluate("DequantizeLinear", {*codes, scales, Tensor::from<std::uint8_t>({1, 2, 3}, {3})}));
}

}  // namespace
}  // namespace octet::testing

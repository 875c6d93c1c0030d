// Accuracy of the vectorised elementary functions against double precision, their special values,
// and operators that must share bits.

#include <limits>

#include "engine/float/onednn.h"
#include "engine/float/vector_loops.h"
#include "engine/float_support.h"

namespace octet::testing {
namespace {

using float_engine::loops::UnaryF32;
using Function = std::function<double(double)>;

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Largest error over [low, high] in units of the last place of the exact result.
double worst_ulp(UnaryF32 loop, const Function& exact, double low, double high, float p = 0,
                 float q = 0) {
  constexpr int count = 20001;
  std::vector<float> x(count), y(count);
  for (int i = 0; i < count; ++i) {
    x[static_cast<std::size_t>(i)] = static_cast<float>(low + (high - low) * i / (count - 1));
  }
  loop(x.data(), y.data(), count, p, q);
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double wanted = exact(static_cast<double>(x[i]));
    const float size = std::fabs(static_cast<float>(wanted));
    // Below the normal numbers an ulp is that of the smallest normal one.
    const float above = std::max(size, std::numeric_limits<float>::min());
    const double ulp =
        static_cast<double>(std::nextafter(above, infinity)) - static_cast<double>(above);
    worst = std::max(worst, std::fabs(static_cast<double>(y[i]) - wanted) / ulp);
  }
  return worst;
}

double sigmoid(double x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

namespace loops = float_engine::loops;

TEST(FloatMath, ErrorsAreAFewUlp) {
  const Function exponential = [](double v) { return std::exp(v); };
  EXPECT_LE(worst_ulp(loops::exponential, exponential, -87, 88.7), 1.5);
  EXPECT_LE(worst_ulp(loops::exponential, exponential, -1, 1), 1.5);
  EXPECT_LE(worst_ulp(loops::exponential, exponential, -104, -87), 1.0);  // subnormal results
  const Function logarithm = [](double v) { return std::log(v); };
  EXPECT_LE(worst_ulp(loops::logarithm, logarithm, 0.5, 2), 1.5);
  EXPECT_LE(worst_ulp(loops::logarithm, logarithm, 1e-38, 1e-3), 1.5);
  EXPECT_LE(worst_ulp(loops::logarithm, logarithm, 1e-40, 1e-38), 1.5);
  EXPECT_LE(worst_ulp(loops::logarithm, logarithm, 1, 3e38), 1.5);
  const Function erf = [](double v) { return std::erf(v); };
  EXPECT_LE(worst_ulp(loops::error_function, erf, -5, 5), 2.5);
  EXPECT_LE(worst_ulp(loops::error_function, erf, -1e-3, 1e-3), 2.5);
  const Function tanh = [](double v) { return std::tanh(v); };
  EXPECT_LE(worst_ulp(loops::hyperbolic_tangent, tanh, -12, 12), 4);
  EXPECT_LE(worst_ulp(loops::hyperbolic_tangent, tanh, -1e-3, 1e-3), 4);
  EXPECT_LE(worst_ulp(loops::sigmoid, sigmoid, -80, 20), 3);
  EXPECT_LE(worst_ulp(loops::softplus, softplus, -80, 80), 4);
  EXPECT_LE(worst_ulp(
                loops::mish, [](double v) { return v * std::tanh(softplus(v)); }, -80, 50),
            6);
  EXPECT_LE(worst_ulp(
                loops::swish, [](double v) { return v * sigmoid(v); }, -80, 20, 1),
            4);
  EXPECT_LE(worst_ulp(
                loops::elu, [](double v) { return v > 0 ? v : 2 * std::expm1(v); }, -90, 9, 2, 1),
            3);
  EXPECT_LE(worst_ulp(
                loops::celu, [](double v) { return v > 0 ? v : 2 * std::expm1(v / 2); }, -90, 9, 2),
            3);
  const Function gelu = [](double v) { return 0.5 * v * std::erfc(-v / std::sqrt(2.0)); };
  EXPECT_LE(worst_ulp(loops::gelu, gelu, -1, 10), 4);
  const Function gelu_tanh = [](double v) {
    return v * sigmoid(2 * std::sqrt(2 / 3.14159265358979323846) * (v + 0.044715 * v * v * v));
  };
  EXPECT_LE(worst_ulp(loops::gelu_tanh, gelu_tanh, -1, 10), 5);
}

TEST(FloatMath, SpecialValues) {
  const float nan = std::nanf("");
  const Tensor x = Tensor::from<float>({nan, infinity, -infinity, 0, -0.0F, 3e38F, -3e38F}, {7});
  const auto expect = [&](const std::string& op, const std::vector<float>& wanted) {
    const auto y = evaluate(op, {x});
    OCTET_ASSERT_OK(y);
    EXPECT_TRUE(std::isnan(y->data<float>()[0])) << op;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(y->data<float>()[i + 1], wanted[i]) << op << " at " << i;
    }
  };
  expect("Exp", {infinity, 0, 1, 1, infinity, 0});
  expect("Erf", {1, -1, 0, 0, 1, -1});
  expect("Tanh", {1, -1, 0, 0, 1, -1});
  expect("Sigmoid", {1, 0, 0.5F, 0.5F, 1, 0});
  expect("Elu", {infinity, -1, 0, 0, 3e38F, -1});
  expect("Relu", {infinity, 0, 0, 0, 3e38F, 0});
  expect("Reciprocal", {0, 0, infinity, -infinity, 1 / 3e38F, -1 / 3e38F});
  expect("Clip", {std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest(), 0, 0,
                  3e38F, -3e38F});
  expect("Sign", {1, -1, 0, 0, 1, -1});
  const auto log = evaluate("Log", {x});
  OCTET_ASSERT_OK(log);
  EXPECT_EQ(log->data<float>()[1], infinity);
  EXPECT_TRUE(std::isnan(log->data<float>()[2]));
  EXPECT_EQ(log->data<float>()[3], -infinity);
}

TEST(FloatMath, SwishIsXTimesSigmoidBitForBit) {
  const Tensor x = random_tensor({3, 1000}, 1, -30, 30);
  const auto gate = evaluate("Sigmoid", {x});
  OCTET_ASSERT_OK(gate);
  const auto product = evaluate("Mul", {x, *gate});
  const auto swish = evaluate("Swish", {x});
  OCTET_ASSERT_OK(swish);
  EXPECT_TRUE(identical(*swish, *product));
}

TEST(FloatMath, ElementsDoNotDependOnTheirPosition) {
  const Tensor x = random_tensor({1003}, 2, -9, 9);
  for (const std::string op :
       {"Exp", "Tanh", "Sigmoid", "Erf", "Gelu", "Mish", "Softplus", "Log"}) {
    const auto whole = evaluate(op, {x});
    OCTET_ASSERT_OK(whole);
    for (const std::int64_t i : {0, 17, 500, 1000, 1002}) {
      const auto alone = evaluate(op, {Tensor::from<float>({x.data<float>()[i]}, {1})});
      OCTET_ASSERT_OK(alone);
      if (std::isnan(alone->data<float>()[0])) continue;
      EXPECT_EQ(alone->data<float>()[0], whole->data<float>()[i]) << op;
    }
  }
}

TEST(FloatMath, ThreadsDoNotChangeBits) {
  const Tensor x = random_tensor({3, 130, 301}, 3, -9, 9);
  for (const std::string op : {"Gelu", "Softmax", "LogSoftmax", "LayerNormalization"}) {
    for (const std::int64_t axis : {1, 2}) {
      const Tensor scale = random_tensor(axis == 1 ? Shape{130, 301} : Shape{301}, 4);
      const auto inputs =
          op == "LayerNormalization" ? std::vector<Tensor>{x, scale} : std::vector<Tensor>{x};
      std::map<std::string, Attribute, std::less<>> attributes;
      if (op != "Gelu") attributes["axis"] = axis;
      const auto run = [&](int threads) {
        const float_engine::onednn::ThreadScope scope(threads);
        return evaluate(op, inputs, attributes);
      };
      const auto one = run(1);
      OCTET_ASSERT_OK(one);
      EXPECT_TRUE(identical(*one, *run(4))) << op << axis;
    }
  }
}

}  // namespace
}  // namespace octet::testing

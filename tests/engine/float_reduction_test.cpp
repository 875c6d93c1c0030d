// Reductions, selections along an axis, Softmax and the normalizations.

#include <algorithm>
#include <limits>

#include "engine/float_support.h"

namespace octet::testing {
namespace {

using Ints = std::vector<std::int64_t>;

double start_of(const std::string& op) {
  if (op == "ReduceProd") return 1;
  if (op == "ReduceMax") return -INFINITY;
  return op == "ReduceMin" ? INFINITY : 0;
}

double step_of(const std::string& op, double total, double x) {
  if (op == "ReduceMax") return std::max(total, x);
  if (op == "ReduceMin") return std::min(total, x);
  if (op == "ReduceProd") return total * x;
  if (op == "ReduceL1") return total + std::fabs(x);
  if (op == "ReduceL2" || op == "ReduceSumSquare") return total + x * x;
  return total + x;
}

/// Index by index in double, keeping the dimensions.
template <class T>
std::vector<double> naive_reduce(const std::string& op, const Tensor& x,
                                 const std::vector<bool>& mask, const Shape& kept) {
  const auto strides = row_major_strides(x.shape());
  const auto targets = row_major_strides(kept);
  std::vector<double> totals(static_cast<std::size_t>(element_count(kept)), start_of(op));
  std::int64_t reduced = 1;
  for (std::size_t d = 0; d < mask.size(); ++d) reduced *= mask[d] ? x.shape()[d] : 1;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    std::int64_t target = 0;
    for (std::size_t d = 0; d < mask.size(); ++d) {
      if (!mask[d]) target += i / strides[d] % x.shape()[d] * targets[d];
    }
    auto& total = totals[static_cast<std::size_t>(target)];
    total = step_of(op, total, static_cast<double>(x.data<T>()[i]));
  }
  for (auto& total : totals) {
    if (op == "ReduceMean") total /= static_cast<double>(reduced);
    if (op == "ReduceL2") total = std::sqrt(total);
    if (std::is_integral_v<T>) total = std::trunc(total);
  }
  return totals;
}

template <class T>
void check_reduction(const std::string& op, const Tensor& x, const Ints& axes) {
  std::vector<bool> mask(x.shape().size(), axes.empty());
  for (const auto axis : axes) {
    mask[static_cast<std::size_t>(axis < 0 ? axis + x.rank() : axis)] = true;
  }
  Shape kept = x.shape(), dropped;
  for (std::size_t d = 0; d < mask.size(); ++d) {
    if (mask[d]) kept[d] = 1;
    if (!mask[d]) dropped.push_back(kept[d]);
  }
  const auto wanted = naive_reduce<T>(op, x, mask, kept);
  for (const std::int64_t keep : {0, 1}) {
    const auto what = op + to_string(x.shape()) + to_string(axes);
    const auto run = run_channels_last(op, {x, ints(axes)}, {{"keepdims", keep}});
    OCTET_ASSERT_OK(run);
    const Tensor result = to_plain(*run).tensor;
    ASSERT_EQ(result.dtype(), x.dtype()) << what;
    ASSERT_EQ(result.shape(), keep != 0 ? kept : dropped) << what;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_NEAR(static_cast<double>(result.data<T>()[i]), wanted[i],
                  std::is_integral_v<T> ? 0.0 : 1e-6 * (1 + std::fabs(wanted[i])))
          << what << " at " << i;
    }
  }
}

TEST(FloatReductions, AllKindsAxesAndOrders) {
  for (const std::string op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd",
                               "ReduceL1", "ReduceL2", "ReduceSumSquare"}) {
    for (const auto& axes :
         {Ints{}, Ints{0}, Ints{-1}, Ints{1, 3}, Ints{2, -1}, Ints{0, 1, 2, 3}}) {
      check_reduction<float>(op, random_tensor({2, 3, 4, 37}, 1, 0.5F, 1.5F), axes);
      check_reduction<std::int32_t>(op, counting<std::int32_t>({2, 1, 2, 2}), axes);
    }
    check_reduction<double>(op, counting<double>({3, 2}), {1});
    check_reduction<std::int64_t>(op, counting<std::int64_t>({5}), {0});
  }
}

TEST(FloatReductions, EmptySetsScalarsAndNoAxes) {
  const Tensor none = Tensor::zeros(DType::f32, {2, 0});
  const auto value = [&](const std::string& op) {
    const auto result = evaluate(op, {none, ints({1})});
    return result ? static_cast<double>(result->data<float>()[1]) : -99.0;
  };
  EXPECT_EQ(value("ReduceSum"), 0);
  EXPECT_EQ(value("ReduceProd"), 1);
  EXPECT_EQ(value("ReduceL2"), 0);
  EXPECT_EQ(value("ReduceMax"), -INFINITY);
  EXPECT_EQ(value("ReduceMin"), INFINITY);
  EXPECT_EQ(value("ReduceMean"), -99);
  EXPECT_EQ(evaluate("ReduceSum", {none, ints({0})})->shape(), (Shape{1, 0}));
  const Tensor scalar = Tensor::from<float>({-3}, {});
  EXPECT_EQ(evaluate("ReduceL1", {scalar})->data<float>()[0], 3);
  const Tensor x = Tensor::from<float>({-3, 2}, {2});
  // Without axes each element is reduced by itself.
  EXPECT_TRUE(identical(
      *evaluate("ReduceSumSquare", {x, ints({})}, {{"noop_with_empty_axes", std::int64_t{1}}}),
      Tensor::from<float>({9, 4}, {2})));
  EXPECT_FALSE(evaluate("ReduceSum", {x, ints({1})}));
  Tensor flags(DType::boolean, {2, 2});
  const std::uint8_t bytes[] = {0, 5, 0, 0};
  std::copy_n(bytes, 4, flags.mutable_data<std::uint8_t>());
  const auto any = evaluate("ReduceMax", {flags, ints({1})});
  OCTET_ASSERT_OK(any);
  EXPECT_EQ(any->data<std::uint8_t>()[0], 1);
  EXPECT_EQ(any->data<std::uint8_t>()[1], 0);
}

TEST(FloatSelection, ArgMaxAndArgMin) {
  const Tensor x = Tensor::from<float>({1, 7, 7, 3, 0, 0}, {2, 3});
  const std::map<std::string, Attribute, std::less<>> last{{"axis", std::int64_t{1}},
                                                           {"keepdims", std::int64_t{0}},
                                                           {"select_last_index", std::int64_t{1}}};
  const std::map<std::string, Attribute, std::less<>> first{{"axis", std::int64_t{-1}}};
  EXPECT_TRUE(identical(*evaluate("ArgMax", {x}, last), ints({2, 0})));
  EXPECT_TRUE(identical(*evaluate("ArgMin", {x}, last), ints({0, 2})));
  EXPECT_TRUE(identical(*evaluate("ArgMax", {x}, first), ints({1, 0}).reshaped({2, 1})));
  EXPECT_TRUE(identical(*evaluate("ArgMin", {x}, first), ints({0, 1}).reshaped({2, 1})));
  EXPECT_TRUE(identical(*evaluate("ArgMax", {x}), ints({1, 0, 0}).reshaped({1, 3})));
  EXPECT_TRUE(
      identical(*evaluate("ArgMax", {Tensor::from<std::int8_t>({-5, 4, 4}, {3})}), ints({1})));
  EXPECT_FALSE(evaluate("ArgMax", {Tensor::zeros(DType::f32, {0, 2})}));
  EXPECT_EQ(evaluate("ArgMax", {Tensor::zeros(DType::f32, {2, 0})})->shape(), (Shape{1, 0}));
}

TEST(FloatSelection, TopKTakesTheLowerIndexOfEqualValues) {
  const Tensor x = Tensor::from<float>({3, 1, 3, 2, 5, 5, 5, 4}, {2, 4});
  const auto both = [&](const Tensor& input, std::int64_t k,
                        std::map<std::string, Attribute, std::less<>> attributes = {}) {
    auto made = one_node("TopK", {input, ints({k})}, std::move(attributes));
    made.graph.node(made.node).outputs.push_back(made.graph.add_value({}));
    return evaluate_constant_node(made.graph, made.node);
  };
  const auto top = both(x, 3);
  OCTET_ASSERT_OK(top);
  EXPECT_TRUE(identical((*top)[0], Tensor::from<float>({3, 3, 2, 5, 5, 5}, {2, 3})));
  EXPECT_TRUE(identical((*top)[1], ints({0, 2, 3, 0, 1, 2}).reshaped({2, 3})));
  const auto low = both(x, 2, {{"largest", std::int64_t{0}}});
  OCTET_ASSERT_OK(low);
  EXPECT_TRUE(identical((*low)[1], ints({1, 3, 3, 0}).reshaped({2, 2})));
  const auto columns = both(x, 1, {{"axis", std::int64_t{0}}});
  OCTET_ASSERT_OK(columns);
  EXPECT_TRUE(identical((*columns)[1], ints({1, 1, 1, 1}).reshaped({1, 4})));
  // NaN counts as the largest.
  const auto odd = both(Tensor::from<float>({1, std::nanf(""), 3}, {3}), 3);
  OCTET_ASSERT_OK(odd);
  EXPECT_TRUE(identical((*odd)[1], ints({1, 2, 0})));
  EXPECT_EQ((*both(x, 0))[0].shape(), (Shape{2, 0}));
  EXPECT_FALSE(both(x, 5));
  EXPECT_FALSE(both(x, -1));
}

TEST(FloatSelection, CumSum) {
  const Tensor x = Tensor::from<std::int32_t>({1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor rows = Tensor::from<std::int32_t>({0}, {});
  const auto run = [&](const Tensor& axis, std::int64_t exclusive, std::int64_t reverse) {
    return *evaluate("CumSum", {x, axis}, {{"exclusive", exclusive}, {"reverse", reverse}});
  };
  const auto wanted = [](std::initializer_list<std::int32_t> v) {
    return Tensor::from<std::int32_t>(v, {2, 3});
  };
  EXPECT_TRUE(identical(run(ints({-1}), 0, 0), wanted({1, 3, 6, 4, 9, 15})));
  EXPECT_TRUE(identical(run(ints({1}), 1, 0), wanted({0, 1, 3, 0, 4, 9})));
  EXPECT_TRUE(identical(run(ints({1}), 0, 1), wanted({6, 5, 3, 15, 11, 6})));
  EXPECT_TRUE(identical(run(ints({1}), 1, 1), wanted({5, 3, 0, 11, 6, 0})));
  EXPECT_TRUE(identical(run(rows, 0, 0), wanted({1, 2, 3, 5, 7, 9})));
  EXPECT_FALSE(evaluate("CumSum", {x, ints({2})}));
}

TEST(FloatSoftmax, EveryAxisAgainstDouble) {
  for (const auto& shape : {Shape{5}, Shape{3, 40}, Shape{2, 3, 4}, Shape{2, 7, 300}}) {
    const Tensor x = random_tensor(shape, 7, -20, 20);
    for (int axis = 0; axis < x.rank(); ++axis) {
      const std::int64_t inner = row_major_strides(shape)[static_cast<std::size_t>(axis)];
      const std::int64_t count = x.dim(axis);
      Tensor plain(DType::f32, shape), logarithmic(DType::f32, shape);
      for (std::int64_t i = 0; i < x.size(); ++i) {
        const float* line = x.data<float>() + (i - i / inner % count * inner);
        double sum = 0;
        const auto own = static_cast<double>(x.data<float>()[i]);
        for (std::int64_t k = 0; k < count; ++k) {
          sum += std::exp(static_cast<double>(line[k * inner]) - own);
        }
        plain.mutable_data<float>()[i] = static_cast<float>(1 / sum);
        logarithmic.mutable_data<float>()[i] = static_cast<float>(-std::log(sum));
      }
      const std::map<std::string, Attribute, std::less<>> attributes{{"axis", std::int64_t{axis}}};
      const auto what = to_string(shape) + std::to_string(axis);
      const auto softmax = evaluate("Softmax", {x}, attributes);
      OCTET_ASSERT_OK(softmax);
      expect_near(*softmax, plain, 5e-7, what);
      const auto log_softmax = evaluate("LogSoftmax", {x}, attributes);
      OCTET_ASSERT_OK(log_softmax);
      expect_near(*log_softmax, logarithmic, 5e-7, "log " + what);
    }
  }
  EXPECT_FALSE(evaluate("Softmax", {random_tensor({2, 3}, 1)}, {{"axis", std::int64_t{2}}}));
  EXPECT_EQ(evaluate("Softmax", {Tensor::zeros(DType::f32, {2, 0})})->size(), 0);
}

/// (x - mean) / sqrt(variance + epsilon) of `width` neighbours, with a scale and shift found by
/// element.
Tensor naive_norm(const Tensor& x, std::int64_t width, double epsilon,
                  const std::function<double(std::int64_t)>& scale,
                  const std::function<double(std::int64_t)>& shift) {
  Tensor out(DType::f32, x.shape());
  for (std::int64_t begin = 0; begin < x.size(); begin += width) {
    const float* row = x.data<float>() + begin;
    double mean = 0, variance = 0;
    for (std::int64_t i = 0; i < width; ++i) mean += static_cast<double>(row[i]);
    mean /= static_cast<double>(width);
    for (std::int64_t i = 0; i < width; ++i) {
      variance += std::pow(static_cast<double>(row[i]) - mean, 2);
    }
    variance /= static_cast<double>(width);
    for (std::int64_t i = 0; i < width; ++i) {
      const double normal = (static_cast<double>(row[i]) - mean) / std::sqrt(variance + epsilon);
      out.mutable_data<float>()[begin + i] =
          static_cast<float>(normal * scale(begin + i) + shift(begin + i));
    }
  }
  return out;
}

TEST(FloatNormalization, Layer) {
  const Tensor x = random_tensor({2, 5, 37}, 3, 99, 103);
  const Tensor scale = random_tensor({37}, 4), shift = random_tensor({37}, 5);
  const auto at = [](const Tensor& t) {
    return [&t](std::int64_t i) { return static_cast<double>(t.data<float>()[i % t.size()]); };
  };
  const auto result = evaluate("LayerNormalization", {x, scale, shift}, {{"epsilon", 1e-3F}});
  OCTET_ASSERT_OK(result);
  expect_near(*result, naive_norm(x, 37, 1e-3, at(scale), at(shift)), 3e-5, "last axis");
  const Tensor wide = random_tensor({5, 37}, 6);
  const auto zero = [](std::int64_t) { return 0.0; };
  auto made = one_node("LayerNormalization", {x, wide}, {{"axis", std::int64_t{1}}});
  for (int i = 0; i < 2; ++i) {
    made.graph.node(made.node).outputs.push_back(made.graph.add_value({}));
  }
  const auto three = evaluate_constant_node(made.graph, made.node);
  OCTET_ASSERT_OK(three);
  ASSERT_EQ(three->size(), 3U);
  expect_near((*three)[0], naive_norm(x, 5 * 37, 1e-5, at(wide), zero), 3e-5, "two axes");
  ASSERT_EQ((*three)[1].shape(), (Shape{2, 1, 1}));
  ASSERT_EQ((*three)[2].shape(), (Shape{2, 1, 1}));
  EXPECT_NEAR((*three)[1].data<float>()[0], 101, 1);
  // Uniform over 4: the deviation is 4 / sqrt(12).
  EXPECT_NEAR((*three)[2].data<float>()[1], std::sqrt(12.0) / 4, 0.1);
  EXPECT_FALSE(evaluate("LayerNormalization", {x, random_tensor({36}, 1)}));
  EXPECT_FALSE(evaluate("LayerNormalization", {x, scale}, {{"axis", std::int64_t{3}}}));
  EXPECT_FALSE(evaluate("LayerNormalization",
                        {Tensor::zeros(DType::f32, {2, 0}), Tensor::zeros(DType::f32, {0})}));
}

TEST(FloatNormalization, InstanceAndGroup) {
  const Tensor x = random_tensor({2, 6, 3, 5}, 8, -2, 5);
  const Tensor scale = random_tensor({6}, 9), shift = random_tensor({6}, 10);
  const auto channel = [](const Tensor& t) {
    return [&t](std::int64_t i) { return static_cast<double>(t.data<float>()[i / 15 % 6]); };
  };
  const auto instance = run_channels_last("InstanceNormalization", {x, scale, shift});
  OCTET_ASSERT_OK(instance);
  expect_near(to_plain(*instance).tensor, naive_norm(x, 15, 1e-5, channel(scale), channel(shift)),
              1e-5, "instance");
  for (const std::int64_t groups : {1, 2, 3}) {
    const auto result = evaluate("GroupNormalization", {x, scale, shift}, {{"num_groups", groups}});
    OCTET_ASSERT_OK(result);
    expect_near(*result, naive_norm(x, 90 / groups, 1e-5, channel(scale), channel(shift)), 1e-5,
                "groups " + std::to_string(groups));
  }
  EXPECT_FALSE(
      evaluate("GroupNormalization", {x, scale, shift}, {{"num_groups", std::int64_t{4}}}));
  EXPECT_FALSE(evaluate("GroupNormalization", {x, scale, shift}));
  EXPECT_FALSE(evaluate("InstanceNormalization", {x, random_tensor({5}, 1), shift}));
}

}  // namespace
}  // namespace octet::testing

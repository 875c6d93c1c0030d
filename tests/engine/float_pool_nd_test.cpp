// Pooling in three dimensions, positions of maxima, 8-bit codes, and GlobalMaxPool.

#include <optional>

#include "engine/float_outputs.h"

namespace octet::testing {
namespace {

struct PoolCase {
  Shape x, out;
  Ints kernel, strides, dilations, begin, end;
  bool ceil = false;
};

const PoolCase cases[] = {
    {{2, 3, 5, 6, 4}, {2, 3, 4, 3, 2}, {2, 3, 2}, {1, 2, 2}, {1, 1, 1}, {0, 1, 0}, {0, 0, 1}},
    {{1, 2, 6, 6, 7}, {1, 2, 3, 3, 3}, {2, 2, 3}, {2, 2, 2}, {2, 1, 1}, {1, 0, 0}, {0, 0, 0}, true},
    {{1, 2, 9}, {1, 2, 4}, {3}, {3}, {1}, {1}, {1}, true},
};

Attributes attributes_of(const PoolCase& c) {
  Ints pads = c.begin;
  pads.insert(pads.end(), c.end.begin(), c.end.end());
  return {{"kernel_shape", c.kernel},
          {"strides", c.strides},
          {"dilations", c.dilations},
          {"pads", pads},
          {"ceil_mode", std::int64_t{c.ceil}}};
}

/// The elements that the window of an output element covers; `positions` counts those on the input
/// and its padding.
std::vector<std::int64_t> covered(const PoolCase& c, const Ints& at, std::int64_t& positions) {
  std::vector<std::int64_t> elements;
  positions = 0;
  for (std::int64_t k = 0; k < element_count(c.kernel); ++k) {
    const Ints tap = coordinates(c.kernel, k);
    Ints from{at[0], at[1]};
    bool padded = true;
    for (std::size_t d = 0; d < tap.size(); ++d) {
      from.push_back(at[d + 2] * c.strides[d] + tap[d] * c.dilations[d] - c.begin[d]);
      padded = padded && from.back() < c.x[d + 2] + c.end[d];
    }
    positions += padded ? 1 : 0;
    if (const auto i = flat(c.x, from); i >= 0) elements.push_back(i);
  }
  return elements;
}

TEST(FloatPoolNd, AgainstWindowsOneByOne) {
  for (const auto& c : cases) {
    const Tensor x = random_tensor(c.x, 5);
    std::int64_t positions = 0;
    const auto sum = [&](const std::vector<std::int64_t>& elements) {
      double total = 0;
      for (const auto i : elements) total += static_cast<double>(x.data<float>()[i]);
      return total;
    };
    const Tensor maximum = tensor_of(c.out, [&](const Ints& at) {
      double best = -9;
      for (const auto i : covered(c, at, positions)) {
        best = std::max(best, static_cast<double>(x.data<float>()[i]));
      }
      return best;
    });
    const Tensor average = tensor_of(c.out, [&](const Ints& at) {
      const auto elements = covered(c, at, positions);
      return sum(elements) / static_cast<double>(elements.size());
    });
    const Tensor padded = tensor_of(c.out, [&](const Ints& at) {
      const double total = sum(covered(c, at, positions));
      return total / static_cast<double>(positions);
    });
    auto attributes = attributes_of(c);
    const auto largest = evaluate("MaxPool", {x}, attributes);
    OCTET_ASSERT_OK(largest);
    expect_near(*largest, maximum, 0, "MaxPool");
    const auto mean = evaluate("AveragePool", {x}, attributes);
    OCTET_ASSERT_OK(mean);
    expect_near(*mean, average, 1e-6, "AveragePool");
    attributes.emplace("count_include_pad", std::int64_t{1});
    const auto with_pad = evaluate("AveragePool", {x}, attributes);
    OCTET_ASSERT_OK(with_pad);
    expect_near(*with_pad, padded, 1e-6, "AveragePool with padding");
  }
}

TEST(FloatPoolNd, PositionsPointAtTheMaxima) {
  const Tensor x = random_tensor({2, 3, 5, 6}, 6);
  const Attributes row_major{{"kernel_shape", Ints{3, 2}}, {"strides", Ints{2, 2}}};
  const auto rows = evaluate_all("MaxPool", {x}, 2, row_major);
  OCTET_ASSERT_OK(rows);
  ASSERT_EQ(rows->at(1).dtype(), DType::i64);
  ASSERT_EQ(rows->at(1).shape(), (Shape{2, 3, 2, 3}));
  Attributes column_major = row_major;
  column_major.emplace("storage_order", std::int64_t{1});
  const auto columns = evaluate_all("MaxPool", {x}, 2, column_major);
  OCTET_ASSERT_OK(columns);
  for (std::int64_t i = 0; i < rows->at(0).size(); ++i) {
    const auto at = rows->at(1).data<std::int64_t>()[i];
    EXPECT_EQ(rows->at(0).data<float>()[i], x.data<float>()[at]);
    const Ints where = coordinates(x.shape(), at);
    EXPECT_EQ(columns->at(1).data<std::int64_t>()[i],
              (where[0] * 3 + where[1]) * 30 + where[3] * 5 + where[2]);
  }
}

TEST(FloatPoolNd, Codes) {
  const Tensor x = Tensor::from<std::uint8_t>({3, 200, 7, 9, 255, 0}, {1, 1, 6});
  const auto y = evaluate("MaxPool", {x}, {{"kernel_shape", Ints{2}}, {"pads", Ints{1, 1}}});
  OCTET_ASSERT_OK(y);
  EXPECT_TRUE(identical(*y, Tensor::from<std::uint8_t>({3, 200, 200, 9, 255, 255, 0}, {1, 1, 7})));
  const Tensor negative = Tensor::from<std::int8_t>({-128, -3, -5, -9}, {1, 1, 2, 2});
  const auto z = evaluate("MaxPool", {negative}, {{"kernel_shape", Ints{1, 2}}});
  OCTET_ASSERT_OK(z);
  EXPECT_TRUE(identical(*z, Tensor::from<std::int8_t>({-3, -5}, {1, 1, 2, 1})));
  EXPECT_FALSE(evaluate("AveragePool", {x}, {{"kernel_shape", Ints{2}}}));
}

TEST(FloatPoolNd, GlobalMaximum) {
  for (const Shape& shape : {Shape{2, 3, 4}, Shape{2, 3, 4, 5}, Shape{1, 2, 3, 2, 2}}) {
    const Tensor x = random_tensor(shape, 7, -5, -1);
    Shape out(shape.size(), 1);
    out[0] = shape[0];
    out[1] = shape[1];
    const std::int64_t pixels = x.size() / (shape[0] * shape[1]);
    const Tensor expected = tensor_of(out, [&](const Ints& at) {
      const float* plane = x.data<float>() + (at[0] * shape[1] + at[1]) * pixels;
      return static_cast<double>(*std::max_element(plane, plane + pixels));
    });
    expect_in_both_orders("GlobalMaxPool", {x}, {}, expected, 0, to_string(shape));
  }
  EXPECT_FALSE(evaluate("GlobalMaxPool", {random_tensor({2, 3}, 1)}));
}

}  // namespace
}  // namespace octet::testing

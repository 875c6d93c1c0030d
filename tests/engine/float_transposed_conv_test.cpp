// ConvTranspose in one to three dimensions and Conv in three, against scattering and gathering
// element by element in double.

#include "core/parallel.h"
#include "engine/float_outputs.h"

namespace octet::testing {
namespace {

struct Geometry {
  Ints strides, dilations, begin, end, extra;
  std::int64_t groups = 1;
};

Attributes attributes_of(const Geometry& g, bool transposed) {
  Ints pads = g.begin;
  pads.insert(pads.end(), g.end.begin(), g.end.end());
  Attributes attributes{
      {"strides", g.strides}, {"dilations", g.dilations}, {"pads", pads}, {"group", g.groups}};
  if (transposed) attributes.emplace("output_padding", g.extra);
  return attributes;
}

Shape spatial(const Shape& shape) { return {shape.begin() + 2, shape.end()}; }

/// Adds every product of an input element and a weight where it lands.
Tensor scattered(const Tensor& x, const Tensor& w, const Tensor& bias, const Geometry& g,
                 const Shape& out_spatial) {
  const std::int64_t per_group = w.dim(1);
  Shape shape{x.dim(0), per_group * g.groups};
  shape.insert(shape.end(), out_spatial.begin(), out_spatial.end());
  const Shape kernel = spatial(w.shape());
  std::vector<double> sums(static_cast<std::size_t>(element_count(shape)), 0.0);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const Ints from = coordinates(x.shape(), i);
    const std::int64_t group = from[1] / (x.dim(1) / g.groups);
    for (std::int64_t m = 0; m < per_group; ++m) {
      for (std::int64_t k = 0; k < element_count(kernel); ++k) {
        const Ints tap = coordinates(kernel, k);
        Ints to{from[0], group * per_group + m};
        Ints at{from[1], m};
        for (std::size_t d = 0; d < tap.size(); ++d) {
          to.push_back(from[d + 2] * g.strides[d] + tap[d] * g.dilations[d] - g.begin[d]);
          at.push_back(tap[d]);
        }
        const auto target = flat(shape, to);
        if (target < 0) continue;
        sums[static_cast<std::size_t>(target)] +=
            static_cast<double>(x.data<float>()[i]) * value_at(w, at);
      }
    }
  }
  return tensor_of(shape, [&](const Ints& at) {
    const double add = bias.empty() ? 0 : static_cast<double>(bias.data<float>()[at[1]]);
    return sums[static_cast<std::size_t>(flat(shape, at))] + add;
  });
}

Shape transposed_extents(const Shape& in, const Shape& kernel, const Geometry& g) {
  Shape out;
  for (std::size_t d = 0; d < in.size(); ++d) {
    out.push_back(g.strides[d] * (in[d] - 1) + g.extra[d] + (kernel[d] - 1) * g.dilations[d] + 1 -
                  g.begin[d] - g.end[d]);
  }
  return out;
}

TEST(FloatConvTranspose, AllGeometries) {
  struct Case {
    Shape x, w;
    Geometry geometry;
  };
  const Case cases[] = {
      {{2, 3, 7}, {3, 4, 3}, {{2}, {1}, {1}, {0}, {1}}},
      {{2, 4, 5, 6}, {4, 3, 3, 2}, {{2, 1}, {1, 2}, {1, 0}, {0, 1}, {1, 0}}},
      {{1, 6, 4, 3}, {6, 2, 2, 2}, {{2, 2}, {1, 1}, {0, 0}, {0, 0}, {0, 0}, 3}},
      {{1, 4, 3, 3}, {4, 1, 3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, 4}},
      {{2, 2, 3, 4, 2}, {2, 3, 2, 3, 3}, {{1, 2, 3}, {2, 1, 1}, {0, 1, 1}, {1, 0, 1}, {0, 1, 2}}},
      {{1, 2, 3}, {2, 1, 2}, {{5}, {1}, {0}, {0}, {4}}},
  };
  for (const auto& c : cases) {
    const Tensor x = random_tensor(c.x, 1);
    const Tensor w = random_tensor(c.w, 2);
    const Tensor bias = random_tensor({c.w[1] * c.geometry.groups}, 3);
    const Shape out = transposed_extents(spatial(c.x), spatial(c.w), c.geometry);
    const auto attributes = attributes_of(c.geometry, true);
    expect_in_both_orders("ConvTranspose", {x, w, bias}, attributes,
                          scattered(x, w, bias, c.geometry, out), 1e-5, to_string(c.x));
    expect_in_both_orders("ConvTranspose", {x, w}, attributes, scattered(x, w, {}, c.geometry, out),
                          1e-5, to_string(c.x));
  }
}

TEST(FloatConvTranspose, DemandedOutput) {
  const Tensor x = random_tensor({1, 1, 3, 3}, 1);
  const Tensor w = random_tensor({1, 2, 3, 3}, 2);
  // Full extents 9 and 7 for a demanded 10 and 8: what lies beyond is empty.
  const auto y =
      evaluate("ConvTranspose", {x, w}, {{"strides", Ints{3, 2}}, {"output_shape", Ints{10, 8}}});
  OCTET_ASSERT_OK(y);
  const Geometry g{{3, 2}, {1, 1}, {0, 0}, {0, 0}, {0, 0}};
  expect_near(*y, scattered(x, w, {}, g, {10, 8}), 1e-5, "output_shape");
  // SAME_UPPER: twice the input, one column of three beyond it cut off at the end.
  const auto same = evaluate("ConvTranspose", {x, w},
                             {{"strides", Ints{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}});
  OCTET_ASSERT_OK(same);
  const Geometry even{{2, 2}, {1, 1}, {0, 0}, {1, 1}, {0, 0}};
  expect_near(*same, scattered(x, w, {}, even, {6, 6}), 1e-5, "SAME_UPPER");
}

TEST(FloatConvTranspose, ManyBlocksOfChannels) {
  // More columns than one task holds: blocks of 4, 4 and 1 channels must tile them.
  const Tensor x = random_tensor({1, 2, 60, 61}, 1);
  const Tensor w = random_tensor({2, 9, 4, 4}, 2);
  const Geometry g{{2, 2}, {1, 1}, {1, 1}, {1, 1}, {0, 0}};
  const auto y = evaluate("ConvTranspose", {x, w}, attributes_of(g, true));
  OCTET_ASSERT_OK(y);
  expect_near(*y, scattered(x, w, {}, g, {120, 122}), 1e-5, "blocks");
  for (const int threads : {1, 3, 0}) {
    set_thread_count(threads);
    const auto again = evaluate("ConvTranspose", {x, w}, attributes_of(g, true));
    OCTET_ASSERT_OK(again);
    EXPECT_TRUE(identical(*again, *y)) << threads << " threads";
  }
}

TEST(FloatConvTranspose, RefusesWhatDoesNotFit) {
  const Tensor x = random_tensor({1, 4, 3, 3}, 1);
  const Tensor w = random_tensor({4, 2, 3, 3}, 2);
  EXPECT_TRUE(evaluate("ConvTranspose", {x, w}));
  EXPECT_FALSE(evaluate("ConvTranspose", {x, random_tensor({3, 2, 3, 3}, 2)}));
  EXPECT_FALSE(evaluate("ConvTranspose", {x, w}, {{"group", std::int64_t{3}}}));
  EXPECT_FALSE(evaluate("ConvTranspose", {x, w}, {{"group", std::int64_t{0}}}));
  EXPECT_FALSE(evaluate("ConvTranspose", {x, w, random_tensor({3}, 3)}));
  EXPECT_FALSE(evaluate("ConvTranspose", {x, w}, {{"pads", Ints{3, 3, 3, 3}}}));
  EXPECT_FALSE(evaluate("ConvTranspose", {x, w},
                        {{"output_shape", Ints{std::int64_t{1} << 30, std::int64_t{1} << 30}}}));
  EXPECT_FALSE(evaluate("ConvTranspose", {x, ints({1})}));
}

Tensor gathered(const Tensor& x, const Tensor& w, const Tensor& bias, const Geometry& g) {
  const Shape kernel = spatial(w.shape());
  Shape shape{x.dim(0), w.dim(0)};
  for (std::size_t d = 0; d < kernel.size(); ++d) {
    const std::int64_t room =
        x.shape()[d + 2] + g.begin[d] + g.end[d] - (kernel[d] - 1) * g.dilations[d] - 1;
    shape.push_back(room / g.strides[d] + 1);
  }
  return tensor_of(shape, [&](const Ints& at) {
    double sum = static_cast<double>(bias.data<float>()[at[1]]);
    const std::int64_t group = at[1] / (w.dim(0) / g.groups);
    for (std::int64_t c = 0; c < w.dim(1); ++c) {
      for (std::int64_t k = 0; k < element_count(kernel); ++k) {
        const Ints tap = coordinates(kernel, k);
        Ints from{at[0], group * w.dim(1) + c};
        Ints weight{at[1], c};
        for (std::size_t d = 0; d < tap.size(); ++d) {
          from.push_back(at[d + 2] * g.strides[d] + tap[d] * g.dilations[d] - g.begin[d]);
          weight.push_back(tap[d]);
        }
        const auto i = flat(x.shape(), from);
        if (i >= 0) sum += static_cast<double>(x.data<float>()[i]) * value_at(w, weight);
      }
    }
    return sum;
  });
}

TEST(FloatConv, ThreeDimensions) {
  const Geometry plain{{1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {}};
  const Geometry odd{{2, 1, 3}, {1, 2, 1}, {1, 2, 0}, {0, 1, 2}, {}, 2};
  const std::pair<Geometry, Shape> cases[] = {{plain, {3, 4, 2, 2, 3}}, {odd, {6, 2, 3, 2, 2}}};
  for (const auto& [geometry, weight] : cases) {
    const Tensor x = random_tensor({2, 4, 5, 6, 7}, 1);
    const Tensor w = random_tensor(weight, 2);
    const Tensor bias = random_tensor({weight[0]}, 3);
    const auto y = evaluate("Conv", {x, w, bias}, attributes_of(geometry, false));
    OCTET_ASSERT_OK(y);
    expect_near(*y, gathered(x, w, bias, geometry), 1e-5, to_string(weight));
  }
  EXPECT_FALSE(
      evaluate("Conv", {random_tensor({1, 3, 2, 2, 2}, 1), random_tensor({1, 2, 1, 1, 1}, 2)}));
}

}  // namespace
}  // namespace octet::testing

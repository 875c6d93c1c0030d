// Resize against the formulas of the specification, applied to whole neighbourhoods in double.

#include "engine/float_outputs.h"

namespace octet::testing {
namespace {

double source_coordinate(const std::string& mode, double x, double in, double out, double scale) {
  if (mode == "asymmetric") return x / scale;
  if (mode == "align_corners") return out == 1 ? 0 : x * (in - 1) / (out - 1);
  if (mode == "pytorch_half_pixel" && out <= 1) return -0.5;
  return (x + 0.5) / scale - 0.5;
}

double cubic(double x, double a) {
  x = std::fabs(x);
  if (x <= 1) return (a + 2) * x * x * x - (a + 3) * x * x + 1;
  return x < 2 ? a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a : 0;
}

struct Filter {
  std::string mode = "linear", coordinates = "half_pixel";
  double a = -0.75;
  bool antialias = false, exclude_outside = false;

  [[nodiscard]] Attributes attributes() const {
    return {{"mode", mode},
            {"coordinate_transformation_mode", coordinates},
            {"cubic_coeff_a", static_cast<float>(a)},
            {"antialias", std::int64_t{antialias}},
            {"exclude_outside", std::int64_t{exclude_outside}}};
  }

  /// Weights of all input elements for one output element.
  [[nodiscard]] std::vector<double> weights(std::int64_t o, std::int64_t in, std::int64_t out,
                                            double scale) const {
    const double x = source_coordinate(coordinates, static_cast<double>(o), static_cast<double>(in),
                                       static_cast<double>(out), scale);
    const double shrink = antialias ? std::min(scale, 1.0) : 1.0;
    std::vector<double> result(static_cast<std::size_t>(in), 0.0);
    double sum = 0;
    for (std::int64_t i = -40; i < in + 40; ++i) {
      const double distance = (static_cast<double>(i) - x) * shrink;
      const double w =
          mode == "cubic" ? cubic(distance, a) : std::max(0.0, 1 - std::fabs(distance));
      const bool outside = i < 0 || i >= in;
      if (outside && exclude_outside) continue;
      sum += w;
      result[static_cast<std::size_t>(std::clamp<std::int64_t>(i, 0, in - 1))] += w;
    }
    for (auto& w : result) w /= sum;
    return result;
  }
};

Tensor interpolated(const Tensor& x, const Filter& filter, std::int64_t height, std::int64_t width,
                    double scale_y, double scale_x) {
  return tensor_of({x.dim(0), x.dim(1), height, width}, [&](const Ints& at) {
    const auto wy = filter.weights(at[2], x.dim(2), height, scale_y);
    const auto wx = filter.weights(at[3], x.dim(3), width, scale_x);
    double sum = 0;
    for (std::int64_t y = 0; y < x.dim(2); ++y) {
      for (std::int64_t c = 0; c < x.dim(3); ++c) {
        sum += wy[static_cast<std::size_t>(y)] * wx[static_cast<std::size_t>(c)] *
               value_at(x, {at[0], at[1], y, c});
      }
    }
    return sum;
  });
}

TEST(FloatResize, InterpolatesInEveryMode) {
  const Tensor x = random_tensor({2, 3, 5, 7}, 1);
  const std::vector<Filter> filters = {
      {"linear", "half_pixel"},
      {"linear", "asymmetric"},
      {"linear", "align_corners"},
      {"linear", "pytorch_half_pixel"},
      {"cubic", "half_pixel"},
      {"cubic", "align_corners", -0.5},
      {"cubic", "asymmetric", -0.75, false, true},
      {"linear", "half_pixel", -0.75, true},
      {"cubic", "half_pixel", -0.75, true, true},
  };
  const std::pair<std::int64_t, std::int64_t> sizes[] = {{10, 14}, {3, 11}, {1, 2}, {13, 5}};
  for (const auto& filter : filters) {
    for (const auto& [height, width] : sizes) {
      const Tensor expected =
          interpolated(x, filter, height, width, static_cast<double>(height) / 5,
                       static_cast<double>(width) / 7);
      expect_in_both_orders("Resize", {x, {}, {}, ints({2, 3, height, width})}, filter.attributes(),
                            expected, 2e-5,
                            filter.mode + filter.coordinates + std::to_string(height));
    }
  }
}

TEST(FloatResize, ScalesAndAxes) {
  const Tensor x = random_tensor({1, 2, 4, 6}, 2);
  const Filter filter{"linear", "half_pixel"};
  auto attributes = filter.attributes();
  const Tensor expected = interpolated(x, filter, 8, 9, 2, 1.5);
  expect_in_both_orders("Resize", {x, {}, Tensor::from<float>({1, 1, 2, 1.5F}, {4})}, attributes,
                        expected, 1e-5, "scales");
  attributes.emplace("axes", Ints{3, -2});
  expect_in_both_orders("Resize", {x, {}, Tensor::from<float>({1.5F, 2}, {2})}, attributes,
                        expected, 1e-5, "axes");
}

TEST(FloatResize, NearestMovesAnyType) {
  const auto pick = [](const std::string& mode, double x) {
    if (mode == "floor") return std::floor(x);
    if (mode == "ceil") return std::ceil(x);
    return mode == "round_prefer_ceil" ? std::floor(x + 0.5) : std::ceil(x - 0.5);
  };
  for (const std::string coordinates_mode : {"half_pixel", "asymmetric", "align_corners"}) {
    for (const std::string nearest : {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"}) {
      for (const std::int64_t width : {2, 4, 8, 12}) {
        const Tensor x = counting<std::int16_t>({1, 2, 4});
        const auto y = evaluate(
            "Resize", {x, {}, {}, ints({1, 2, width})},
            {{"coordinate_transformation_mode", coordinates_mode}, {"nearest_mode", nearest}});
        OCTET_ASSERT_OK(y);
        ASSERT_EQ(y->shape(), (Shape{1, 2, width}));
        for (std::int64_t i = 0; i < y->size(); ++i) {
          const auto o = static_cast<double>(i % width);
          const auto w = static_cast<double>(width);
          const double at = pick(nearest, source_coordinate(coordinates_mode, o, 4, w, w / 4));
          const auto expected = i / width * 4 + static_cast<std::int64_t>(std::clamp(at, 0.0, 3.0));
          EXPECT_EQ(y->data<std::int16_t>()[i], expected) << coordinates_mode << nearest << width;
        }
      }
    }
  }
  const Tensor image = counting<float>({1, 2, 2, 3});
  const Tensor twice = tensor_of({1, 2, 4, 6}, [&](const Ints& at) {
    return value_at(image, {0, at[1], at[2] / 2, at[3] / 2});
  });
  expect_in_both_orders("Resize", {image, {}, Tensor::from<float>({1, 1, 2, 2}, {4})}, {}, twice, 0,
                        "nearest twice");
}

TEST(FloatResize, CropsAndExtrapolates) {
  const Tensor x = counting<float>({1, 1, 3, 3});
  // The lower right quarter and beyond: rows 1, 2, 3 of an image of three.
  const auto y = evaluate(
      "Resize",
      {x, Tensor::from<float>({0, 0, 0.5F, 0, 1, 1, 1.5F, 1}, {8}), {}, ints({1, 1, 3, 3})},
      {{"mode", std::string("linear")},
       {"coordinate_transformation_mode", std::string("tf_crop_and_resize")},
       {"extrapolation_value", -7.0F}});
  OCTET_ASSERT_OK(y);
  EXPECT_TRUE(identical(*y, Tensor::from<float>({3, 4, 5, 6, 7, 8, -7, -7, -7}, {1, 1, 3, 3})));
}

TEST(FloatResize, CodesAreCutTowardsZero) {
  const Tensor x = Tensor::from<std::uint8_t>({10, 13}, {1, 1, 2});
  const auto y =
      evaluate("Resize", {x, {}, {}, ints({1, 1, 4})}, {{"mode", std::string("linear")}});
  OCTET_ASSERT_OK(y);
  EXPECT_TRUE(identical(*y, Tensor::from<std::uint8_t>({10, 10, 12, 13}, {1, 1, 4})));
  // Cubic overshoots; codes saturate.
  const Tensor step = Tensor::from<std::uint8_t>({0, 0, 255, 255}, {1, 1, 4});
  const auto z =
      evaluate("Resize", {step, {}, {}, ints({1, 1, 16})}, {{"mode", std::string("cubic")}});
  OCTET_ASSERT_OK(z);
  EXPECT_EQ(z->data<std::uint8_t>()[5], 0);
  EXPECT_EQ(z->data<std::uint8_t>()[10], 255);
}

TEST(FloatResize, RefusesDamage) {
  const Tensor x = random_tensor({1, 1, 3, 3}, 1);
  const auto scaled = [&](float scale) {
    return evaluate("Resize", {x, {}, Tensor::from<float>({1, 1, scale, scale}, {4})});
  };
  EXPECT_FALSE(scaled(1e30F));
  EXPECT_FALSE(scaled(1e9F));
  EXPECT_FALSE(scaled(0));
  EXPECT_FALSE(scaled(-1));
  EXPECT_FALSE(scaled(std::nanf("")));
  const auto tiny = scaled(1e-20F);
  OCTET_ASSERT_OK(tiny);
  EXPECT_EQ(tiny->size(), 0);
  EXPECT_FALSE(evaluate("Resize", {x}));
  EXPECT_FALSE(evaluate("Resize", {x, {}, {}, ints({1, 1, 6})}));
  EXPECT_FALSE(
      evaluate("Resize", {x, {}, {}, ints({1, 1, 6, 6})}, {{"mode", std::string("area")}}));
}

}  // namespace
}  // namespace octet::testing

#include "analysis/recipe_probe.h"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/graph_builder.h"
#include "graph/shape_inference.h"

namespace octet::testing {
namespace {

constexpr int count = 60;

/// The class of an image is its brightest color; pixels are 0..255.
std::int32_t class_of(int i) { return i % 3; }

float pixel(int i, int color, std::int64_t at) {
  const int noise = static_cast<int>((at * 37 + i * 11) % 60);
  return static_cast<float>((class_of(i) == color ? 160 : 80) + noise);
}

Recipe unit_recipe(ColorOrder order) {
  Recipe recipe;
  recipe.color = order;
  recipe.scale = 1.0 / 255;
  return recipe;
}

/// Images as `recipe` feeds them; its mean and std are empty.
SampleSource fed_by(const Recipe& recipe) {
  return [recipe](const Graph&, std::int64_t limit,
                  const BatchVisitor& visit) -> Result<std::int64_t> {
    const auto samples = std::min<std::int64_t>(limit, count);
    for (int i = 0; i < samples; ++i) {
      Batch batch;
      batch.first = i;
      batch.indices = {i};
      Tensor x(DType::f32, {1, 3, 4, 4});
      for (std::int64_t k = 0; k < x.size(); ++k) {
        const auto plane = static_cast<int>(k / 16);
        const int color = recipe.color == ColorOrder::bgr ? 2 - plane : plane;
        x.mutable_data<float>()[k] = pixel(i, color, k % 16) * static_cast<float>(recipe.scale);
      }
      batch.inputs = {x};
      OCTET_TRY(visit(0, batch));
    }
    return samples;
  };
}

/// Scores from the means of three planes that are fed as [0, 1].
Graph brightest(bool with_moments) {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 3, 4, 4});
  const auto mean = b.node("GlobalAveragePool", {x}, "mean");
  const auto flat = b.node("Flatten", {mean}, "flat");
  const auto weights =
      b.constant("w", Tensor::from<float>({20, -10, -10, -10, 20, -10, -10, -10, 20}, {3, 3}));
  const auto y = b.node("Gemm", {flat, weights}, "y");
  b.output(y);
  EXPECT_TRUE(infer_shapes(b.graph));
  // By color: 2/3 of the images have about 110 of 255, the others 190.
  if (with_moments)
    b.graph.value(flat).moments = ChannelMoments{{0.54F, 0.54F, 0.54F}, {.148F, .148F, .148F}};
  return std::move(b.graph);
}

std::vector<std::int32_t> labels() {
  std::vector<std::int32_t> all;
  for (int i = 0; i < count; ++i) all.push_back(class_of(i));
  return all;
}

RecipeProbe probed(const Graph& graph, const Recipe& given,
                   const std::vector<std::int32_t>& known) {
  const auto found = probe_recipes(graph, given, usual_recipes(given), fed_by(given), count, known);
  EXPECT_TRUE(found && *found);
  return found && *found ? **found : RecipeProbe{};
}

TEST(RecipeProbe, TheRightRecipeStays) {
  const auto probe = probed(brightest(false), unit_recipe(ColorOrder::rgb), labels());
  EXPECT_TRUE(probe.given_is_best()) << probe.best.name;
  EXPECT_EQ(probe.measure, "loss");
  EXPECT_EQ(probe.given.top1, 1.0);
  EXPECT_EQ(probe.samples, count);
}

TEST(RecipeProbe, SwappedChannelsByTheLoss) {
  const auto probe = probed(brightest(false), unit_recipe(ColorOrder::bgr), labels());
  ASSERT_FALSE(probe.given_is_best());
  EXPECT_EQ(probe.best.recipe.color, ColorOrder::rgb) << probe.best.name;
  EXPECT_NEAR(*probe.given.top1, 1.0 / 3, 0.01);
  EXPECT_EQ(probe.best.top1, 1.0);
}

TEST(RecipeProbe, AWrongScaleByBatchNormalization) {
  Recipe given = unit_recipe(ColorOrder::rgb);
  const auto right = probed(brightest(true), given, {});
  EXPECT_EQ(right.measure, "batch_norm");
  EXPECT_TRUE(right.given_is_best()) << right.best.name << *right.best.batch_norm_distance;
  given.scale = 1;
  const auto probe = probed(brightest(true), given, {});
  ASSERT_FALSE(probe.given_is_best());
  EXPECT_NEAR(probe.best.recipe.scale, 1.0 / 255, 1e-9) << probe.best.name;
  EXPECT_TRUE(probe.best.recipe.mean.empty()) << probe.best.name;
}

TEST(RecipeProbe, RecipesOfSwappedOrderKeepTheirNumbersByColor) {
  Recipe given;
  given.color = ColorOrder::bgr;
  given.mean = {1, 2, 3};
  const auto others = usual_recipes(given);
  const auto swapped = std::find_if(others.begin(), others.end(),
                                    [](const auto& r) { return r.name == "as given, RGB"; });
  ASSERT_NE(swapped, others.end());
  EXPECT_EQ(swapped->recipe.mean, (std::vector<float>{3, 2, 1}));
}

}  // namespace
}  // namespace octet::testing

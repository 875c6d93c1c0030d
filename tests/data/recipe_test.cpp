#include "data/recipe.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/preprocess.h"
#include "fixtures.h"
#include "support.h"

namespace octet {
namespace {

using test::pattern;
using test::pixels_of;
using test::unhex;

TEST(Recipe, ReadsAllFields) {
  const auto recipe = parse_recipe(
      R"({"resize_shorter": 256, "crop": 224, "color": "BGR", "mean": [0.485, 0.456, 0.406],
          "std": 0.5, "scale": 0.00392156862745098, "label_offset": 1})");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(recipe->resize_shorter, 256);
  EXPECT_EQ(recipe->crop, 224);
  EXPECT_EQ(recipe->color, ColorOrder::bgr);
  EXPECT_EQ(recipe->mean, (std::vector<float>{0.485F, 0.456F, 0.406F}));
  EXPECT_EQ(recipe->std, std::vector<float>{0.5F});
  EXPECT_EQ(recipe->scale, 0.00392156862745098);
  EXPECT_EQ(recipe->label_offset, 1);
}

TEST(Recipe, JsonReadsBack) {
  for (const auto* text :
       {"{}", R"({"color":"gray","mean":0.1307,"std":0.3081,"scale":0.00392156862745098})",
        R"({"resize_width":96,"resize_height":64,"label_offset":-1,"std":[1e-8,1e8,3]})",
        R"({"resize_shorter":256,"crop":224,"color":"bgr"})"}) {
    const auto recipe = parse_recipe(text);
    ASSERT_TRUE(recipe) << recipe.error().message;
    EXPECT_EQ(parse_recipe(to_json(*recipe)).value(), *recipe) << to_json(*recipe);
  }
}

TEST(Recipe, ErrorsNameTheField) {
  EXPECT_ERROR(parse_recipe(R"({"resize_shortest": 256})"), "unknown field \"resize_shortest\"");
  EXPECT_ERROR(parse_recipe(R"({"crop": "224"})"), "crop must be an integer");
  EXPECT_ERROR(parse_recipe(R"({"crop": 1e3})"), "crop must be an integer");
  EXPECT_ERROR(parse_recipe(R"({"crop": -1})"), "crop must be from 0");
  EXPECT_ERROR(parse_recipe(R"({"crop": 99999999999999999999})"), "crop must be");
  EXPECT_ERROR(parse_recipe(R"({"crop": 18446744073709551615})"), "crop must be from 0");
  EXPECT_ERROR(parse_recipe(R"({"std": [1, 0, 1]})"), "std must not be 0");
  EXPECT_ERROR(parse_recipe(R"({"std": [1, 1]})"), "std must have 1 or 3");
  EXPECT_ERROR(parse_recipe(R"({"mean": [1, "a", 1]})"), "mean must be a number");
  EXPECT_ERROR(parse_recipe(R"({"mean": 1e39})"), "mean is too large");
  EXPECT_ERROR(parse_recipe(R"({"scale": 0})"), "scale must not be 0");
  EXPECT_ERROR(parse_recipe(R"({"scale": 1e999})"), "recipe");
  EXPECT_ERROR(parse_recipe(R"({"color": "CMYK"})"), "color must be");
  EXPECT_ERROR(parse_recipe(R"({"resize_width": 3})"), "go together");
  EXPECT_ERROR(parse_recipe(R"({"resize_width": 3, "resize_height": 3, "resize_shorter": 3})"),
               "contradicts");
  EXPECT_ERROR(parse_recipe(R"({"color": "gray", "mean": [1, 2, 3]})"), "mean has 3");
  EXPECT_ERROR(parse_recipe("[]"), "JSON object");
  EXPECT_ERROR(parse_recipe("{\"crop\": 2"), "not valid JSON at byte");
  EXPECT_ERROR(parse_recipe(""), "not valid JSON");
  EXPECT_ERROR(parse_recipe("{\"\xff\": 2}"), "not valid JSON");
  EXPECT_FALSE(parse_recipe(std::string(100000, '[')));
}

TEST(Recipe, ResizeGivesPillowsPixels) {
  const Image image = pattern(13, 11);
  EXPECT_EQ(pixels_of(resize_bilinear(image, 5, 4)), unhex(fixtures::resized_down));
  EXPECT_EQ(pixels_of(resize_bilinear(image, 20, 17)), unhex(fixtures::resized_up));
  EXPECT_EQ(pixels_of(resize_bilinear(image, 6, 23)), unhex(fixtures::resized_mixed));
  EXPECT_EQ(pixels_of(resize_bilinear(image, 13, 11)), pixels_of(image));
  EXPECT_EQ(pixels_of(with_channels(image, 1)), unhex(fixtures::pattern_gray));
}

TEST(Recipe, CropRoundsItsMarginsDown) {
  const auto cropped = center_crop(pattern(7, 4, 1), 2, 3).value();
  // left = (7 - 2) / 2 = 2, top = (4 - 3) / 2 = 0
  const Image image = pattern(7, 4, 1);
  for (std::size_t y = 0; y < 3; ++y) {
    for (std::size_t x = 0; x < 2; ++x) {
      EXPECT_EQ(cropped.pixels[y * 2 + x], image.pixels[y * 7 + x + 2]);
    }
  }
  EXPECT_ERROR(center_crop(image, 8, 2), "7x4 is too small for a crop of 8x2");
}

/// numpy: (x.astype(float32) / 255 - mean) / std, each step rounded to float.
float numpy_value(int pixel, float mean, float std) {
  const volatile float scaled = static_cast<float>(pixel) / 255.0F;
  const volatile float centered = scaled - mean;
  return centered / std;
}

TEST(Recipe, ValuesAreNumpysInEveryLayoutAndOrder) {
  Recipe recipe;
  recipe.mean = {0.485F, 0.456F, 0.406F};
  recipe.std = {0.229F, 0.224F, 0.225F};
  recipe.scale = 1.0 / 255.0;
  const Image image = pattern(16, 16);
  for (const auto color : {ColorOrder::rgb, ColorOrder::bgr}) {
    recipe.color = color;
    const auto planar = apply_recipe(recipe, image, ImageLayout::nchw).value();
    const auto packed = apply_recipe(recipe, image, ImageLayout::nhwc).value();
    EXPECT_EQ(planar.shape(), (Shape{1, 3, 16, 16}));
    EXPECT_EQ(packed.shape(), (Shape{1, 16, 16, 3}));
    for (std::size_t i = 0; i < 256; ++i) {
      for (std::size_t c = 0; c < 3; ++c) {
        const auto source = color == ColorOrder::rgb ? c : 2 - c;
        const float wanted =
            numpy_value(image.pixels[3 * i + source], recipe.mean[c], recipe.std[c]);
        EXPECT_NEAR(planar.data<float>()[c * 256 + i], wanted, 1e-6);
        EXPECT_EQ(planar.data<float>()[c * 256 + i], packed.data<float>()[i * 3 + c]);
      }
    }
  }
}

TEST(Recipe, ResizeThenCropGivesTheNamedSize) {
  Recipe recipe;
  recipe.resize_shorter = 8;
  recipe.crop = 7;
  EXPECT_EQ(apply_recipe(recipe, pattern(13, 11), ImageLayout::nchw)->shape(), (Shape{1, 3, 7, 7}));
  recipe.crop = 0;
  // 8 * 13 / 11 = 9.45, rounded down
  EXPECT_EQ(apply_recipe(recipe, pattern(13, 11), ImageLayout::nchw)->shape(), (Shape{1, 3, 8, 9}));
  EXPECT_EQ(apply_recipe(recipe, pattern(11, 13), ImageLayout::nchw)->shape(), (Shape{1, 3, 9, 8}));
  recipe.color = ColorOrder::gray;
  EXPECT_EQ(apply_recipe(recipe, pattern(11, 13), ImageLayout::nhwc)->shape(), (Shape{1, 9, 8, 1}));
  recipe.resize_shorter = 0;
  recipe.crop = 12;
  EXPECT_ERROR(apply_recipe(recipe, pattern(11, 13), ImageLayout::nchw), "11x13 is too small");
  recipe = {};
  recipe.resize_shorter = 16000;
  EXPECT_ERROR(apply_recipe(recipe, pattern(600, 1), ImageLayout::nchw), "absurdly large");
}

TEST(Recipe, ResizeKeepsConstantImages) {
  // Weights that did not sum to one would show here.
  for (const int value : {0, 1, 127, 254, 255}) {
    Image image{37, 29, 3,
                std::vector<std::uint8_t>(37 * 29 * 3, static_cast<std::uint8_t>(value))};
    for (const int side : {1, 2, 7, 36, 64, 200}) {
      const auto resized = resize_bilinear(image, side, side + 3);
      for (const auto pixel : resized.pixels) ASSERT_EQ(pixel, value) << side;
    }
  }
}

}  // namespace
}  // namespace octet

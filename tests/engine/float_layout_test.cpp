// Expand, Tile, Split, DepthToSpace, SpaceToDepth, Trilu and Range, element by element.

#include "engine/float_outputs.h"

namespace octet::testing {
namespace {

TEST(FloatLayout, ExpandAndTileRepeat) {
  const Tensor x = random_tensor({2, 1, 3, 1}, 1);
  const Tensor wide = tensor_of({2, 4, 3, 5}, [&](const Ints& at) {
    return value_at(x, {at[0], 0, at[2], 0});
  });
  expect_in_both_orders("Expand", {x, ints({1, 4, 1, 5})}, {}, wide, 0, "Expand");
  const Tensor deep = tensor_of({2, 2, 1, 3, 1}, [&](const Ints& at) {
    return value_at(x, {at[1], 0, at[3], 0});
  });
  expect_in_both_orders("Expand", {x, ints({2, 1, 1, 1, 1})}, {}, deep, 0, "Expand to rank 5");
  const Tensor y = random_tensor({1, 2, 3, 2}, 2);
  const Tensor tiled = tensor_of({2, 4, 3, 6}, [&](const Ints& at) {
    return value_at(y, {0, at[1] % 2, at[2], at[3] % 2});
  });
  expect_in_both_orders("Tile", {y, ints({2, 2, 1, 3})}, {}, tiled, 0, "Tile");
  const auto flags = evaluate("Tile", {Tensor::from<std::uint8_t>({7, 8}, {2}), ints({2})});
  OCTET_ASSERT_OK(flags);
  EXPECT_TRUE(identical(*flags, Tensor::from<std::uint8_t>({7, 8, 7, 8}, {4})));
  const auto nothing = evaluate("Tile", {y, ints({1, 0, 1, 1})});
  OCTET_ASSERT_OK(nothing);
  EXPECT_EQ(nothing->shape(), (Shape{1, 0, 3, 2}));
  EXPECT_FALSE(evaluate("Tile", {y, ints({1, 1, 1})}));
  EXPECT_FALSE(evaluate("Tile", {y, ints({1, 1, 1, -1})}));
  EXPECT_FALSE(evaluate("Tile", {y, ints({1, 1, 1LL << 62, 1LL << 62})}));
  EXPECT_FALSE(evaluate("Expand", {y, ints({1LL << 50, 1, 1, 1})}));
  EXPECT_FALSE(evaluate("Expand", {y, ints({-1, 1, 1, 1})}));
  EXPECT_FALSE(evaluate("Expand", {y, ints({5})}));
}

TEST(FloatLayout, SplitPartsJoinAgain) {
  const Tensor x = random_tensor({2, 7, 3, 2}, 3);
  const auto check = [&](const std::vector<Tensor>& inputs, const Ints& sizes) {
    const auto parts = evaluate_all("Split", inputs, sizes.size(), {{"axis", std::int64_t{-3}}});
    OCTET_ASSERT_OK(parts);
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const Tensor expected = tensor_of({2, sizes[i], 3, 2}, [&](const Ints& at) {
        return value_at(x, {at[0], at[1] + begin, at[2], at[3]});
      });
      expect_near(parts->at(i), expected, 0, "part " + std::to_string(i));
      begin += sizes[i];
    }
  };
  check({x, ints({4, 0, 3})}, {4, 0, 3});
  check({x}, {3, 3, 1});
  check({x}, {2, 2, 2, 1});
  EXPECT_FALSE(evaluate_all("Split", {x, ints({4, 4})}, 2, {{"axis", std::int64_t{1}}}));
  EXPECT_FALSE(evaluate_all("Split", {x, ints({8, -1})}, 2, {{"axis", std::int64_t{1}}}));
  EXPECT_FALSE(evaluate_all("Split", {x, ints({7})}, 2, {{"axis", std::int64_t{1}}}));
  EXPECT_FALSE(evaluate_all("Split", {x}, 2, {{"num_outputs", std::int64_t{3}}}));
  // Along the channels of a channels-last activation.
  const auto first = run_channels_last("Split", {x, ints({7})}, {{"axis", std::int64_t{1}}});
  OCTET_ASSERT_OK(first);
  EXPECT_TRUE(first->channels_last);
  EXPECT_TRUE(identical(to_plain(*first).tensor, x));
}

TEST(FloatLayout, DepthAndSpace) {
  const std::int64_t b = 2;
  const Tensor x = random_tensor({2, 12, 3, 5}, 4);
  for (const std::string mode : {"DCR", "CRD"}) {
    const Attributes attributes{{"blocksize", b}, {"mode", mode}};
    const Tensor space = tensor_of({2, 3, 6, 10}, [&](const Ints& at) {
      const std::int64_t block = at[2] % b * b + at[3] % b;
      const std::int64_t channel = mode == "DCR" ? block * 3 + at[1] : at[1] * b * b + block;
      return value_at(x, {at[0], channel, at[2] / b, at[3] / b});
    });
    expect_in_both_orders("DepthToSpace", {x}, attributes, space, 0, mode);
    expect_in_both_orders("SpaceToDepth", {space}, attributes, x, 0, mode + " back");
  }
  EXPECT_FALSE(evaluate("DepthToSpace", {x}, {{"blocksize", std::int64_t{5}}}));
  EXPECT_FALSE(evaluate("DepthToSpace", {x}, {{"blocksize", std::int64_t{0}}}));
  EXPECT_FALSE(evaluate("DepthToSpace", {x}, {{"blocksize", std::int64_t{1} << 40}}));
  EXPECT_FALSE(evaluate("SpaceToDepth", {x}, {{"blocksize", std::int64_t{2}}}));
  EXPECT_FALSE(evaluate("SpaceToDepth", {x}));
}

TEST(FloatLayout, Triangles) {
  const Tensor x = random_tensor({2, 3, 4}, 5, 1, 2);
  for (std::int64_t k : {-9, -2, 0, 1, 3, 9}) {
    for (const bool upper : {false, true}) {
      const Tensor expected = tensor_of(x.shape(), [&](const Ints& at) {
        const bool kept = upper ? at[2] - at[1] >= k : at[2] - at[1] <= k;
        return kept ? value_at(x, at) : 0;
      });
      const auto y = evaluate("Trilu", {x, Tensor::from<std::int64_t>({k}, {})},
                              {{"upper", std::int64_t{upper}}});
      OCTET_ASSERT_OK(y);
      expect_near(*y, expected, 0, std::to_string(k));
    }
  }
  const auto far = evaluate("Trilu", {x, Tensor::from<std::int64_t>({INT64_MIN}, {})});
  OCTET_ASSERT_OK(far);
  EXPECT_TRUE(identical(*far, x));
  EXPECT_FALSE(evaluate("Trilu", {random_tensor({3}, 1)}));
}

TEST(FloatLayout, NegativePadsCutFirst) {
  const Tensor x = counting<std::int32_t>({5});
  const auto pad = [&](const std::string& mode, std::int64_t begin, std::int64_t end) {
    return evaluate("Pad", {x, ints({begin, end})}, {{"mode", mode}});
  };
  const auto values = [](std::initializer_list<std::int32_t> list) {
    return Tensor::from<std::int32_t>(list, {static_cast<std::int64_t>(list.size())});
  };
  EXPECT_TRUE(identical(*pad("wrap", 2, -2), values({1, 2, 0, 1, 2})));
  EXPECT_TRUE(identical(*pad("wrap", -1, 5), values({1, 2, 3, 4, 1, 2, 3, 4, 1})));
  EXPECT_TRUE(identical(*pad("reflect", -2, 3), values({2, 3, 4, 3, 2, 3})));
  EXPECT_TRUE(identical(*pad("edge", 2, -3), values({0, 0, 0, 1})));
  EXPECT_TRUE(identical(*pad("constant", -2, 2), values({2, 3, 4, 0, 0})));
  EXPECT_TRUE(identical(*pad("constant", -6, 3), values({0, 0})));
  EXPECT_FALSE(pad("edge", -6, 3));
  EXPECT_FALSE(pad("constant", -3, -3));
  EXPECT_FALSE(pad("wrap", 0, 1LL << 60));
}

TEST(FloatLayout, Ranges) {
  const auto integers = [](std::int64_t start, std::int64_t limit, std::int64_t delta) {
    return evaluate(
        "Range", {Tensor::from<std::int64_t>({start}, {}), Tensor::from<std::int64_t>({limit}, {}),
                  Tensor::from<std::int64_t>({delta}, {})});
  };
  EXPECT_TRUE(identical(*integers(2, 9, 3), ints({2, 5, 8})));
  EXPECT_TRUE(identical(*integers(5, -1, -2), ints({5, 3, 1})));
  EXPECT_EQ(integers(5, 5, 1)->size(), 0);
  EXPECT_EQ(integers(5, 9, -1)->size(), 0);
  EXPECT_TRUE(
      identical(*integers(INT64_MIN, INT64_MAX, INT64_MAX), ints({INT64_MIN, -1, INT64_MAX - 1})));
  EXPECT_FALSE(integers(0, 5, 0));
  EXPECT_FALSE(integers(INT64_MIN, INT64_MAX, 1));
  const auto floats = [](float start, float limit, float delta) {
    return evaluate("Range", {Tensor::from<float>({start}, {}), Tensor::from<float>({limit}, {}),
                              Tensor::from<float>({delta}, {})});
  };
  EXPECT_TRUE(identical(*floats(1, 2.25F, 0.5F), Tensor::from<float>({1, 1.5F, 2}, {3})));
  EXPECT_FALSE(floats(0, INFINITY, 1));
  EXPECT_FALSE(floats(0, 1, std::nanf("")));
  EXPECT_FALSE(evaluate("Range", {ints({0}), ints({1}), Tensor::from<float>({1}, {})}));
}

}  // namespace
}  // namespace octet::testing

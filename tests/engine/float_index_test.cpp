// Gathering and scattering by index, element by element.

#include "engine/float_outputs.h"

namespace octet::testing {
namespace {

Tensor indices(std::vector<std::int64_t> values, Shape shape) {
  return Tensor::from<std::int64_t>(values, std::move(shape));
}

TEST(FloatIndex, GatherElements) {
  const Tensor x = random_tensor({3, 4, 2}, 1);
  for (const std::int64_t axis : {0, 1, -1}) {
    const auto along = static_cast<std::size_t>(axis < 0 ? axis + 3 : axis);
    Shape shape{3, 2, 2};
    if (along == 0) shape = {5, 4, 2};
    Tensor wanted(DType::i64, shape);
    const std::int64_t extent = x.shape()[along];
    for (std::int64_t i = 0; i < wanted.size(); ++i) {
      wanted.mutable_data<std::int64_t>()[i] = (i * 7 + 3) % (2 * extent) - extent;
    }
    const Tensor expected = tensor_of(shape, [&](Ints at) {
      const auto index = wanted.data<std::int64_t>()[flat(shape, at)];
      at[along] = index < 0 ? index + extent : index;
      return value_at(x, at);
    });
    const auto y = evaluate("GatherElements", {x, wanted}, {{"axis", axis}});
    OCTET_ASSERT_OK(y);
    expect_near(*y, expected, 0, std::to_string(axis));
  }
  EXPECT_FALSE(evaluate("GatherElements", {x, indices({3}, {1, 1, 1})}));
  EXPECT_FALSE(evaluate("GatherElements", {x, indices({-4}, {1, 1, 1})}));
  EXPECT_FALSE(evaluate("GatherElements", {x, indices({0}, {1, 1})}));
  EXPECT_FALSE(evaluate("GatherElements", {x, indices({0, 0, 0}, {1, 1, 3})}));
}

TEST(FloatIndex, GatherNd) {
  const Tensor x = random_tensor({2, 3, 4}, 2);
  const auto pairs = evaluate("GatherND", {x, indices({1, -1, 0, 2}, {2, 2})});
  OCTET_ASSERT_OK(pairs);
  expect_near(*pairs,
              tensor_of({2, 4},
                        [&](const Ints& at) {
                          return value_at(x, {at[0] == 0 ? 1 : 0, 2, at[1]});
                        }),
              0, "pairs");
  const auto batched = evaluate("GatherND", {x, indices({2, 0, -2, 1}, {2, 2, 1})},
                                {{"batch_dims", std::int64_t{1}}});
  OCTET_ASSERT_OK(batched);
  const std::int64_t rows[2][2] = {{2, 0}, {1, 1}};
  expect_near(*batched,
              tensor_of({2, 2, 4},
                        [&](const Ints& at) {
                          return value_at(x, {at[0], rows[at[0]][at[1]], at[2]});
                        }),
              0, "batched");
  EXPECT_FALSE(evaluate("GatherND", {x, indices({2, 0}, {1, 2})}));
  EXPECT_FALSE(evaluate("GatherND", {x, indices({0, 0, 0, 0}, {1, 4})}));
  EXPECT_FALSE(evaluate("GatherND", {x, indices({0}, {1, 1})}, {{"batch_dims", std::int64_t{1}}}));
  EXPECT_FALSE(evaluate("GatherND", {x, indices({0}, {1, 1})}, {{"batch_dims", std::int64_t{2}}}));
  EXPECT_FALSE(evaluate("GatherND", {x, indices({}, {1LL << 39, 0})}));
}

TEST(FloatIndex, ScatterElementsReduces) {
  const Tensor x = counting<std::int32_t>({2, 3});
  const Tensor where = indices({0, 1, 0, 0, -1, 0}, {3, 2});
  const Tensor updates = Tensor::from<std::int32_t>({10, 20, 30, 40, 50, 60}, {3, 2});
  const auto scatter = [&](const std::string& reduction) {
    return evaluate("ScatterElements", {x, where, updates},
                    {{"axis", std::int64_t{0}}, {"reduction", reduction}});
  };
  const auto none = scatter("none");
  OCTET_ASSERT_OK(none);
  EXPECT_TRUE(identical(*none, Tensor::from<std::int32_t>({30, 60, 2, 50, 20, 5}, {2, 3})));
  EXPECT_TRUE(
      identical(*scatter("add"), Tensor::from<std::int32_t>({40, 101, 2, 53, 24, 5}, {2, 3})));
  EXPECT_TRUE(
      identical(*scatter("mul"), Tensor::from<std::int32_t>({0, 2400, 2, 150, 80, 5}, {2, 3})));
  EXPECT_TRUE(
      identical(*scatter("max"), Tensor::from<std::int32_t>({30, 60, 2, 50, 20, 5}, {2, 3})));
  EXPECT_TRUE(identical(*scatter("min"), x));
  EXPECT_FALSE(scatter("mean"));
  EXPECT_FALSE(evaluate("ScatterElements", {x, where, counting<float>({3, 2})}));
  EXPECT_FALSE(evaluate("ScatterElements", {x, where, counting<std::int32_t>({2, 3})}));
  EXPECT_FALSE(evaluate("ScatterElements",
                        {x, indices({2}, {1, 1}), Tensor::from<std::int32_t>({1}, {1, 1})}));
}

TEST(FloatIndex, ScatterNd) {
  const Tensor x = counting<float>({3, 2});
  const Tensor rows = indices({2, 0, 2}, {3, 1});
  const Tensor updates = Tensor::from<float>({10, 11, 20, 21, 30, 31}, {3, 2});
  const auto scatter = [&](const std::string& reduction) {
    return evaluate("ScatterND", {x, rows, updates}, {{"reduction", reduction}});
  };
  OCTET_ASSERT_OK(scatter("none"));
  EXPECT_TRUE(identical(*scatter("none"), Tensor::from<float>({20, 21, 2, 3, 30, 31}, {3, 2})));
  EXPECT_TRUE(identical(*scatter("add"), Tensor::from<float>({20, 22, 2, 3, 44, 47}, {3, 2})));
  EXPECT_TRUE(identical(*scatter("max"), Tensor::from<float>({20, 21, 2, 3, 30, 31}, {3, 2})));
  EXPECT_FALSE(evaluate("ScatterND", {x, indices({3}, {1, 1}), counting<float>({1, 2})}));
  EXPECT_FALSE(evaluate("ScatterND", {x, rows, counting<float>({2, 3})}));
  // Single elements; integers wrap around.
  const Tensor bytes = Tensor::from<std::uint8_t>({250, 3}, {2});
  const auto sum = evaluate(
      "ScatterND", {bytes, indices({0, 0}, {2, 1}), Tensor::from<std::uint8_t>({5, 9}, {2})},
      {{"reduction", std::string("add")}});
  OCTET_ASSERT_OK(sum);
  EXPECT_TRUE(identical(*sum, Tensor::from<std::uint8_t>({8, 3}, {2})));
}

TEST(FloatIndex, OneHot) {
  const Tensor wanted = indices({1, -1, 7}, {3});
  const Tensor values = Tensor::from<std::int32_t>({4, 9}, {2});
  const auto last = evaluate("OneHot", {wanted, ints({3}), values});
  OCTET_ASSERT_OK(last);
  EXPECT_TRUE(identical(*last, Tensor::from<std::int32_t>({4, 9, 4, 4, 4, 9, 4, 4, 4}, {3, 3})));
  const auto first = evaluate("OneHot", {wanted, ints({3}), values}, {{"axis", std::int64_t{0}}});
  OCTET_ASSERT_OK(first);
  EXPECT_TRUE(identical(*first, Tensor::from<std::int32_t>({4, 4, 4, 9, 4, 4, 4, 9, 4}, {3, 3})));
  const Tensor floats = Tensor::from<float>({1, std::nanf("")}, {2});
  const auto from_floats = evaluate("OneHot", {floats, Tensor::from<float>({2}, {}), values});
  OCTET_ASSERT_OK(from_floats);
  EXPECT_TRUE(identical(*from_floats, Tensor::from<std::int32_t>({4, 9, 4, 4}, {2, 2})));
  EXPECT_FALSE(evaluate("OneHot", {wanted, ints({1LL << 60}), values}));
  EXPECT_FALSE(evaluate("OneHot", {wanted, ints({-1}), values}));
  EXPECT_FALSE(evaluate("OneHot", {wanted, ints({3}), Tensor::from<float>({1}, {1})}));
}

}  // namespace
}  // namespace octet::testing

// Nodes that move codes, reductions, tables and operators of any rank: what they compute on codes
// must be what the float engine computes on the values that the codes stand for.

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "engine/integer_model_builder.h"

namespace octet::testing {
namespace {

using Ints = std::vector<std::int64_t>;

/// Steps that ran, by kernel, with those that run in float under "float Op".
std::multiset<std::string> kernels_of(const QuantizedGraph& model,
                                      const std::vector<Tensor>& inputs) {
  std::multiset<std::string> kernels;
  const auto program = compile_integer(model);
  if (!program) return kernels;
  auto session = (*program)->session();
  (*session)->set_profiling(true);
  EXPECT_TRUE((*session)->run(inputs));
  for (const auto& step : (*session)->step_times()) kernels.insert(step.kernel);
  return kernels;
}

void expect_no_float(const QuantizedGraph& model, const std::vector<Tensor>& inputs) {
  for (const auto& kernel : kernels_of(model, inputs)) {
    EXPECT_FALSE(kernel.starts_with("float")) << kernel;
  }
}

/// Inputs made of values that codes stand for, so that the float engine and moved codes agree.
Tensor on_grid(const ModelBuilder& b, ValueId value, const Tensor& tensor) {
  const auto& q = b.model.plan.values.at(value).params;
  Tensor result(DType::f32, tensor.shape());
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const double code =
        std::nearbyint(static_cast<double>(tensor.data<float>()[i] / q.scale[0])) + q.zero_point[0];
    const auto limited = static_cast<int>(std::fmin(std::fmax(code, -128.0), 127.0));
    result.mutable_data<float>()[i] = q.scale[0] * static_cast<float>(limited - q.zero_point[0]);
  }
  return result;
}

/// Both engines give the same outputs: nothing but movement happened.
void expect_moves_only(ModelBuilder& b, const std::vector<Tensor>& inputs) {
  expect_simulation_equals_integer(b.model, inputs);
  const auto integer = compile_integer(b.model);
  const auto floating = compile_float(b.model.graph);
  ASSERT_TRUE(integer && floating);
  auto a = (*integer)->session();
  auto f = (*floating)->session();
  const auto got = (*a)->run(inputs);
  const auto want = (*f)->run(inputs);
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_TRUE(want) << want.error().message;
  for (std::size_t i = 0; i < want->size(); ++i) {
    ASSERT_EQ((*got)[i].shape(), (*want)[i].shape()) << i;
    for (std::int64_t k = 0; k < (*want)[i].size(); ++k) {
      // By value: a code stands for one zero, a float op may give -0.
      ASSERT_EQ((*got)[i].data<float>()[k], (*want)[i].data<float>()[k]) << i << " at " << k;
    }
  }
}

TEST(IntegerMoves, SplitsImagesAndMatrices) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 6, 4, 5}), -2, 3);
  const auto two = b.split(x, 1, {2, 4});
  const auto three = b.split(x, -1, {1, 1, 3});
  for (const auto v : two) b.output(b.share(v, x));
  for (const auto v : three) b.output(b.share(v, x));
  const auto flat = b.share(b.node("Reshape", {x, b.ints("flat", {0, 6, 20})}), x);
  for (const auto v : b.split(flat, 2, {5, 15})) b.output(b.share(v, x));
  const auto input = on_grid(b, x, b.random_tensor({2, 6, 4, 5}, -2, 3));
  expect_moves_only(b, {input});
  expect_no_float(b.model, {input});
}

TEST(IntegerMoves, SplitsIntoPartsWithParamsOfTheirOwn) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 6}), -2, 3);
  const auto parts = b.split(x, 1, {2, 4});
  b.output(b.quantize(parts[0], -1, 1));
  b.output(b.share(parts[1], x));
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {b.random_tensor({3, 6}, -2, 3)}), 3);
}

TEST(IntegerMoves, RearrangesImages) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 8, 4, 6}), -2, 3);
  const auto moved = [&](const std::string& op, std::vector<ValueId> inputs,
                         std::map<std::string, Attribute, std::less<>> attributes = {}) {
    const auto y = b.share(b.node(op, std::move(inputs), std::move(attributes)), x);
    b.output(y);
    return y;
  };
  moved("DepthToSpace", {x}, {{"blocksize", std::int64_t{2}}});
  moved("DepthToSpace", {x}, {{"blocksize", std::int64_t{2}}, {"mode", std::string("CRD")}});
  moved("SpaceToDepth", {x}, {{"blocksize", std::int64_t{2}}});
  const auto scales = b.constant("scales", Tensor::from<float>({1, 1, 2, 2}, {4}));
  moved("Resize", {x, ValueId::none, scales},
        {{"mode", std::string("nearest")},
         {"coordinate_transformation_mode", std::string("asymmetric")},
         {"nearest_mode", std::string("floor")}});
  moved("Resize", {x, ValueId::none, ValueId::none, b.ints("sizes", {2, 8, 7, 3})},
        {{"mode", std::string("nearest")}});
  moved("Tile", {x, b.ints("repeats", {1, 2, 1, 3})});
  const auto input = on_grid(b, x, b.random_tensor({2, 8, 4, 6}, -2, 3));
  expect_moves_only(b, {input});
  expect_no_float(b.model, {input});
}

TEST(IntegerMoves, AnyRank) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 3, 1, 2, 5}), -2, 3);
  const auto shared = [&](ValueId v) { return b.share(v, x); };
  const auto transposed = shared(b.node("Transpose", {x}, {{"perm", Ints{4, 0, 3, 1, 2}}}));
  b.output(transposed);
  b.output(shared(b.node("Expand", {x, b.ints("shape", {1, 3, 4, 2, 5})})));
  const auto joined = shared(b.node("Concat", {x, x}, {{"axis", std::int64_t{3}}}));
  b.output(joined);
  b.output(shared(b.node("Slice", {joined, b.ints("s", {1}), b.ints("e", {4}), b.ints("a", {3})})));
  b.output(shared(b.node("Squeeze", {x, b.ints("axes", {2})})));
  const auto input = on_grid(b, x, b.random_tensor({2, 3, 1, 2, 5}, -2, 3));
  expect_moves_only(b, {input});
  expect_no_float(b.model, {input});
}

TEST(IntegerMoves, GathersRowsOfATableByRunTimeTokens) {
  ModelBuilder b;
  const auto tokens = b.input("tokens", {dynamic_dim, dynamic_dim}, DType::i64);
  const auto table = b.quantize(b.constant("table", b.random_tensor({20, 8}, -1, 1)), -1, 1);
  const auto same = b.share(b.node("Gather", {table, tokens}), table);
  b.output(same);
  b.output(b.quantize(b.node("Gather", {table, tokens}), -1.5, 1.5));
  b.output(b.node("Gather", {table, tokens}));  // floats
  const auto picked =
      b.node("Gather", {same, b.constant("one", Tensor::from<std::int64_t>({2}, {}))},
             {{"axis", std::int64_t{-1}}});
  b.output(b.share(picked, table));
  const auto input = Tensor::from<std::int64_t>({0, 19, -1, -20, 7, 7}, {2, 3});
  EXPECT_GE(expect_simulation_equals_integer(b.model, {input}), 4);
  expect_no_float(b.model, {input});
  const auto program = compile_integer(b.model);
  ASSERT_TRUE(program);
  auto session = (*program)->session();
  const auto bad = (*session)->run(std::vector<Tensor>{Tensor::from<std::int64_t>({20}, {1, 1})});
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("out of range"), std::string::npos) << bad.error().message;
}

TEST(IntegerMoves, ReducesNeighbouringAxes) {
  ModelBuilder b;
  const auto image = b.quantize(b.input("image", {dynamic_dim, 16, 5, 4}), -2, 3);
  const auto conv = b.quantize(b.conv(image, {16, 16, 1, 1}, {}), -9, 9);
  const auto tokens = b.quantize(b.input("tokens", {dynamic_dim, 7, 12}), -1, 2);
  const auto reduce = [&](const std::string& op, ValueId v, Ints axes, std::int64_t keep) {
    const auto y = b.node(op, {v, b.ints("axes", std::move(axes))}, {{"keepdims", keep}});
    b.output(b.quantize(y, -4, 5));
  };
  for (const std::int64_t keep : {0, 1}) {
    for (const std::string op : {"ReduceMean", "ReduceMax"}) {
      reduce(op, conv, {2, 3}, keep);
      reduce(op, conv, {-3, -1, -2}, keep);
      reduce(op, conv, {1}, keep);
      reduce(op, conv, {1, 2}, keep);
      reduce(op, conv, {2}, keep);
      reduce(op, conv, {0, 1}, keep);
      reduce(op, image, {3}, keep);
      reduce(op, tokens, {1}, keep);
      reduce(op, tokens, {-1}, keep);
    }
  }
  b.output(b.quantize(b.node("GlobalMaxPool", {conv}), -9, 9));
  b.output(b.quantize(b.node("GlobalAveragePool", {conv}), -4, 4));
  b.output(b.quantize(b.node("GlobalAveragePool", {tokens}), -1, 2));
  const auto one = b.random_tensor({3, 16, 5, 4}, -2, 3);
  const auto two = b.random_tensor({3, 7, 12}, -1, 2);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {one, two}), 42);
  expect_no_float(b.model, {one, two});
}

TEST(IntegerTables, EveryFunctionOfOneValue) {
  ModelBuilder b;
  const auto x = b.quantize(b.input("x", {dynamic_dim, 64}), -4, 5);
  const auto positive = b.quantize(b.input("p", {dynamic_dim, 64}), 0, 6);
  std::size_t nodes = 0;
  for (const std::string op :
       {"Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu", "Selu",
        "Softplus", "Erf", "Abs", "Neg", "Exp", "Gelu", "Mish", "Swish", "Floor", "Reciprocal"}) {
    b.output(b.quantize(b.node(op, {x}), -3, 4));
    ++nodes;
  }
  for (const std::string op : {"Log", "Sqrt"}) b.output(b.quantize(b.node(op, {positive}), -3, 4));
  const auto number = [&](float v, Shape shape) {
    return b.constant("number", Tensor::from<float>({v}, std::move(shape)));
  };
  b.output(b.quantize(b.node("Pow", {x, number(2, {})}), 0, 20));
  b.output(b.quantize(b.node("Add", {x, number(0.7F, {1})}), -4, 6));
  b.output(b.quantize(b.node("Sub", {number(0.7F, {}), x}), -5, 6));
  b.output(b.quantize(b.node("Mul", {number(1.3F, {1, 1}), x}), -5, 6));
  b.output(b.quantize(b.node("Div", {x, number(3, {})}), -2, 2));
  nodes += 2 + 5;
  const auto a = b.random_tensor({5, 64}, -4.5F, 5.5F);
  const auto c = b.random_tensor({5, 64}, 0, 6);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {a, c}), static_cast<int>(nodes) + 2);
  EXPECT_EQ(kernels_of(b.model, {a, c}).count("u8_lookup_tensor_any_1"), nodes);
}

TEST(IntegerBinary, AnyRankAndAllBroadcasts) {
  ModelBuilder b;
  const std::vector<std::pair<Shape, Shape>> shapes = {{{2, 3, 4, 5, 6}, {2, 3, 4, 5, 6}},
                                                       {{2, 3, 4, 5, 6}, {3, 1, 5, 1}},
                                                       {{2, 1, 4, 1, 6}, {1, 3, 1, 5, 1}},
                                                       {{7, 9}, {9}},
                                                       {{7, 9}, {7, 1}},
                                                       {{2, 1, 2, 1, 2, 3}, {2, 2, 2, 2, 1, 1}},
                                                       {{5}, {4, 3, 5}},
                                                       {{2, 8, 3, 3}, {8, 1, 1}}};
  std::vector<Tensor> inputs;
  int values = 0;
  for (const auto& [left, right] : shapes) {
    const auto x = b.quantize(b.input("x", left), -2, 3);
    const auto y = b.quantize(b.input("y", right), -3, 2);
    inputs.push_back(b.random_tensor(left, -2, 3));
    inputs.push_back(b.random_tensor(right, -3, 2));
    for (const std::string op : {"Add", "Sub", "Mul", "Div"}) {
      b.output(b.quantize(b.node(op, {x, y}), -5, 6));
    }
    values += 6;
  }
  EXPECT_EQ(expect_simulation_equals_integer(b.model, inputs), values);
  expect_no_float(b.model, inputs);
}

}  // namespace
}  // namespace octet::testing

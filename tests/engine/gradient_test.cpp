// Gradients of the tape against central differences, and its forward pass against the float engine.

#include <cmath>

#include "engine/float_support.h"
#include "engine/gradient/tape.h"
#include "engine/integer_model_builder.h"
#include "graph/shape_inference.h"

namespace octet::testing {
namespace {

using gradient::Parameters;
using gradient::Tape;
using Ints = std::vector<std::int64_t>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

/// A graph under test: its inputs' values and which constants are trained.
struct Case {
  std::string name;
  std::function<void(ModelBuilder&, std::vector<Tensor>& inputs, std::vector<ValueId>& trained)>
      build;
  bool batch_statistics = false;  ///< differs from the float engine, which normalizes otherwise
  double step = 1e-2;
};

/// Adds a trained constant to an input, so that the gradient of what reads the sum is tested.
ValueId movable(ModelBuilder& b, std::vector<Tensor>& inputs, std::vector<ValueId>& trained,
                Shape shape, float low = -1, float high = 1) {
  const auto seed = static_cast<unsigned>(inputs.size() + 1);
  inputs.push_back(random_tensor(shape, seed, low, high));
  const auto x = b.input("x" + std::to_string(seed), shape);
  const auto shift =
      b.constant("shift" + std::to_string(seed), random_tensor(shape, seed + 50, -0.1F, 0.1F));
  trained.push_back(shift);
  return b.node("Add", {x, shift});
}

ValueId weight(ModelBuilder& b, std::vector<ValueId>& trained, Shape shape, float low = -0.7F,
               float high = 0.7F) {
  const auto seed = static_cast<unsigned>(trained.size() + 100);
  const auto id =
      b.constant("w" + std::to_string(seed), random_tensor(std::move(shape), seed, low, high));
  trained.push_back(id);
  return id;
}

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

Case unary(const std::string& op, Attributes attributes = {}, float low = -4, float high = 4,
           Shape shape = {2, 3, 4, 5}) {
  return {op, [=](ModelBuilder& b, auto& inputs, auto& trained) {
            b.output(b.node(op, {movable(b, inputs, trained, shape, low, high)}, attributes));
          }};
}

Case conv(const std::string& name, Shape input, Shape filter, Attributes attributes) {
  return {name, [=](ModelBuilder& b, auto& inputs, auto& trained) {
            const auto x = movable(b, inputs, trained, input);
            const auto w = weight(b, trained, filter);
            const auto bias = weight(b, trained, {filter[0]});
            b.output(b.node("Conv", {x, w, bias}, attributes));
          }};
}

Case arithmetic(const std::string& op, Shape first, Shape second) {
  return {op + to_string(second), [=](ModelBuilder& b, auto& inputs, auto& trained) {
            const auto x = movable(b, inputs, trained, first, 0.5F, 2);
            b.output(b.node(op, {x, weight(b, trained, second, 0.5F, 2)}));
          }};
}

std::vector<Case> cases() {
  std::vector<Case> all = {
      unary("Relu"),
      unary("LeakyRelu", {{"alpha", 0.2F}}),
      unary("Sigmoid"),
      unary("Tanh"),
      unary("HardSigmoid"),
      unary("HardSwish"),
      unary("Neg"),
      unary("Exp", {}, -2, 1),
      unary("Log", {}, 0.5F, 2),
      unary("Sqrt", {}, 0.5F, 2),
      unary("Erf", {}, -2, 2),
      unary("Gelu"),
      unary("Gelu", {{"approximate", std::string("tanh")}}),
      unary("Flatten"),
      unary("Identity"),
      unary("GlobalAveragePool"),
      unary("GlobalMaxPool"),
      unary("Transpose", {{"perm", Ints{0, 2, 3, 1}}}),
      unary("Softmax", {{"axis", std::int64_t{-1}}}, -2, 2, {3, 7}),
      unary("Softmax", {{"axis", std::int64_t{-1}}}, -2, 2),
      unary("Softmax", {{"axis", std::int64_t{1}}}, -2, 2),
      unary("Abs"),
      unary("Elu", {{"alpha", 0.7F}}),
      unary("Reciprocal", {}, 0.5F, 2),
      unary("ReduceMean", {{"keepdims", std::int64_t{0}}}),
      unary("Transpose", {{"perm", Ints{1, 2, 0}}}, -1, 1, {3, 4, 5}),
      unary("MaxPool",
            {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}),
      unary("AveragePool",
            {{"kernel_shape", Ints{2, 3}}, {"strides", Ints{1, 2}}, {"pads", Ints{0, 1, 1, 1}}}),
      unary("AveragePool", {{"kernel_shape", Ints{3, 3}},
                            {"pads", Ints{1, 1, 1, 1}},
                            {"count_include_pad", std::int64_t{1}}}),
      conv("conv 3x3", {2, 4, 6, 5}, {8, 4, 3, 3}, {{"pads", Ints{1, 1, 1, 1}}}),
      conv("conv 1x1", {3, 16, 4, 4}, {32, 16, 1, 1}, {}),
      conv("conv stride 2, first layer", {2, 3, 9, 8}, {16, 3, 3, 3},
           {{"pads", Ints{0, 0, 1, 1}}, {"strides", Ints{2, 2}}}),
      conv("conv depthwise", {2, 8, 6, 6}, {8, 1, 3, 3},
           {{"pads", Ints{1, 1, 1, 1}}, {"group", std::int64_t{8}}}),
      conv("conv grouped", {2, 6, 5, 5}, {4, 3, 3, 3}, {{"group", std::int64_t{2}}}),
      conv("conv dilated", {1, 4, 9, 9}, {4, 4, 3, 3}, {{"dilations", Ints{2, 2}}}),
      arithmetic("Add", {2, 3, 4, 4}, {1, 3, 1, 1}),
      arithmetic("Sub", {2, 3, 4, 4}, {2, 3, 4, 4}),
      arithmetic("Mul", {2, 3, 4, 4}, {3, 1, 1}),
      arithmetic("Div", {2, 3, 4, 4}, {4}),
      arithmetic("Mul", {4, 5}, {1}),
      arithmetic("Add", {4, 5}, {5}),
      arithmetic("Add", {2, 3, 4}, {2, 1, 4}),
      arithmetic("Pow", {2, 3, 4, 4}, {3, 1, 1}),
      arithmetic("PRelu", {2, 3, 4, 4}, {3, 1, 1}),
  };
  all.push_back({"Clip", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 3, 4, 5}, -2, 8);
                   b.output(b.node("Clip", {x, b.constant("low", Tensor::from<float>({0}, {})),
                                            b.constant("high", Tensor::from<float>({6}, {}))}));
                 }});
  for (const std::int64_t transposed : {0, 1}) {
    all.push_back({"Gemm transB " + std::to_string(transposed),
                   [=](ModelBuilder& b, auto& inputs, auto& trained) {
                     const auto x = movable(b, inputs, trained, {5, 7});
                     const auto w = weight(b, trained, transposed != 0 ? Shape{4, 7} : Shape{7, 4});
                     b.output(b.node("Gemm", {x, w, weight(b, trained, {4})},
                                     {{"transB", transposed}, {"alpha", 0.5F}, {"beta", 2.0F}}));
                   }});
  }
  all.push_back(
      {"Gemm transA", [](ModelBuilder& b, auto& inputs, auto& trained) {
         const auto x = movable(b, inputs, trained, {7, 5});
         b.output(b.node("Gemm", {x, weight(b, trained, {7, 4})}, {{"transA", std::int64_t{1}}}));
       }});
  all.push_back({"MatMul", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 3, 7});
                   b.output(b.node("MatMul", {x, weight(b, trained, {7, 4})}));
                 }});
  all.push_back({"MatMul of two values", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 3, 7});
                   const auto y = movable(b, inputs, trained, {2, 7, 4});
                   b.output(b.node("MatMul", {x, y}));
                 }});
  const auto product = [&](const Shape& first, const Shape& second) {
    all.push_back({"MatMul " + to_string(first) + to_string(second),
                   [=](ModelBuilder& b, auto& inputs, auto& trained) {
                     const auto x = movable(b, inputs, trained, first);
                     const auto y = movable(b, inputs, trained, second);
                     b.output(b.node("MatMul", {x, y}));
                   }});
  };
  product({2, 3, 4, 5}, {2, 3, 5, 2});
  product({2, 3, 4, 5}, {3, 5, 2});
  product({4, 5}, {2, 3, 5, 2});
  product({2, 1, 4, 5}, {1, 3, 5, 2});
  product({2, 3, 5}, {5});
  product({5}, {2, 5, 3});
  all.push_back({"MatMul of rank 4 and weights", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 3, 4, 5});
                   b.output(b.node("MatMul", {x, weight(b, trained, {5, 6})}));
                 }});
  const auto transposed = [&](const std::string& name, const Shape& input, const Shape& filter,
                              std::int64_t channels, const Attributes& attributes) {
    all.push_back(
        {"ConvTranspose " + name, [=](ModelBuilder& b, auto& inputs, auto& trained) {
           const auto x = movable(b, inputs, trained, input);
           const auto w = weight(b, trained, filter);
           b.output(b.node("ConvTranspose", {x, w, weight(b, trained, {channels})}, attributes));
         }});
  };
  transposed("2x2 stride 2", {2, 6, 4, 3}, {6, 4, 2, 2}, 4, {{"strides", Ints{2, 2}}});
  transposed("3x3 stride 2 with output padding", {2, 4, 5, 4}, {4, 3, 3, 3}, 3,
             {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"output_padding", Ints{1, 1}}});
  transposed("4x4 grouped", {2, 4, 3, 3}, {4, 3, 4, 4}, 6,
             {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"group", std::int64_t{2}}});
  transposed("dilated", {1, 3, 4, 4}, {3, 2, 3, 3}, 2, {{"dilations", Ints{2, 1}}});
  const auto reduced = [&](const std::string& op, const Shape& shape, const Ints& axes,
                           std::int64_t keepdims) {
    all.push_back({op, [=](ModelBuilder& b, auto& inputs, auto& trained) {
                     const auto x = movable(b, inputs, trained, shape);
                     b.output(b.node(op, {x, b.ints("axes", axes)}, {{"keepdims", keepdims}}));
                   }});
  };
  reduced("ReduceMean", {2, 3, 4}, {-1}, 1);
  reduced("ReduceMean", {2, 3, 4, 5}, {1, 3}, 1);
  reduced("ReduceMean", {2, 3, 4, 5}, {1}, 0);
  reduced("ReduceSum", {2, 3, 4, 5}, {0, -1}, 0);
  reduced("ReduceSum", {2, 3, 2, 2, 3}, {2}, 0);
  for (const float exponent : {2.0F, 3.0F, 0.5F, -1.0F}) {
    all.push_back(
        {"Pow " + std::to_string(exponent), [=](ModelBuilder& b, auto& inputs, auto& trained) {
           const auto x = movable(b, inputs, trained, {3, 7}, 0.5F, 2);
           b.output(b.node("Pow", {x, b.constant("k", Tensor::from({exponent}, {}))}));
         }});
  }
  all.push_back({"Pow of negative numbers", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {3, 7}, -2, 2);
                   b.output(b.node("Pow", {x, b.ints("k", {2})}));
                 }});
  all.push_back(
      {"Split", [](ModelBuilder& b, auto& inputs, auto& trained) {
         const auto parts = b.split(movable(b, inputs, trained, {2, 7, 4, 4}), 1, {2, 4, 1});
         b.output(b.node("Sigmoid", {parts[2]}));
         b.output(parts[1]);
       }});
  const auto gathered = [&](const Shape& data, const Tensor& indices, std::int64_t axis) {
    all.push_back(
        {"Gather " + to_string(data), [=](ModelBuilder& b, auto& inputs, auto& trained) {
           const auto x = movable(b, inputs, trained, data);
           b.output(b.node("Gather", {x, b.constant("indices", indices)}, {{"axis", axis}}));
         }});
  };
  gathered({4, 3, 5}, Tensor::from<std::int64_t>({0}, {}), 1);
  gathered({4, 3, 5}, Tensor::from<std::int64_t>({2, -1, 2}, {3}), -1);
  gathered({2, 4, 3, 5}, Tensor::from<std::int32_t>({1, 3, 1, 0}, {2, 2}), 1);
  gathered({2, 4, 3, 5}, Tensor::from<std::int64_t>({2}, {1}), 3);
  all.push_back({"Gather by computed indices", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   inputs.push_back(Tensor::from<std::int64_t>({1, 4, 1, 0, 2, 3}, {2, 3}));
                   const auto ids = b.input("ids", {2, 3}, DType::i64);
                   const auto table = weight(b, trained, {5, 4});
                   b.output(b.node("Gather", {table, ids}));
                 }});
  all.push_back(
      {"Where", [](ModelBuilder& b, auto& inputs, auto& trained) {
         const auto x = movable(b, inputs, trained, {2, 3, 2, 2});
         Tensor keep(DType::boolean, {3, 1, 2});
         for (int i = 0; i < 6; ++i) keep.mutable_data<bool>()[i] = i % 3 != 1;
         b.output(b.node("Where", {b.constant("keep", keep), x, weight(b, trained, {1, 3, 1, 1})}));
       }});
  all.push_back({"Expand", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {3, 1, 2});
                   b.output(b.node("Expand", {x, b.ints("shape", {2, 3, 4, 2})}));
                 }});
  const auto resized = [&](const std::string& name, const std::vector<float>& scales,
                           const Attributes& attributes) {
    all.push_back({"Resize " + name, [=](ModelBuilder& b, auto& inputs, auto& trained) {
                     const auto x = movable(b, inputs, trained, {2, 3, 4, 5});
                     const auto by = b.constant(
                         "scales",
                         Tensor::from<float>(scales, {static_cast<std::int64_t>(scales.size())}));
                     b.output(b.node("Resize", {x, ValueId::none, by}, attributes));
                   }});
  };
  const auto mode = [](const std::string& name, const std::string& coordinates) {
    return Attributes{{"mode", name}, {"coordinate_transformation_mode", coordinates}};
  };
  resized("linear", {1, 1, 2, 2}, mode("linear", "half_pixel"));
  resized("linear with aligned corners", {1, 1, 2.5F, 3}, mode("linear", "align_corners"));
  resized("linear, smaller", {1, 1, 0.5F, 0.6F}, mode("linear", "pytorch_half_pixel"));
  resized("cubic", {1, 1, 2, 2}, mode("cubic", "half_pixel"));
  resized("nearest by a fraction", {1, 1, 1.5F, 0.5F}, mode("nearest", "asymmetric"));
  for (const std::string kind : {"reflect", "edge", "wrap"}) {
    all.push_back({"Pad " + kind, [=](ModelBuilder& b, auto& inputs, auto& trained) {
                     const auto x = movable(b, inputs, trained, {2, 3, 4, 4});
                     b.output(b.node("Pad", {x, b.ints("pads", {0, 0, 1, 2, 0, 1, 0, -1})},
                                     {{"mode", kind}}));
                   }});
  }
  all.push_back({"Concat", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 3, 4, 4});
                   const auto y = movable(b, inputs, trained, {2, 5, 4, 4});
                   b.output(b.node("Concat", {x, y, x}, {{"axis", std::int64_t{1}}}));
                 }});
  all.push_back({"Pad", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 3, 4, 4});
                   b.output(b.node("Pad", {x, b.ints("pads", {0, 0, 1, 2, 0, 1, 0, -1})}));
                 }});
  all.push_back({"Resize", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 3, 4, 5});
                   const auto scales = b.constant("scales", Tensor::from<float>({1, 1, 2, 3}, {4}));
                   b.output(b.node("Resize", {x, ValueId::none, scales}));
                 }});
  all.push_back({"Slice", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 3, 7, 6});
                   b.output(b.node("Slice", {x, b.ints("starts", {0, -2}), b.ints("ends", {7, -7}),
                                             b.ints("axes", {2, -1}), b.ints("steps", {2, -1})}));
                 }});
  all.push_back({"ReduceMean", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 3, 4, 5});
                   b.output(b.node("ReduceMean", {x, b.ints("axes", {2, 3})},
                                   {{"keepdims", std::int64_t{0}}}));
                 }});
  all.push_back({"BatchNormalization",
                 [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {4, 3, 4, 5}, -1, 3);
                   b.output(b.node("BatchNormalization",
                                   {x, weight(b, trained, {3}, 0.5F, 2), weight(b, trained, {3}),
                                    b.constant("mean", random_tensor({3}, 1)),
                                    b.constant("variance", random_tensor({3}, 2, 1, 2))}));
                 },
                 true});
  all.push_back({"LayerNormalization of rank 4", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 3, 4, 5}, -1, 3);
                   b.output(
                       b.node("LayerNormalization",
                              {x, weight(b, trained, {4, 5}, 0.5F, 2), weight(b, trained, {4, 5})},
                              {{"axis", std::int64_t{2}}}));
                 }});
  all.push_back({"LayerNormalization", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 4, 9}, -1, 3);
                   b.output(b.node("LayerNormalization",
                                   {x, weight(b, trained, {9}, 0.5F, 2), weight(b, trained, {9})}));
                 }});
  all.push_back({"attention", [](ModelBuilder& b, auto& inputs, auto& trained) {
                   const auto x = movable(b, inputs, trained, {2, 5, 8});
                   const auto heads = [&](const Ints& order) {
                     const auto y = b.node("MatMul", {x, weight(b, trained, {8, 8})});
                     const auto split = b.node("Reshape", {y, b.ints("heads", {0, 0, 2, 4})});
                     return b.node("Transpose", {split}, {{"perm", order}});
                   };
                   const auto query = heads({0, 2, 1, 3});
                   const auto key = heads({0, 2, 3, 1});
                   const auto scores = b.node("Softmax", {b.node("MatMul", {query, key})});
                   const auto mixed = b.node("MatMul", {scores, heads({0, 2, 1, 3})});
                   const auto rows = b.node("Transpose", {mixed}, {{"perm", Ints{0, 2, 1, 3}}});
                   b.output(b.node("Reshape", {rows, b.ints("rows", {0, 0, 8})}));
                 }});
  all.push_back(
      {"residual block", [](ModelBuilder& b, auto& inputs, auto& trained) {
         const auto x = movable(b, inputs, trained, {2, 8, 6, 6});
         const auto y = b.node(
             "Sigmoid",
             {b.node("Conv",
                     {x, weight(b, trained, {8, 8, 3, 3}, -0.3F, 0.3F), weight(b, trained, {8})},
                     {{"pads", Ints{1, 1, 1, 1}}})});
         const auto sum = b.node("Add", {y, x});
         const auto pooled = b.node("Flatten", {b.node("GlobalAveragePool", {sum})});
         b.output(b.node("Gemm", {pooled, weight(b, trained, {3, 8}), weight(b, trained, {3})},
                         {{"transB", std::int64_t{1}}}));
       }});
  return all;
}

struct Made {
  ModelBuilder builder;
  std::vector<Tensor> inputs;
  std::vector<ValueId> trained;
  std::unique_ptr<Tape> tape;
  Parameters parameters;
  std::vector<Tensor> directions;  ///< loss = sum of outputs times these
};

void make(const Case& c, Made& made, bool recompute = false) {
  c.build(made.builder, made.inputs, made.trained);
  Graph& graph = made.builder.model.graph;
  OCTET_ASSERT_OK(infer_shapes(graph));
  gradient::TapeOptions options;
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    options.shapes.push_back(graph.value(static_cast<ValueId>(i)).shape);
  }
  options.trained = made.trained;
  options.outputs = graph.outputs;
  options.recompute = recompute;
  auto tape = Tape::compile(graph, options);
  OCTET_ASSERT_OK(tape);
  made.tape = std::move(*tape);
  for (const auto id : made.trained) made.parameters.emplace(id, *graph.constant(id));
  for (const auto id : graph.outputs) {
    made.directions.push_back(random_tensor(*graph.value(id).shape, 77));
  }
}

double loss(Made& made) {
  EXPECT_TRUE(made.tape->update(made.parameters).has_value());
  auto session = made.tape->session();
  EXPECT_TRUE(session.has_value());
  auto outputs = (*session)->forward(made.inputs);
  EXPECT_TRUE(outputs.has_value()) << outputs.error().message;
  double sum = 0;
  for (std::size_t i = 0; i < outputs->size(); ++i) {
    for (std::int64_t k = 0; k < (*outputs)[i].size(); ++k) {
      sum += static_cast<double>((*outputs)[i].data<float>()[k]) *
             static_cast<double>(made.directions[i].data<float>()[k]);
    }
  }
  return sum;
}

Parameters gradients(Made& made) {
  (void)loss(made);
  auto session = made.tape->session();
  EXPECT_TRUE((*session)->forward(made.inputs).has_value());
  std::vector<float> leaves(made.tape->leaf_count());
  EXPECT_TRUE((*session)->backward(made.directions, leaves).has_value());
  auto found = made.tape->gradients(leaves);
  EXPECT_TRUE(found.has_value());
  return *found;
}

class GradientOfGraph : public ::testing::TestWithParam<Case> {};

TEST_P(GradientOfGraph, EqualsCentralDifferences) {
  Made made;
  make(GetParam(), made);
  const auto found = gradients(made);
  for (const auto id : made.trained) {
    ASSERT_TRUE(found.contains(id)) << made.builder.model.graph.value(id).name;
    Tensor& parameter = made.parameters.at(id);
    const Tensor& gradient = found.at(id);
    const auto stride = std::max<std::int64_t>(1, parameter.size() / 23);
    int kinks = 0;
    int compared = 0;
    for (std::int64_t i = 0; i < parameter.size(); i += stride, ++compared) {
      const float kept = parameter.data<float>()[i];
      const auto at = [&](double shift) {
        parameter.mutable_data<float>()[i] = static_cast<float>(static_cast<double>(kept) + shift);
        return loss(made);
      };
      const double step = GetParam().step;
      const double right = (at(step) - at(0)) / step;
      const double left = (at(0) - at(-step)) / step;
      parameter.mutable_data<float>()[i] = kept;
      const double actual = static_cast<double>(gradient.data<float>()[i]);
      // At a kink (Relu, maxima) both sides are right.
      if (std::abs(right - left) > 0.05 * (1 + std::abs(actual))) {
        ++kinks;
        continue;
      }
      ASSERT_NEAR(actual, (left + right) / 2, 0.01 * (1 + std::abs(actual)))
          << made.builder.model.graph.value(id).name << "[" << i << "]";
    }
    EXPECT_LE(kinks, 1 + compared / 4);
  }
}

TEST_P(GradientOfGraph, ForwardEqualsTheFloatEngine) {
  if (GetParam().batch_statistics) GTEST_SKIP() << "normalizes by the batch";
  Made made;
  make(GetParam(), made);
  OCTET_ASSERT_OK(made.tape->update(made.parameters));
  auto session = made.tape->session();
  OCTET_ASSERT_OK(session);
  const auto outputs = (*session)->forward(made.inputs);
  OCTET_ASSERT_OK(outputs);
  const auto program = compile_float(made.builder.model.graph);
  OCTET_ASSERT_OK(program);
  auto reference = (*program)->session();
  OCTET_ASSERT_OK(reference);
  const auto expected = (*reference)->run(made.inputs);
  OCTET_ASSERT_OK(expected);
  for (std::size_t i = 0; i < outputs->size(); ++i) {
    expect_near((*outputs)[i], (*expected)[i], 1e-5, "output");
  }
}

/// With recomputation, to the bit.
TEST_P(GradientOfGraph, RecomputedGivesTheSame) {
  Made kept;
  Made again;
  make(GetParam(), kept);
  make(GetParam(), again, true);
  const auto expected = gradients(kept);
  const auto found = gradients(again);
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [id, tensor] : expected) EXPECT_TRUE(identical(tensor, found.at(id)));
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = std::to_string(info.index) + "_";
  for (const char c : info.param.name)
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Ops, GradientOfGraph, ::testing::ValuesIn(cases()), case_name);

TEST(Gradient, BackwardTwiceGivesTheSame) {
  Made made;
  make(cases().back(), made);
  const auto first = gradients(made);
  const auto second = gradients(made);
  for (const auto& [id, tensor] : first) EXPECT_TRUE(identical(tensor, second.at(id)));
}

TEST(Gradient, OperatorsWithoutOneAreNamed) {
  ModelBuilder b;
  const auto x = b.input("x", {1, 4});
  const auto shift = b.constant("shift", random_tensor({4}, 1));
  b.output(b.node("Sin", {b.node("Add", {x, shift})}));
  Graph& graph = b.model.graph;
  OCTET_ASSERT_OK(infer_shapes(graph));
  gradient::TapeOptions options;
  options.trained = {shift};
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    options.shapes.push_back(graph.value(static_cast<ValueId>(i)).shape);
  }
  options.outputs = graph.outputs;
  const auto tape = Tape::compile(graph, options);
  ASSERT_FALSE(tape.has_value());
  EXPECT_NE(tape.error().message.find("Sin"), std::string::npos);
}

/// What no trained constant reaches may have any type and operator.
TEST(Gradient, MasksAndPositionsAreComputedBefore) {
  Made made;
  make({"masked",
        [](ModelBuilder& b, auto& inputs, auto& trained) {
          const auto x = movable(b, inputs, trained, {2, 3, 4, 4});
          inputs.push_back(Tensor::from<std::int64_t>({1, 0, 1, 1, 1, 1, 0, 0}, {2, 4}));
          const auto mask = b.input("mask", {2, 4}, DType::i64);
          const auto cut = b.constant("cut", Tensor::from<std::int64_t>({0}, {}));
          const auto keep = b.node("Greater", {mask, cut});
          b.model.graph.value(keep).dtype = DType::boolean;
          const auto wide = b.node("Unsqueeze", {keep, b.ints("axes", {1, 2})});
          b.model.graph.value(wide).dtype = DType::boolean;
          b.output(b.node("Where", {wide, x, b.constant("low", Tensor::from<float>({-9}, {}))}));
        }},
       made);
  const auto found = gradients(made);
  const auto& g = found.at(made.trained.front());
  const auto& direction = made.directions.front();
  const auto* keep = made.inputs[1].data<std::int64_t>();
  for (std::int64_t i = 0; i < g.size(); ++i) {
    const bool kept = keep[i / 48 * 4 + i % 4] != 0;
    EXPECT_EQ(g.data<float>()[i], kept ? direction.data<float>()[i] : 0.0F) << i;
  }
}

/// x on a grid of codes in [-8, 7] with zero point -3, scale 0.5; gradients for output gradients
/// 1, 2, 3, 4.
class FakeQuant : public ::testing::Test {
 protected:
  void run(const std::string& estimator, std::optional<float> offset) {
    const auto x = b_.input("x", {1, 4});
    shift_ = b_.constant("shift", Tensor::from<float>({0, 0, 0, 0}, {4}));
    scale_ = b_.constant("scale", Tensor::from<float>({0.5F}, {1}));
    Node node;
    node.op = "FakeQuant";
    node.domain = "octet";
    node.inputs = {b_.node("Add", {x, shift_}), scale_};
    gradient::TapeOptions options;
    options.trained = {shift_, scale_};
    if (offset) {
      offset_ = b_.constant("offset", Tensor::from<float>({*offset}, {1}));
      node.inputs.push_back(offset_);
      options.trained.push_back(offset_);
    }
    node.attributes = {{"zero_point", Ints{offset ? 0 : -3}},
                       {"qmin", std::int64_t{-8}},
                       {"qmax", std::int64_t{7}},
                       {"estimator", estimator}};
    Value out;
    out.name = "y";
    out.dtype = DType::f32;
    node.outputs = {b_.model.graph.add_value(out)};
    options.outputs = node.outputs;
    b_.model.graph.add_node(node);
    options.shapes.assign(b_.model.graph.value_slots(), Shape{1, 4});
    auto tape = Tape::compile(b_.model.graph, options);
    OCTET_ASSERT_OK(tape);
    OCTET_ASSERT_OK((*tape)->update({}));
    auto session = (*tape)->session();
    const std::vector<Tensor> inputs = {Tensor::from<float>({0.6F, -1.1F, 9, -9}, {1, 4})};
    const auto outputs = (*session)->forward(inputs);
    OCTET_ASSERT_OK(outputs);
    const auto values = outputs->front().values<float>();
    values_.assign(values.begin(), values.end());
    std::vector<float> leaves((*tape)->leaf_count());
    const std::vector<Tensor> slopes = {Tensor::from<float>({1, 2, 3, 4}, {1, 4})};
    OCTET_ASSERT_OK((*session)->backward(slopes, leaves));
    auto found = (*tape)->gradients(leaves);
    OCTET_ASSERT_OK(found);
    gradients_ = *found;
    const auto passed = gradients_.at(shift_).values<float>();
    EXPECT_EQ(std::vector<float>(passed.begin(), passed.end()), (std::vector<float>{1, 2, 0, 0}));
    EXPECT_EQ(values_, (std::vector<float>{0.5F, -1.0F, 5.0F, -2.5F}));
  }

  ModelBuilder b_;
  ValueId shift_ = ValueId::none, scale_ = ValueId::none, offset_ = ValueId::none;
  std::vector<float> values_;
  gradient::Parameters gradients_;
};

TEST_F(FakeQuant, PassesTheGradientWithinTheCodes) {
  run("lsq", std::nullopt);
  // 1 * (1 - 1.2) + 2 * (-2 + 2.2) + 3 * 10 + 4 * (-5)
  EXPECT_NEAR(gradients_.at(scale_).data<float>()[0], 10.2F, 1e-5F);
}

TEST_F(FakeQuant, PactCountsWhatIsClippedAlone) {
  run("pact", std::nullopt);
  EXPECT_NEAR(gradients_.at(scale_).data<float>()[0], 10.0F, 1e-5F);
}

TEST_F(FakeQuant, OffsetsRoundToZeroPointsAndLearnFromWhatIsClipped) {
  run("lsq", -2.8F);
  EXPECT_NEAR(gradients_.at(scale_).data<float>()[0], 10.2F, 1e-5F);
  // -0.5 * (3 + 4)
  EXPECT_NEAR(gradients_.at(offset_).data<float>()[0], -3.5F, 1e-5F);
}

}  // namespace
}  // namespace octet::testing

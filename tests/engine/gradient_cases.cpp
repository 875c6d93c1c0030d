#include "engine/gradient_cases.h"

namespace octet::testing {
namespace {

using Ints = std::vector<std::int64_t>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

GradientCase unary(const std::string& op, Attributes attributes = {}, float low = -4,
                   float high = 4, Shape shape = {2, 3, 4, 5}) {
  return {op, [=](ModelBuilder& b, auto& inputs, auto& trained) {
            b.output(b.node(op, {movable(b, inputs, trained, shape, low, high)}, attributes));
          }};
}

GradientCase conv(const std::string& name, Shape input, Shape filter, Attributes attributes) {
  return {name, [=](ModelBuilder& b, auto& inputs, auto& trained) {
            const auto x = movable(b, inputs, trained, input);
            const auto w = weight(b, trained, filter);
            const auto bias = weight(b, trained, {filter[0]});
            b.output(b.node("Conv", {x, w, bias}, attributes));
          }};
}

GradientCase arithmetic(const std::string& op, Shape first, Shape second) {
  return {op + to_string(second), [=](ModelBuilder& b, auto& inputs, auto& trained) {
            const auto x = movable(b, inputs, trained, first, 0.5F, 2);
            b.output(b.node(op, {x, weight(b, trained, second, 0.5F, 2)}));
          }};
}

}  // namespace

ValueId movable(ModelBuilder& b, std::vector<Tensor>& inputs, std::vector<ValueId>& trained,
                Shape shape, float low, float high) {
  const auto seed = static_cast<unsigned>(inputs.size() + 1);
  inputs.push_back(random_tensor(shape, seed, low, high));
  const auto x = b.input("x" + std::to_string(seed), shape);
  const auto shift =
      b.constant("shift" + std::to_string(seed), random_tensor(shape, seed + 50, -0.1F, 0.1F));
  trained.push_back(shift);
  return b.node("Add", {x, shift});
}

ValueId weight(ModelBuilder& b, std::vector<ValueId>& trained, Shape shape, float low, float high) {
  const auto seed = static_cast<unsigned>(trained.size() + 100);
  const auto id =
      b.constant("w" + std::to_string(seed), random_tensor(std::move(shape), seed, low, high));
  trained.push_back(id);
  return id;
}

std::vector<GradientCase> gradient_cases() {
  std::vector<GradientCase> all = {
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

}  // namespace octet::testing

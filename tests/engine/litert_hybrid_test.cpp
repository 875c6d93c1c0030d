// Dynamic range layers by rules tflite and xnnpack. Oracles: what LiteRT 2.3.0 gave for the same
// layers, and each engine for the other.

#include <gtest/gtest.h>

#include "engine/integer/integer_program.h"
#include "engine/integer_model_builder.h"

namespace octet::testing {
namespace {

constexpr std::int64_t images = 2;
constexpr std::int64_t side = 2;

struct HybridLayer {
  std::string op;
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  std::int64_t kernel = 1;
  bool depthwise = false;
  bool one_scale = false;
  bool asymmetric = false;
};

/// Element i of an array in LiteRT's order, channels last.
float input_element(std::int64_t i) { return static_cast<float>(i * 37 % 101 - 43) / 16 * 1.1F; }
std::int8_t weight_element(std::int64_t i) { return static_cast<std::int8_t>(i * 53 % 255 - 127); }

/// [A,C,H,W] of numbers that are given as [A,H,W,C].
template <class T, class Fn>
Tensor channels_first(DType dtype, const Shape& shape, Fn element) {
  Tensor tensor(dtype, shape);
  const std::int64_t channels = shape.size() > 1 ? shape[1] : 1;
  const std::int64_t pixels = shape.size() == 4 ? shape[2] * shape[3] : 1;
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const std::int64_t a = i / (channels * pixels);
    const std::int64_t c = i / pixels % channels;
    tensor.mutable_data<T>()[i] = element((a * pixels + i % pixels) * channels + c);
  }
  return tensor;
}

std::vector<float> results(const HybridLayer& layer, Rule rule) {
  ModelBuilder b;
  b.model.plan.rule = rule;
  const bool image = layer.op == "Conv";
  const auto x =
      b.input("x", image ? Shape{images, layer.inputs, side, side} : Shape{images, layer.inputs});
  const Shape shape =
      image ? Shape{layer.outputs, layer.depthwise ? 1 : layer.inputs, layer.kernel, layer.kernel}
            : Shape{layer.outputs, layer.inputs};
  const auto w = b.constant("weight", Tensor::zeros(DType::f32, shape));
  Quantization q;
  q.origin = Origin::imported;
  for (std::int64_t o = 0; o < (layer.one_scale ? 1 : layer.outputs); ++o) {
    q.params.scale.push_back(0.01F * (1 + static_cast<float>(o) / 8));
    q.params.zero_point.push_back(0);
  }
  q.params.axis = layer.one_scale ? -1 : 0;
  b.model.plan.values[w] = q;
  b.model.plan.payloads[w] = channels_first<std::int8_t>(DType::i8, shape, weight_element);
  Tensor bias(DType::f32, {layer.outputs});
  for (std::int64_t o = 0; o < layer.outputs; ++o) {
    bias.mutable_data<float>()[o] = static_cast<float>(o - 1) / 4;
  }
  std::map<std::string, Attribute, std::less<>> attributes;
  if (layer.op == "Gemm") attributes["transB"] = std::int64_t{1};
  if (layer.depthwise) attributes["group"] = layer.inputs;
  if (layer.asymmetric) attributes["asymmetric_quantize_inputs"] = std::int64_t{1};
  const auto y = b.node(layer.op, {x, w, b.constant("bias", bias)}, attributes);
  b.model.plan.overrides[{b.model.graph.producers()[index(y)], 0}] = dynamic_quantization();
  b.output(y);
  const Tensor input =
      channels_first<float>(DType::f32, b.model.graph.value(x).shape.value(), input_element);
  EXPECT_EQ(expect_simulation_equals_integer(b.model, {input}), 2);
  const auto program = compile_integer(b.model);
  EXPECT_TRUE(program) << program.error().message;
  if (!program) return {};
  const Tensor output = observe(**program, b.model.graph, {input}).outputs.at(0);
  std::vector<float> last(static_cast<std::size_t>(output.size()));
  const std::int64_t pixels = output.size() / images / layer.outputs;
  for (std::int64_t i = 0; i < output.size(); ++i) {
    const std::int64_t n = i / (layer.outputs * pixels);
    const std::int64_t to = (n * pixels + i % pixels) * layer.outputs + i / pixels % layer.outputs;
    last[static_cast<std::size_t>(to)] = output.data<float>()[i];
  }
  return last;
}

using Floats = std::vector<float>;

TEST(LitertHybrid, FullyConnectedAsLiteRT) {
  const HybridLayer layer{"Gemm", 8, 3};
  EXPECT_EQ(results(layer, Rule::tflite),
            (Floats{0.49232131242752075F, -4.3174920082092285F, -0.77508544921875F,
                    -6.916843891143799F, -1.1873970031738281F, -5.319277286529541F}));
  HybridLayer asymmetric = layer;
  asymmetric.asymmetric = true;
  EXPECT_EQ(results(asymmetric, Rule::tflite),
            (Floats{0.5005235075950623F, -4.319784641265869F, -0.7589263916015625F,
                    -6.905423164367676F, -1.1998199224472046F, -5.280034065246582F}));
  const Floats delegate = {0.5030147433280945F, -4.295071601867676F,  -0.7793088555335999F,
                           -6.905423641204834F, -1.1998199224472046F, -5.28003454208374F};
  EXPECT_EQ(results(layer, Rule::xnnpack), delegate);
  EXPECT_EQ(results(asymmetric, Rule::xnnpack), delegate);
}

TEST(LitertHybrid, ConvolutionsAsLiteRT) {
  const HybridLayer layer{"Conv", 2, 3, 2};
  EXPECT_EQ(results(layer, Rule::tflite),
            (Floats{0.5005235075950623F, -4.319784641265869F, -0.7589263916015625F,
                    -6.905423164367676F, -1.1998199224472046F, -5.28003454208374F}));
  EXPECT_EQ(results(layer, Rule::xnnpack),
            (Floats{0.5030147433280945F, -4.295071601867676F, -0.7793088555335999F,
                    -6.905423641204834F, -1.1998199224472046F, -5.28003454208374F}));
  HybridLayer one_scale = layer;
  one_scale.one_scale = true;
  EXPECT_EQ(results(one_scale, Rule::tflite),
            (Floats{0.49232131242752075F, -3.837770938873291F, -0.570068359375F,
                    -6.916843891143799F, -1.0554640293121338F, -4.2054219245910645F}));
  EXPECT_EQ(results(one_scale, Rule::xnnpack),
            (Floats{0.5030147433280945F, -3.8178412914276123F, -0.5734471082687378F,
                    -6.905423641204834F, -1.0665066242218018F, -4.174027442932129F}));
}

/// XNNPACK quantizes each pixel by itself here, the built-in kernel each image.
TEST(LitertHybrid, PointwiseConvolutionsAsLiteRT) {
  const HybridLayer layer{"Conv", 2, 3, 1};
  const auto first_rows = [&](Rule rule) {
    auto all = results(layer, rule);
    Floats rows(all.begin(), all.begin() + 6);
    rows.insert(rows.end(), all.begin() + 12, all.begin() + 18);
    return rows;
  };
  EXPECT_EQ(
      first_rows(Rule::tflite),
      (Floats{3.8194499015808105F, 0.5541451573371887F, -2.3060035705566406F, -1.2777234315872192F,
              -1.3182286024093628F, 5.824007034301758F, -4.0520830154418945F, -1.1468257904052734F,
              5.269413948059082F, -0.3042208254337311F, -1.3775709867477417F, 6.015256881713867F}));
  EXPECT_EQ(first_rows(Rule::xnnpack),
            (Floats{3.8132786750793457F, 0.5481670498847961F, -2.28063702583313F,
                    -1.2946116924285889F, -1.319223403930664F, 5.829156398773193F,
                    -4.034517288208008F, -1.150535225868225F, 5.283901691436768F,
                    -0.32350587844848633F, -1.3790117502212524F, 6.022411346435547F}));
}

TEST(LitertHybrid, DepthwiseAsLiteRT) {
  const HybridLayer layer{"Conv", 2, 2, 2, true};
  EXPECT_EQ(results(layer, Rule::tflite), (Floats{1.3780970573425293F, 0.4486664831638336F,
                                                  -6.540352821350098F, 1.0333852767944336F}));
  EXPECT_EQ(results(layer, Rule::xnnpack), (Floats{1.3780970573425293F, 0.448666512966156F,
                                                   -6.540352821350098F, 1.0333852767944336F}));
}

/// Padding, strides, groups, an all-zero row, a batch, and what quantizes afterwards.
QuantizedGraph network(Rule rule) {
  ModelBuilder b(4);
  b.model.plan.rule = rule;
  const auto x = b.input("x", {3, 6, 11, 9});
  b.model.plan.values[x] = {};  // for the builder's biases, which it makes from an input's scale
  b.model.plan.values[x].params = {{0.01F}, {0}, -1};
  const auto dynamic = [&](ValueId y) {
    const auto id = b.model.graph.producers()[index(y)];
    const auto bias = b.model.graph.node(id).input(2);
    b.model.plan.values.erase(bias);
    b.model.plan.overrides[{id, 0}] = dynamic_quantization();
    return y;
  };
  const std::vector<std::int64_t> around = {1, 1, 1, 1};
  const auto c = dynamic(b.conv(x, {8, 3, 3, 3}, {{"pads", around}, {"group", std::int64_t{2}}}));
  b.model.plan.values[c] = b.model.plan.values.at(x);
  const auto d = dynamic(b.conv(c, {8, 1, 3, 3},
                                {{"pads", around},
                                 {"strides", std::vector<std::int64_t>{2, 2}},
                                 {"group", std::int64_t{8}}}));
  b.model.plan.values[d] = b.model.plan.values.at(x);
  const auto p = dynamic(b.conv(d, {12, 8, 1, 1}, {}));
  b.model.plan.values[p] = b.model.plan.values.at(x);
  const auto w = b.constant("weight", b.random_tensor({12, 5, 2, 2}, -0.7F, 0.7F));
  b.model.plan.values[w] = b.model.plan.values.at(x);
  const auto t = b.node("ConvTranspose", {b.node("Relu", {p}), w},
                        {{"strides", std::vector<std::int64_t>{2, 2}}});
  b.model.plan.overrides[{b.model.graph.producers()[index(t)], 0}] = dynamic_quantization();
  const auto f = b.node("Flatten", {t}, {{"axis", std::int64_t{3}}});
  b.model.plan.values[f] = b.model.plan.values.at(x);
  b.output(dynamic(b.gemm(f, 7, 10)));
  for (const auto value : {x, c, d, f}) b.model.plan.values.erase(value);
  return b.model;
}

TEST(LitertHybrid, SimulationEqualsIntegerEngineWithAnyKernels) {
  for (const auto rule : {Rule::tflite, Rule::xnnpack}) {
    const auto model = network(rule);
    ModelBuilder random(9);
    Tensor input = random.random_tensor({3, 6, 11, 9}, -2, 3);
    // The second image is black.
    std::fill_n(input.mutable_data<float>() + 6 * 11 * 9, 6 * 11 * 9, 0.0F);
    EXPECT_EQ(expect_simulation_equals_integer(model, {input}), 8);
    expect_any_kernels_give_the_same(model, {input});
  }
}

}  // namespace
}  // namespace octet::testing

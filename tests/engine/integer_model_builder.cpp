#include "engine/integer_model_builder.h"

#include <gtest/gtest.h>

#include "arithmetic/quantize.h"
#include "engine/integer/integer_program.h"
#include "engine/simulation/simulation_program.h"
#include "kernels/conv.h"

namespace octet::testing {

Quantization sixteen_bits(float scale) {
  Quantization q;
  q.scheme = {16, Symmetry::symmetric, Granularity::per_tensor, 0, CodeRange::full};
  q.params = {{scale}, {0}, -1};
  q.storage = DType::i16;
  q.origin = Origin::imported;
  return q;
}

ValueId ModelBuilder::input(const std::string& name, Shape shape, DType dtype) {
  Value value;
  value.name = name;
  value.dtype = dtype;
  value.shape = std::move(shape);
  const auto id = model.graph.add_value(std::move(value));
  model.graph.inputs.push_back(id);
  return id;
}

ValueId ModelBuilder::node(const std::string& op, std::vector<ValueId> inputs,
                           std::map<std::string, Attribute, std::less<>> attributes) {
  Value value;
  value.name = op + "_out";
  value.dtype = DType::f32;
  const auto output = model.graph.add_value(std::move(value));
  Node node;
  node.op = op;
  node.name = op;
  node.inputs = std::move(inputs);
  node.outputs = {output};
  node.attributes = std::move(attributes);
  model.graph.add_node(std::move(node));
  return output;
}

std::vector<ValueId> ModelBuilder::split(ValueId x, std::int64_t axis,
                                         std::vector<std::int64_t> parts) {
  std::vector<ValueId> outputs;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Value value;
    value.name = "part";
    value.dtype = DType::f32;
    outputs.push_back(model.graph.add_value(std::move(value)));
  }
  Node node;
  node.op = "Split";
  node.name = "Split";
  node.inputs = {x, ints("parts", std::move(parts))};
  node.outputs = outputs;
  node.attributes["axis"] = axis;
  model.graph.add_node(std::move(node));
  return outputs;
}

ValueId ModelBuilder::constant(const std::string& name, Tensor tensor) {
  return model.graph.add_constant(name, std::move(tensor));
}

ValueId ModelBuilder::ints(const std::string& name, std::vector<std::int64_t> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return constant(name, Tensor::from<std::int64_t>(values, {count}));
}

Tensor ModelBuilder::random_tensor(Shape shape, float low, float high) {
  Tensor tensor(DType::f32, std::move(shape));
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const auto unit = static_cast<float>(random_() % 10001) / 10000.0F;
    tensor.mutable_data<float>()[i] = low + (high - low) * unit;
  }
  return tensor;
}

void ModelBuilder::quantize_weight(ValueId value, int axis, Granularity granularity) {
  const Tensor& weight = *model.graph.constant(value);
  Quantization q;
  q.scheme = {8, Symmetry::symmetric, granularity, axis, CodeRange::narrow};
  if (granularity == Granularity::per_tensor) {
    q.params = {{0.75F / 127}, {0}, -1};
  } else {
    q.params.axis = axis;
    for (std::int64_t c = 0; c < weight.dim(axis); ++c) {
      q.params.scale.push_back(0.75F / 127 * (1.0F + 0.01F * static_cast<float>(c)));
      q.params.zero_point.push_back(0);
    }
  }
  model.plan.values[value] = q;
}

void ModelBuilder::quantize_bias(ValueId bias, ValueId x, ValueId weight) {
  const auto& w = model.plan.values.at(weight).params;
  const float input_scale = model.plan.values.at(x).params.scale[0];
  Quantization q;
  q.scheme = {32, Symmetry::symmetric, Granularity::per_tensor, 0, CodeRange::full};
  q.storage = DType::i32;
  q.origin = Origin::derived;
  q.params.axis = w.per_channel() ? 0 : -1;
  q.scheme.granularity = w.per_channel() ? Granularity::per_channel : Granularity::per_tensor;
  for (const float scale : w.scale) {
    q.params.scale.push_back(input_scale * scale);
    q.params.zero_point.push_back(0);
  }
  model.plan.values[bias] = q;
}

ValueId ModelBuilder::conv(ValueId x, Shape weight,
                           std::map<std::string, Attribute, std::less<>> attributes,
                           Granularity granularity) {
  const std::int64_t outputs = weight[0];
  const auto w = constant("weight", random_tensor(std::move(weight), -0.7F, 0.7F));
  const auto b = constant("bias", random_tensor({outputs}, -0.5F, 0.5F));
  quantize_weight(w, 0, granularity);
  quantize_bias(b, x, w);
  return node("Conv", {x, w, b}, std::move(attributes));
}

ValueId ModelBuilder::gemm(ValueId x, std::int64_t outputs, std::int64_t inputs) {
  const auto w = constant("weight", random_tensor({outputs, inputs}, -0.7F, 0.7F));
  const auto b = constant("bias", random_tensor({outputs}, -0.5F, 0.5F));
  quantize_weight(w, 0, Granularity::per_channel);
  quantize_bias(b, x, w);
  return node("Gemm", {x, w, b}, {{"transB", std::int64_t{1}}});
}

ValueId ModelBuilder::quantize(ValueId value, double low, double high, int bits) {
  Quantization q;
  q.scheme.bits = bits;
  q.params = params_from_range(low, high, q.scheme);
  q.storage = DType::u8;
  model.plan.values[value] = q;
  return value;
}

ValueId ModelBuilder::share(ValueId value, ValueId with) {
  model.plan.values[value] = model.plan.values.at(with);
  model.plan.values[value].origin = Origin::shared;
  return value;
}

namespace {

template <class From, class To>
std::vector<To> plain_order(std::span<const From> data, const TapView& view) {
  std::vector<To> out;
  if (data.empty()) return out;
  if (!view.channels_last) return {data.begin(), data.end()};
  const Shape& s = view.shape;
  for (std::int64_t n = 0; n < s[0]; ++n)
    for (std::int64_t c = 0; c < s[1]; ++c)
      for (std::int64_t p = 0; p < s[2] * s[3]; ++p)
        out.push_back(
            static_cast<To>(data[static_cast<std::size_t>((n * s[2] * s[3] + p) * s[1] + c)]));
  return out;
}

}  // namespace

Observed observe(const Program& program, const Graph& graph, const std::vector<Tensor>& inputs,
                 int threads) {
  Observed result;
  auto session = program.session({threads});
  if (!session) {
    ADD_FAILURE() << session.error().message;
    return result;
  }
  TapRequest taps;
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    taps.values.push_back(static_cast<ValueId>(i));
  }
  taps.tap = [&](const TapView& view) {
    Seen seen;
    seen.shape = view.shape;
    seen.codes = plain_order<std::int8_t, int>(view.codes, view);
    seen.values = plain_order<float, float>(view.values, view);
    const auto name = graph.value(view.value).name;
    EXPECT_FALSE(result.values.contains(name)) << name << " was shown twice";
    result.values[name] = std::move(seen);
  };
  auto outputs = (*session)->run(inputs, &taps);
  if (!outputs) {
    ADD_FAILURE() << program.engine() << ": " << outputs.error().message;
    return result;
  }
  result.outputs = std::move(*outputs);
  return result;
}

namespace {

/// `seen` shows all that `want` shows, with the same codes and floats, and gives the same outputs.
void expect_equal(const Observed& seen, const Observed& want, const std::string& what) {
  for (const auto& [name, value] : want.values) {
    const auto it = seen.values.find(name);
    if (it == seen.values.end()) {
      ADD_FAILURE() << what << " does not show " << name;
      continue;
    }
    EXPECT_EQ(it->second.shape, value.shape) << what << " " << name;
    EXPECT_EQ(it->second.codes, value.codes) << what << " " << name;
    EXPECT_EQ(it->second.values, value.values) << what << " " << name;
  }
  ASSERT_EQ(seen.outputs.size(), want.outputs.size()) << what;
  for (std::size_t i = 0; i < want.outputs.size(); ++i) {
    EXPECT_TRUE(identical(seen.outputs[i], want.outputs[i])) << what << " output " << i;
  }
}

}  // namespace

int expect_simulation_equals_integer(const QuantizedGraph& model,
                                     const std::vector<Tensor>& inputs) {
  auto integer = compile_integer(model);
  auto simulation = compile_simulation(model);
  if (!integer || !simulation) {
    ADD_FAILURE() << (integer ? simulation.error().message : integer.error().message);
    return 0;
  }
  for (const auto& layer : simulation->layers) {
    EXPECT_TRUE(layer.exact) << layer.node << " " << layer.accumulator_bound;
  }
  const auto a = observe(**integer, model.graph, inputs);
  const auto b = observe(*simulation->program, model.graph, inputs);
  expect_equal(b, a, "simulation");
  return static_cast<int>(a.values.size());
}

void expect_any_kernels_give_the_same(const QuantizedGraph& model,
                                      const std::vector<Tensor>& inputs) {
  const auto reference = compile_integer(model, {"reference"});
  ASSERT_TRUE(reference) << reference.error().message;
  const auto want = observe(**reference, model.graph, inputs);
  for (const auto isa : {"avx2", "avxvnni", "avx512vnni", "amx"}) {
    if (!kernels::isa_available(*kernels::isa_from_name(isa))) continue;
    const auto program = compile_integer(model, {isa});
    ASSERT_TRUE(program) << program.error().message;
    expect_equal(observe(**program, model.graph, inputs, 3), want, isa);
  }
}

}  // namespace octet::testing

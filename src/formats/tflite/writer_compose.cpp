// Operators that take several of the file's.

#include <algorithm>
#include <cmath>

#include "formats/tflite/writer_operators.h"

namespace octet::tflite {
namespace {

/// Emits steps between an input and the job's result; inner tensors are named after the result.
class Steps {
 public:
  Steps(Lowering& l, const Job& job, TensorId result) : l_(l), job_(job), result_(result) {}

  TensorId unary(Op code, TensorId from, std::string_view name) {
    const auto to = inner(name, from);
    l_.emit(code, {from}, {to});
    return to;
  }
  TensorId add(TensorId a, TensorId b, std::string_view name,
               Activation activation = Activation::NONE) {
    wire::AddOptionsT options;
    options.fused_activation_function = activation;
    return binary(Op::ADD, a, b, name, options);
  }
  TensorId subtract(TensorId a, TensorId b, std::string_view name) {
    return binary(Op::SUB, a, b, name, wire::SubOptionsT());
  }
  TensorId multiply(TensorId a, TensorId b, std::string_view name) {
    return binary(Op::MUL, a, b, name, wire::MulOptionsT());
  }
  TensorId divide(TensorId a, TensorId b, std::string_view name) {
    return binary(Op::DIV, a, b, name, wire::DivOptionsT());
  }
  TensorId least(TensorId a, TensorId b, std::string_view name) {
    return binary(Op::MINIMUM, a, b, name, wire::MaximumMinimumOptionsT());
  }
  TensorId mean(TensorId from, const std::vector<std::int64_t>& axes, std::string_view name) {
    auto shape = l_.tensor_shape(from);
    for (const auto axis : axes) shape[static_cast<std::size_t>(axis)] = 1;
    const auto to = l_.derived(result_, name, shape);
    wire::ReducerOptionsT options;
    options.keep_dims = true;
    l_.emit(Op::MEAN, {from, l_.invented_ints(to, "/axes", axes)}, {to}, options);
    return to;
  }
  TensorId number(std::string_view name, float value) {
    return l_.operand_constant(result_, name, Tensor::from<float>({value}, {}));
  }

  // The last step goes to the result, with the job's activation.
  void add_last(TensorId a, TensorId b) {
    wire::AddOptionsT options;
    options.fused_activation_function = job_.activation;
    l_.emit(Op::ADD, {a, b}, {result_}, options);
  }
  void multiply_last(TensorId a, TensorId b) {
    wire::MulOptionsT options;
    options.fused_activation_function = job_.activation;
    l_.emit(Op::MUL, {a, b}, {result_}, options);
  }
  void divide_last(TensorId a, TensorId b) {
    wire::DivOptionsT options;
    options.fused_activation_function = job_.activation;
    l_.emit(Op::DIV, {a, b}, {result_}, options);
  }

 private:
  TensorId inner(std::string_view name, TensorId like) {
    return l_.derived(result_, name, l_.tensor_shape(like));
  }
  template <class Options>
  TensorId binary(Op code, TensorId a, TensorId b, std::string_view name, Options options) {
    const bool second = l_.tensor_shape(b).size() > l_.tensor_shape(a).size();
    const auto to = inner(name, second ? b : a);
    l_.emit(code, {a, b}, {to}, std::move(options));
    return to;
  }

  Lowering& l_;
  const Job& job_;
  TensorId result_;
};

/// The first input in the order it has, and a result in the same.
struct Ends {
  TensorId input = TensorId::none;
  TensorId result = TensorId::none;
  AxisOrder order;
};

Result<Ends> unary_ends(Lowering& l, const Job& job) {
  Ends ends;
  ends.order = l.order_of(job.node->input(0));
  OCTET_ASSIGN(ends.input, l.operand(job, 0, ends.order));
  ends.result = l.make_output(job, ends.order);
  l.set_features(job.output, l.features(job.node->input(0)));
  return ends;
}

/// log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which overflows nowhere.
TensorId softplus(Steps& steps, TensorId x, TensorId& rest) {
  const auto magnitude = steps.unary(Op::ABS, x, "/abs");
  const auto negative = steps.unary(Op::NEG, magnitude, "/neg");
  const auto power = steps.unary(Op::EXP, negative, "/exp");
  const auto sum = steps.add(power, steps.number("/one", 1), "/sum");
  rest = steps.unary(Op::LOG, sum, "/log");
  return steps.unary(Op::RELU, x, "/relu");
}

/// (x - mean) / sqrt(variance + epsilon) over these stored axes.
TensorId normalized(Steps& steps, TensorId x, const std::vector<std::int64_t>& axes,
                    float epsilon) {
  const auto mean = steps.mean(x, axes, "/mean");
  const auto centred = steps.subtract(x, mean, "/centred");
  const auto square = steps.multiply(centred, centred, "/square");
  const auto variance = steps.mean(square, axes, "/variance");
  const auto raised = steps.add(variance, steps.number("/epsilon", epsilon), "/raised");
  const auto deviation = steps.unary(Op::SQRT, raised, "/deviation");
  return steps.divide(centred, deviation, "/normalized");
}

/// One number for each channel (axis 1), to broadcast against values in this order.
Tensor channel_row(const std::vector<float>& values, const AxisOrder& order) {
  const auto n = static_cast<std::int64_t>(values.size());
  Shape shape(order.size(), 1);
  shape[1] = n;
  shape = permuted(shape, order);
  while (shape.size() > 1 && shape.front() == 1) shape.erase(shape.begin());
  return Tensor::from<float>(values, std::move(shape));
}

Result<std::vector<float>> channel_values(Lowering& l, const Job& job, std::size_t slot) {
  const auto* tensor = l.known(job.node->input(slot));
  if (tensor == nullptr || tensor->dtype() != DType::f32) {
    return refused("its parameters are not constant");
  }
  const auto values = tensor->values<float>();
  return std::vector<float>(values.begin(), values.end());
}

}  // namespace

Status lower_swish(Lowering& l, const Job& job) {
  const float alpha = job.node->float_attribute("alpha", 1);
  auto real = job;
  if (alpha != 1) real.coded = false;
  OCTET_ASSIGN(const auto ends, unary_ends(l, real));
  Steps steps(l, job, ends.result);
  auto inner = ends.input;
  if (alpha != 1) inner = steps.multiply(inner, steps.number("/alpha", alpha), "/scaled");
  const auto gate = l.derived(ends.result, "/gate", l.tensor_shape(ends.result));
  if (real.coded) {
    // The codes that LOGISTIC gives are fixed.
    auto& params = *l.tensor(gate).params;
    const bool words = l.tensor(gate).dtype == DType::i16;
    params.scale = {words ? 0x1p-15F : 0x1p-8F};
    params.zero_point = {l.tensor(gate).dtype == DType::i8 ? -128 : 0};
  }
  l.emit(Op::LOGISTIC, {inner}, {gate});
  steps.multiply_last(ends.input, gate);
  return {};
}

Status lower_hard_sigmoid(Lowering& l, const Job& job) {
  const float alpha = job.node->float_attribute("alpha", 0.2F);
  const float beta = job.node->float_attribute("beta", 0.5F);
  OCTET_ASSIGN(const auto ends, unary_ends(l, job));
  Steps steps(l, job, ends.result);
  if (std::abs(alpha * 6 - 1) < 1e-6F) {
    const auto shifted =
        steps.add(ends.input, steps.number("/shift", beta * 6), "/shifted", Activation::RELU6);
    steps.multiply_last(shifted, steps.number("/alpha", alpha));
    return {};
  }
  const auto scaled = steps.multiply(ends.input, steps.number("/alpha", alpha), "/scaled");
  const auto shifted = steps.add(scaled, steps.number("/beta", beta), "/shifted");
  l.emit(Op::RELU_0_TO_1, {shifted}, {ends.result});
  return {};
}

Status lower_reciprocal(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto ends, unary_ends(l, job));
  Steps steps(l, job, ends.result);
  steps.divide_last(steps.number("/one", 1), ends.input);
  return {};
}

Status lower_softplus(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto ends, unary_ends(l, job));
  Steps steps(l, job, ends.result);
  auto rest = TensorId::none;
  const auto positive = softplus(steps, ends.input, rest);
  steps.add_last(positive, rest);
  return {};
}

Status lower_mish(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto ends, unary_ends(l, job));
  Steps steps(l, job, ends.result);
  auto rest = TensorId::none;
  const auto positive = softplus(steps, ends.input, rest);
  const auto soft = steps.add(positive, rest, "/softplus");
  steps.multiply_last(ends.input, steps.unary(Op::TANH, soft, "/tanh"));
  return {};
}

Status lower_softsign(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto ends, unary_ends(l, job));
  Steps steps(l, job, ends.result);
  const auto magnitude = steps.unary(Op::ABS, ends.input, "/abs");
  steps.divide_last(ends.input, steps.add(magnitude, steps.number("/one", 1), "/sum"));
  return {};
}

/// Elu, Celu and Selu: outer * (max(x, 0) + alpha * ELU(min(x, 0) / inner)).
Status lower_elu(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  const bool selu = node.is("Selu");
  const bool celu = node.is("Celu");
  const float alpha = node.float_attribute("alpha", selu ? 1.67326319F : 1.0F);
  const float outer = selu ? node.float_attribute("gamma", 1.05070102F) : 1.0F;
  if (!selu && alpha == 1) return lower_unary(l, job);
  auto real = job;
  real.coded = false;
  OCTET_ASSIGN(const auto ends, unary_ends(l, real));
  Steps steps(l, job, ends.result);
  auto low = steps.least(ends.input, steps.number("/zero", 0), "/low");
  if (celu) low = steps.multiply(low, steps.number("/inner", 1 / alpha), "/scaled");
  const auto curve = steps.unary(Op::ELU, low, "/elu");
  const auto bent = steps.multiply(curve, steps.number("/alpha", alpha * outer), "/bent");
  auto straight = steps.unary(Op::RELU, ends.input, "/relu");
  if (outer != 1) straight = steps.multiply(straight, steps.number("/gamma", outer), "/straight");
  steps.add_last(straight, bent);
  return {};
}

Status lower_batch_norm(Lowering& l, const Job& job) {
  if (job.node->int_attribute("training_mode", 0) != 0) return refused("training mode");
  if (l.reads_more_outputs(*job.node)) return refused("its statistics are read");
  OCTET_ASSIGN(auto scale, channel_values(l, job, 1));
  OCTET_ASSIGN(auto shift, channel_values(l, job, 2));
  OCTET_ASSIGN(const auto mean, channel_values(l, job, 3));
  OCTET_ASSIGN(const auto variance, channel_values(l, job, 4));
  const auto epsilon = static_cast<double>(job.node->float_attribute("epsilon", 1e-5F));
  for (std::size_t c = 0; c < scale.size(); ++c) {
    const double factor =
        static_cast<double>(scale[c]) / std::sqrt(static_cast<double>(variance[c]) + epsilon);
    shift[c] =
        static_cast<float>(static_cast<double>(shift[c]) - factor * static_cast<double>(mean[c]));
    scale[c] = static_cast<float>(factor);
  }
  OCTET_ASSIGN(const auto ends, unary_ends(l, job));
  if (ends.order.size() < 2) return refused("its input has no channels");
  Steps steps(l, job, ends.result);
  const auto by = l.operand_constant(ends.result, "/scale", channel_row(scale, ends.order));
  const auto scaled = steps.multiply(ends.input, by, "/scaled");
  steps.add_last(scaled, l.operand_constant(ends.result, "/shift", channel_row(shift, ends.order)));
  return {};
}

Status lower_layer_norm(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  if (l.reads_more_outputs(node)) return refused("its statistics are read");
  OCTET_ASSIGN(const auto ends, unary_ends(l, job));
  const auto rank = ends.order.size();
  OCTET_ASSIGN(const auto axis, normalize_axis(node.int_attribute("axis", -1), rank));
  std::vector<std::int64_t> axes;
  for (auto i = static_cast<std::int64_t>(axis); i < static_cast<std::int64_t>(rank); ++i) {
    axes.push_back(i);
  }
  Steps steps(l, job, ends.result);
  const auto unit = normalized(steps, ends.input, stored_axes(ends.order, axes),
                               node.float_attribute("epsilon", 1e-5F));
  OCTET_ASSIGN(const auto scale, l.broadcast_operand(job, 1, ends.order));
  if (node.input(2) == ValueId::none) {
    steps.multiply_last(unit, scale);
    return {};
  }
  OCTET_ASSIGN(const auto shift, l.broadcast_operand(job, 2, ends.order));
  steps.add_last(steps.multiply(unit, scale, "/scaled"), shift);
  return {};
}

namespace {

/// One number for each channel times `unit`, plus another, to the result.
void scale_and_shift(Lowering& l, Steps& steps, TensorId unit, TensorId result,
                     const std::vector<float>& scale, const std::vector<float>& shift,
                     const AxisOrder& order) {
  const auto by = l.operand_constant(result, "/scale", channel_row(scale, order));
  const auto scaled = steps.multiply(unit, by, "/scaled");
  steps.add_last(scaled, l.operand_constant(result, "/shift", channel_row(shift, order)));
}

/// A number for each group (as before opset 21) as one for each channel.
void repeat_for_channels(std::vector<float>& values, std::size_t channels) {
  if (values.empty() || channels % values.size() != 0) return;
  const auto members = channels / values.size();
  std::vector<float> all;
  for (const float value : values) all.insert(all.end(), members, value);
  values = std::move(all);
}

}  // namespace

Status lower_instance_norm(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto scale, channel_values(l, job, 1));
  OCTET_ASSIGN(const auto shift, channel_values(l, job, 2));
  OCTET_ASSIGN(const auto ends, unary_ends(l, job));
  if (ends.order.size() < 3) return refused("its input has no spatial dimensions");
  std::vector<std::int64_t> axes;
  for (std::size_t i = 2; i < ends.order.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  Steps steps(l, job, ends.result);
  const auto unit = normalized(steps, ends.input, stored_axes(ends.order, axes),
                               job.node->float_attribute("epsilon", 1e-5F));
  scale_and_shift(l, steps, unit, ends.result, scale, shift, ends.order);
  return {};
}

/// The channels of each group side by side: [N, pixels, groups, members], or [N, groups, elements]
/// where channels come before the pixels.
Status lower_group_norm(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  OCTET_ASSIGN(auto scale, channel_values(l, job, 1));
  OCTET_ASSIGN(auto shift, channel_values(l, job, 2));
  OCTET_ASSIGN(const auto extents, l.shape(node.input(0)));
  const auto groups = node.int_attribute("num_groups", 1);
  const auto pixels = element_count(Shape(extents.begin() + 2, extents.end()));
  if (!is_static({extents.begin() + 1, extents.end()})) return refused("its extents are not known");
  repeat_for_channels(scale, static_cast<std::size_t>(extents[1]));
  repeat_for_channels(shift, static_cast<std::size_t>(extents[1]));
  const auto image = channels_last(extents.size());
  const bool last = l.order_of(node.input(0)) == image;
  const auto order = last ? image : identity_order(extents.size());
  OCTET_ASSIGN(const auto input, l.operand(job, 0, order));
  const auto result = l.make_output(job, order);
  const auto members = extents[1] / groups;
  const Shape shape = last ? Shape{extents[0], pixels, groups, members}
                           : Shape{extents[0], groups, members * pixels};
  const auto grouped = l.derived(result, "/groups", shape);
  OCTET_TRY(l.emit_reshape(input, grouped));
  Steps steps(l, job, result);
  const auto unit = normalized(
      steps, grouped, last ? std::vector<std::int64_t>{1, 3} : std::vector<std::int64_t>{2},
      node.float_attribute("epsilon", 1e-5F));
  const auto whole = l.derived(result, "/unit", l.tensor_shape(result));
  OCTET_TRY(l.emit_reshape(unit, whole));
  scale_and_shift(l, steps, whole, result, scale, shift, order);
  return {};
}

}  // namespace octet::tflite

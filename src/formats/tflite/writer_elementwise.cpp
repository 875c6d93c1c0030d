// Operators that work on each element alone: any order of axes will do.

#include <algorithm>
#include <array>
#include <cmath>

#include "arithmetic/quantize.h"
#include "formats/tflite/writer_operators.h"

namespace octet::tflite {
namespace {

struct NamedCode {
  std::string_view op;
  Op code;
};

constexpr auto unary_codes = std::to_array<NamedCode>({
    {"Abs", Op::ABS},
    {"Ceil", Op::CEIL},
    {"Cos", Op::COS},
    {"Elu", Op::ELU},
    {"Exp", Op::EXP},
    {"Floor", Op::FLOOR},
    {"Gelu", Op::GELU},
    {"HardSwish", Op::HARD_SWISH},
    {"LeakyRelu", Op::LEAKY_RELU},
    {"Log", Op::LOG},
    {"Neg", Op::NEG},
    {"Not", Op::LOGICAL_NOT},
    {"Relu", Op::RELU},
    {"Round", Op::ROUND},
    {"Sign", Op::SIGN},
    {"Sin", Op::SIN},
    {"Sqrt", Op::SQRT},
});

constexpr auto binary_codes = std::to_array<NamedCode>({
    {"Add", Op::ADD},
    {"Sub", Op::SUB},
    {"Mul", Op::MUL},
    {"Div", Op::DIV},
    {"Pow", Op::POW},
    {"Mod", Op::FLOOR_MOD},
    {"And", Op::LOGICAL_AND},
    {"Or", Op::LOGICAL_OR},
    {"Equal", Op::EQUAL},
    {"Greater", Op::GREATER},
    {"GreaterOrEqual", Op::GREATER_EQUAL},
    {"Less", Op::LESS},
    {"LessOrEqual", Op::LESS_EQUAL},
    {"Max", Op::MAXIMUM},
    {"Min", Op::MINIMUM},
    {"Sum", Op::ADD},
});

template <std::size_t N>
Op code_of(const std::array<NamedCode, N>& codes, std::string_view op) {
  return std::find_if(codes.begin(), codes.end(), [&](const auto& c) { return c.op == op; })->code;
}

/// The order of the operands that have all axes: that of an image if one of them is.
AxisOrder common_order(Lowering& l, const Job& job, std::size_t rank) {
  for (const auto id : job.node->inputs) {
    if (id == ValueId::none || l.is_constant(id)) continue;
    auto order = l.order_of(id);
    if (order.size() == rank && !is_identity(order)) return order;
  }
  return identity_order(rank);
}

wire::BuiltinOptionsUnion binary_options(const Job& job, Op code, bool words) {
  wire::BuiltinOptionsUnion out;
  const bool shifts = !words || job.node->int_attribute("pot_scale_int16", 0) != 0;
  if (code == Op::ADD) {
    wire::AddOptionsT options;
    options.fused_activation_function = job.activation;
    options.pot_scale_int_16 = shifts;
    out.Set(std::move(options));
  } else if (code == Op::SUB) {
    wire::SubOptionsT options;
    options.fused_activation_function = job.activation;
    options.pot_scale_int_16 = shifts;
    out.Set(std::move(options));
  } else if (code == Op::MUL) {
    wire::MulOptionsT options;
    options.fused_activation_function = job.activation;
    out.Set(std::move(options));
  } else if (code == Op::DIV) {
    wire::DivOptionsT options;
    options.fused_activation_function = job.activation;
    out.Set(std::move(options));
  } else if (code == Op::MAXIMUM || code == Op::MINIMUM) {
    out.Set(wire::MaximumMinimumOptionsT());
  }
  return out;
}

}  // namespace

Result<TensorId> Lowering::broadcast_operand(const Job& job, std::size_t slot,
                                             const AxisOrder& order) {
  const auto id = job.node->input(slot);
  OCTET_ASSIGN(const auto extents, shape(id));
  const auto rank = order.size();
  if (const auto* constant = known(id); constant != nullptr || is_constant(id)) {
    Rearrangement moved;
    if (!is_identity(order) && element_count(extents) != 1) {
      Shape view(rank - extents.size(), 1);
      view.insert(view.end(), extents.begin(), extents.end());
      moved.view = std::move(view);
      moved.order = order;
    }
    if (!job.coded || dtype(id) != DType::f32) return constant_reals(id, moved);
    OCTET_ASSIGN(const auto wanted,
                 constant_coding({job.id, static_cast<int>(slot)}, coding(job.output)->storage));
    return constant_codes(id, wanted, moved);
  }
  if (extents.size() == rank) return operand(job, slot, order);
  OCTET_ASSIGN(const auto narrow, operand(job, slot, identity_order(extents.size())));
  if (is_identity(order)) return narrow;
  Shape view(rank - extents.size(), 1);
  view.insert(view.end(), extents.begin(), extents.end());
  const auto wide = derived(narrow, "_wide", view);
  OCTET_TRY(emit_reshape(narrow, wide));
  const auto moved = derived(wide, "_nhwc", permuted(view, order));
  OCTET_TRY(emit_transpose(wide, moved, order));
  return moved;
}

namespace {

/// LiteRT rounds the codes of SQRT down, and negates the codes themselves in NEG: only a model that
/// means these kernels has them, or one where that is right anyway.
bool takes_codes(Lowering& l, const Job& job) {
  if (!job.node->is("Sqrt") && !job.node->is("Neg")) return true;
  const auto input = l.coding(Use{job.id, 0});
  if (input->storage != DType::i8) return false;
  return is_litert(l.model().plan.rule) ||
         (job.node->is("Neg") && input == l.coding(job.output) && input->params.zero_point[0] == 0);
}

}  // namespace

Status lower_unary(Lowering& l, const Job& stated) {
  auto job = stated;
  const auto& node = *job.node;
  job.coded = job.coded && takes_codes(l, job);
  const auto order = l.order_of(node.input(0));
  OCTET_ASSIGN(const auto input, l.operand(job, 0, order));
  const auto result = l.make_output(job, order);
  const auto code = code_of(unary_codes, job.op());
  if (code == Op::LEAKY_RELU) {
    wire::LeakyReluOptionsT options;
    options.alpha = node.float_attribute("alpha", 0.01F);
    l.emit(code, {input}, {result}, options);
  } else if (code == Op::GELU) {
    wire::GeluOptionsT options;
    options.approximate = node.string_attribute("approximate", "none") == "tanh";
    l.emit(code, {input}, {result}, options);
  } else {
    l.emit(code, {input}, {result});
  }
  l.set_features(job.output, l.features(node.input(0)));
  return {};
}

/// Sigmoid and Tanh, whose codes the file's kernels fix.
Status lower_table(Lowering& l, const Job& job) {
  const auto order = l.order_of(job.node->input(0));
  OCTET_ASSIGN(const auto input, l.operand(job, 0, order));
  std::optional<Coding> coding;
  const bool sigmoid = job.node->is("Sigmoid");
  if (job.coded) {
    coding = l.coding(job.output);
    const bool words = coding->storage == DType::i16;
    const float scale = words ? 0x1p-15F : sigmoid ? 0x1p-8F : 0x1p-7F;
    coding->params = {{scale}, {words || !sigmoid ? 0 : -128}, -1};
  }
  const auto result = l.make(job.output, coding, order);
  l.emit(sigmoid ? Op::LOGISTIC : Op::TANH, {input}, {result});
  l.set_features(job.output, l.features(job.node->input(0)));
  return {};
}

Status lower_binary(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  if (node.is("Mod") && node.int_attribute("fmod", 0) != 0) return refused("fmod");
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  const auto order = common_order(l, job, extents.size());
  OCTET_ASSIGN(const auto a, l.broadcast_operand(job, 0, order));
  OCTET_ASSIGN(const auto b, l.broadcast_operand(job, 1, order));
  const auto result = l.make_output(job, order);
  const bool words = l.tensor(result).params && l.tensor(result).dtype == DType::i16;
  const auto code = code_of(binary_codes, job.op());
  l.emit(code, {a, b}, {result}, binary_options(job, code, words));
  return {};
}

/// Max, Min and Sum of any number of operands; codes of all must be those of the result.
Status lower_extremes(Lowering& l, const Job& job) {
  const auto& node = *job.node;
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  const auto order = common_order(l, job, extents.size());
  const auto code = code_of(binary_codes, job.op());
  const auto count = node.inputs.size();
  const auto operand = [&](std::size_t slot) -> Result<TensorId> {
    const auto id = node.input(slot);
    OCTET_ASSIGN(const auto operand_extents, l.shape(id));
    if (job.coded && operand_extents.size() == order.size()) {
      return l.fetch(id, l.coding(job.output), order);
    }
    return l.broadcast_operand(job, slot, order);
  };
  OCTET_ASSIGN(auto sum, operand(0));
  const auto result = l.make_output(job, order);
  if (count == 1) return l.emit_reshape(sum, result);
  for (std::size_t i = 1; i < count; ++i) {
    OCTET_ASSIGN(const auto next, operand(i));
    const auto to =
        i + 1 == count ? result : l.derived(result, fmt::format("/{}", i), l.tensor_shape(result));
    l.emit(code, {sum, next}, {to}, binary_options(job, code, false));
    sum = to;
  }
  return {};
}

namespace {

/// Clip by MAXIMUM and MINIMUM, in the codes of the input.
class Clipper {
 public:
  Clipper(Lowering& l, const Job& job) : l_(l), job_(job) {}

  Status run() {
    OCTET_ASSIGN(const auto moved, moved_input(l_, job_, CodesTaken::words));
    order_ = moved.order;
    const bool below = has_bound(1);
    const bool above = has_bound(2);
    if (!below && !above) {
      l_.alias(job_.output, {moved.tensor, moved.coding, moved.order});
      return {};
    }
    const auto result = l_.make(job_.output, moved.coding, order_);
    auto from = moved.tensor;
    if (below) {
      const auto to = above ? l_.derived(result, "/low", l_.tensor_shape(result)) : result;
      OCTET_TRY(limit(Op::MAXIMUM, 1, from, to, moved.coding));
      from = to;
    }
    if (above) OCTET_TRY(limit(Op::MINIMUM, 2, from, result, moved.coding));
    return {};
  }

 private:
  bool has_bound(std::size_t slot) const {
    const auto id = job_.node->input(slot);
    if (id == ValueId::none) return false;
    const auto* constant = l_.known(id);
    return constant == nullptr || constant->dtype() != DType::f32 ||
           std::isfinite(*constant->data<float>());
  }

  Status limit(Op code, std::size_t slot, TensorId from, TensorId to,
               const std::optional<Coding>& coding) {
    const auto id = job_.node->input(slot);
    TensorId bound = TensorId::none;
    if (coding && l_.is_constant(id)) {
      // One number, broadcast as it is.
      OCTET_ASSIGN(bound, l_.constant_codes(id, *coding, {Shape{1}, {}, {}, 1}));
    } else if (l_.is_constant(id)) {
      OCTET_ASSIGN(bound, l_.constant_reals(id, {}));
    } else {
      OCTET_ASSIGN(bound, l_.fetch(id, coding, identity_order(0)));
    }
    l_.emit(code, {from, bound}, {to}, wire::MaximumMinimumOptionsT());
    return {};
  }

  Lowering& l_;
  const Job& job_;
  AxisOrder order_;
};

std::optional<Op> clip_operator(Lowering& l, const Node& node) {
  const auto bound = [&](std::size_t slot, float fallback) {
    const auto id = node.input(slot);
    if (id == ValueId::none) return fallback;
    const auto* constant = l.known(id);
    return constant != nullptr && constant->dtype() == DType::f32 && constant->size() == 1
               ? *constant->data<float>()
               : NAN;
  };
  const float low = bound(1, -INFINITY);
  const float high = bound(2, INFINITY);
  if (low == 0 && high == INFINITY) return Op::RELU;
  if (low == 0 && high == 6) return Op::RELU6;
  if (low == -1 && high == 1) return Op::RELU_N1_TO_1;
  if (low == 0 && high == 1) return Op::RELU_0_TO_1;
  return std::nullopt;
}

}  // namespace

Status lower_clip(Lowering& l, const Job& job) {
  const auto code = clip_operator(l, *job.node);
  const auto output = l.coding(job.output);
  const bool words = job.coded && output->storage == DType::i16;
  const bool narrow_only = code == Op::RELU_N1_TO_1 || code == Op::RELU_0_TO_1;
  if (!code || (words && narrow_only)) return Clipper(l, job).run();
  const auto order = l.order_of(job.node->input(0));
  OCTET_ASSIGN(const auto input, l.operand(job, 0, order));
  l.emit(*code, {input}, {l.make_output(job, order)});
  l.set_features(job.output, l.features(job.node->input(0)));
  return {};
}

Status lower_prelu(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  const auto order = common_order(l, job, extents.size());
  OCTET_ASSIGN(const auto input, l.operand(job, 0, order));
  OCTET_ASSIGN(const auto slope, l.broadcast_operand(job, 1, order));
  l.emit(Op::PRELU, {input, slope}, {l.make_output(job, order)});
  return {};
}

Status lower_cast(Lowering& l, const Job& job) {
  const auto id = job.node->input(0);
  if (l.dtype(id) == l.dtype(job.output)) return lower_identity(l, job);
  const auto order = l.order_of(id);
  OCTET_ASSIGN(const auto input, l.operand(job, 0, order));
  const auto result = l.make(job.output, std::nullopt, order);
  const auto from = wire_type(l.tensor(input).dtype);
  const auto to = wire_type(l.tensor(result).dtype);
  if (!from || !to) return refused("a cast from or to a type that the file does not have");
  wire::CastOptionsT options;
  options.in_data_type = *from;
  options.out_data_type = *to;
  l.emit(Op::CAST, {input}, {result}, options);
  return {};
}

Status lower_identity(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto moved, moved_input(l, job, CodesTaken::words));
  l.alias(job.output, {moved.tensor, moved.coding, moved.order});
  l.set_features(job.output, l.features(job.node->input(0)));
  return {};
}

Status lower_dropout(Lowering& l, const Job& job) {
  if (l.reads_more_outputs(*job.node)) return refused("its mask is read");
  const auto training = job.node->input(2);
  const auto* on = training == ValueId::none ? nullptr : l.known(training);
  if (training != ValueId::none && (on == nullptr || on->dtype() != DType::boolean)) {
    return refused("its training_mode is not constant");
  }
  const auto* ratio = job.node->input(1) == ValueId::none ? nullptr : l.known(job.node->input(1));
  const bool drops_none =
      ratio != nullptr && ratio->dtype() == DType::f32 && *ratio->data<float>() == 0;
  if (on != nullptr && *on->raw() != std::byte{0} && !drops_none) return refused("training mode");
  return lower_identity(l, job);
}

Status lower_where(Lowering& l, const Job& job) {
  OCTET_ASSIGN(const auto extents, l.shape(job.output));
  const auto order = common_order(l, job, extents.size());
  OCTET_ASSIGN(const auto condition, l.broadcast_operand(job, 0, order));
  OCTET_ASSIGN(const auto yes, l.broadcast_operand(job, 1, order));
  OCTET_ASSIGN(const auto no, l.broadcast_operand(job, 2, order));
  l.emit(Op::SELECT_V2, {condition, yes, no}, {l.make_output(job, order)},
         wire::SelectV2OptionsT());
  return {};
}

}  // namespace octet::tflite

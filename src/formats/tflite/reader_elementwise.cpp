// Operators on each element, and Softmax.

#include <algorithm>
#include <cmath>

#include "formats/tflite/reader_operators.h"
#include "formats/tflite/reader_options.h"

namespace octet::tflite {
namespace {

using Code = wire::BuiltinOperator;
using Activation = wire::ActivationFunctionType;

struct Named {
  Code code;
  std::string_view op;
};

constexpr auto unary_ops = std::to_array<Named>({
    {Code::ABS, "Abs"},
    {Code::CEIL, "Ceil"},
    {Code::COS, "Cos"},
    {Code::ELU, "Elu"},
    {Code::EXP, "Exp"},
    {Code::FLOOR, "Floor"},
    {Code::HARD_SWISH, "HardSwish"},
    {Code::LOG, "Log"},
    {Code::LOGICAL_NOT, "Not"},
    {Code::LOGISTIC, "Sigmoid"},
    {Code::NEG, "Neg"},
    {Code::RELU, "Relu"},
    {Code::ROUND, "Round"},
    {Code::SIGN, "Sign"},
    {Code::SIN, "Sin"},
    {Code::SQRT, "Sqrt"},
    {Code::TANH, "Tanh"},
});

constexpr auto binary_ops = std::to_array<Named>({
    {Code::ADD, "Add"},
    {Code::DIV, "Div"},
    {Code::EQUAL, "Equal"},
    {Code::FLOOR_MOD, "Mod"},
    {Code::GREATER, "Greater"},
    {Code::GREATER_EQUAL, "GreaterOrEqual"},
    {Code::LESS, "Less"},
    {Code::LESS_EQUAL, "LessOrEqual"},
    {Code::LOGICAL_AND, "And"},
    {Code::LOGICAL_OR, "Or"},
    {Code::MAXIMUM, "Max"},
    {Code::MINIMUM, "Min"},
    {Code::MUL, "Mul"},
    {Code::POW, "Pow"},
    {Code::PRELU, "PRelu"},
    {Code::SUB, "Sub"},
});

template <std::size_t Count>
std::string name_of(const std::array<Named, Count>& table, Code code) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Named& entry) { return entry.code == code; });
  return found == table.end() ? std::string() : std::string(found->op);
}

Result<ValueId> only_input(Translator& to, const FileOperator& op) {
  return to.value(op.inputs[0], to.order_of(op.outputs[0]));
}

Result<std::vector<ValueId>> operands(Translator& to, const FileOperator& op) {
  std::vector<ValueId> values;
  for (const auto input : op.inputs) {
    OCTET_ASSIGN(const auto value, to.operand(input, to.order_of(op.outputs[0])));
    values.push_back(value);
  }
  return values;
}

template <class Options>
Activation activation_of(const FileOperator& op) {
  const auto* options = find_options<Options>(op);
  return options == nullptr ? Activation::NONE : options->fused_activation_function();
}

Activation binary_activation(const FileOperator& op) {
  switch (op.code) {
    case Code::ADD: return activation_of<wire::AddOptions>(op);
    case Code::SUB: return activation_of<wire::SubOptions>(op);
    case Code::MUL: return activation_of<wire::MulOptions>(op);
    case Code::DIV: return activation_of<wire::DivOptions>(op);
    default: return Activation::NONE;
  }
}

/// Whether a 16-bit sum shifts instead of multiplying, where all scales are powers of two.
bool shifts_words(const Translator& to, const FileOperator& op) {
  const auto& target = to.output(op);
  const auto* add = find_options<wire::AddOptions>(op);
  const auto* sub = find_options<wire::SubOptions>(op);
  return target.is_coded() && target.dtype == DType::i16 &&
         ((add != nullptr && add->pot_scale_int_16()) ||
          (sub != nullptr && sub->pot_scale_int_16()));
}

}  // namespace

Status read_unary(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto x, only_input(to, op));
  return to.finish(op, Translator::node(name_of(unary_ops, op.code), {x}),
                   to.order_of(op.outputs[0]));
}

Status read_binary(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(auto values, operands(to, op));
  auto node = Translator::node(name_of(binary_ops, op.code), std::move(values));
  if (shifts_words(to, op)) node.attributes["pot_scale_int16"] = std::int64_t{1};
  return to.finish(op, std::move(node), to.order_of(op.outputs[0]), binary_activation(op));
}

Status read_squared_difference(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(auto values, operands(to, op));
  const auto difference = to.inner(Translator::node("Sub", std::move(values)),
                                   to.invent(to.output(op).name + "/difference"));
  return to.finish(op, Translator::node("Mul", {difference, difference}),
                   to.order_of(op.outputs[0]));
}

Status read_square(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto x, only_input(to, op));
  return to.finish(op, Translator::node("Mul", {x, x}), to.order_of(op.outputs[0]));
}

Status read_rsqrt(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto x, only_input(to, op));
  const auto root =
      to.inner(Translator::node("Sqrt", {x}), to.invent(to.output(op).name + "/sqrt"), DType::f32);
  return to.finish(op, Translator::node("Reciprocal", {root}), to.order_of(op.outputs[0]));
}

Status read_bounded_relu(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto x, only_input(to, op));
  if (op.code == Code::RELU_0_TO_1) {
    const auto& name = to.output(op).name;
    return to.finish(op, Translator::node("Clip", {x, to.real(0, name), to.real(1, name)}),
                     to.order_of(op.outputs[0]));
  }
  const auto activation = op.code == Code::RELU6 ? Activation::RELU6 : Activation::RELU_N1_TO_1;
  return to.activate(activation, x, to.define(op.outputs[0], to.order_of(op.outputs[0])));
}

Status read_leaky_relu(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto* options, options_of<wire::LeakyReluOptions>(op));
  OCTET_ASSIGN(const auto x, only_input(to, op));
  auto node = Translator::node("LeakyRelu", {x});
  node.attributes["alpha"] = options->alpha();
  return to.finish(op, std::move(node), to.order_of(op.outputs[0]));
}

Status read_gelu(Translator& to, const FileOperator& op) {
  const auto* options = find_options<wire::GeluOptions>(op);
  OCTET_ASSIGN(const auto x, only_input(to, op));
  auto node = Translator::node("Gelu", {x});
  const bool approximate = options != nullptr && options->approximate();
  node.attributes["approximate"] = std::string(approximate ? "tanh" : "none");
  return to.finish(op, std::move(node), to.order_of(op.outputs[0]));
}

Status read_softmax(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto* options, options_of<wire::SoftmaxOptions>(op));
  if (!std::isfinite(options->beta())) return bad_input("its beta is {}", options->beta());
  OCTET_ASSIGN(auto x, to.value(op.inputs[0], Order::file));
  if (options->beta() != 1.0F) {
    const auto& name = to.output(op).name;
    auto scaled = Translator::node("Mul", {x, to.real(options->beta(), name)});
    x = to.inner(std::move(scaled), to.invent(name + "/scaled"), DType::f32);
  }
  auto node = Translator::node("Softmax", {x});
  node.attributes["axis"] = std::int64_t{-1};
  return to.finish(op, std::move(node), Order::file);
}

Status read_log_softmax(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::file));
  auto node = Translator::node("LogSoftmax", {x});
  node.attributes["axis"] = std::int64_t{-1};
  return to.finish(op, std::move(node), Order::file);
}

}  // namespace octet::tflite

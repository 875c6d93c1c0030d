#include "engine/simulation/simulated_values.h"

#include "arithmetic/litert_unary.h"
#include "arithmetic/openvino.h"
#include "arithmetic/quantize.h"
#include "engine/integer/wide_values.h"
#include "engine/simulation/simulated_litert.h"

namespace octet::simulation {
namespace {

Result<Activation> to_floats(const CodedActivation& coded, const Quantization& quantization) {
  OCTET_ASSIGN(auto values, dequantize(coded.codes, quantization.params));
  return Activation{std::move(values), coded.channels_last};
}

}  // namespace

Result<CodedActivation> to_codes(const Activation& values, const Quantization& quantization,
                                 Rule rule, std::int32_t low, std::int32_t high) {
  if (is_litert(rule)) {
    const litert::Affine params{quantization.params.scale[0], quantization.params.zero_point[0]};
    CodedActivation coded{Tensor(DType::i8, values.tensor.shape()), values.channels_last};
    auto* q = coded.codes.mutable_data<std::int8_t>();
    for (const float x : values.tensor.values<float>()) {
      *q++ = static_cast<std::int8_t>(litert::quantize(rule, x, params, low, high));
    }
    return coded;
  }
  if (rule == Rule::openvino) {
    const auto line = openvino::quantize_line(quantization.params.scale[0],
                                              quantization.params.zero_point[0] + 128);
    CodedActivation coded{Tensor(DType::i8, values.tensor.shape()), values.channels_last};
    auto* q = coded.codes.mutable_data<std::int8_t>();
    for (const float x : values.tensor.values<float>()) {
      *q++ = static_cast<std::int8_t>(openvino::quantize(x, line, low + 128, high + 128) - 128);
    }
    return coded;
  }
  OCTET_ASSIGN(auto codes,
               quantize(values.tensor, quantization.params, quantization.scheme, DType::i8));
  auto* q = codes.mutable_data<std::int8_t>();
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    q[i] = static_cast<std::int8_t>(saturate<std::int32_t>(q[i], low, high));
  }
  return CodedActivation{std::move(codes), values.channels_last};
}

Result<CodedActivation> to_codes(const Activation& values, const Quantization& quantization,
                                 Rule rule) {
  return to_codes(values, quantization, rule, static_cast<std::int32_t>(quantization.scheme.qmin()),
                  static_cast<std::int32_t>(quantization.scheme.qmax()));
}

void SimulatedValues::begin_run(const TapRequest* taps) {
  values_.assign(graph_.value_slots(), {});
  taps_ = taps;
  wanted_.clear();
  if (taps != nullptr) wanted_.insert(taps->values.begin(), taps->values.end());
}

void SimulatedValues::set_image(ValueId id, Activation image) {
  values_[index(id)].floats = std::move(image);
  tap(id);
}

Status SimulatedValues::set_floats(ValueId id, Activation values) {
  const auto* quantization = plan().find(id);
  if (quantization == nullptr || values.tensor.dtype() != DType::f32) {
    values_[index(id)].floats = std::move(values);
  } else if (is_coded(quantization)) {
    OCTET_ASSIGN(values_[index(id)].coded, to_codes(values, *quantization, plan().rule));
  } else {
    OCTET_ASSIGN(auto image, fake_quantize_by(plan().rule, to_plain(values).tensor, *quantization));
    values_[index(id)].floats = {std::move(image), false};
  }
  tap(id);
  return {};
}

void SimulatedValues::set_codes(ValueId id, CodedActivation codes) {
  values_[index(id)].coded = std::move(codes);
  tap(id);
}

void SimulatedValues::tap(ValueId id) const {
  if (!wanted_.contains(id)) return;
  const auto& value = values_[index(id)];
  TapView view;
  view.value = id;
  if (value.is_coded()) {
    view.shape = value.coded.codes.shape();
    view.codes = value.coded.codes.values<std::int8_t>();
    view.channels_last = value.coded.channels_last;
  } else if (value.floats.tensor.dtype() == DType::f32) {
    view.shape = value.floats.tensor.shape();
    view.values = value.floats.tensor.values<float>();
    view.channels_last = value.floats.channels_last;
  } else {
    return;
  }
  taps_->tap(view);
}

Result<Activation> SimulatedValues::floats_of(ValueId id) const {
  if (const auto* constant = graph_.constant(id)) return Activation{*constant, false};
  const auto& value = values_[index(id)];
  if (!value.is_coded()) return value.floats;
  return to_floats(value.coded, *plan().find(id));
}

Result<Activation> SimulatedValues::float_input(NodeId node, int input) const {
  const auto id = graph_.node(node).input(static_cast<std::size_t>(input));
  OCTET_ASSIGN(auto values, floats_of(id));
  const auto it = plan().overrides.find({node, input});
  if (it == plan().overrides.end() || graph_.constant(id) != nullptr) return values;
  if (is_dynamic(it->second)) {
    OCTET_ASSIGN(const auto codes, quantize_dynamically(values));
    return to_floats(codes.coded, {{}, {{codes.scale}, {codes.zero_point}, -1}, {}, {}});
  }
  if (is_litert(plan().rule) && converts_wide(plan().find(id), &it->second)) {
    OCTET_ASSIGN(values.tensor, converted_image(values.tensor, *plan().find(id), it->second));
    return values;
  }
  if (is_coded(&it->second)) {
    OCTET_ASSIGN(const auto codes, to_codes(values, it->second, plan().rule));
    return to_floats(codes, it->second);
  }
  OCTET_ASSIGN(auto image, fake_quantize_by(plan().rule, to_plain(values).tensor, it->second));
  return Activation{std::move(image), false};
}

Result<Operand> SimulatedValues::operand(NodeId node, int input) const {
  const Graph& graph = model_.graph;
  const auto id = graph.node(node).input(static_cast<std::size_t>(input));
  Operand result{{}, plan().find(graph, {node, input})};
  const bool overridden = plan().overrides.contains({node, input});
  if (graph.constant(id) != nullptr) {
    OCTET_ASSIGN(result.coded.codes, constant_codes(model_, {node, input}));
  } else if (!overridden && values_[index(id)].is_coded()) {
    result.coded = values_[index(id)].coded;
  } else if (is_litert(plan().rule) && values_[index(id)].is_coded()) {
    result.coded = convert_codes(values_[index(id)].coded, *plan().find(id), *result.quantization,
                                 plan().rule);
  } else {
    OCTET_ASSIGN(const auto values, float_input(node, input));
    OCTET_ASSIGN(result.coded, to_codes(values, *result.quantization, plan().rule));
  }
  return result;
}

Result<Activation> SimulatedValues::moved_input(NodeId node, int input,
                                                const NodePlacement& placement) const {
  const bool converts = placement.role == Role::move || placement.role == Role::join ||
                        placement.role == Role::maximum;
  const bool moved = input == 0 || placement.role == Role::join;
  if (!is_litert(plan().rule) || !converts || !moved || placement.form != OutputForm::codes) {
    return float_input(node, input);
  }
  OCTET_ASSIGN(const auto from, operand(node, input));
  const auto& output = *plan().find(placement.output);
  const auto conversion = placement.role == Role::join ? Conversion::join : Conversion::quantize;
  return to_floats(convert_codes(from.coded, *from.quantization, output, plan().rule, conversion),
                   output);
}

Result<CodedActivation> SimulatedValues::part_codes(NodeId node, const Activation& part,
                                                    const Quantization& output) const {
  const auto* whole = plan().find(graph_, {node, 0});
  if (!is_litert(plan().rule) || !is_coded(whole)) return to_codes(part, output, plan().rule);
  OCTET_ASSIGN(const auto codes, to_codes(part, *whole, plan().rule));
  return convert_codes(codes, *whole, output, plan().rule);
}

}  // namespace octet::simulation

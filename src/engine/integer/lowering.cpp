#include "engine/integer/lowering.h"

#include <map>

#include "arithmetic/quantize.h"
#include "core/log.h"
#include "engine/integer/fake_constants.h"
#include "graph/op_schema.h"
#include "graph/shape_inference.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

bool same_params(const kernels::CodeParams& a, const kernels::CodeParams& b) {
  return a.scale == b.scale && a.zero_point == b.zero_point && a.low == b.low && a.high == b.high;
}

/// Codes of a constant as the arena would hold them: u8, in storage order.
std::vector<std::uint8_t> stored_codes(const Tensor& codes) {
  const Shape& shape = codes.shape();
  const auto plain = row_major_strides(shape);
  const auto stored = storage_strides(shape);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(codes.size()));
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    std::int64_t rest = i;
    std::int64_t offset = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      offset += rest / plain[d] * stored[d];
      rest %= plain[d];
    }
    bytes[static_cast<std::size_t>(offset)] =
        static_cast<std::uint8_t>(codes.data<std::int8_t>()[i] + 128);
  }
  return bytes;
}

class Lowering {
 public:
  Lowering(const QuantizedGraph& model, kernels::Isa isa) : model_(model), isa_(isa) {}

  Result<Lowered> run() {
    OCTET_TRY(infer_shapes(model_.graph));
    OCTET_ASSIGN(placements_, place_nodes(model_));
    OCTET_ASSIGN(out_.graph, with_fake_constants(model_, placements_));
    OCTET_TRY(add_inputs());
    OCTET_ASSIGN(const auto order, model_.graph.topological_order());
    for (const auto id : order) {
      if (auto status = lower_node(id); !status) {
        return tl::unexpected(status.error().with_context(model_.graph.node(id).name));
      }
    }
    for (const auto id : model_.graph.outputs) {
      OCTET_ASSIGN(const int buffer, float_of(id, NodeId::none));
      out_.outputs.push_back(buffer);
    }
    remove_unread_steps();
    return std::move(out_);
  }

 private:
  // Buffers

  int add_buffer(Buffer buffer) {
    out_.buffers.push_back(std::move(buffer));
    return static_cast<int>(out_.buffers.size()) - 1;
  }
  int add_codes(ValueId value, const kernels::CodeParams& params, bool image = false) {
    Buffer buffer;
    buffer.value = value;
    buffer.coded = true;
    buffer.image = image;
    buffer.params = params;
    return add_buffer(std::move(buffer));
  }
  int add_floats(ValueId value) {
    Buffer buffer;
    buffer.value = value;
    return add_buffer(std::move(buffer));
  }
  const kernels::CodeParams& params(int buffer) const { return out_.buffers[at(buffer)].params; }
  void add_step(StepPointer step) { out_.steps.push_back(std::move(step)); }

  /// Declares what the graph's readers of a value see: its codes, or its floats.
  void define(ValueId value, int buffer) {
    defined_[value] = buffer;
    out_.taps.push_back({value, buffer, static_cast<int>(out_.steps.size()) - 1});
  }

  /// A float buffer that has just been computed: quantized at once where the plan says so.
  void define_floats(ValueId value, int buffer, NodeId node) {
    const auto* quantization = model_.plan.find(value);
    if (quantization == nullptr || model_.graph.value(value).dtype != DType::f32) {
      define(value, buffer);
      return;
    }
    define(value, quantized(buffer, value, *quantization, node));
  }

  /// Codes of a float buffer, or its fake-quantized image where codes do not fit 8 bits.
  int quantized(int buffer, ValueId value, const Quantization& quantization, NodeId node) {
    if (is_coded(&quantization)) {
      const int codes = add_codes(value, code_params(quantization));
      add_step(make_quantize_step(node, params(codes), buffer, codes));
      return codes;
    }
    const int floats = add_floats(value);
    add_step(make_fake_quantize_step(node, quantization, buffer, floats));
    return floats;
  }

  Status add_inputs() {
    for (const auto id : model_.graph.inputs) {
      if (model_.graph.constant(id) != nullptr) {
        out_.inputs.push_back(-1);
        continue;
      }
      const int buffer = add_floats(id);
      out_.inputs.push_back(buffer);
      define_floats(id, buffer, NodeId::none);
    }
    return {};
  }

  // Forms of values

  Result<int> defined(ValueId value) const {
    const auto it = defined_.find(value);
    if (it != defined_.end()) return it->second;
    return internal_error("value {} is read before it is made", model_.graph.value(value).name);
  }

  /// The floats of a value, as the plan's quantization leaves them.
  Result<int> float_of(ValueId value, NodeId node) {
    if (const auto* constant = out_.graph.constant(value); constant != nullptr) {
      return constant_floats(value, *constant);
    }
    OCTET_ASSIGN(const int buffer, defined(value));
    return dequantized(buffer, node);
  }

  int constant_floats(ValueId value, const Tensor& constant) {
    if (const auto it = constants_.find(value); it != constants_.end()) return it->second;
    const int buffer = add_floats(value);
    out_.buffers[at(buffer)].constant = constant;
    constants_[value] = buffer;
    return buffer;
  }

  int dequantized(int buffer, NodeId node) {
    if (!out_.buffers[at(buffer)].coded) return buffer;
    if (const auto it = dequantized_.find(buffer); it != dequantized_.end()) return it->second;
    const int floats = add_floats(out_.buffers[at(buffer)].value);
    add_step(make_dequantize_step(node, params(buffer), buffer, floats));
    dequantized_[buffer] = floats;
    return floats;
  }

  /// What a float node reads at one of its inputs.
  Result<int> float_input(NodeId node, int input) {
    const auto value = out_.graph.node(node).input(at(input));
    if (value == ValueId::none) return -1;
    const auto it = model_.plan.overrides.find({node, input});
    if (it == model_.plan.overrides.end() || out_.graph.constant(value) != nullptr) {
      return float_of(value, node);
    }
    OCTET_ASSIGN(const int floats, float_of(value, node));
    return dequantized(quantized(floats, value, it->second, node), node);
  }

  /// The codes that an integer node reads at one of its inputs.
  Result<int> coded_input(NodeId node, int input) {
    const auto value = model_.graph.node(node).input(at(input));
    const auto* quantization = model_.plan.find(model_.graph, {node, input});
    if (!is_coded(quantization)) return internal_error("input {} has no 8-bit codes", input);
    if (model_.graph.constant(value) != nullptr) {
      OCTET_ASSIGN(const auto codes, constant_codes(model_, {node, input}));
      if (codes.dtype() != DType::i8) return internal_error("input {} has wide codes", input);
      const int buffer = add_codes(value, code_params(*quantization));
      out_.buffers[at(buffer)].constant_codes = stored_codes(codes);
      return buffer;
    }
    OCTET_ASSIGN(const int buffer, defined(value));
    if (out_.buffers[at(buffer)].coded) return converted(buffer, code_params(*quantization), node);
    return quantized(buffer, value, *quantization, node);
  }

  /// The same codes under other params: a table of the quantized values that they stand for.
  int converted(int buffer, const kernels::CodeParams& wanted, NodeId node) {
    if (same_params(params(buffer), wanted)) return buffer;
    for (const auto& [from, to] : conversions_) {
      if (from == buffer && same_params(params(to), wanted)) return to;
    }
    const int target = add_codes(out_.buffers[at(buffer)].value, wanted);
    add_step(make_lookup_step(node, requantize_table(params(buffer), wanted), buffer, target));
    conversions_.emplace_back(buffer, target);
    return target;
  }

  // Nodes

  Status lower_node(NodeId id) {
    const NodePlacement& placement = placements_[index(id)];
    if (placement.role == Role::absorbed) return {};
    if (placement.role == Role::floating) return lower_float(id, placement);
    kernels::CodeParams output = code_params(*model_.plan.find(placement.output));
    output.low = static_cast<std::uint8_t>(placement.low + 128);
    output.high = static_cast<std::uint8_t>(placement.high + 128);
    OCTET_ASSIGN(const int buffer, lower_coded(id, placement, output));
    // Readers see the value's own params; the fused limits are the producer's business.
    out_.buffers[at(buffer)].params = code_params(*model_.plan.find(placement.output));
    define(placement.output, buffer);
    return {};
  }

  Result<int> lower_coded(NodeId id, const NodePlacement& placement,
                          const kernels::CodeParams& output) {
    switch (placement.role) {
      case Role::accumulate: return lower_accumulate(id, placement, output);
      case Role::binary: return lower_binary(id, placement, output);
      case Role::lookup: {
        OCTET_ASSIGN(const int input, coded_input(id, 0));
        OCTET_ASSIGN(const auto table, unary_table(out_.graph, id, params(input), output));
        const int buffer = add_codes(placement.output, output);
        add_step(make_lookup_step(id, table, input, buffer));
        return buffer;
      }
      case Role::average:
      case Role::maximum: {
        OCTET_ASSIGN(int input, coded_input(id, 0));
        // The largest value has the largest code: the order of codes survives requantization.
        if (placement.role == Role::maximum) input = converted(input, output, id);
        const int buffer = add_codes(placement.output, output);
        add_step(make_pool_step(model_.graph, id, params(input), output, input, buffer));
        return buffer;
      }
      case Role::move: return lower_move(id, placement, output);
      case Role::join: return lower_join(id, placement, output);
      case Role::floating:
      case Role::absorbed: break;
    }
    return internal_error("no integer step");
  }

  Result<int> lower_accumulate(NodeId id, const NodePlacement& placement,
                               const kernels::CodeParams& output) {
    OCTET_ASSIGN(int input, coded_input(id, 0));
    OCTET_ASSIGN(const auto layer, accumulate_layer(model_, id));
    const Node& node = model_.graph.node(id);
    const bool flat = node.is("Conv") && layer.codes.rank() == 3;
    if (flat) {
      const int image = add_codes(out_.buffers[at(input)].value, params(input), true);
      add_step(make_reshape_step(id, input, image));
      input = image;
    }
    int buffer = add_codes(placement.output, output, flat);
    add_step(make_accumulate_step(model_.graph, id, layer, placement, out_.buffers[at(input)],
                                  out_.buffers[at(buffer)], input, buffer, isa_));
    if (!flat) return buffer;
    const int plain = add_codes(placement.output, output);
    add_step(make_reshape_step(id, buffer, plain));
    return plain;
  }

  Result<int> lower_binary(NodeId id, const NodePlacement& placement,
                           const kernels::CodeParams& output) {
    OCTET_ASSIGN(const int a, coded_input(id, 0));
    OCTET_ASSIGN(const int b, coded_input(id, 1));
    const Node& node = model_.graph.node(id);
    kernels::BinaryParams binary;
    binary.op = node.is("Add")   ? kernels::BinaryOp::add
                : node.is("Sub") ? kernels::BinaryOp::subtract
                                 : kernels::BinaryOp::multiply;
    binary.a = params(a);
    binary.b = params(b);
    binary.output = output;
    const int buffer = add_codes(placement.output, output);
    add_step(make_binary_step(id, binary, {a, b}, buffer));
    return buffer;
  }

  Result<int> lower_move(NodeId id, const NodePlacement& placement,
                         const kernels::CodeParams& output) {
    OCTET_ASSIGN(int input, coded_input(id, 0));
    input = converted(input, output, id);
    const int buffer = add_codes(placement.output, output);
    const Node& node = model_.graph.node(id);
    if (!node.is("Transpose") && !node.is("Slice") && !node.is("Pad")) {
      add_step(make_reshape_step(id, input, buffer));
      return buffer;
    }
    float fill = 0;
    if (node.is("Pad") && node.input(2) != ValueId::none) {
      OCTET_ASSIGN(const auto value, to_f32(*out_.graph.constant(node.input(2))));
      if (value.size() == 1) fill = value.data<float>()[0];
    }
    std::uint8_t fill_code = 0;
    kernels::quantize_codes(output, &fill, &fill_code, 1);
    OCTET_ASSIGN(auto step, make_move_step(model_.graph, id, fill_code, input, buffer));
    add_step(std::move(step));
    return buffer;
  }

  Result<int> lower_join(NodeId id, const NodePlacement& placement,
                         const kernels::CodeParams& output) {
    const Node& node = model_.graph.node(id);
    std::vector<int> parts;
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      OCTET_ASSIGN(const int part, coded_input(id, i));
      parts.push_back(converted(part, output, id));
    }
    const int buffer = add_codes(placement.output, output);
    add_step(make_concat_step(id, node.int_attribute("axis", 0), std::move(parts), buffer));
    return buffer;
  }

  Status lower_float(NodeId id, const NodePlacement& placement) {
    const Node& node = out_.graph.node(id);
    // Only what costs time is worth a line.
    if (!placement.reason.empty() && node_macs(out_.graph, node) > 0) {
      log_info("{} runs in float: {}", node.name, placement.reason);
    }
    std::vector<int> inputs;
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      OCTET_ASSIGN(const int buffer, float_input(id, i));
      inputs.push_back(buffer);
    }
    std::vector<int> outputs;
    for (const auto value : node.outputs) {
      outputs.push_back(value == ValueId::none ? -1 : add_floats(value));
    }
    OCTET_ASSIGN(auto step, make_float_step(out_.graph, id, inputs, outputs));
    add_step(std::move(step));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] >= 0) define_floats(node.outputs[i], outputs[i], id);
    }
    return {};
  }

  /// Shape arithmetic, mostly, whose result the session has inferred.
  void remove_unread_steps() {
    std::vector<bool> read(out_.buffers.size(), false);
    for (const int buffer : out_.outputs) read[at(buffer)] = true;
    std::vector<bool> keep(out_.steps.size(), false);
    for (std::size_t i = out_.steps.size(); i-- > 0;) {
      for (const int buffer : out_.steps[i]->outputs) {
        if (buffer >= 0 && read[at(buffer)]) keep[i] = true;
      }
      if (!keep[i]) continue;
      for (const int buffer : out_.steps[i]->inputs) {
        if (buffer >= 0) read[at(buffer)] = true;
      }
    }
    std::vector<int> new_index(out_.steps.size(), -1);
    std::vector<StepPointer> kept;
    for (std::size_t i = 0; i < keep.size(); ++i) {
      if (!keep[i]) continue;
      new_index[i] = static_cast<int>(kept.size());
      kept.push_back(std::move(out_.steps[i]));
    }
    out_.steps = std::move(kept);
    std::vector<TapPoint> taps;
    for (auto tap : out_.taps) {
      if (tap.step >= 0) {
        tap.step = new_index[at(tap.step)];
        if (tap.step < 0) continue;
      }
      taps.push_back(tap);
    }
    out_.taps = std::move(taps);
  }

  QuantizedGraph model_;
  kernels::Isa isa_;
  std::vector<NodePlacement> placements_;
  Lowered out_;
  std::map<ValueId, int> defined_;
  std::map<ValueId, int> constants_;
  std::map<int, int> dequantized_;
  std::vector<std::pair<int, int>> conversions_;
};

}  // namespace

Result<Lowered> lower(const QuantizedGraph& model, kernels::Isa isa) {
  return Lowering(model, isa).run();
}

}  // namespace octet::integer

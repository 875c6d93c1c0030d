#include "engine/integer/lowering.h"
#include "engine/integer/litert_placement.h"
#include "engine/integer/litert_steps.h"
#include "engine/integer/litert_tables.h"
#include "engine/integer/openvino_placement.h"
#include "engine/integer/openvino_steps.h"

#include "core/log.h"
#include "engine/integer/fake_constants.h"
#include "engine/integer/fuse_tables.h"
#include "engine/integer/unread_steps.h"
#include "engine/integer/value_forms.h"
#include "engine/integer/wide_ops.h"
#include "graph/op_schema.h"
#include "graph/shape_inference.h"
#include "graph/widen.h"

namespace octet::integer {
namespace {

class Lowering {
 public:
  Lowering(const QuantizedGraph& model, std::vector<NodePlacement> placements, Lowered& program,
           kernels::Isa isa)
      : model_(model),
        placements_(std::move(placements)),
        out_(program),
        forms_(model, program),
        isa_(isa) {}

  Status run() {
    add_inputs();
    OCTET_ASSIGN(const auto order, model_.graph.topological_order());
    for (const auto id : order) {
      if (auto status = lower_node(id, placements_[index(id)]); !status) {
        return tl::unexpected(status.error().with_context(model_.graph.node(id).name));
      }
    }
    for (const auto id : model_.graph.outputs) {
      OCTET_ASSIGN(const int buffer, forms_.float_of(id, NodeId::none));
      out_.outputs.push_back(buffer);
    }
    fuse_tables(out_);
    remove_unread_steps(out_);
    return {};
  }

 private:
  void add_inputs() {
    for (const auto id : model_.graph.inputs) {
      if (model_.graph.constant(id) != nullptr) {
        out_.inputs.push_back(-1);
        continue;
      }
      const int buffer = forms_.add_floats(id);
      out_.inputs.push_back(buffer);
      forms_.define_floats(id, buffer, NodeId::none);
    }
  }

  /// Params of a value that the plan quantizes.
  [[nodiscard]] kernels::CodeParams params_of(ValueId value) const {
    return code_params(*model_.plan.find(value), model_.plan.rule);
  }

  Status lower_node(NodeId id, const NodePlacement& placement) {
    switch (placement.role) {
      case Role::absorbed: return {};
      case Role::floating: return lower_float(id, placement);
      case Role::split: return lower_split(id);
      case Role::wide: return lower_words(id, placement);
      default: break;
    }
    if (placement.form == OutputForm::wide) {
      OCTET_ASSIGN(const int image, lower_wide(id, placement));
      forms_.define(placement.output, image);
      return {};
    }
    if (placement.form == OutputForm::floats) {
      OCTET_ASSIGN(const int floats, lower_to_floats(id, placement));
      forms_.define_floats(placement.output, floats, id);
      return {};
    }
    kernels::CodeParams output = params_of(placement.output);
    output.low = static_cast<std::uint8_t>(placement.low + 128);
    output.high = static_cast<std::uint8_t>(placement.high + 128);
    OCTET_ASSIGN(const int buffer, lower_to_codes(id, placement, output));
    // Readers see the value's own params; the fused limits are the producer's business.
    forms_.buffer(buffer).params = params_of(placement.output);
    forms_.define(placement.output, buffer);
    return {};
  }

  Result<int> lower_to_codes(NodeId id, const NodePlacement& placement,
                             const kernels::CodeParams& output) {
    switch (placement.role) {
      case Role::accumulate: return lower_accumulate(id, placement, output);
      case Role::product: return lower_product(id, placement, output);
      case Role::binary: return lower_binary(id, placement, output);
      case Role::sum: return lower_sum(id, placement, output);
      case Role::lookup: return lower_lookup(id, placement, output);
      case Role::softmax: return lower_softmax(id, placement, output);
      case Role::resample: return lower_resample(id, placement, output);
      case Role::average:
      case Role::maximum: return lower_pool(id, placement, output);
      case Role::move: return lower_move(id, placement, output);
      case Role::join: return lower_join(id, placement, output);
      case Role::floating:
      case Role::absorbed:
      case Role::split:
      case Role::wide: break;
    }
    return internal_error("no integer step");
  }

  Result<int> lower_to_floats(NodeId id, const NodePlacement& placement) {
    kernels::CodeParams none;
    none.rule = model_.plan.rule;
    if (placement.role == Role::accumulate) return lower_accumulate(id, placement, none);
    if (placement.role == Role::product) return lower_product(id, placement, {});
    OCTET_ASSIGN(const int codes, lower_gather(id, placement));
    return forms_.dequantized(codes, id);
  }

  Result<int> lower_accumulate(NodeId id, const NodePlacement& placement,
                               const kernels::CodeParams& output) {
    const Node& node = model_.graph.node(id);
    OCTET_ASSIGN(const auto layer, accumulate_layer(model_, id, placement));
    const InputOrder order = accumulate_order(node, layer);
    const bool image = order == InputOrder::image;
    int input = -1;
    if (placement.input == InputForm::dynamic && is_litert(model_.plan.rule)) {
      OCTET_ASSIGN(input, forms_.float_of(node.input(0), id));
    } else if (placement.input == InputForm::dynamic) {
      OCTET_ASSIGN(input, forms_.dynamic_input(id, order));
    } else {
      OCTET_ASSIGN(input, forms_.coded_input(id, 0));
      if (image) {
        const int made = forms_.add_image(forms_.buffer(input).value, forms_.params(input));
        forms_.add_step(make_reshape_step(id, input, made));
        input = made;
      } else {
        input = forms_.in_order(input, order == InputOrder::channels_last, id);
      }
    }
    int buffer = -1;
    if (placement.form == OutputForm::floats) {
      buffer = forms_.add_floats(placement.output);
    } else if (image) {
      buffer = forms_.add_image(placement.output, output);
    } else {
      buffer = forms_.add_codes(placement.output, output, order == InputOrder::channels_last);
    }
    OCTET_ASSIGN(auto step,
                 make_accumulate_step(model_.graph, id, layer, placement, forms_.params(input),
                                      output, input, buffer, isa_));
    forms_.add_step(std::move(step));
    if (!image || placement.form == OutputForm::floats) return buffer;
    const int plain = forms_.add_codes(placement.output, output);
    forms_.add_step(make_reshape_step(id, buffer, plain));
    return plain;
  }

  /// An image of 16-bit codes.
  Result<int> lower_wide(NodeId id, const NodePlacement& placement) {
    const auto& plan = model_.plan;
    const Quantization& output = *plan.find(placement.output);
    const Quantization& input = *plan.find(model_.graph, {id, 0});
    OCTET_ASSIGN(const int a, forms_.float_input(id, 0));
    const int buffer = forms_.add_floats(placement.output);
    if (placement.role == Role::product) {
      OCTET_ASSIGN(const int b, forms_.float_input(id, 1));
      forms_.add_step(make_wide_product_step(
          id, placement, input, *plan.find(model_.graph, {id, 1}), output, {a, b}, buffer, isa_));
      return buffer;
    }
    OCTET_ASSIGN(const auto layer, accumulate_layer(model_, id, placement));
    forms_.add_step(make_wide_layer_step(model_.graph, id, layer, placement, input, output,
                                         typical_shape(model_.graph, id), a, buffer, isa_));
    return buffer;
  }

  Result<int> lower_product(NodeId id, const NodePlacement& placement,
                            const kernels::CodeParams& output) {
    OCTET_ASSIGN(int a, forms_.coded_input(id, 0));
    OCTET_ASSIGN(int b, forms_.coded_input(id, 1));
    a = forms_.in_order(a, false, id);
    b = forms_.in_order(b, false, id);
    kernels::ProductParams product;
    product.a_zero_point = forms_.params(a).zero_point;
    product.b_zero_point = forms_.params(b).zero_point;
    const float a_scale = forms_.params(a).scale;
    const float b_scale = forms_.params(b).scale;
    int buffer = -1;
    if (placement.form == OutputForm::floats) {
      product.output = kernels::ConvOutput::floats;
      product.multiplier = a_scale * b_scale;
      buffer = forms_.add_floats(placement.output);
    } else {
      product.multiplier = onnx_multiplier(a_scale, b_scale, output.scale);
      product.output_zero_point = output.zero_point;
      product.low = output.low;
      product.high = output.high;
      buffer = forms_.add_codes(placement.output, output, false);
    }
    if (placement.form == OutputForm::codes &&
        placement.scaling.scaling != litert::Scaling::floating) {
      auto scale =
          kernels::litert::make_requantization(placement.scaling, a_scale, {b_scale}, output.scale);
      scale.zero_point = output.zero_point;
      scale.low = output.low;
      scale.high = output.high;
      product.output = kernels::ConvOutput::accumulators;
      forms_.add_step(make_product_step(id, product, std::move(scale), {a, b}, buffer, isa_));
      return buffer;
    }
    forms_.add_step(make_product_step(id, product, {a, b}, buffer, isa_));
    return buffer;
  }

  static kernels::BinaryOp binary_op(const Node& node, const NodePlacement& placement) {
    if (placement.squares) return kernels::BinaryOp::squared_difference;
    if (node.is("Add")) return kernels::BinaryOp::add;
    if (node.is("Sub")) return kernels::BinaryOp::subtract;
    if (node.is("PRelu")) return kernels::BinaryOp::prelu;
    return node.is("Mul") ? kernels::BinaryOp::multiply : kernels::BinaryOp::divide;
  }

  Result<int> lower_binary(NodeId id, const NodePlacement& placement,
                           const kernels::CodeParams& output) {
    OCTET_ASSIGN(const int a, forms_.coded_input(id, 0));
    OCTET_ASSIGN(const int b, forms_.coded_input(id, 1));
    const Node& node = model_.graph.node(id);
    kernels::BinaryParams binary;
    binary.op = binary_op(node, placement);
    binary.a = forms_.params(a);
    binary.b = forms_.params(b);
    binary.output = output;
    if (output.rule == Rule::openvino && node.is("Add")) {
      const auto moved = openvino_moved_operand(model_, id);
      binary.moves_b = moved.input == 1;
      binary.own_code = moved.own_code;
    }
    const int buffer = forms_.add_codes(placement.output, output);
    forms_.add_step(make_binary_step(id, binary, {a, b}, buffer));
    return buffer;
  }

  /// By rule openvino.
  Result<int> lower_sum(NodeId id, const NodePlacement& placement,
                        const kernels::CodeParams& output) {
    const int coded = is_coded(model_.plan.find(model_.graph, {id, 0})) ? 0 : 1;
    OCTET_ASSIGN(const int moved, forms_.float_input(id, 1 - coded));
    OCTET_ASSIGN(const int kept, forms_.coded_input(id, coded));
    const int buffer =
        forms_.add_codes(placement.output, output, forms_.buffer(kept).channels_last);
    forms_.add_step(make_openvino_sum_step(
        id, forms_.params(kept), output, moved, kept, buffer,
        comes_from_layer(model_.graph,
                         model_.graph.node(id).input(1 - static_cast<std::size_t>(coded)))));
    return buffer;
  }

  Result<int> lower_lookup(NodeId id, const NodePlacement& placement,
                           const kernels::CodeParams& output) {
    const auto& inputs = model_.graph.node(id).inputs;
    const std::size_t position = model_.graph.constant(inputs[0]) == nullptr ? 0 : 1;
    OCTET_ASSIGN(const int input, forms_.coded_input(id, static_cast<int>(position)));
    OCTET_ASSIGN(const auto table,
                 placement.inverts
                     ? litert_reciprocal_root_table(forms_.params(input), output)
                     : unary_table(out_.graph, id, position, forms_.params(input), output));
    const int buffer =
        forms_.add_codes(placement.output, output, forms_.buffer(input).channels_last);
    forms_.add_step(make_lookup_step(id, table, input, buffer));
    return buffer;
  }

  Result<int> lower_softmax(NodeId id, const NodePlacement& placement,
                            const kernels::CodeParams& output) {
    const Node& node = model_.graph.node(id);
    OCTET_ASSIGN(const int input, forms_.coded_input(id, 0));
    const auto& shape = model_.graph.value(node.input(0)).shape;
    OCTET_ASSIGN(const int axis, normalize_axis(node.int_attribute("axis", -1), shape->size()));
    const int buffer =
        forms_.add_codes(placement.output, output, forms_.buffer(input).channels_last);
    forms_.add_step(make_softmax_step(id, *litert_softmax_kind(model_, node), axis,
                                      forms_.params(input), input, buffer));
    return buffer;
  }

  Result<int> lower_resample(NodeId id, const NodePlacement& placement,
                             const kernels::CodeParams& output) {
    OCTET_ASSIGN(int input, forms_.coded_input(id, 0));
    input = forms_.in_order(forms_.converted(input, output, id), true, id);
    const int buffer = forms_.add_codes(placement.output, output, true);
    forms_.add_step(make_resample_step(model_.graph, id, output, input, buffer));
    return buffer;
  }

  Result<int> lower_pool(NodeId id, const NodePlacement& placement,
                         const kernels::CodeParams& output) {
    const Node& node = model_.graph.node(id);
    OCTET_ASSIGN(int input, forms_.coded_input(id, 0));
    // The largest value has the largest code: the order of codes survives requantization.
    if (placement.role == Role::maximum) input = forms_.converted(input, output, id);
    if (node.is("AveragePool") || node.is("MaxPool")) {
      input = forms_.in_order(input, true, id);
      // LiteRT's keeps the input's params.
      if (node.is("AveragePool") && is_litert(output.rule) &&
          !same_params(forms_.params(input), params_of(placement.output))) {
        return lower_unscaled_pool(id, placement, output, input);
      }
      const int buffer = forms_.add_codes(placement.output, output, true);
      forms_.add_step(
          make_pool_step(model_.graph, id, forms_.params(input), output, input, buffer));
      return buffer;
    }
    const auto& shape = model_.graph.value(node.input(0)).shape;
    const auto axes = reduced_axes(model_.graph, node, static_cast<int>(shape->size()));
    const bool keeps_rank =
        !node.op.starts_with("Reduce") || node.int_attribute("keepdims", 1) != 0;
    bool channels_last = forms_.buffer(input).channels_last;
    // Without the reduced axes, what remains of an image must be in row-major order.
    const bool order_fits = keeps_rank || (axes->front() <= 2 && axes->back() == 3);
    if (!axes_adjoin(*axes, channels_last) || !order_fits) {
      input = forms_.in_order(input, false, id);
      channels_last = forms_.buffer(input).channels_last;
    }
    const int buffer = forms_.add_codes(placement.output, output, channels_last && keeps_rank);
    forms_.add_step(make_reduce_step(id, reduction(node, placement), *axes, forms_.params(input),
                                     output, input, buffer));
    return buffer;
  }

  static Reduce reduction(const Node& node, const NodePlacement& placement) {
    if (placement.role == Role::maximum) return Reduce::maximum;
    return node.is("ReduceSum") ? Reduce::sum : Reduce::mean;
  }

  /// An AveragePool of codes, and then a QUANTIZE to the output's params.
  Result<int> lower_unscaled_pool(NodeId id, const NodePlacement& placement,
                                  const kernels::CodeParams& output, int input) {
    const kernels::CodeParams params = forms_.params(input);
    const int pooled = forms_.add_codes(placement.output, params, true);
    forms_.add_step(make_pool_step(model_.graph, id, params, params, input, pooled));
    const int buffer = forms_.add_codes(placement.output, output, true);
    forms_.add_step(make_lookup_step(id, requantize_table(params, output), pooled, buffer));
    return buffer;
  }

  Result<int> lower_move(NodeId id, const NodePlacement& placement,
                         const kernels::CodeParams& output) {
    const Node& node = model_.graph.node(id);
    if (node.is("Gather")) {
      OCTET_ASSIGN(const int gathered, lower_gather(id, placement));
      return forms_.converted(gathered, output, id);
    }
    OCTET_ASSIGN(int input, forms_.coded_input(id, 0));
    input = forms_.converted(input, output, id);
    const int buffer = forms_.add_codes(placement.output, output);
    if (node.is("Transpose") || node.is("Slice") || node.is("Pad")) {
      OCTET_ASSIGN(auto step, make_move_step(out_.graph, id, output, input, buffer));
      forms_.add_step(std::move(step));
      return buffer;
    }
    if (node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze") ||
        node.is("Identity") || node.is("Dropout")) {
      forms_.add_step(make_reshape_step(id, input, buffer));
      return buffer;
    }
    std::vector<int> inputs = {input};
    for (int i = 1; i < static_cast<int>(node.inputs.size()); ++i) {
      OCTET_ASSIGN(const int other, forms_.float_input(id, i));
      inputs.push_back(other);
    }
    OCTET_ASSIGN(auto step, make_map_step(out_.graph, id, std::move(inputs), buffer));
    forms_.add_step(std::move(step));
    return buffer;
  }

  /// Codes under the params of input 0.
  Result<int> lower_gather(NodeId id, const NodePlacement& placement) {
    OCTET_ASSIGN(int input, forms_.coded_input(id, 0));
    input = forms_.in_order(input, false, id);
    OCTET_ASSIGN(const int indices, forms_.float_input(id, 1));
    const int buffer = forms_.add_codes(placement.output, forms_.params(input), false);
    forms_.add_step(make_gather_step(id, model_.graph.node(id).int_attribute("axis", 0), input,
                                     indices, buffer));
    return buffer;
  }

  Result<int> lower_join(NodeId id, const NodePlacement& placement,
                         const kernels::CodeParams& output) {
    const Node& node = model_.graph.node(id);
    std::vector<int> parts;
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      OCTET_ASSIGN(const int part, forms_.coded_input(id, i));
      parts.push_back(forms_.joined(part, output, id));
    }
    const int buffer = forms_.add_codes(placement.output, output);
    forms_.add_step(make_concat_step(id, node.int_attribute("axis", 0), std::move(parts), buffer));
    return buffer;
  }

  /// The parts keep the whole's params at first.
  Status lower_split(NodeId id) {
    const Node& node = model_.graph.node(id);
    OCTET_ASSIGN(const int input, forms_.coded_input(id, 0));
    const kernels::CodeParams params = forms_.params(input);
    std::vector<int> parts;
    for (const auto value : node.outputs) parts.push_back(forms_.add_codes(value, params));
    forms_.add_step(make_split_step(id, node.int_attribute("axis", 0), input, parts));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto value = node.outputs[i];
      forms_.define(value, forms_.converted(parts[i], params_of(value), id));
    }
    return {};
  }

  Status lower_float(NodeId id, const NodePlacement& placement) {
    const Node& node = out_.graph.node(id);
    // Only what costs time is worth a line.
    if (!placement.reason.empty() && node_macs(out_.graph, node) > 0) {
      log_info("{} runs in float: {}", node.name, placement.reason);
    }
    OCTET_ASSIGN(auto inputs, float_inputs(id));
    const auto outputs = float_outputs(node.outputs);
    OCTET_ASSIGN(auto step, make_float_step(out_.graph, id, std::move(inputs), outputs));
    forms_.add_step(std::move(step));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] >= 0) forms_.define_floats(node.outputs[i], outputs[i], id);
    }
    return {};
  }

  /// Role::wide.
  Status lower_words(NodeId id, const NodePlacement& placement) {
    const Node& node = out_.graph.node(id);
    OCTET_ASSIGN(auto op, make_wide_op(model_, out_.graph, id, placement));
    OCTET_ASSIGN(auto inputs, float_inputs(id));
    std::vector<ValueId> values = node.outputs;
    values[0] = placement.output;
    const auto outputs = float_outputs(values);
    forms_.add_step(
        make_operator_step(id, "i16 " + node.op, std::move(op), std::move(inputs), outputs));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] < 0) continue;
      if (is_coded(model_.plan.find(values[i]))) {
        forms_.define_floats(values[i], outputs[i], id);
      } else {
        forms_.define(values[i], outputs[i]);
      }
    }
    return {};
  }

  Result<std::vector<int>> float_inputs(NodeId id) {
    std::vector<int> inputs;
    for (int i = 0; i < static_cast<int>(out_.graph.node(id).inputs.size()); ++i) {
      OCTET_ASSIGN(const int buffer, forms_.float_input(id, i));
      inputs.push_back(buffer);
    }
    return inputs;
  }

  std::vector<int> float_outputs(const std::vector<ValueId>& values) {
    std::vector<int> outputs;
    for (const auto value : values) {
      outputs.push_back(value == ValueId::none ? -1 : forms_.add_floats(value));
    }
    return outputs;
  }

  const QuantizedGraph& model_;
  std::vector<NodePlacement> placements_;
  Lowered& out_;
  ValueForms forms_;
  kernels::Isa isa_;
};

}  // namespace

Result<Lowered> lower(const QuantizedGraph& original, kernels::Isa isa) {
  QuantizedGraph model = original;
  OCTET_TRY(widen_halves(model.graph));
  OCTET_TRY(infer_shapes(model.graph));
  OCTET_ASSIGN(auto placements, place_nodes(model));
  Lowered program;
  OCTET_ASSIGN(program.graph, with_fake_constants(model, placements));
  OCTET_TRY(Lowering(model, std::move(placements), program, isa).run());
  return program;
}

}  // namespace octet::integer

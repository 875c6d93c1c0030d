#include "engine/integer/openvino_steps.h"

#include "engine/integer/openvino_placement.h"

namespace octet::integer {
namespace {

namespace rule = kernels::openvino;

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

constexpr std::size_t alignment = 64;

/// Conv, Gemm, MatMul: floats in scratch memory, then codes.
class LayerStep final : public Step {
 public:
  LayerStep(NodeId id, std::unique_ptr<LayerKernel> kernel, const rule::CodeLine& line, int input,
            int output)
      : Step(id, {input}, {output}), layer_(std::move(kernel)), line_(line) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    OCTET_ASSIGN(auto geometry, layer_->geometry(shapes[at(inputs[0])].shape));
    const std::int64_t count = element_count(geometry.output);
    const std::size_t floats =
        (static_cast<std::size_t>(count) * sizeof(float) + alignment - 1) / alignment * alignment;
    BoundStep bound;
    bound.macs = geometry.macs;
    bound.nanoseconds = geometry.nanoseconds;
    bound.scratch_bytes = floats + layer_->scratch_bytes(geometry, threads);
    bound.run = [this, geometry = std::move(geometry), count, floats,
                 threads](RunContext& context) -> Status {
      auto* values = reinterpret_cast<float*>(context.scratch);
      auto* codes = context.codes[at(outputs[0])];
      layer_->run(geometry, context.codes[at(inputs[0])], values, context.scratch + floats, threads,
                  {});
      split_rows(count, threads, static_cast<double>(count) / per_nanosecond::quantized,
                 [&](int, std::int64_t first, std::int64_t last) {
                   rule::quantize_codes(line_, values + first, codes + first, last - first);
                 });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return layer_->name() + " + openvino"; }
  [[nodiscard]] std::int64_t constant_bytes() const override { return layer_->constant_bytes(); }

 private:
  std::unique_ptr<LayerKernel> layer_;
  rule::CodeLine line_;
};

class SumStep final : public Step {
 public:
  SumStep(NodeId id, const rule::SumParams& params, int moved, int kept, int output)
      : Step(id, {moved, kept}, {output}), params_(params) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    const StoredShape& out = shapes[at(outputs[0])];
    const StoredShape& kept = shapes[at(inputs[1])];
    if (kept.shape != out.shape || kept.channels_last != out.channels_last) {
      return internal_error("the operands of a sum lie otherwise in memory than its result");
    }
    const std::int64_t count = element_count(out.shape);
    BoundStep bound;
    bound.nanoseconds = static_cast<double>(count) / per_nanosecond::binary_elements;
    bound.run = [this, count, channels_last = out.channels_last && out.shape.size() == 4,
                 nanoseconds = bound.nanoseconds, threads](RunContext& context) -> Status {
      const Activation& in = context.floats[at(inputs[0])];
      if (in.tensor.dtype() != DType::f32 || in.tensor.size() != count) {
        return bad_input("cannot add {} {}", name(in.tensor.dtype()), to_string(in.tensor.shape()));
      }
      const Activation moved = channels_last ? to_channels_last(in) : to_plain(in);
      const float* values = moved.tensor.data<float>();
      const auto* codes = context.codes[at(inputs[1])];
      auto* result = context.codes[at(outputs[0])];
      split_rows(count, threads, nanoseconds, [&](int, std::int64_t first, std::int64_t last) {
        rule::add_reals(params_, values + first, 1, codes + first, 1, result + first, last - first);
      });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return "f32u8_add_tensor_openvino_1"; }

 private:
  rule::SumParams params_;
};

}  // namespace

OpenvinoLayer openvino_layer(const Graph& graph, NodeId node, const AccumulateLayer& layer,
                             const NodePlacement& placement, const kernels::CodeParams& input,
                             const kernels::CodeParams& output) {
  const auto form = openvino_layer_form(graph, graph.node(node), !layer.float_bias.empty());
  const auto limits = rule::limits(output.scale, output.zero_point);
  OpenvinoLayer result;
  result.params.output = kernels::ConvOutput::floats;
  result.params.input_zero_point = input.zero_point;
  for (std::size_t i = 0; i < layer.weight_scale.size(); ++i) {
    const float bias = layer.float_bias.empty() ? 0.0F : layer.float_bias[i];
    const auto channel = rule::layer(form, input.scale * layer.weight_scale[i], bias, limits);
    result.params.multiplier.push_back(channel.multiplier);
    result.params.output_bias.push_back(channel.bias);
    result.line.line = channel.line;
  }
  result.line.low = static_cast<std::uint8_t>(placement.low + 128);
  result.line.high = static_cast<std::uint8_t>(placement.high + 128);
  return result;
}

StepPointer make_openvino_layer_step(NodeId node, std::unique_ptr<LayerKernel> kernel,
                                     const kernels::openvino::CodeLine& line, int input,
                                     int output) {
  return std::make_unique<LayerStep>(node, std::move(kernel), line, input, output);
}

StepPointer make_openvino_sum_step(NodeId node, const kernels::CodeParams& kept_params,
                                   const kernels::CodeParams& output_params, int moved, int kept,
                                   int output, bool in_layer) {
  rule::SumParams params;
  params.sum = rule::sum(kept_params.scale, kept_params.zero_point, 1.0F, 0,
                         rule::limits(output_params.scale, output_params.zero_point));
  if (in_layer) params.sum.line = rule::destination_line(params.sum.line);
  params.low = output_params.low;
  params.high = output_params.high;
  return std::make_unique<SumStep>(node, params, moved, kept, output);
}

}  // namespace octet::integer

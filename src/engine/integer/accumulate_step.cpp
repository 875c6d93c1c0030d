// Conv, ConvTranspose, Gemm and MatMul on an integer convolution kernel.

#include "engine/float/buffer_pool.h"
#include "engine/integer/litert_placement.h"
#include "engine/integer/litert_steps.h"
#include "engine/integer/openvino_steps.h"

namespace octet::integer {
namespace {

/// Extent assumed for a dynamic spatial dimension when a kernel is chosen; it fixes nothing.
constexpr std::int64_t typical_extent = 64;

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

/// A float result in `geometry`'s logical shape; images are channels-last.
Result<Tensor> float_result(const LayerGeometry& geometry) {
  return float_engine::new_tensor(DType::f32, geometry.output);
}

/// With an input that is coded in the arena, so that all shapes are known beforehand.
class CodedStep final : public Step {
 public:
  CodedStep(NodeId id, std::unique_ptr<LayerKernel> layer, OutputForm form, bool image, int input,
            int output)
      : Step(id, {input}, {output}), layer_(std::move(layer)), form_(form), image_(image) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    Shape input = shapes[at(inputs[0])].shape;
    OCTET_ASSIGN(auto geometry, layer_->geometry(input));
    BoundStep bound;
    bound.macs = geometry.macs;
    bound.nanoseconds = geometry.nanoseconds;
    bound.scratch_bytes = layer_->scratch_bytes(geometry, threads);
    bound.run = [this, geometry = std::move(geometry), threads](RunContext& context) -> Status {
      const auto* in = context.codes[at(inputs[0])];
      if (form_ == OutputForm::codes) {
        layer_->run(geometry, in, context.codes[at(outputs[0])], context.scratch, threads, {});
        return {};
      }
      OCTET_ASSIGN(auto result, float_result(geometry));
      layer_->run(geometry, in, result.mutable_raw(), context.scratch, threads, {});
      context.floats[at(outputs[0])] = finished(std::move(result), image_);
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return layer_->name(); }
  [[nodiscard]] std::int64_t constant_bytes() const override { return layer_->constant_bytes(); }

 private:
  std::unique_ptr<LayerKernel> layer_;
  OutputForm form_;
  bool image_;
};

/// With an input that was quantized at run time; shapes may be known only then.
class DynamicStep final : public Step {
 public:
  DynamicStep(NodeId id, std::unique_ptr<LayerKernel> layer, bool image, int input, int output)
      : Step(id, {input}, {output}), layer_(std::move(layer)), image_(image) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    BoundStep bound;
    // For the profile and for an estimate.
    if (auto known = layer_->geometry(shapes[at(inputs[0])].shape); known) {
      bound.macs = known->macs;
      bound.nanoseconds = known->nanoseconds;
    }
    bound.run = [this, threads](RunContext& context) -> Status {
      const Tensor& codes = context.floats[at(inputs[0])].tensor;
      OCTET_ASSIGN(const auto geometry, layer_->geometry(codes.shape()));
      const std::size_t bytes = layer_->scratch_bytes(geometry, threads);
      OCTET_ASSIGN(auto scratch,
                   float_engine::new_tensor(DType::u8, {static_cast<std::int64_t>(bytes)}));
      OCTET_ASSIGN(auto result, float_result(geometry));
      layer_->run(geometry, codes.data<std::uint8_t>(), result.mutable_raw(), scratch.mutable_raw(),
                  threads, context.input_params[at(inputs[0])]);
      context.floats[at(outputs[0])] = finished(std::move(result), image_);
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return layer_->name(); }
  [[nodiscard]] std::int64_t constant_bytes() const override { return layer_->constant_bytes(); }

 private:
  std::unique_ptr<LayerKernel> layer_;
  bool image_;
};

}  // namespace

Shape typical_shape(const Graph& graph, NodeId id) {
  const auto& known = graph.value(graph.node(id).input(0)).shape;
  if (!known) return {};
  Shape shape = *known;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == dynamic_dim) shape[i] = i < 2 ? 1 : typical_extent;
  }
  return shape;
}

Activation finished(Tensor result, bool image) {
  const Shape shape = result.shape();
  if (!image) return {std::move(result), false};
  if (shape.size() == 4) return {std::move(result), true};
  const Activation plain = to_plain({result.reshaped({shape[0], shape[1], 1, shape[2]}), true});
  return {plain.tensor.reshaped(shape), false};
}

InputOrder accumulate_order(const Node& node, const AccumulateLayer& layer) {
  if (!node.is("Conv") && !node.is("ConvTranspose")) return InputOrder::plain;
  return layer.codes.rank() == 3 ? InputOrder::image : InputOrder::channels_last;
}

Result<StepPointer> make_accumulate_step(const Graph& graph, NodeId node,
                                         const AccumulateLayer& layer,
                                         const NodePlacement& placement,
                                         const kernels::CodeParams& input,
                                         const kernels::CodeParams& output, int input_buffer,
                                         int output_buffer, kernels::Isa isa) {
  if (placement.form == OutputForm::codes && output.rule == Rule::openvino) {
    auto made = openvino_layer(graph, node, layer, placement, input, output);
    auto kernel = std::make_unique<LayerKernel>(graph, node, layer);
    kernel->prepare(layer, std::move(made.params), typical_shape(graph, node), isa, true);
    return make_openvino_layer_step(node, std::move(kernel), made.line, input_buffer,
                                    output_buffer);
  }
  if (placement.input == InputForm::dynamic && is_litert(output.rule)) {
    return make_hybrid_step(graph, node, layer, placement.hybrid, typical_shape(graph, node),
                            input_buffer, output_buffer, isa);
  }
  if (placement.form == OutputForm::codes &&
      (placement.scaling.scaling != litert::Scaling::floating ||
       !layer.weight_zero_point.empty())) {
    return make_litert_layer_step(graph, node, layer, placement, input, output,
                                  typical_shape(graph, node), input_buffer, output_buffer, isa);
  }
  kernels::ConvParams params;
  const bool image = accumulate_order(graph.node(node), layer) != InputOrder::plain;
  if (placement.form == OutputForm::codes) {
    params.multiplier = layer_multipliers(layer, input.scale, output.scale);
    params.output_zero_point = output.zero_point;
    params.low = static_cast<std::uint8_t>(placement.low + 128);
    params.high = static_cast<std::uint8_t>(placement.high + 128);
  } else {
    params.output = kernels::ConvOutput::floats;
    params.multiplier = layer.weight_scale;
    params.output_bias = layer.float_bias;
    params.input_scale = input.scale;
  }
  params.input_zero_point = input.zero_point;
  auto kernel = std::make_unique<LayerKernel>(graph, node, layer);
  kernel->prepare(layer, std::move(params), typical_shape(graph, node), isa, true);
  if (placement.input == InputForm::dynamic) {
    return StepPointer(
        std::make_unique<DynamicStep>(node, std::move(kernel), image, input_buffer, output_buffer));
  }
  return StepPointer(std::make_unique<CodedStep>(node, std::move(kernel), placement.form, image,
                                                 input_buffer, output_buffer));
}

}  // namespace octet::integer

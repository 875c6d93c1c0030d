#pragma once
// Layers from floats to floats, whose shapes need not be known before they run. Internal to the
// integer engine.

#include "engine/integer/layer_kernel.h"

namespace octet::integer {

class FloatLayerStep : public Step {
 public:
  FloatLayerStep(NodeId id, std::unique_ptr<LayerKernel> kernel, InputOrder order, int input,
                 int output)
      : Step(id, {input}, {output}), layer_(std::move(kernel)), order_(order) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const final {
    const auto input = static_cast<std::size_t>(inputs[0]);
    const auto output = static_cast<std::size_t>(outputs[0]);
    BoundStep bound;
    // For the profile and for an estimate.
    if (auto known = layer_->geometry(shapes[input].shape); known) {
      bound.macs = known->macs;
      bound.nanoseconds = known->nanoseconds;
    }
    bound.run = [this, input, output, threads](RunContext& context) -> Status {
      OCTET_ASSIGN(const auto values, in_input_order(context.floats[input], order_));
      OCTET_ASSIGN(auto result, run(values.tensor, threads));
      context.floats[output] = finished(std::move(result), order_ != InputOrder::plain);
      return {};
    };
    return bound;
  }

 protected:
  /// `values` are in the layer's order.
  [[nodiscard]] virtual Result<Tensor> run(const Tensor& values, int threads) const = 0;

  [[nodiscard]] const LayerKernel& layer() const { return *layer_; }
  [[nodiscard]] InputOrder order() const { return order_; }

 private:
  std::unique_ptr<LayerKernel> layer_;
  InputOrder order_;
};

}  // namespace octet::integer

#include "engine/integer/litert_steps.h"

#include <algorithm>

#include "core/cache_line.h"

namespace octet::integer {
namespace {

namespace rule = kernels::litert;

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

/// A layer that gives accumulators, a block of rows at a time, which stay in the cache until they
/// are codes.
class LayerStep final : public Step {
 public:
  /// The accumulators of several `parts` add up; the first has the bias.
  LayerStep(NodeId id, std::vector<std::unique_ptr<LayerKernel>> parts, rule::Requantization scale,
            int input, int output, kernels::Isa isa)
      : Step(id, {input}, {output}),
        parts_(std::move(parts)),
        scale_(std::move(scale)),
        isa_(isa) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    Plan plan;
    OCTET_ASSIGN(plan.geometry, parts_[0]->geometry(shapes[at(inputs[0])].shape));
    plan.rows = layer_rows(plan.geometry);
    constexpr std::int64_t block_bytes = 128 * 1024;
    const std::int64_t row_bytes = std::max<std::int64_t>(plan.rows.elements * 4, 1);
    plan.block_rows = std::clamp<std::int64_t>(block_bytes / row_bytes, 1,
                                               std::max<std::int64_t>(plan.rows.count, 1));
    plan.block_bytes = whole_lines(static_cast<std::size_t>(plan.block_rows * row_bytes));
    for (const auto& part : parts_) {
      plan.kernel_bytes = std::max(plan.kernel_bytes, part->row_scratch_bytes(plan.geometry));
    }
    plan.prepared_bytes = LayerKernel::prepared_bytes(plan.geometry);
    plan.threads = threads;
    plan.nanoseconds =
        plan.geometry.nanoseconds * static_cast<double>(parts_.size()) +
        static_cast<double>(plan.rows.count * plan.rows.elements) / per_nanosecond::quantized;
    BoundStep bound;
    bound.nanoseconds = plan.nanoseconds;
    bound.macs = plan.geometry.macs * static_cast<std::int64_t>(parts_.size());
    bound.scratch_bytes =
        plan.prepared_bytes + thread_bytes(plan) * static_cast<std::size_t>(threads);
    bound.run = [this, plan = std::move(plan)](RunContext& context) -> Status {
      run(plan, context);
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return parts_[0]->name() + " + litert"; }
  [[nodiscard]] std::int64_t constant_bytes() const override {
    std::int64_t bytes = 0;
    for (const auto& part : parts_) bytes += part->constant_bytes();
    return bytes;
  }

 private:
  struct Plan {
    LayerGeometry geometry;
    LayerRows rows;
    std::int64_t block_rows = 1;
    std::size_t block_bytes = 0;
    std::size_t kernel_bytes = 0;
    std::size_t prepared_bytes = 0;
    int threads = 1;
    double nanoseconds = 0;
  };

  [[nodiscard]] std::size_t blocks() const { return std::min<std::size_t>(parts_.size(), 2); }
  [[nodiscard]] std::size_t thread_bytes(const Plan& plan) const {
    return plan.kernel_bytes + plan.block_bytes * blocks();
  }

  void run(const Plan& plan, RunContext& context) const {
    const auto* input =
        parts_[0]->prepared(plan.geometry, context.codes[at(inputs[0])], context.scratch, {});
    std::byte* const scratch = context.scratch + plan.prepared_bytes;
    auto* codes = context.codes[at(outputs[0])];
    split_blocks(plan.rows.count, plan.block_rows, plan.threads, plan.nanoseconds,
                 [&](int chunk, std::int64_t first, std::int64_t last) {
                   auto* mine = scratch + thread_bytes(plan) * static_cast<std::size_t>(chunk);
                   run_block(plan, input, codes, first, last, mine);
                 });
  }

  void run_block(const Plan& plan, const std::uint8_t* input, std::uint8_t* codes,
                 std::int64_t first, std::int64_t last, std::byte* scratch) const {
    auto* sums = reinterpret_cast<std::int32_t*>(scratch + plan.kernel_bytes);
    auto* more = reinterpret_cast<std::int32_t*>(scratch + plan.kernel_bytes + plan.block_bytes);
    const std::int64_t count = (last - first) * plan.rows.elements;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      kernels::ConvCall call{input, i == 0 ? sums : more, first, last, scratch, {}};
      call.output_row = first;
      parts_[i]->run_rows(plan.rows, call);
      if (i > 0) rule::add_accumulators(more, sums, count);
    }
    rule::requantize(scale_, sums, codes + first * plan.rows.elements, count / scale_.channels,
                     isa_);
  }

  std::vector<std::unique_ptr<LayerKernel>> parts_;
  rule::Requantization scale_;
  kernels::Isa isa_;
};

/// Position along the output channels of each weight, in memory order.
template <class Fn>
void for_each_weight(const AccumulateLayer& layer, Fn fn) {
  const Tensor& codes = layer.codes;
  const auto axis = static_cast<std::size_t>(layer.output_axis);
  const std::int64_t stride = row_major_strides(codes.shape())[axis];
  const std::int64_t extent = codes.shape()[axis];
  for (std::int64_t i = 0; i < codes.size(); ++i) fn(i, i / stride % extent);
}

}  // namespace

std::vector<Tensor> centred_weights(const AccumulateLayer& layer) {
  std::vector<std::int32_t> rest(static_cast<std::size_t>(layer.codes.size()));
  const auto* codes = layer.codes.data<std::int8_t>();
  // A grouped ConvTranspose has the same zero points in each group.
  for_each_weight(layer, [&](std::int64_t i, std::int64_t channel) {
    rest[static_cast<std::size_t>(i)] =
        codes[i] - layer.zero_point(static_cast<std::size_t>(channel));
  });
  std::vector<Tensor> parts;
  for (bool more = true; more;) {
    more = false;
    Tensor part(DType::i8, layer.codes.shape());
    auto* out = part.mutable_data<std::int8_t>();
    for (std::size_t i = 0; i < rest.size(); ++i) {
      out[i] = static_cast<std::int8_t>(std::clamp(rest[i], -128, 127));
      rest[i] -= out[i];
      more = more || rest[i] != 0;
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

StepPointer make_litert_layer_step(const Graph& graph, NodeId node, const AccumulateLayer& layer,
                                   const NodePlacement& placement, const kernels::CodeParams& input,
                                   const kernels::CodeParams& output, const Shape& typical_input,
                                   int input_buffer, int output_buffer, kernels::Isa isa) {
  auto scale =
      rule::make_requantization(placement.scaling, input.scale, layer.weight_scale, output.scale);
  scale.zero_point = output.zero_point;
  scale.low = static_cast<std::uint8_t>(placement.low + 128);
  scale.high = static_cast<std::uint8_t>(placement.high + 128);
  std::vector<Tensor> weights = {layer.codes};
  if (!layer.weight_zero_point.empty()) weights = centred_weights(layer);
  std::vector<std::unique_ptr<LayerKernel>> parts;
  for (auto& part : weights) {
    AccumulateLayer piece = layer;
    piece.codes = std::move(part);
    if (!parts.empty()) piece.bias.assign(piece.bias.size(), 0);
    kernels::ConvParams params;
    params.output = kernels::ConvOutput::accumulators;
    params.multiplier.assign(piece.bias.size(), 1);
    params.input_zero_point = input.zero_point;
    parts.push_back(std::make_unique<LayerKernel>(graph, node, piece));
    parts.back()->prepare(piece, std::move(params), typical_input, isa);
  }
  return std::make_unique<LayerStep>(node, std::move(parts), std::move(scale), input_buffer,
                                     output_buffer, isa);
}

}  // namespace octet::integer

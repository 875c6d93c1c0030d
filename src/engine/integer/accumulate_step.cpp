// Conv, Gemm and MatMul on an integer convolution kernel.

#include <algorithm>
#include <limits>

#include "engine/integer/step.h"
#include "graph/spatial.h"

namespace octet::integer {
namespace {

using kernels::ConvGeometry;
using kernels::ConvParams;

/// Extent assumed for a dynamic spatial dimension when a kernel is chosen; it fixes nothing.
constexpr std::int64_t typical_extent = 64;

bool fits_int(const Shape& shape) {
  return std::all_of(shape.begin(), shape.end(), [](std::int64_t extent) {
    return extent >= 0 && extent <= std::numeric_limits<int>::max();
  });
}

/// `shape` is [N,C,L], [N,C,1,L] (the same held as an image) or [N,C,H,W].
Result<ConvGeometry> conv_geometry(const Node& node, const Shape& shape, const Shape& weight) {
  const bool flat = weight.size() == 3;
  if (shape.size() != (flat && shape.size() == 3 ? 3U : 4U)) {
    return bad_input("input has rank {}", shape.size());
  }
  const Shape logical = flat ? Shape{shape[0], shape[1], shape.back()} : shape;
  if (!fits_int(logical)) return bad_input("input {} is too large", to_string(logical));
  OCTET_ASSIGN(const auto spatial, resolve_conv(node, logical, weight));
  const std::size_t w = spatial.rank() - 1;  // index of the width; the height is before it
  const auto along = [&](const std::vector<std::int64_t>& v, bool height, int without) {
    return height ? (flat ? without : static_cast<int>(v[0])) : static_cast<int>(v[w]);
  };
  ConvGeometry g;
  g.batch = shape[0];
  g.in_height = flat ? 1 : static_cast<int>(shape[2]);
  g.in_width = static_cast<int>(shape.back());
  g.in_channels = static_cast<int>(shape[1]);
  g.out_height = along(spatial.output, true, 1);
  g.out_width = along(spatial.output, false, 1);
  g.out_channels = static_cast<int>(weight[0]);
  g.kernel_height = along(spatial.kernel, true, 1);
  g.kernel_width = along(spatial.kernel, false, 1);
  g.stride_height = along(spatial.strides, true, 1);
  g.stride_width = along(spatial.strides, false, 1);
  g.dilation_height = along(spatial.dilations, true, 1);
  g.dilation_width = along(spatial.dilations, false, 1);
  g.pad_top = along(spatial.pads_begin, true, 0);
  g.pad_left = along(spatial.pads_begin, false, 0);
  const std::int64_t groups = node.int_attribute("group", 1);
  if (groups < 1 || weight[0] % groups != 0 || weight[1] * groups != shape[1]) {
    return bad_input("input {} does not fit weight {} in {} groups", to_string(shape),
                     to_string(weight), groups);
  }
  g.groups = static_cast<int>(groups);
  return g;
}

/// Rows of the matrix are the pixels of an image one row high.
Result<ConvGeometry> matrix_geometry(const Shape& shape, std::int64_t depth, std::int64_t outputs) {
  if (shape.empty() || !fits_int(shape))
    return bad_input("input {} is too large", to_string(shape));
  if (shape.back() != depth)
    return bad_input("input {} has not {} columns", to_string(shape), depth);
  const Shape leading(shape.begin(), shape.end() - 1);
  const std::int64_t rows = element_count(leading);
  if (rows > std::numeric_limits<int>::max()) return bad_input("input has {} rows", rows);
  ConvGeometry g;
  g.in_width = g.out_width = static_cast<int>(rows);
  g.in_channels = static_cast<int>(shape.back());
  g.out_channels = static_cast<int>(outputs);
  return g;
}

class AccumulateStep final : public Step {
 public:
  AccumulateStep(const Graph& graph, NodeId id, const AccumulateLayer& layer, int input, int output)
      : Step(id, {input}, {output}),
        description_(graph.node(id)),
        weight_shape_(layer.codes.shape()),
        output_channels_(layer.output_channels) {}

  [[nodiscard]] Result<ConvGeometry> geometry(const Shape& input) const {
    if (description_.is("Conv")) return conv_geometry(description_, input, weight_shape_);
    return matrix_geometry(input, element_count(weight_shape_) / output_channels_,
                           output_channels_);
  }

  void prepare(ConvParams params, kernels::Isa isa) { conv_ = kernels::make_conv(params, isa); }

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    OCTET_ASSIGN(const auto g, geometry(shapes[static_cast<std::size_t>(inputs[0])]));
    const std::int64_t outputs =
        g.batch * g.out_height * g.out_width * std::int64_t{g.out_channels};
    const std::int64_t macs =
        outputs * g.kernel_height * g.kernel_width * (g.in_channels / g.groups);
    const std::size_t scratch = (conv_->scratch_bytes(g) + 63) / 64 * 64;
    BoundStep bound;
    bound.macs = macs;
    bound.scratch_bytes = scratch * static_cast<std::size_t>(threads);
    const double nanoseconds =
        static_cast<double>(macs) /
        (g.groups == 1 ? per_nanosecond::dense_macs : per_nanosecond::depthwise_macs);
    bound.run = [this, g, scratch, threads, nanoseconds](RunContext& context) -> Status {
      const auto* in = context.codes[static_cast<std::size_t>(inputs[0])];
      auto* out = context.codes[static_cast<std::size_t>(this->outputs[0])];
      split_rows(g.batch * g.out_height, threads, nanoseconds,
                 [&](int chunk, std::int64_t first, std::int64_t last) {
                   conv_->run(g, in, out, first, last,
                              context.scratch + scratch * static_cast<std::size_t>(chunk));
                 });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return std::string(conv_->name()); }

 private:
  Node description_;
  Shape weight_shape_;
  std::int64_t output_channels_;
  std::unique_ptr<kernels::Conv> conv_;
};

/// [O][kernel][inputs] from ONNX's [O,I,...] or, for a matrix whose outputs run along axis 1,
/// [K,N].
std::vector<std::int8_t> repack(const AccumulateLayer& layer) {
  const Tensor& codes = layer.codes;
  const auto outputs = layer.output_channels;
  const std::int64_t inputs = layer.output_axis == 0 ? codes.dim(1) : codes.dim(0);
  const std::int64_t taps = codes.size() / (outputs * inputs);
  const bool outputs_last = layer.output_axis == 1;
  std::vector<std::int8_t> packed(static_cast<std::size_t>(codes.size()));
  const auto* in = codes.data<std::int8_t>();
  auto* out = packed.data();
  for (std::int64_t o = 0; o < outputs; ++o) {
    for (std::int64_t k = 0; k < taps; ++k) {
      for (std::int64_t i = 0; i < inputs; ++i) {
        *out++ = outputs_last ? in[i * outputs + o] : in[(o * inputs + i) * taps + k];
      }
    }
  }
  return packed;
}

Shape typical_shape(const Graph& graph, NodeId id) {
  const auto& known = graph.value(graph.node(id).input(0)).shape;
  if (!known) return {};
  Shape shape = *known;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == dynamic_dim) shape[i] = i < 2 ? 1 : typical_extent;
  }
  return shape;
}

}  // namespace

StepPointer make_accumulate_step(const Graph& graph, NodeId node, const AccumulateLayer& layer,
                                 const NodePlacement& placement, const Buffer& input,
                                 const Buffer& output, int input_buffer, int output_buffer,
                                 kernels::Isa isa) {
  auto step = std::make_unique<AccumulateStep>(graph, node, layer, input_buffer, output_buffer);
  ConvParams params;
  params.weights = repack(layer);
  params.bias = layer.bias;
  params.multiplier = layer_multipliers(layer, input.params.scale, output.params.scale);
  params.input_zero_point = input.params.zero_point;
  params.output_zero_point = output.params.zero_point;
  params.low = static_cast<std::uint8_t>(placement.low + 128);
  params.high = static_cast<std::uint8_t>(placement.high + 128);
  if (auto geometry = step->geometry(typical_shape(graph, node)); geometry) {
    params.geometry = *geometry;
  }
  step->prepare(std::move(params), isa);
  return step;
}

}  // namespace octet::integer

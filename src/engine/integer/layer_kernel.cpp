#include "engine/integer/layer_kernel.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/cache_line.h"
#include "graph/spatial.h"

namespace octet::integer {
namespace {

using kernels::ConvGeometry;

Status check_extents(const Shape& shape) {
  const bool fits = std::all_of(shape.begin(), shape.end(), [](std::int64_t extent) {
    return extent >= 0 && extent <= std::numeric_limits<int>::max();
  });
  return fits ? Status{} : bad_input("input {} is too large", to_string(shape));
}

/// Macs and an estimate of the time from the rest.
LayerGeometry with_cost(LayerGeometry geometry, kernels::Isa isa) {
  const auto& g = geometry.conv;
  const std::int64_t outputs = g.batch * g.out_height * g.out_width * std::int64_t{g.out_channels};
  geometry.macs = geometry.phases.empty() ? kernels::macs(g) : geometry.phases.macs();
  const auto macs = static_cast<double>(geometry.macs);
  if (g.groups != 1) {
    geometry.nanoseconds = macs / per_nanosecond::of(per_nanosecond::depthwise_macs, isa);
    return geometry;
  }
  const double rate = per_nanosecond::of(per_nanosecond::dense_macs, isa);
  const std::int64_t weights =
      std::int64_t{g.out_channels} * g.in_channels * g.kernel_height * g.kernel_width;
  geometry.nanoseconds =
      std::max(macs / rate, static_cast<double>(weights) / per_nanosecond::weights) +
      static_cast<double>(outputs) / per_nanosecond::layer_outputs;
  return geometry;
}

/// [O][kernel][inputs of a group] from ONNX's Conv [O,I,...], Gemm [O,I] or [I,O], MatMul [I,O].
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

/// The same from ConvTranspose's [I, O / groups, ...], with the kernel turned round.
std::vector<std::int8_t> repack_transposed(const AccumulateLayer& layer, std::int64_t groups) {
  const Tensor& codes = layer.codes;
  const std::int64_t group_outputs = codes.dim(1);
  const std::int64_t group_inputs = codes.dim(0) / groups;
  const std::int64_t taps = codes.size() / (codes.dim(0) * group_outputs);
  std::vector<std::int8_t> packed(static_cast<std::size_t>(codes.size()));
  const auto* in = codes.data<std::int8_t>();
  auto* out = packed.data();
  for (std::int64_t o = 0; o < layer.output_channels; ++o) {
    const std::int64_t first = o / group_outputs * group_inputs;
    for (std::int64_t k = taps - 1; k >= 0; --k) {
      for (std::int64_t i = 0; i < group_inputs; ++i) {
        *out++ = in[((first + i) * group_outputs + o % group_outputs) * taps + k];
      }
    }
  }
  return packed;
}

/// The input of a ConvTranspose with strides: zero points between its pixels.
void spread(const LayerGeometry& geometry, std::uint8_t zero_point, const std::uint8_t* input,
            std::uint8_t* output) {
  const auto& g = geometry.conv;
  const std::int64_t row = std::int64_t{g.in_width} * g.in_channels;
  const auto channels = static_cast<std::size_t>(g.in_channels);
  std::memset(output, zero_point, static_cast<std::size_t>(g.batch * g.in_height * row));
  for (std::int64_t n = 0; n < g.batch; ++n, output += g.in_height * row) {
    for (std::int64_t y = 0; y < g.in_height; y += geometry.stride_height) {
      for (std::int64_t x = 0; x < g.in_width; x += geometry.stride_width) {
        std::memcpy(output + y * row + x * g.in_channels, input, channels);
        input += channels;
      }
    }
  }
}

std::size_t spread_bytes(const LayerGeometry& geometry) {
  const auto& g = geometry.conv;
  if (!geometry.spread) return 0;
  // And what a kernel may read beyond its input.
  return whole_lines(static_cast<std::size_t>(g.batch * g.in_height * g.in_width *
                                              std::int64_t{g.in_channels})) +
         64;
}

}  // namespace

LayerKernel::LayerKernel(const Graph& graph, NodeId node, const AccumulateLayer& layer)
    : description_(graph.node(node)),
      weight_shape_(layer.codes.shape()),
      output_channels_(layer.output_channels) {}

void LayerKernel::prepare(const AccumulateLayer& layer, kernels::ConvParams params,
                          const Shape& typical_input, kernels::Isa isa, bool whole) {
  params.weights = description_.is("ConvTranspose")
                       ? repack_transposed(layer, description_.int_attribute("group", 1))
                       : repack(layer);
  params.bias = layer.bias;
  input_zero_point_ = params.input_zero_point;
  auto typical = extents(typical_input);
  if (typical) params.geometry = typical->conv;
  conv_ = kernels::make_conv(params, isa);
  if (!whole || !typical || typical->phases.empty()) return;
  phases_ = std::make_unique<PhaseKernels>(params, typical->phases, params.geometry.kernel_height,
                                           params.geometry.kernel_width, isa);
}

Result<LayerGeometry> LayerKernel::extents(const Shape& input) const {
  OCTET_TRY(check_extents(input));
  return description_.is("Conv")            ? image_geometry(input)
         : description_.is("ConvTranspose") ? transposed_geometry(input)
                                            : matrix_geometry(input);
}

Result<LayerGeometry> LayerKernel::geometry(const Shape& input) const {
  OCTET_ASSIGN(auto geometry, extents(input));
  if (phases_ == nullptr) geometry.phases = {};
  return with_cost(std::move(geometry),
                   conv_ ? kernels::isa_of(conv_->name()) : kernels::Isa::reference);
}

Result<LayerGeometry> LayerKernel::image_geometry(const Shape& shape) const {
  const bool flat = weight_shape_.size() == 3;
  if (shape.size() != 4 && (!flat || shape.size() != 3)) {
    return bad_input("input has rank {}", shape.size());
  }
  const Shape logical = flat ? Shape{shape[0], shape[1], shape.back()} : shape;
  OCTET_ASSIGN(const auto spatial, resolve_conv(description_, logical, weight_shape_));
  const std::size_t w = spatial.rank() - 1;  // index of the width; the height is before it
  const auto height = [&](const std::vector<std::int64_t>& v, int without) {
    return flat ? without : static_cast<int>(v[0]);
  };
  const auto width = [&](const std::vector<std::int64_t>& v) { return static_cast<int>(v[w]); };
  const std::int64_t groups = description_.int_attribute("group", 1);
  if (groups < 1 || weight_shape_[0] % groups != 0 || weight_shape_[1] * groups != shape[1]) {
    return bad_input("input {} does not fit weight {} in {} groups", to_string(shape),
                     to_string(weight_shape_), groups);
  }
  LayerGeometry result;
  result.output = {shape[0], weight_shape_[0]};
  result.output.insert(result.output.end(), spatial.output.begin(), spatial.output.end());
  OCTET_TRY(checked_element_count(result.output));
  ConvGeometry& g = result.conv;
  g.batch = shape[0];
  g.in_height = flat ? 1 : static_cast<int>(shape[2]);
  g.in_width = static_cast<int>(shape.back());
  g.in_channels = static_cast<int>(shape[1]);
  g.out_height = height(spatial.output, 1);
  g.out_width = width(spatial.output);
  g.out_channels = static_cast<int>(weight_shape_[0]);
  g.kernel_height = height(spatial.kernel, 1);
  g.kernel_width = width(spatial.kernel);
  g.stride_height = height(spatial.strides, 1);
  g.stride_width = width(spatial.strides);
  g.dilation_height = height(spatial.dilations, 1);
  g.dilation_width = width(spatial.dilations);
  g.pad_top = height(spatial.pads_begin, 0);
  g.pad_left = width(spatial.pads_begin);
  g.groups = static_cast<int>(groups);
  return result;
}

Result<LayerGeometry> LayerKernel::transposed_geometry(const Shape& shape) const {
  if (shape.size() != 4) return bad_input("input has rank {}", shape.size());
  OCTET_ASSIGN(const auto spatial, resolve_conv_transpose(description_, shape, weight_shape_));
  LayerGeometry result;
  result.output = {shape[0], output_channels_, spatial.output[0], spatial.output[1]};
  const auto spread_extent = [&](std::size_t i) {
    return shape[i + 2] > 0 ? (shape[i + 2] - 1) * spatial.strides[i] + 1 : 0;
  };
  const Shape spread_shape{shape[0], shape[1], spread_extent(0), spread_extent(1)};
  OCTET_TRY(checked_element_count(result.output));
  OCTET_TRY(checked_element_count(spread_shape));
  OCTET_TRY(check_extents(result.output));
  OCTET_TRY(check_extents(spread_shape));
  result.stride_height = static_cast<int>(spatial.strides[0]);
  result.stride_width = static_cast<int>(spatial.strides[1]);
  result.spread = result.stride_height > 1 || result.stride_width > 1;
  ConvGeometry& g = result.conv;
  g.batch = shape[0];
  g.in_height = static_cast<int>(spread_shape[2]);
  g.in_width = static_cast<int>(spread_shape[3]);
  g.in_channels = static_cast<int>(shape[1]);
  g.out_height = static_cast<int>(spatial.output[0]);
  g.out_width = static_cast<int>(spatial.output[1]);
  g.out_channels = static_cast<int>(output_channels_);
  g.kernel_height = static_cast<int>(spatial.kernel[0]);
  g.kernel_width = static_cast<int>(spatial.kernel[1]);
  g.dilation_height = static_cast<int>(spatial.dilations[0]);
  g.dilation_width = static_cast<int>(spatial.dilations[1]);
  // The output element y reads the spread element y + pad - k * dilation.
  g.pad_top = static_cast<int>(spatial.effective_kernel(0) - 1 - spatial.pads_begin[0]);
  g.pad_left = static_cast<int>(spatial.effective_kernel(1) - 1 - spatial.pads_begin[1]);
  g.groups = static_cast<int>(description_.int_attribute("group", 1));
  ConvGeometry image = g;
  image.in_height = static_cast<int>(shape[2]);
  image.in_width = static_cast<int>(shape[3]);
  result.phases = transposed_phases(spatial, image);
  return result;
}

/// Rows of the matrix are the pixels of an image one row high.
Result<LayerGeometry> LayerKernel::matrix_geometry(const Shape& shape) const {
  const std::int64_t depth = element_count(weight_shape_) / output_channels_;
  if (shape.empty() || shape.back() != depth) {
    return bad_input("input {} has not {} columns", to_string(shape), depth);
  }
  LayerGeometry result;
  result.output = shape;
  result.output.back() = output_channels_;
  OCTET_TRY(checked_element_count(result.output));
  const std::int64_t rows = element_count(Shape(shape.begin(), shape.end() - 1));
  if (rows > std::numeric_limits<int>::max()) return bad_input("input has {} rows", rows);
  result.conv.in_width = result.conv.out_width = static_cast<int>(rows);
  result.conv.in_channels = static_cast<int>(depth);
  result.conv.out_channels = static_cast<int>(output_channels_);
  return result;
}

LayerRows layer_rows(const LayerGeometry& geometry) {
  LayerRows rows;
  rows.conv = geometry.conv;
  ConvGeometry& g = rows.conv;
  const bool matrix = g.batch * g.out_height == 1 && g.kernel_height == 1 && g.kernel_width == 1 &&
                      g.stride_width == 1 && g.pad_left == 0 && g.pad_top == 0 &&
                      g.in_height == 1 && g.in_width == g.out_width;
  if (matrix) {
    g.in_height = g.out_height = g.out_width;
    g.in_width = g.out_width = 1;
  }
  rows.count = g.batch * g.out_height;
  rows.elements = std::int64_t{g.out_width} * g.out_channels;
  return rows;
}

std::size_t LayerKernel::prepared_bytes(const LayerGeometry& geometry) {
  return spread_bytes(geometry);
}

std::size_t LayerKernel::row_scratch_bytes(const LayerGeometry& geometry) const {
  return whole_lines(conv_->scratch_bytes(geometry.conv));
}

std::size_t LayerKernel::scratch_bytes(const LayerGeometry& geometry, int threads) const {
  if (by_phases(geometry)) {
    return phases_->scratch_bytes(geometry.phases) * static_cast<std::size_t>(threads);
  }
  return prepared_bytes(geometry) + row_scratch_bytes(geometry) * static_cast<std::size_t>(threads);
}

const std::uint8_t* LayerKernel::prepared(
    const LayerGeometry& geometry, const std::uint8_t* input, std::byte* scratch,
    const std::optional<kernels::InputParams>& input_params) const {
  if (!geometry.spread) return input;
  auto* wide = reinterpret_cast<std::uint8_t*>(scratch);
  spread(geometry, input_params ? input_params->zero_point : input_zero_point_, input, wide);
  return wide;
}

std::int64_t LayerKernel::channels_to_split(const LayerGeometry& geometry, const LayerRows& rows,
                                            int threads) const {
  const std::int64_t step = conv_->channel_step();
  const std::int64_t parts = step > 0 ? output_channels_ / step : 0;
  if (threads == 1 || parts < threads) return 0;
  const auto& g = geometry.conv;
  const std::int64_t inputs = g.batch * g.in_height * g.in_width * g.in_channels;
  const std::int64_t weights = element_count(weight_shape_);
  // Less weighs little even when each thread reads it all.
  constexpr std::int64_t many_weights = 128 * 1024;
  const bool by_weights = weights >= many_weights && weights >= 4 * inputs;
  return rows.count < threads || by_weights ? step : 0;
}

void LayerKernel::run(const LayerGeometry& geometry, const std::uint8_t* input, void* output,
                      std::byte* scratch, int threads,
                      const std::optional<kernels::InputParams>& input_params) const {
  if (by_phases(geometry)) {
    const std::size_t own = phases_->scratch_bytes(geometry.phases);
    split_rows(geometry.phases.rows(), threads, geometry.nanoseconds,
               [&](int chunk, std::int64_t first, std::int64_t last) {
                 kernels::ConvCall call;
                 call.input = input;
                 call.output = output;
                 call.scratch = scratch + own * static_cast<std::size_t>(chunk);
                 call.input_params = input_params;
                 phases_->run_rows(geometry.phases, call, first, last);
               });
    return;
  }
  input = prepared(geometry, input, scratch, input_params);
  scratch += prepared_bytes(geometry);
  const std::size_t part = row_scratch_bytes(geometry);
  const LayerRows rows = layer_rows(geometry);
  const std::int64_t step = channels_to_split(geometry, rows, threads);
  const std::int64_t parts = step > 0 ? (output_channels_ + step - 1) / step : rows.count;
  split_rows(
      parts, threads, geometry.nanoseconds, [&](int chunk, std::int64_t first, std::int64_t last) {
        kernels::ConvCall call{
            input,       output, first, last, scratch + part * static_cast<std::size_t>(chunk),
            input_params};
        if (step > 0) {
          call.first_row = 0;
          call.last_row = rows.count;
          call.channels = {static_cast<int>(first * step), static_cast<int>(last * step)};
        }
        run_rows(rows, call);
      });
}

}  // namespace octet::integer

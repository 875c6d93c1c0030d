// MaxPool and AveragePool in one and two spatial dimensions, on channels-last data.

#include <algorithm>
#include <array>
#include <limits>

#include "engine/float/ops.h"
#include "engine/float/vector_loops.h"
#include "graph/spatial.h"

namespace octet::float_engine {
namespace {

enum class Pool { maximum, average };

/// Along one dimension: what a window reads and, for an average, how many positions it counts.
struct Window {
  std::int64_t input = 0;  ///< extent
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;
  std::int64_t pad_begin = 0;
  std::int64_t pad_end = 0;
  std::int64_t output = 1;

  [[nodiscard]] std::int64_t start(std::int64_t o) const { return o * stride - pad_begin; }
  /// First kernel index that reads the input.
  [[nodiscard]] std::int64_t first(std::int64_t o) const {
    const std::int64_t s = start(o);
    return s >= 0 ? 0 : (-s + dilation - 1) / dilation;
  }
  /// One past the last kernel index that reads the input.
  [[nodiscard]] std::int64_t last(std::int64_t o) const {
    const std::int64_t room = input - start(o);
    return room <= 0 ? 0 : std::min(kernel, (room + dilation - 1) / dilation);
  }
  /// Kernel positions on the input and its padding; what ceil_mode adds beyond does not count.
  [[nodiscard]] std::int64_t padded_count(std::int64_t o) const {
    const std::int64_t room = input + pad_end - start(o);
    return std::clamp<std::int64_t>((room + dilation - 1) / dilation, 0, kernel);
  }
};

Window window(const SpatialGeometry& geometry, std::size_t i, std::int64_t input) {
  return {input,
          geometry.kernel[i],
          geometry.strides[i],
          geometry.dilations[i],
          geometry.pads_begin[i],
          geometry.pads_end[i],
          geometry.output[i]};
}

struct PoolPlan {
  Window rows;
  Window columns;
  std::int64_t channels = 1;
  bool count_include_pad = false;
};

/// One output pixel: combines the input pixels of its window, channel by channel.
void pool_pixel(Pool kind, const PoolPlan& plan, const float* image, std::int64_t y, std::int64_t x,
                float* out) {
  const Window& rows = plan.rows;
  const Window& columns = plan.columns;
  const float initial = kind == Pool::maximum ? std::numeric_limits<float>::lowest() : 0.0F;
  std::fill_n(out, plan.channels, initial);
  for (std::int64_t ky = rows.first(y); ky < rows.last(y); ++ky) {
    const std::int64_t iy = rows.start(y) + ky * rows.dilation;
    for (std::int64_t kx = columns.first(x); kx < columns.last(x); ++kx) {
      const std::int64_t ix = columns.start(x) + kx * columns.dilation;
      const float* pixel = image + (iy * columns.input + ix) * plan.channels;
      if (kind == Pool::maximum) {
        loops::maximum_into(out, pixel, plan.channels);
      } else {
        loops::add_into(out, pixel, plan.channels);
      }
    }
  }
  if (kind == Pool::maximum) return;
  const auto read = [](const Window& w, std::int64_t o) {
    return std::max<std::int64_t>(w.last(o) - w.first(o), 0);
  };
  const std::int64_t count = plan.count_include_pad ? rows.padded_count(y) * columns.padded_count(x)
                                                    : read(rows, y) * read(columns, x);
  const auto divisor = static_cast<float>(std::max<std::int64_t>(count, 1));
  for (std::int64_t c = 0; c < plan.channels; ++c) out[c] /= divisor;
}

Outputs run_pool(Pool kind, const Node& node, const Activation& input) {
  const Shape& shape = input.tensor.shape();
  OCTET_TRY(require_f32(input.tensor, "its input"));
  if (shape.size() != 3 && shape.size() != 4) {
    return bad_input("input of shape {} is not supported, one or two spatial dimensions are",
                     to_string(shape));
  }
  OCTET_ASSIGN(const auto geometry, resolve_pool(node, shape));
  PoolPlan plan;
  const bool flat = shape.size() == 3;
  plan.rows.input = flat ? 1 : shape[2];
  if (!flat) plan.rows = window(geometry, 0, shape[2]);
  plan.columns = window(geometry, flat ? 0 : 1, shape.back());
  plan.channels = shape[1];
  plan.count_include_pad = node.int_attribute("count_include_pad", 0) != 0;
  const Activation x = to_channels_last(
      {input.tensor.reshaped({shape[0], shape[1], plan.rows.input, plan.columns.input}),
       input.channels_last});
  OCTET_ASSIGN(Tensor out,
               new_tensor(DType::f32, {shape[0], shape[1], plan.rows.output, plan.columns.output}));
  if (out.size() > 0) {
    float* to = out.mutable_data<float>();
    const std::int64_t image = plan.rows.input * plan.columns.input * plan.channels;
    for (std::int64_t n = 0; n < shape[0]; ++n) {
      for (std::int64_t oy = 0; oy < plan.rows.output; ++oy) {
        for (std::int64_t ox = 0; ox < plan.columns.output; ++ox, to += plan.channels) {
          pool_pixel(kind, plan, x.tensor.data<float>() + n * image, oy, ox, to);
        }
      }
    }
  }
  if (!flat) return one_output(std::move(out), true);
  const Tensor plain = to_plain({std::move(out), true}).tensor;
  return one_output(plain.reshaped({shape[0], shape[1], plan.columns.output}));
}

template <Pool kind>
MadeOp make_pool(const OpSource& source) {
  Node node;
  node.op = source.node.op;
  node.attributes = source.node.attributes;
  return make_function(source, InputOrder::any, [node = std::move(node)](Inputs inputs) {
    return run_pool(kind, node, *inputs[0]);
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"MaxPool", 1, 1, make_pool<Pool::maximum>},
    {"AveragePool", 1, 1, make_pool<Pool::average>},
});

}  // namespace

std::span<const OpEntry> pool_entries() { return entries; }

}  // namespace octet::float_engine

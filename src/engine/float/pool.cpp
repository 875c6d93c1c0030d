// MaxPool, AveragePool and GlobalMaxPool; in one and two spatial dimensions of f32 on channels-last
// data.

#include <algorithm>
#include <array>
#include <limits>

#include "engine/float/pool_window.h"
#include "engine/float/vector_loops.h"

namespace octet::float_engine {
namespace {

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

Outputs run_pool(Pool kind, const Node& node, const Activation& input, bool indices) {
  const Shape& shape = input.tensor.shape();
  if (indices || input.tensor.dtype() != DType::f32 || shape.size() < 3 || shape.size() > 4) {
    return pool_plain(kind, node, to_plain(input).tensor, indices);
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
  const bool indices = source.node.output(1) != ValueId::none;
  return make_function(source, InputOrder::any, [node = std::move(node), indices](Inputs inputs) {
    return run_pool(kind, node, *inputs[0], indices);
  });
}

Outputs global_maximum(const Activation& input) {
  const Tensor& x = input.tensor;
  OCTET_TRY(require_f32(x, "its input"));
  if (x.rank() < 3) {
    return bad_input("input of shape {} has no spatial dimensions", to_string(x.shape()));
  }
  Shape shape(x.shape().size(), 1);
  shape[0] = x.dim(0);
  shape[1] = x.dim(1);
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, std::move(shape)));
  if (out.size() == 0) return one_output(std::move(out));
  const std::int64_t pixels = x.size() / out.size();
  if (pixels == 0) return bad_input("a maximum over no elements");
  const float* from = x.data<float>();
  float* to = out.mutable_data<float>();
  if (!input.channels_last) {
    for (std::int64_t i = 0; i < out.size(); ++i, from += pixels) {
      to[i] = *std::max_element(from, from + pixels);
    }
    return one_output(std::move(out));
  }
  const std::int64_t channels = x.dim(1);
  for (std::int64_t n = 0; n < x.dim(0); ++n, to += channels) {
    std::copy_n(from, channels, to);
    for (std::int64_t p = 1; p < pixels; ++p)
      loops::maximum_into(to, from + p * channels, channels);
    from += pixels * channels;
  }
  return one_output(std::move(out), true);
}

MadeOp make_global_maximum(const OpSource& source) {
  return make_function(source, InputOrder::any,
                       [](Inputs inputs) { return global_maximum(*inputs[0]); });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"MaxPool", 1, 2, make_pool<Pool::maximum>},
    {"AveragePool", 1, 1, make_pool<Pool::average>},
    {"GlobalMaxPool", 1, 1, make_global_maximum},
});

}  // namespace

std::span<const OpEntry> pool_entries() { return entries; }

}  // namespace octet::float_engine

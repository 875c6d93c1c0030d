// MaxPool, AveragePool, GlobalAveragePool and GlobalMaxPool in two dimensions on channels-last
// data. The gradient of a maximum goes to the first of the equals.

#include <algorithm>
#include <array>
#include <limits>

#include "engine/float/vector_clones.h"
#include "engine/gradient/gradient_op.h"
#include "graph/spatial.h"

namespace octet::gradient {
namespace {

struct Window {
  std::int64_t batch, channels, height, width, out_height, out_width;
  SpatialGeometry geometry;
  bool count_padding = false;
};

/// Rows or columns [begin, end) of the input that an output position covers.
struct Cover {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t step = 1;
};
Cover cover(const SpatialGeometry& g, std::size_t axis, std::int64_t out, std::int64_t extent) {
  const auto dilation = g.dilations[axis];
  auto begin = out * g.strides[axis] - g.pads_begin[axis];
  const auto end = begin + g.effective_kernel(axis);
  while (begin < 0) begin += dilation;
  return {begin, std::min(end, extent), dilation};
}

Result<Window> window_of(const OpSource& source, bool global) {
  const Shape& in = source.inputs[0];
  if (in.size() != 4) return bad_input("octet trains pooling in two dimensions alone");
  Window w{in[0], in[1], in[2], in[3], source.output[2], source.output[3], {}, false};
  if (global) {
    w.geometry = {{in[2], in[3]}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}};
    return w;
  }
  OCTET_ASSIGN(w.geometry, resolve_spatial(source.node, {in[2], in[3]},
                                           source.node.ints_attribute("kernel_shape")));
  w.count_padding = source.node.int_attribute("count_include_pad", 0) != 0;
  return w;
}

/// Calls fn(input pixel, output pixel, elements that the output pixel is divided by), pixels as
/// offsets of their first channel.
template <class Fn>
OCTET_INLINE void for_each_pair(const Window& w, const Fn& fn) {
  for (std::int64_t n = 0; n < w.batch; ++n) {
    for (std::int64_t y = 0; y < w.out_height; ++y) {
      const Cover rows = cover(w.geometry, 0, y, w.height);
      for (std::int64_t x = 0; x < w.out_width; ++x) {
        const Cover columns = cover(w.geometry, 1, x, w.width);
        const auto of = [](const Cover& c) {
          return c.end <= c.begin ? 0 : (c.end - c.begin + c.step - 1) / c.step;
        };
        const auto count =
            w.count_padding ? w.geometry.kernel[0] * w.geometry.kernel[1] : of(rows) * of(columns);
        const auto out = ((n * w.out_height + y) * w.out_width + x) * w.channels;
        for (auto i = rows.begin; i < rows.end; i += rows.step) {
          for (auto j = columns.begin; j < columns.end; j += columns.step) {
            fn(((n * w.height + i) * w.width + j) * w.channels, out, count);
          }
        }
      }
    }
  }
}

OCTET_VECTOR_CLONES void average_forward(const Window& w, const float* in, float* out) {
  for_each_pair(w, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
    const float share = 1.0F / static_cast<float>(count);
    for (std::int64_t c = 0; c < w.channels; ++c) out[to + c] += in[from + c] * share;
  });
}

OCTET_VECTOR_CLONES void average_backward(const Window& w, const float* g, float* to) {
  for_each_pair(w, [&](std::int64_t in, std::int64_t out, std::int64_t count) {
    const float share = 1.0F / static_cast<float>(count);
    for (std::int64_t c = 0; c < w.channels; ++c) to[in + c] += g[out + c] * share;
  });
}

class AverageGradient : public GradientOp {
 public:
  explicit AverageGradient(Window window) : w_(std::move(window)) {}
  Status forward(const ForwardCall& call) const override {
    std::fill_n(call.output, w_.batch * w_.out_height * w_.out_width * w_.channels, 0.0F);
    average_forward(w_, call.inputs[0], call.output);
    return {};
  }
  Status backward(const BackwardCall& call) const override {
    const Target& to = call.input_gradients[0];
    if (!to) return {};
    if (!to.add) std::fill_n(to.data, w_.batch * w_.height * w_.width * w_.channels, 0.0F);
    average_backward(w_, call.output_gradient, to.data);
    return {};
  }

 private:
  Window w_;
};

/// Where each output came from, as an offset into the input.
struct MaxState : OpState {
  std::vector<std::int64_t> origin;
};

class MaxGradient : public GradientOp {
 public:
  explicit MaxGradient(Window window) : w_(std::move(window)) {}
  std::unique_ptr<OpState> make_state() const override { return std::make_unique<MaxState>(); }

  Status forward(const ForwardCall& call) const override {
    auto& origin = static_cast<MaxState*>(call.state)->origin;
    const auto count = w_.batch * w_.out_height * w_.out_width * w_.channels;
    origin.assign(static_cast<std::size_t>(count), -1);
    std::fill_n(call.output, count, -std::numeric_limits<float>::infinity());
    const float* in = call.inputs[0];
    for_each_pair(w_, [&](std::int64_t from, std::int64_t to, std::int64_t) {
      for (std::int64_t c = 0; c < w_.channels; ++c) {
        auto& known = origin[static_cast<std::size_t>(to + c)];
        if (known >= 0 && in[from + c] <= call.output[to + c]) continue;
        call.output[to + c] = in[from + c];
        known = from + c;
      }
    });
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    const Target& to = call.input_gradients[0];
    if (!to) return {};
    if (!to.add) std::fill_n(to.data, w_.batch * w_.height * w_.width * w_.channels, 0.0F);
    const auto& origin = static_cast<MaxState*>(call.state)->origin;
    for (std::size_t i = 0; i < origin.size(); ++i) {
      if (origin[i] >= 0) to.data[origin[i]] += call.output_gradient[i];
    }
    return {};
  }

 private:
  Window w_;
};

template <class Gradient, bool global>
MadeOp make_pool(const OpSource& source) {
  OCTET_ASSIGN(auto window, window_of(source, global));
  return std::make_unique<Gradient>(std::move(window));
}

constexpr auto entries = std::to_array<OpEntry>({
    {"MaxPool", make_pool<MaxGradient, false>},
    {"GlobalMaxPool", make_pool<MaxGradient, true>},
    {"AveragePool", make_pool<AverageGradient, false>},
    {"GlobalAveragePool", make_pool<AverageGradient, true>},
});

}  // namespace

std::span<const OpEntry> pool_entries() { return entries; }

}  // namespace octet::gradient

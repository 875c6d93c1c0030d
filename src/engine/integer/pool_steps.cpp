// Pooling and reductions on codes.

#include <fmt/format.h>

#include "engine/integer/step.h"
#include "graph/spatial.h"
#include "kernels/pool.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

class PoolStep final : public Step {
 public:
  PoolStep(const Graph& graph, NodeId id, const kernels::CodeParams& in,
           const kernels::CodeParams& out, int input, int output)
      : Step(id, {input}, {output}), description_(graph.node(id)), in_(in), out_(out) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    OCTET_ASSIGN(const auto g, geometry(shapes[at(inputs[0])].shape));
    const std::int64_t rows = g.batch * g.out_height;
    const std::int64_t taps =
        rows * g.out_width * g.channels * std::int64_t{g.kernel_height} * g.kernel_width;
    const double nanoseconds = static_cast<double>(taps) / per_nanosecond::pool_taps;
    const auto count = description_.int_attribute("count_include_pad", 0) != 0
                           ? kernels::PoolCount::padded
                           : kernels::PoolCount::inside;
    BoundStep bound;
    bound.nanoseconds = nanoseconds;
    bound.run = [this, g, rows, nanoseconds, count, threads](RunContext& context) -> Status {
      const auto* in = context.codes[at(inputs[0])];
      auto* out = context.codes[at(outputs[0])];
      split_rows(rows, threads, nanoseconds, [&](int, std::int64_t first, std::int64_t last) {
        if (description_.is("MaxPool")) {
          kernels::max_pool(g, out_.low, in, out, first, last);
        } else {
          kernels::average_pool(g, count, in_, out_, in, out, first, last);
        }
      });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return fmt::format("u8_{}pool_tensor_{}_1", description_.is("MaxPool") ? "max" : "average",
                       name(out_.rule));
  }

 private:
  [[nodiscard]] Result<kernels::PoolGeometry> geometry(const Shape& input) const {
    kernels::PoolGeometry g;
    if (input.size() != 4) return bad_input("input has rank {}", input.size());
    for (const auto extent : input) {
      if (extent < 0 || extent > INT32_MAX) return bad_input("input {}", to_string(input));
    }
    g.batch = input[0];
    g.channels = static_cast<int>(input[1]);
    g.in_height = static_cast<int>(input[2]);
    g.in_width = static_cast<int>(input[3]);
    OCTET_ASSIGN(const auto spatial, resolve_pool(description_, input));
    const auto pick = [](const std::vector<std::int64_t>& v, std::size_t i) {
      return static_cast<int>(v[i]);
    };
    g.out_height = pick(spatial.output, 0);
    g.out_width = pick(spatial.output, 1);
    g.kernel_height = pick(spatial.kernel, 0);
    g.kernel_width = pick(spatial.kernel, 1);
    g.stride_height = pick(spatial.strides, 0);
    g.stride_width = pick(spatial.strides, 1);
    g.dilation_height = pick(spatial.dilations, 0);
    g.dilation_width = pick(spatial.dilations, 1);
    g.pad_top = pick(spatial.pads_begin, 0);
    g.pad_left = pick(spatial.pads_begin, 1);
    g.pad_bottom = pick(spatial.pads_end, 0);
    g.pad_right = pick(spatial.pads_end, 1);
    return g;
  }

  Node description_;
  kernels::CodeParams in_, out_;
};

/// A row of pixels, each of what lies inside the reduced axes, pooled to one.
class ReduceStep final : public Step {
 public:
  ReduceStep(NodeId id, Reduce kind, std::vector<int> axes, const kernels::CodeParams& in,
             const kernels::CodeParams& out, int input, int output)
      : Step(id, {input}, {output}), kind_(kind), axes_(std::move(axes)), in_(in), out_(out) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    OCTET_ASSIGN(const auto g, geometry(shapes[at(inputs[0])]));
    const double nanoseconds = static_cast<double>(g.batch * g.in_width * g.channels) /
                               (g.channels < 8 ? 1 : per_nanosecond::pool_taps);
    BoundStep bound;
    bound.nanoseconds = nanoseconds;
    bound.run = [this, g, nanoseconds, threads](RunContext& context) -> Status {
      const auto* in = context.codes[at(inputs[0])];
      auto* out = context.codes[at(outputs[0])];
      split_rows(g.batch, threads, nanoseconds, [&](int, std::int64_t first, std::int64_t last) {
        if (kind_ == Reduce::maximum) {
          kernels::max_pool(g, out_.low, in, out, first, last);
        } else {
          kernels::average_pool(
              g, kernels::PoolCount::inside, in_, out_, in, out, first, last,
              kind_ == Reduce::sum ? kernels::Averaging::sum : kernels::Averaging::mean);
        }
      });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    constexpr std::string_view names[] = {"max", "mean", "sum"};
    return fmt::format("u8_reduce{}_tensor_{}_1", names[static_cast<std::size_t>(kind_)],
                       name(out_.rule));
  }

 private:
  [[nodiscard]] Result<kernels::PoolGeometry> geometry(const StoredShape& input) const {
    const auto order = storage_order(input);
    std::int64_t outer = 1;
    std::int64_t reduced = 1;
    std::int64_t inner = 1;
    bool reached = false;
    for (const auto dim : order) {
      const auto axis = static_cast<int>(dim);
      if (axis >= axes_.front() && axis <= axes_.back()) {
        reduced *= input.shape[dim];
        reached = true;
      } else {
        (reached ? inner : outer) *= input.shape[dim];
      }
    }
    // An int32 sum of codes, and the extents themselves.
    constexpr std::int64_t most = INT32_MAX / 256;
    if (reduced < 1 || reduced > most || inner > most) {
      return bad_input("cannot reduce {} in integers", to_string(input.shape));
    }
    kernels::PoolGeometry g;
    g.batch = outer;
    g.channels = static_cast<int>(inner);
    g.in_width = g.kernel_width = static_cast<int>(reduced);
    return g;
  }

  Reduce kind_;
  std::vector<int> axes_;
  kernels::CodeParams in_, out_;
};

}  // namespace

bool axes_adjoin(const std::vector<int>& axes, bool channels_last) {
  // Ascending neighbours by contract; in [N,H,W,C] only axis 1 has moved, behind axis 3.
  if (!channels_last || axes.size() == 1) return true;
  const bool has_channels = axes.front() <= 1 && axes.back() >= 1;
  return !has_channels || axes.back() == 3;
}

StepPointer make_pool_step(const Graph& graph, NodeId node, const kernels::CodeParams& input_params,
                           const kernels::CodeParams& output_params, int input, int output) {
  return std::make_unique<PoolStep>(graph, node, input_params, output_params, input, output);
}

StepPointer make_reduce_step(NodeId node, Reduce kind, std::vector<int> axes,
                             const kernels::CodeParams& input_params,
                             const kernels::CodeParams& output_params, int input, int output) {
  return std::make_unique<ReduceStep>(node, kind, std::move(axes), input_params, output_params,
                                      input, output);
}

}  // namespace octet::integer

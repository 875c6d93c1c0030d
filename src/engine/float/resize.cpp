// Resize: nearest on any type and in any order in memory; linear and cubic in f32.

#include "graph/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "arithmetic/round.h"
#include "engine/float/ops.h"
#include "engine/float/parallel_work.h"
#include "engine/float/resize_axis.h"

namespace octet::float_engine {
namespace {

constexpr std::int64_t longest_axis = std::int64_t{1} << 24;

/// A dense array seen as [outer, axis, inner].
struct AxisView {
  std::int64_t outer = 1;
  std::int64_t inner = 1;

  AxisView(const Shape& shape, std::size_t axis) {
    for (std::size_t i = 0; i < axis; ++i) outer *= shape[i];
    for (std::size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  }
};

template <class Element>
void gather_line(const std::byte* in, const AxisTable& table, std::byte* out) {
  for (const auto index : table.indices) {
    std::memcpy(out, in + index * static_cast<std::int64_t>(sizeof(Element)), sizeof(Element));
    out += sizeof(Element);
  }
}

void nearest_pass(const Tensor& x, const AxisView& view, std::int64_t extent,
                  const AxisTable& table, std::size_t width, Tensor& out) {
  const std::int64_t block = view.inner * static_cast<std::int64_t>(width);
  const std::int64_t line = static_cast<std::int64_t>(table.indices.size()) * block;
  const std::byte* const from = x.raw();
  std::byte* const to = out.mutable_raw();
  parallel_work(view.outer, out.size(), [&](std::int64_t o) {
    const std::byte* in = from + o * extent * block;
    std::byte* result = to + o * line;
    if (block == 4) return gather_line<std::array<std::byte, 4>>(in, table, result);
    if (block == 1) return gather_line<std::array<std::byte, 1>>(in, table, result);
    for (const auto index : table.indices) {
      std::memcpy(result, in + index * block, static_cast<std::size_t>(block));
      result += block;
    }
  });
}

void weighted_row(const float* in, const std::int64_t* indices, const float* weights,
                  std::int64_t taps, std::int64_t inner, float* out) {
  if (inner == 1) {
    float sum = 0;
    for (std::int64_t t = 0; t < taps; ++t) sum += weights[t] * in[indices[t]];
    *out = sum;
    return;
  }
  std::fill_n(out, inner, 0.0F);
  for (std::int64_t t = 0; t < taps; ++t) {
    const float weight = weights[t];
    const float* row = in + indices[t] * inner;
    // An edge that stands for several taps, or none, must not bring in 0 * infinity.
    if (weight == 0) continue;
    for (std::int64_t i = 0; i < inner; ++i) out[i] += weight * row[i];
  }
}

void weighted_pass(const Tensor& x, const AxisView& view, std::int64_t extent,
                   const AxisTable& table, Tensor& out) {
  const auto count = static_cast<std::int64_t>(table.indices.size()) / table.taps;
  const float* const from = x.data<float>();
  float* const to = out.mutable_data<float>();
  const auto row = [&](std::int64_t o, std::int64_t i) {
    weighted_row(from + o * extent * view.inner, table.indices.data() + i * table.taps,
                 table.weights.data() + i * table.taps, table.taps, view.inner,
                 to + (o * count + i) * view.inner);
  };
  const std::int64_t work = out.size() * table.taps;
  if (view.outer == 1) {
    parallel_work(count, work, [&](std::int64_t i) { row(0, i); });
    return;
  }
  parallel_work(view.outer, work, [&](std::int64_t o) {
    for (std::int64_t i = 0; i < count; ++i) row(o, i);
  });
}

/// Inputs that are absent or empty count as not given.
const Tensor* given(Inputs inputs, std::size_t i) {
  return i < inputs.size() && inputs[i] != nullptr && inputs[i]->tensor.size() > 0
             ? &inputs[i]->tensor
             : nullptr;
}

Result<std::vector<float>> floats(const Tensor* tensor) {
  if (tensor == nullptr) return std::vector<float>{};
  OCTET_ASSIGN(const Tensor values, to_f32(*tensor));
  const auto span = values.values<float>();
  return std::vector<float>(span.begin(), span.end());
}

class Resizer {
 public:
  Resizer(const Node& node, const ResizeOptions& options) : node_(node), options_(options) {}

  Outputs run(Inputs inputs) const {
    const Activation& input = *inputs[0];
    OCTET_ASSIGN(const std::size_t width, element_bytes(input.tensor.dtype()));
    OCTET_ASSIGN(const auto axes, axes_of(inputs));
    Shape shape;
    for (const auto& axis : axes) shape.push_back(axis.output);
    OCTET_TRY(checked_element_count(shape));
    for (const auto extent : shape) {
      // The table of an axis is as long as the axis.
      if (extent > longest_axis) return bad_input("{} elements along an axis", extent);
    }
    if (element_count(shape) == 0) {
      OCTET_ASSIGN(Tensor empty, new_tensor(input.tensor.dtype(), shape));
      return one_output(std::move(empty));
    }
    const bool weighted = options_.mode != ResizeMode::nearest;
    Activation x = input;
    if (weighted) {
      OCTET_ASSIGN(x.tensor, to_f32(input.tensor));
    }
    OCTET_TRY(resize_axes(axes, weighted ? sizeof(float) : width, x));
    if (weighted && input.tensor.dtype() != DType::f32) {
      OCTET_ASSIGN(x.tensor, from_f32(x.tensor, input.tensor.dtype()));
    }
    return one_output(std::move(x.tensor), x.channels_last);
  }

 private:
  /// By logical axis.
  Result<std::vector<ResizeAxis>> axes_of(Inputs inputs) const {
    const Shape& shape = inputs[0]->tensor.shape();
    OCTET_ASSIGN(const auto scales, floats(given(inputs, 2)));
    OCTET_ASSIGN(const auto roi, floats(given(inputs, 1)));
    std::vector<std::int64_t> sizes;
    if (const Tensor* tensor = given(inputs, 3)) {
      OCTET_ASSIGN(sizes, to_int64(*tensor));
    }
    if (shape.empty()) return std::vector<ResizeAxis>{};
    OCTET_ASSIGN(const auto geometry, resolve_resize(node_, shape, scales, sizes));
    std::vector<ResizeAxis> axes;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      axes.push_back({shape[i], geometry.output[i], geometry.scales[i]});
    }
    if (options_.coordinates == Coordinates::tf_crop_and_resize) OCTET_TRY(set_roi(roi, axes));
    return axes;
  }

  Status set_roi(const std::vector<float>& roi, std::vector<ResizeAxis>& axes) const {
    auto named = node_.ints_attribute("axes");
    if (named.empty()) {
      named.resize(axes.size());
      std::iota(named.begin(), named.end(), std::int64_t{0});
    }
    if (roi.size() != 2 * named.size()) {
      return bad_input("roi has {} entries, expected two for each of {} axes", roi.size(),
                       named.size());
    }
    for (std::size_t i = 0; i < named.size(); ++i) {
      OCTET_ASSIGN(const int axis, normalize_axis(named[i], axes.size()));
      axes[static_cast<std::size_t>(axis)].roi_start = roi[i];
      axes[static_cast<std::size_t>(axis)].roi_end = roi[named.size() + i];
    }
    return {};
  }

  /// Shrinking axes first, so that no step makes more than the larger of input and output.
  [[nodiscard]] std::vector<std::size_t> order_of(const std::vector<ResizeAxis>& axes) const {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (!axes[i].is_identity(options_)) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const auto grows = [&](std::size_t i) { return axes[i].output > axes[i].input; };
      return !grows(a) && grows(b);
    });
    return order;
  }

  Status resize_axes(const std::vector<ResizeAxis>& axes, std::size_t width, Activation& x) const {
    std::vector<std::pair<std::size_t, std::vector<bool>>> outside;
    for (const auto logical : order_of(axes)) {
      const auto axis =
          static_cast<std::size_t>(memory_axis(static_cast<int>(logical), x.channels_last));
      const AxisTable table = axis_table(axes[logical], options_);
      const AxisView view(memory_shape(x), axis);
      Shape shape = x.tensor.shape();
      shape[logical] = axes[logical].output;
      OCTET_ASSIGN(Tensor out, new_tensor(x.tensor.dtype(), std::move(shape)));
      if (options_.mode == ResizeMode::nearest) {
        nearest_pass(x.tensor, view, axes[logical].input, table, width, out);
      } else {
        weighted_pass(x.tensor, view, axes[logical].input, table, out);
      }
      x.tensor = std::move(out);
      if (!table.outside.empty()) outside.emplace_back(axis, table.outside);
    }
    for (const auto& [axis, mask] : outside) OCTET_TRY(extrapolate(axis, mask, x));
    return {};
  }

  Status extrapolate(std::size_t axis, const std::vector<bool>& outside, Activation& x) const {
    if (std::find(outside.begin(), outside.end(), true) == outside.end()) return {};
    OCTET_TRY(require_f32(x.tensor, "an input to extrapolate"));
    const AxisView view(memory_shape(x), axis);
    float* row = x.tensor.mutable_data<float>();
    for (std::int64_t o = 0; o < view.outer; ++o) {
      for (const bool fill : outside) {
        if (fill) std::fill_n(row, view.inner, options_.extrapolation_value);
        row += view.inner;
      }
    }
    return {};
  }

  /// Towards zero, as ONNX Runtime and the reference implementation do; out of range saturates.
  static Result<Tensor> from_f32(const Tensor& x, DType dtype) {
    OCTET_ASSIGN(Tensor out, new_tensor(dtype, x.shape()));
    const auto convert = [&]<class T>(T* to) {
      // Powers of two are exact as floats; the largest i32 is not.
      const auto low = static_cast<float>(std::numeric_limits<T>::min());
      const float high =
          sizeof(T) < 4 ? static_cast<float>(std::numeric_limits<T>::max()) : 0x1.fffffep30F;
      for (std::int64_t i = 0; i < x.size(); ++i) {
        to[i] = static_cast<T>(saturate(x.data<float>()[i], low, high));
      }
    };
    switch (dtype) {
      case DType::u8: convert(out.mutable_data<std::uint8_t>()); return out;
      case DType::i8: convert(out.mutable_data<std::int8_t>()); return out;
      case DType::i32: convert(out.mutable_data<std::int32_t>()); return out;
      default: return bad_input("interpolating elements of type {} is not supported", name(dtype));
    }
  }

  Node node_;
  ResizeOptions options_;
};

MadeOp make_resize(const OpSource& source) {
  Node node;
  node.op = source.node.op;
  node.attributes = source.node.attributes;
  OCTET_ASSIGN(const auto options, resize_options(node));
  return make_function(source, InputOrder::any, [resizer = Resizer(node, options)](Inputs inputs) {
    return resizer.run(inputs);
  });
}

constexpr auto entries = std::to_array<OpEntry>({{"Resize", 1, 1, make_resize}});

}  // namespace

std::span<const OpEntry> resize_entries() { return entries; }

}  // namespace octet::float_engine

#include <limits>

#include "engine/float/parallel_work.h"
#include "engine/float/pool_window.h"

namespace octet::float_engine {
namespace {

struct PlanePool {
  std::vector<Window> windows;              ///< one for each spatial dimension
  std::vector<std::int64_t> index_strides;  ///< of the positions that are reported
  std::int64_t input = 1;                   ///< elements of a plane
  std::int64_t output = 1;
  bool count_include_pad = false;
};

/// Where one window reads: a box of kernel indices, and the offset of each in its plane.
class WindowBox {
 public:
  explicit WindowBox(const PlanePool& plan)
      : plan_(plan), low_(plan.windows.size()), high_(low_), at_(low_), position_(low_.size(), 0) {}

  /// Calls fn(offset, reported position) for each element that the window of the output element at
  /// `position` reads, in row-major order; returns how many.
  template <class Fn>
  std::int64_t visit(const std::vector<std::int64_t>& position, Fn fn) {
    std::int64_t count = 1;
    for (std::size_t d = 0; d < low_.size(); ++d) {
      low_[d] = plan_.windows[d].first(position[d]);
      high_[d] = plan_.windows[d].last(position[d]);
      count *= std::max<std::int64_t>(high_[d] - low_[d], 0);
    }
    at_ = low_;
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t offset = 0;
      std::int64_t reported = 0;
      for (std::size_t d = 0; d < low_.size(); ++d) {
        const Window& w = plan_.windows[d];
        const std::int64_t x = w.start(position[d]) + at_[d] * w.dilation;
        offset = offset * w.input + x;
        reported += x * plan_.index_strides[d];
      }
      fn(offset, reported);
      for (std::size_t d = low_.size(); d-- > 0;) {
        if (++at_[d] < high_[d]) break;
        at_[d] = low_[d];
      }
    }
    return count;
  }

  /// Calls fn(o, position) for each output element o of a plane.
  template <class Fn>
  void for_each_output(Fn fn) {
    std::fill(position_.begin(), position_.end(), 0);
    for (std::int64_t o = 0; o < plan_.output; ++o) {
      fn(o, position_);
      for (std::size_t d = position_.size(); d-- > 0;) {
        if (++position_[d] < plan_.windows[d].output) break;
        position_[d] = 0;
      }
    }
  }

 private:
  const PlanePool& plan_;
  std::vector<std::int64_t> low_, high_, at_, position_;
};

template <class T>
void maximum_plane(const PlanePool& plan, const T* in, T* out, std::int64_t* indices,
                   std::int64_t base) {
  WindowBox box(plan);
  box.for_each_output([&](std::int64_t o, const std::vector<std::int64_t>& position) {
    T best = std::numeric_limits<T>::lowest();
    std::int64_t where = -1;
    box.visit(position, [&](std::int64_t offset, std::int64_t reported) {
      if (where >= 0 && !(in[offset] > best)) return;
      best = in[offset];
      where = reported;
    });
    out[o] = best;
    if (indices != nullptr) indices[o] = base + std::max<std::int64_t>(where, 0);
  });
}

void average_plane(const PlanePool& plan, const float* in, float* out) {
  WindowBox box(plan);
  box.for_each_output([&](std::int64_t o, const std::vector<std::int64_t>& position) {
    double sum = 0;
    // In double: the kernel's extents are only bounded one by one.
    auto count = static_cast<double>(box.visit(position, [&](std::int64_t offset, std::int64_t) {
      sum += static_cast<double>(in[offset]);
    }));
    if (plan.count_include_pad) {
      count = 1;
      for (std::size_t d = 0; d < position.size(); ++d) {
        count *= static_cast<double>(plan.windows[d].padded_count(position[d]));
      }
    }
    out[o] = static_cast<float>(sum / std::max(count, 1.0));
  });
}

template <class T>
void maximum_planes(const PlanePool& plan, const Tensor& x, Tensor& out, Tensor& indices) {
  const T* in = x.data<T>();
  T* values = out.mutable_data<T>();
  std::int64_t* where = indices.empty() ? nullptr : indices.mutable_data<std::int64_t>();
  parallel_work(out.size() / plan.output, out.size() * 8, [&](std::int64_t plane) {
    maximum_plane(plan, in + plane * plan.input, values + plane * plan.output,
                  where != nullptr ? where + plane * plan.output : nullptr, plane * plan.input);
  });
}

Result<PlanePool> plane_pool(const Node& node, const Shape& shape) {
  OCTET_ASSIGN(const auto geometry, resolve_pool(node, shape));
  PlanePool plan;
  const Shape spatial(shape.begin() + 2, shape.end());
  for (std::size_t i = 0; i < geometry.rank(); ++i) {
    plan.windows.push_back(window(geometry, i, spatial[i]));
    plan.output *= geometry.output[i];
  }
  plan.input = element_count(spatial);
  plan.count_include_pad = node.int_attribute("count_include_pad", 0) != 0;
  plan.index_strides = row_major_strides(spatial);
  if (node.int_attribute("storage_order", 0) != 0) {
    std::int64_t step = 1;
    for (std::size_t d = 0; d < spatial.size(); step *= spatial[d++]) plan.index_strides[d] = step;
  }
  return plan;
}

}  // namespace

Outputs pool_plain(Pool kind, const Node& node, const Tensor& x, bool indices) {
  const Shape& shape = x.shape();
  OCTET_ASSIGN(const auto geometry, resolve_pool(node, shape));
  Shape out_shape{shape[0], shape[1]};
  out_shape.insert(out_shape.end(), geometry.output.begin(), geometry.output.end());
  OCTET_TRY(checked_element_count(out_shape));
  OCTET_ASSIGN(const auto plan, plane_pool(node, shape));
  OCTET_ASSIGN(Tensor out, new_tensor(x.dtype(), out_shape));
  Tensor where;
  if (indices) {
    OCTET_ASSIGN(where, new_tensor(DType::i64, out_shape));
  }
  if (kind == Pool::average) {
    OCTET_TRY(require_f32(x, "its input"));
    const float* in = x.data<float>();
    float* values = out.mutable_data<float>();
    if (out.size() > 0) {
      parallel_work(out.size() / plan.output, out.size() * 8, [&](std::int64_t plane) {
        average_plane(plan, in + plane * plan.input, values + plane * plan.output);
      });
    }
  } else if (x.dtype() == DType::f32) {
    if (out.size() > 0) maximum_planes<float>(plan, x, out, where);
  } else if (x.dtype() == DType::u8) {
    if (out.size() > 0) maximum_planes<std::uint8_t>(plan, x, out, where);
  } else if (x.dtype() == DType::i8) {
    if (out.size() > 0) maximum_planes<std::int8_t>(plan, x, out, where);
  } else {
    return bad_input("elements of type {} are not supported", name(x.dtype()));
  }
  std::vector<Activation> outputs{{std::move(out), false}};
  if (indices) outputs.push_back({std::move(where), false});
  return outputs;
}

}  // namespace octet::float_engine

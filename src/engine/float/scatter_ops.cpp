// ScatterElements and ScatterND.

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/float/element_index.h"
#include "engine/float/ops.h"

namespace octet::float_engine {
namespace {

enum class Reduction { none, add, multiply, minimum, maximum };

Result<Reduction> reduction_of(const Node& node) {
  const auto text = node.string_attribute("reduction", "none");
  if (text == "none") return Reduction::none;
  if (text == "add") return Reduction::add;
  if (text == "mul") return Reduction::multiply;
  if (text == "min") return Reduction::minimum;
  if (text == "max") return Reduction::maximum;
  return bad_input("reduction {} does not exist", text);
}

/// Integers wrap around.
template <class T>
T combine(Reduction reduction, T a, T b) {
  switch (reduction) {
    case Reduction::minimum: return std::min(a, b);
    case Reduction::maximum: return std::max(a, b);
    case Reduction::none: return b;
    case Reduction::add:
    case Reduction::multiply: break;
  }
  const bool adds = reduction == Reduction::add;
  if constexpr (std::is_floating_point_v<T>) {
    return adds ? a + b : a * b;
  } else {
    const auto x = static_cast<std::uint64_t>(a);
    const auto y = static_cast<std::uint64_t>(b);
    return static_cast<T>(adds ? x + y : x * y);
  }
}

/// Combines blocks of `count` elements of `updates`, in order, with those of `out` at `offsets`.
template <class T>
void combine_blocks(Reduction reduction, const std::vector<std::int64_t>& offsets,
                    std::int64_t count, const Tensor& updates, Tensor& out) {
  const T* from = updates.data<T>();
  T* const to = out.mutable_data<T>();
  for (const auto offset : offsets) {
    for (std::int64_t i = 0; i < count; ++i) {
      to[offset + i] = combine(reduction, to[offset + i], from[i]);
    }
    from += count;
  }
}

void copy_blocks(const std::vector<std::int64_t>& offsets, std::size_t bytes, std::size_t width,
                 const Tensor& updates, Tensor& out) {
  const std::byte* from = updates.raw();
  std::byte* const to = out.mutable_raw();
  for (const auto offset : offsets) {
    std::memcpy(to + static_cast<std::size_t>(offset) * width, from, bytes);
    from += bytes;
  }
}

Outputs scatter(const Tensor& data, const Tensor& updates, Reduction reduction,
                const std::vector<std::int64_t>& offsets, std::int64_t count) {
  OCTET_ASSIGN(const std::size_t width, element_bytes(data.dtype()));
  if (updates.dtype() != data.dtype()) {
    return bad_input("updates are {} where the data is {}", name(updates.dtype()),
                     name(data.dtype()));
  }
  OCTET_ASSIGN(Tensor out, new_tensor(data.dtype(), data.shape()));
  if (out.size() == 0) return one_output(std::move(out));
  std::memcpy(out.mutable_raw(), data.raw(), out.bytes());
  if (updates.size() == 0) return one_output(std::move(out));
  if (reduction == Reduction::none) {
    copy_blocks(offsets, static_cast<std::size_t>(count) * width, width, updates, out);
    return one_output(std::move(out));
  }
  const auto reduce = [&]<class T>(T*) -> Outputs {
    combine_blocks<T>(reduction, offsets, count, updates, out);
    return one_output(std::move(out));
  };
  switch (data.dtype()) {
    case DType::f32: return reduce(static_cast<float*>(nullptr));
    case DType::f64: return reduce(static_cast<double*>(nullptr));
    case DType::i8: return reduce(static_cast<std::int8_t*>(nullptr));
    case DType::u8: return reduce(static_cast<std::uint8_t*>(nullptr));
    case DType::i16: return reduce(static_cast<std::int16_t*>(nullptr));
    case DType::u16: return reduce(static_cast<std::uint16_t*>(nullptr));
    case DType::i32: return reduce(static_cast<std::int32_t*>(nullptr));
    case DType::u32: return reduce(static_cast<std::uint32_t*>(nullptr));
    case DType::i64: return reduce(static_cast<std::int64_t*>(nullptr));
    case DType::u64: return reduce(static_cast<std::uint64_t*>(nullptr));
    default: return bad_input("reducing elements of type {} is not supported", name(data.dtype()));
  }
}

MadeOp make_scatter_elements(const OpSource& source) {
  OCTET_ASSIGN(const auto reduction, reduction_of(source.node));
  return make_function(
      source, InputOrder::plain,
      [axis = source.node.int_attribute("axis", 0), reduction](Inputs inputs) -> Outputs {
        const Tensor& data = inputs[0]->tensor;
        const Tensor& indices = inputs[1]->tensor;
        const Tensor& updates = inputs[2]->tensor;
        if (updates.shape() != indices.shape()) {
          return bad_input("updates {} for indices {}", to_string(updates.shape()),
                           to_string(indices.shape()));
        }
        OCTET_ASSIGN(const auto offsets, element_offsets(data.shape(), indices, axis));
        return scatter(data, updates, reduction, offsets, 1);
      });
}

MadeOp make_scatter_nd(const OpSource& source) {
  OCTET_ASSIGN(const auto reduction, reduction_of(source.node));
  return make_function(source, InputOrder::plain, [reduction](Inputs inputs) -> Outputs {
    const Tensor& data = inputs[0]->tensor;
    const Tensor& updates = inputs[2]->tensor;
    OCTET_ASSIGN(const auto slices, slices_of(data.shape(), inputs[1]->tensor, 0));
    Shape wanted = slices.rows;
    wanted.insert(wanted.end(), slices.slice.begin(), slices.slice.end());
    if (updates.shape() != wanted) {
      return bad_input("updates {}, expected {}", to_string(updates.shape()), to_string(wanted));
    }
    return scatter(data, updates, reduction, slices.offsets, element_count(slices.slice));
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"ScatterElements", 3, 1, make_scatter_elements},
    {"ScatterND", 3, 1, make_scatter_nd},
});

}  // namespace

std::span<const OpEntry> scatter_entries() { return entries; }

}  // namespace octet::float_engine

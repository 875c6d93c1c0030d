// GatherElements, GatherND and OneHot, on elements of any type.

#include <array>
#include <cmath>
#include <cstring>

#include "engine/float/element_index.h"
#include "engine/float/ops.h"

namespace octet::float_engine {
namespace {

/// Copies blocks of `bytes` that begin at element `offsets` of `from`.
void gather_blocks(const std::byte* from, const std::vector<std::int64_t>& offsets,
                   std::size_t width, std::size_t bytes, std::byte* to) {
  for (const auto offset : offsets) {
    std::memcpy(to, from + static_cast<std::size_t>(offset) * width, bytes);
    to += bytes;
  }
}

MadeOp make_gather_elements(const OpSource& source) {
  return make_function(source, InputOrder::plain,
                       [axis = source.node.int_attribute("axis", 0)](Inputs inputs) -> Outputs {
                         const Tensor& x = inputs[0]->tensor;
                         const Tensor& indices = inputs[1]->tensor;
                         OCTET_ASSIGN(const std::size_t width, element_bytes(x.dtype()));
                         OCTET_ASSIGN(const auto offsets,
                                      element_offsets(x.shape(), indices, axis));
                         OCTET_ASSIGN(Tensor out, new_tensor(x.dtype(), indices.shape()));
                         gather_blocks(x.raw(), offsets, width, width, out.mutable_raw());
                         return one_output(std::move(out));
                       });
}

MadeOp make_gather_nd(const OpSource& source) {
  return make_function(
      source, InputOrder::plain,
      [batch_dims = source.node.int_attribute("batch_dims", 0)](Inputs inputs) -> Outputs {
        const Tensor& x = inputs[0]->tensor;
        OCTET_ASSIGN(const std::size_t width, element_bytes(x.dtype()));
        OCTET_ASSIGN(const auto slices, slices_of(x.shape(), inputs[1]->tensor, batch_dims));
        Shape shape = slices.rows;
        shape.insert(shape.end(), slices.slice.begin(), slices.slice.end());
        OCTET_ASSIGN(Tensor out, new_tensor(x.dtype(), std::move(shape)));
        if (out.size() == 0) return one_output(std::move(out));
        const auto bytes = static_cast<std::size_t>(element_count(slices.slice)) * width;
        gather_blocks(x.raw(), slices.offsets, width, bytes, out.mutable_raw());
        return one_output(std::move(out));
      });
}

/// Integers of any numeric type, towards zero; what is no number is `fallback`.
Result<std::vector<std::int64_t>> whole_numbers(const Tensor& tensor, std::int64_t fallback) {
  if (!is_float(tensor.dtype())) return to_int64(tensor);
  OCTET_ASSIGN(const Tensor values, to_f32(tensor));
  std::vector<std::int64_t> result;
  for (const float value : values.values<float>()) {
    const bool sane = std::fabs(value) < 0x1p62F;
    result.push_back(sane ? static_cast<std::int64_t>(value) : fallback);
  }
  return result;
}

Outputs one_hot(Inputs inputs, std::int64_t axis_attribute) {
  const Tensor& indices = inputs[0]->tensor;
  const Tensor& values = inputs[2]->tensor;
  OCTET_ASSIGN(const std::size_t width, element_bytes(values.dtype()));
  OCTET_ASSIGN(const auto depths, whole_numbers(inputs[1]->tensor, -1));
  if (depths.size() != 1 || depths[0] < 0) return bad_input("depth is not one number >= 0");
  if (values.size() != 2) return bad_input("values has {} elements, expected 2", values.size());
  const std::int64_t depth = depths[0];
  OCTET_ASSIGN(const int axis, normalize_axis(axis_attribute, indices.shape().size() + 1));
  Shape shape = indices.shape();
  shape.insert(shape.begin() + axis, depth);
  OCTET_ASSIGN(Tensor out, new_tensor(values.dtype(), std::move(shape)));
  OCTET_ASSIGN(const auto wanted, whole_numbers(indices, depth));
  std::byte* const to = out.mutable_raw();
  const std::byte* const on = values.raw() + width;
  for (std::int64_t i = 0; i < out.size(); ++i) {
    std::memcpy(to + static_cast<std::size_t>(i) * width, values.raw(), width);
  }
  if (out.size() == 0) return one_output(std::move(out));
  const Shape& in = indices.shape();
  const std::int64_t inner = element_count(Shape(in.begin() + axis, in.end()));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    // An index outside leaves its row off.
    if (wanted[i] < -depth || wanted[i] >= depth) continue;
    const std::int64_t index = wanted[i] < 0 ? wanted[i] + depth : wanted[i];
    const auto flat = static_cast<std::int64_t>(i);
    const std::int64_t at = (flat / inner * depth + index) * inner + flat % inner;
    std::memcpy(to + static_cast<std::size_t>(at) * width, on, width);
  }
  return one_output(std::move(out));
}

MadeOp make_one_hot(const OpSource& source) {
  return make_function(source, InputOrder::plain,
                       [axis = source.node.int_attribute("axis", -1)](Inputs inputs) {
                         return one_hot(inputs, axis);
                       });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"GatherElements", 2, 1, make_gather_elements},
    {"GatherND", 2, 1, make_gather_nd},
    {"OneHot", 3, 1, make_one_hot},
});

}  // namespace

std::span<const OpEntry> index_entries() { return entries; }

}  // namespace octet::float_engine

#include "formats/tflite/writer_padding.h"

#include <algorithm>
#include <limits>

#include "formats/tflite/writer_operators.h"

namespace octet::tflite {
namespace {

enum class Kind { valid, same, explicit_pads };

/// What SAME pads in one dimension of this extent: all of it, the odd one at the end.
std::int64_t same_total(const SpatialGeometry& geometry, std::size_t i, std::int64_t extent) {
  const auto stride = geometry.strides[i];
  const auto kernel = geometry.effective_kernel(i);
  const auto output = (extent + stride - 1) / stride;
  return std::max<std::int64_t>((output - 1) * stride + kernel - extent, 0);
}

/// End pads so that the last window of ceil_mode lies inside.
std::int64_t reached_end(const SpatialGeometry& geometry, std::size_t i, std::int64_t extent) {
  if (extent < 0) return geometry.pads_end[i];
  const auto reach = (geometry.output[i] - 1) * geometry.strides[i] + geometry.effective_kernel(i);
  return std::max(geometry.pads_end[i], reach - extent - geometry.pads_begin[i]);
}

Kind kind_of(const SpatialGeometry& geometry, const std::vector<std::int64_t>& ends,
             const Shape& image) {
  bool valid = true;
  bool same = true;
  for (std::size_t i = 0; i < geometry.rank(); ++i) {
    const auto extent = image[i + 1];
    const auto begin = geometry.pads_begin[i];
    valid = valid && begin == 0 && ends[i] == 0;
    if (extent < 0 && geometry.strides[i] != 1) {
      same = false;
      continue;
    }
    const auto total =
        extent < 0 ? geometry.effective_kernel(i) - 1 : same_total(geometry, i, extent);
    same = same && begin == total / 2 && ends[i] == total - total / 2;
  }
  return valid ? Kind::valid : same ? Kind::same : Kind::explicit_pads;
}

}  // namespace

/// Geometry with one-dimensional images seen as two-dimensional ones of height 1.
SpatialGeometry two_dimensional(SpatialGeometry geometry) {
  if (geometry.rank() != 1) return geometry;
  const auto prepend = [](std::vector<std::int64_t>& list, std::int64_t value) {
    list.insert(list.begin(), value);
  };
  prepend(geometry.kernel, 1);
  prepend(geometry.strides, 1);
  prepend(geometry.dilations, 1);
  prepend(geometry.pads_begin, 0);
  prepend(geometry.pads_end, 0);
  prepend(geometry.output, 1);
  return geometry;
}

/// [N,L,C] as [N,1,L,C].
Result<TensorId> with_height(Lowering& l, TensorId from) {
  auto shape = l.tensor_shape(from);
  if (shape.size() != 3) return from;
  shape.insert(shape.begin() + 1, 1);
  const auto to = l.derived(from, "_2d", shape);
  OCTET_TRY(l.emit_reshape(from, to));
  return to;
}

TensorId wide_result(Lowering& l, TensorId result) {
  auto shape = l.tensor_shape(result);
  if (shape.size() != 3) return result;
  shape.insert(shape.begin() + 1, 1);
  return l.derived(result, "_2d", shape);
}

Status narrow_result(Lowering& l, TensorId wide, TensorId result) {
  return wide == result ? Status() : l.emit_reshape(wide, result);
}

Result<PaddedImage> pad_image(Lowering& l, const Node& node, TensorId image,
                              const SpatialGeometry& geometry, PadWith with) {
  const auto shape = l.tensor_shape(image);
  const auto auto_pad = node.string_attribute("auto_pad", "NOTSET");
  const bool open = std::any_of(shape.begin() + 1, shape.end() - 1, [](auto d) { return d < 0; });
  if (open && auto_pad == "SAME_UPPER") return PaddedImage{image, wire::Padding::SAME};
  if (open && auto_pad == "SAME_LOWER") {
    return refused("auto_pad SAME_LOWER of an image whose extents are not known");
  }
  if (open && node.int_attribute("ceil_mode", 0) != 0) {
    return refused("ceil_mode of an image whose extents are not known");
  }
  std::vector<std::int64_t> ends;
  for (std::size_t i = 0; i < geometry.rank(); ++i) {
    ends.push_back(reached_end(geometry, i, shape[i + 1]));
  }
  const auto kind = kind_of(geometry, ends, shape);
  if (kind == Kind::valid) return PaddedImage{image, wire::Padding::VALID};
  if (kind == Kind::same) return PaddedImage{image, wire::Padding::SAME};
  std::vector<std::pair<std::int64_t, std::int64_t>> pads(4);
  for (std::size_t i = 0; i < geometry.rank(); ++i) pads[i + 1] = {geometry.pads_begin[i], ends[i]};
  return PaddedImage{emit_pad(l, image, pads, with == PadWith::lowest), wire::Padding::VALID};
}

namespace {

/// As the stored type counts.
std::int32_t lowest_code(const DraftTensor& tensor) {
  return tensor.dtype == DType::u8 ? 0 : tensor.dtype == DType::i16 ? INT16_MIN : INT8_MIN;
}

}  // namespace

TensorId emit_pad(Lowering& l, TensorId from,
                  const std::vector<std::pair<std::int64_t, std::int64_t>>& pads,
                  bool with_lowest) {
  auto shape = l.tensor_shape(from);
  Tensor list(DType::i32, {static_cast<std::int64_t>(pads.size()), 2});
  auto* out = list.mutable_data<std::int32_t>();
  for (std::size_t i = 0; i < pads.size(); ++i) {
    // A dynamic extent that grows is another one.
    const auto added = pads[i].first + pads[i].second;
    if (shape[i] >= 0) {
      shape[i] += added;
    } else if (added != 0) {
      shape[i] = dynamic_dim;
    }
    out[2 * i] = static_cast<std::int32_t>(pads[i].first);
    out[2 * i + 1] = static_cast<std::int32_t>(pads[i].second);
  }
  const auto to = l.derived(from, "_padded", shape);
  const auto amounts = l.invented(to, "/pads", std::move(list));
  // Codes whose zero is their lowest need no number of their own.
  const auto* params = l.tensor(from).params ? &*l.tensor(from).params : nullptr;
  if (!with_lowest || (params != nullptr && params->zero_point[0] == lowest_code(l.tensor(from)))) {
    l.emit(Op::PAD, {from, amounts}, {to}, wire::PadOptionsT());
    return to;
  }
  auto number = Tensor::from<float>({std::numeric_limits<float>::lowest()}, {1});
  if (params != nullptr) {
    number = Tensor::zeros(l.tensor(from).dtype, {1});
    if (number.dtype() == DType::i8) number.mutable_data<std::int8_t>()[0] = INT8_MIN;
    if (number.dtype() == DType::i16) number.mutable_data<std::int16_t>()[0] = INT16_MIN;
  }
  const auto lowest = l.operand_constant(to, "/lowest", std::move(number));
  l.tensor(lowest).params = l.tensor(from).params;
  l.emit(Op::PADV2, {from, amounts, lowest}, {to}, wire::PadV2OptionsT());
  return to;
}

}  // namespace octet::tflite

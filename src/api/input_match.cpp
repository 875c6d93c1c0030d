#include "api/input_match.h"

#include "graph/image_layout.h"

namespace octet {
namespace {

/// Rank-4 tensors of 4-byte elements.
Tensor transposed(const Tensor& tensor, const std::vector<std::int64_t>& perm) {
  Shape shape(4);
  Shape strides(4);
  std::int64_t stride = 1;
  for (std::size_t i = 4; i-- > 0;) {
    strides[i] = stride;
    stride *= tensor.shape()[i];
  }
  Shape steps(4);
  for (std::size_t i = 0; i < 4; ++i) {
    shape[i] = tensor.shape()[static_cast<std::size_t>(perm[i])];
    steps[i] = strides[static_cast<std::size_t>(perm[i])];
  }
  Tensor out(DType::f32, shape);
  const auto* from = tensor.data<float>();
  auto* to = out.mutable_data<float>();
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    for (std::int64_t a = 0; a < shape[1]; ++a) {
      for (std::int64_t b = 0; b < shape[2]; ++b) {
        const auto* row = from + n * steps[0] + a * steps[1] + b * steps[2];
        for (std::int64_t c = 0; c < shape[3]; ++c) *to++ = row[c * steps[3]];
      }
    }
  }
  return out;
}

/// How the axes of one model's image input lie in another's.
std::vector<std::int64_t> turn(const Graph& first, ValueId a, const Graph& second, ValueId b) {
  const auto is_image = [](const Value& value) {
    return value.dtype == DType::f32 && value.shape && value.shape->size() == 4;
  };
  if (!is_image(first.value(a)) || !is_image(second.value(b))) return {};
  const auto order = image_axis_order(first, a);
  if (order == image_axis_order(second, b)) return {};
  const auto perm = order == AxisOrder::channels_last ? to_channels_first() : to_channels_last();
  // Only where that makes the extents agree.
  for (std::size_t i = 0; i < 4; ++i) {
    const auto from = (*first.value(a).shape)[static_cast<std::size_t>(perm[i])];
    const auto to = (*second.value(b).shape)[i];
    if (from >= 0 && to >= 0 && from != to) return {};
  }
  return perm;
}

}  // namespace

Result<InputMatch> InputMatch::make(const Graph& first, const Graph& second) {
  if (first.inputs.size() != second.inputs.size()) {
    return bad_input("the models take {} and {} inputs; they must take the same",
                     first.inputs.size(), second.inputs.size());
  }
  InputMatch out;
  for (std::size_t i = 0; i < second.inputs.size(); ++i) {
    Match match{i, {}};
    for (std::size_t k = 0; k < first.inputs.size(); ++k) {
      if (first.value(first.inputs[k]).name == second.value(second.inputs[i]).name) match.from = k;
    }
    match.perm = turn(first, first.inputs[match.from], second, second.inputs[i]);
    out.matches_.push_back(std::move(match));
  }
  return out;
}

std::vector<Tensor> InputMatch::second_inputs(std::span<const Tensor> inputs) const {
  std::vector<Tensor> out;
  for (const auto& match : matches_) {
    const auto& input = inputs[match.from];
    const bool turns = !match.perm.empty() && input.rank() == 4 && input.dtype() == DType::f32;
    out.push_back(turns ? transposed(input, match.perm) : input);
  }
  return out;
}

}  // namespace octet

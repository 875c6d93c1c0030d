#pragma once
// Numpy broadcasting for loops over two operands. Internal to the simulation.

#include <vector>

#include "engine/simulation/simulated_ops.h"

namespace octet::simulation {

/// Elements to step in a dense tensor for +1 in each dimension of the shape it broadcasts to.
inline std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& to) {
  auto strides = row_major_strides(shape);
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) strides[d] = 0;
  }
  strides.insert(strides.begin(), to.size() - shape.size(), 0);
  return strides;
}

/// fn(code of a, of b) for all elements of the output.
template <class Fn>
Result<CodedActivation> for_each_pair(const Operand& a, const Operand& b, Fn fn) {
  const Tensor x = to_plain_codes(a.coded).codes;
  const Tensor y = to_plain_codes(b.coded).codes;
  OCTET_ASSIGN(const auto shape, broadcast_shapes(x.shape(), y.shape()));
  CodedActivation result{Tensor(DType::i8, shape), false};
  auto* out = result.codes.mutable_data<std::int8_t>();
  const auto x_strides = broadcast_strides(x.shape(), shape);
  const auto y_strides = broadcast_strides(y.shape(), shape);
  const auto strides = row_major_strides(shape);
  for (std::int64_t i = 0; i < result.codes.size(); ++i) {
    std::int64_t from_x = 0;
    std::int64_t from_y = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const auto position = i / strides[d] % shape[d];
      from_x += position * x_strides[d];
      from_y += position * y_strides[d];
    }
    const std::int32_t code = fn(x.data<std::int8_t>()[from_x], y.data<std::int8_t>()[from_y]);
    out[i] = static_cast<std::int8_t>(code);
  }
  return result;
}

}  // namespace octet::simulation

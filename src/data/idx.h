#pragma once
// IDX, the format of MNIST: 0, 0, type (8: unsigned byte), rank, the dimensions as big-endian
// 32-bit numbers, then the data in row-major order. Source: http://yann.lecun.com/exdb/mnist.

#include <span>

#include "core/tensor.h"

namespace octet {

struct IdxHeader {
  Shape shape;
  std::size_t data_offset = 0;
};

/// Longest header: rank 4.
inline constexpr std::size_t max_idx_header = 20;

/// Whether the bytes start as IDX of unsigned bytes does.
[[nodiscard]] bool has_idx_signature(std::span<const std::byte> bytes);

/// Parses the header at the start of `bytes`; the data need not be there.
[[nodiscard]] Result<IdxHeader> parse_idx_header(std::span<const std::byte> bytes);

/// A whole file: u8. Errors name the byte.
[[nodiscard]] Result<Tensor> parse_idx(std::span<const std::byte> bytes);

}  // namespace octet

#pragma once
#include <span>

#include "core/result.h"
#include "core/tensor.h"

namespace octet {

/// What stands before the data of a .npy file.
struct NpyHeader {
  DType dtype = DType::undefined;
  bool big_endian = false;
  bool fortran_order = false;
  Shape shape;
  std::size_t data_offset = 0;
};

/// Longest start of a file that a header may take.
inline constexpr std::size_t max_npy_header = std::size_t{1} << 20;

/// Parses the header at the start of `bytes`; the data need not be there. Errors name the byte.
[[nodiscard]] Result<NpyHeader> parse_npy_header(std::span<const std::byte> bytes);

/// Whether the bytes start as .npy does.
[[nodiscard]] bool has_npy_signature(std::span<const std::byte> bytes);

}  // namespace octet

#pragma once
#include <filesystem>
#include <span>

#include "core/result.h"
#include "core/tensor.h"

namespace octet {

/// NumPy .npy (format versions 1-3, C order; Fortran order is converted; little and big endian).
/// Errors name the byte offset.
[[nodiscard]] Result<Tensor> parse_npy(std::span<const std::byte> bytes);
[[nodiscard]] Result<Tensor> read_npy(const std::filesystem::path& path);

/// Encodes as .npy version 1.
[[nodiscard]] Result<std::string> encode_npy(const Tensor& tensor);

}  // namespace octet

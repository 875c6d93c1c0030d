#pragma once
// Content hashes for provenance: XXH3, 128 bits, as 32 hexadecimal digits. Not cryptographic.

#include <cstddef>
#include <span>
#include <string>

namespace octet {

[[nodiscard]] std::string content_hash(std::span<const std::byte> bytes);

/// Sum of two such hashes modulo 2^128: a hash of a set that does not depend on its order. ""
/// counts as zero.
[[nodiscard]] std::string add_hashes(const std::string& a, const std::string& b);

}  // namespace octet

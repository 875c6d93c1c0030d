#pragma once
// Content hashes for provenance: XXH3, 128 bits, as 32 hexadecimal digits. Not cryptographic.

#include <cstddef>
#include <span>
#include <string>

namespace octet {

[[nodiscard]] std::string content_hash(std::span<const std::byte> bytes);

}  // namespace octet

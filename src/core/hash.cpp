#include "core/hash.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace octet {

std::string content_hash(std::span<const std::byte> bytes) {
  const auto hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

namespace {

struct Wide {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};

Wide parse_hash(const std::string& text) {
  if (text.size() != 32) return {};
  return {std::strtoull(text.substr(0, 16).c_str(), nullptr, 16),
          std::strtoull(text.substr(16).c_str(), nullptr, 16)};
}

}  // namespace

std::string add_hashes(const std::string& a, const std::string& b) {
  const auto x = parse_hash(a);
  const auto y = parse_hash(b);
  const auto low = x.low + y.low;
  const auto carry = low < x.low ? 1U : 0U;
  return fmt::format("{:016x}{:016x}", x.high + y.high + carry, low);
}

}  // namespace octet

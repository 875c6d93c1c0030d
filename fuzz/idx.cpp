#include "data/idx.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static_cast<void>(octet::parse_idx(std::as_bytes(std::span(data, size))));
  return 0;
}

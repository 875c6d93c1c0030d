#include "data/npy.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto tensor = octet::parse_npy(std::as_bytes(std::span(data, size)));
  if (!tensor) return 0;
  // What was read can be written and reads back the same.
  const auto file = octet::encode_npy(*tensor);
  if (!file) std::abort();
  const auto again = octet::parse_npy(std::as_bytes(std::span(file->data(), file->size())));
  if (!again || !octet::identical(*tensor, *again)) std::abort();
  return 0;
}

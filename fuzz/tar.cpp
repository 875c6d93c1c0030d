#include "data/tar.h"

#include <cstdlib>

#include "data/image_list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto stream = octet::memory_byte_stream(std::as_bytes(std::span(data, size)));
  const auto index = octet::index_tar(*stream, octet::is_label_list);
  if (!index) return 0;
  for (const auto& entry : *index) {
    if (entry.offset > size || entry.size > size - entry.offset) std::abort();
  }
  static_cast<void>(octet::list_tar_images(*index));
  return 0;
}

#pragma once
// The part of the zip format that .npz files use: stored and deflated entries, below 4 GiB.

#include <string>
#include <vector>

#include "core/result.h"
#include "data/byte_stream.h"

namespace octet {

struct ZipEntry {
  std::string name;
  std::uint64_t compressed = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;  ///< of the contents in the file
  std::uint32_t checksum = 0;
  bool deflated = false;
};

/// Lists an archive by its central directory. Errors name the byte offset, not the file.
[[nodiscard]] Result<std::vector<ZipEntry>> list_zip(const RandomFile& file);

/// The contents of one entry, checked against its checksum.
[[nodiscard]] Result<std::vector<std::byte>> read_zip(const RandomFile& file,
                                                      const ZipEntry& entry);

}  // namespace octet

#pragma once
// Table of contents of a tar archive (ustar, GNU long names, pax path and size).

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "data/byte_stream.h"

namespace octet {

struct TarEntry {
  std::string name;          ///< as stored, without a leading "./" or a trailing "/"
  std::uint64_t offset = 0;  ///< of the contents, in the (inflated) archive
  std::uint64_t size = 0;
  bool directory = false;
  std::string contents;  ///< of the files that were asked for
};

/// Says for which files index_tar() keeps the contents (of at most 64 MiB each).
using TarFilter = std::function<bool(std::string_view name)>;

/// Reads all headers of an archive and steps over the contents. Only regular files and folders are
/// listed. Errors name the byte offset: a bad checksum or size, a name or extended header that is
/// absurdly long, an end before the end-of-archive block.
[[nodiscard]] Result<std::vector<TarEntry>> index_tar(ByteStream& stream, const TarFilter& keep);

/// Whether these first 512 bytes are a tar header (by its checksum).
[[nodiscard]] bool is_tar_header(std::span<const std::byte> block);

}  // namespace octet

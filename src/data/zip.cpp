#include "data/zip.h"

#include <zlib.h>

#include <algorithm>
#include <array>

namespace octet {
namespace {

constexpr std::uint32_t end_signature = 0x06054b50;      // "PK\5\6"
constexpr std::uint32_t central_signature = 0x02014b50;  // "PK\1\2"
constexpr std::uint32_t local_signature = 0x04034b50;    // "PK\3\4"
constexpr std::size_t end_size = 22;
constexpr std::size_t central_size = 46;
constexpr std::size_t local_size = 30;
constexpr std::uint64_t max_directory = std::uint64_t{64} << 20;
/// No deflate stream expands further (RFC 1951: 258 bytes from 2 bits).
constexpr std::uint64_t max_expansion = 1032;

std::uint32_t little_u32(std::span<const std::byte> bytes, std::size_t at, std::size_t width = 4) {
  std::uint32_t value = 0;
  for (std::size_t i = width; i-- > 0;) {
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  }
  return value;
}
std::uint32_t little_u16(std::span<const std::byte> bytes, std::size_t at) {
  return little_u32(bytes, at, 2);
}

struct Directory {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint32_t count = 0;
};

/// The end record is the last thing in the file but for a comment of up to 65535 bytes.
Result<Directory> find_directory(const RandomFile& file) {
  const auto size = std::min<std::uint64_t>(file.size(), end_size + 65535);
  std::vector<std::byte> tail(static_cast<std::size_t>(size));
  OCTET_TRY(file.read_at(file.size() - size, tail));
  for (std::size_t at = tail.size() < end_size ? 0 : tail.size() - end_size + 1; at-- > 0;) {
    if (little_u32(tail, at) != end_signature) continue;
    const Directory found{little_u32(tail, at + 16), little_u32(tail, at + 12),
                          little_u16(tail, at + 10)};
    const auto here = file.size() - size + at;
    if (found.offset == 0xFFFFFFFF || found.count == 0xFFFF) {
      return bad_input("zip archives of 4 GiB and more are not supported");
    }
    if (found.offset > here || found.size > here - found.offset || found.size > max_directory) {
      return bad_input("damaged zip directory record at byte {}", here);
    }
    return found;
  }
  return bad_input("truncated zip archive: no directory before byte {}", file.size());
}

/// Where the contents start: the local header repeats the name and has extra fields of its own.
Status locate(const RandomFile& file, ZipEntry& entry) {
  std::array<std::byte, local_size> header{};
  const auto at = entry.offset;
  if (at > file.size() || file.size() - at < local_size) {
    return bad_input("damaged zip archive: entry {} lies outside, at byte {}", entry.name, at);
  }
  OCTET_TRY(file.read_at(at, header));
  entry.offset = at + local_size + little_u16(header, 26) + little_u16(header, 28);
  if (little_u32(header, 0) != local_signature || entry.offset > file.size() ||
      entry.compressed > file.size() - entry.offset) {
    return bad_input("damaged zip entry {} at byte {}", entry.name, at);
  }
  return {};
}

Result<ZipEntry> parse_entry(const RandomFile& file, std::span<const std::byte> record,
                             std::uint64_t at) {
  ZipEntry entry;
  entry.name.assign(reinterpret_cast<const char*>(record.data()) + central_size,
                    little_u16(record, 28));
  entry.checksum = little_u32(record, 16);
  entry.compressed = little_u32(record, 20);
  entry.size = little_u32(record, 24);
  entry.offset = little_u32(record, 42);
  const auto method = little_u16(record, 10);
  const bool encrypted = (little_u16(record, 8) & 1) != 0;
  entry.deflated = method == 8;
  if (encrypted || (method != 0 && method != 8)) {
    return bad_input("zip entry {} (at byte {}) is neither stored nor deflated", entry.name, at);
  }
  const bool sane = entry.deflated ? entry.size / max_expansion <= entry.compressed + 1
                                   : entry.size == entry.compressed;
  if (!sane || entry.size == 0xFFFFFFFF) {
    return bad_input("zip entry {} (at byte {}) claims {} bytes", entry.name, at, entry.size);
  }
  OCTET_TRY(locate(file, entry));
  return entry;
}

Status inflate_raw(std::span<std::byte> in, std::span<std::byte> out) {
  z_stream zlib{};
  // Negative window bits: no zlib or gzip header around the data.
  if (inflateInit2(&zlib, -15) != Z_OK) return internal_error("zlib cannot be initialised");
  zlib.next_in = reinterpret_cast<Bytef*>(in.data());
  zlib.avail_in = static_cast<uInt>(in.size());
  zlib.next_out = reinterpret_cast<Bytef*>(out.data());
  zlib.avail_out = static_cast<uInt>(out.size());
  const int code = inflate(&zlib, Z_FINISH);
  const auto left = zlib.avail_out;
  inflateEnd(&zlib);
  if (code != Z_STREAM_END || left != 0) return bad_input("damaged deflate data");
  return {};
}

}  // namespace

Result<std::vector<ZipEntry>> list_zip(const RandomFile& file) {
  OCTET_ASSIGN(const auto directory, find_directory(file));
  std::vector<std::byte> bytes(static_cast<std::size_t>(directory.size));
  OCTET_TRY(file.read_at(directory.offset, bytes));
  std::vector<ZipEntry> entries;
  std::span<const std::byte> rest = bytes;
  for (std::uint32_t i = 0; i < directory.count; ++i) {
    const auto at = directory.offset + (bytes.size() - rest.size());
    if (rest.size() < central_size || little_u32(rest, 0) != central_signature) {
      return bad_input("damaged zip directory at byte {}", at);
    }
    const std::size_t length =
        central_size + little_u16(rest, 28) + little_u16(rest, 30) + little_u16(rest, 32);
    if (length > rest.size()) return bad_input("damaged zip directory at byte {}", at);
    OCTET_ASSIGN(auto entry, parse_entry(file, rest.first(length), at));
    entries.push_back(std::move(entry));
    rest = rest.subspan(length);
  }
  return entries;
}

Result<std::vector<std::byte>> read_zip(const RandomFile& file, const ZipEntry& entry) {
  std::vector<std::byte> stored(static_cast<std::size_t>(entry.compressed));
  OCTET_TRY(file.read_at(entry.offset, stored));
  std::vector<std::byte> out;
  if (entry.deflated) {
    out.resize(static_cast<std::size_t>(entry.size));
    if (auto status = inflate_raw(stored, out); !status) {
      return tl::unexpected(status.error().with_context(entry.name));
    }
  } else {
    out = std::move(stored);
  }
  const auto sum =
      crc32_z(0, reinterpret_cast<const Bytef*>(out.data()), static_cast<z_size_t>(out.size()));
  if (sum != entry.checksum) return bad_input("zip entry {} has a wrong checksum", entry.name);
  return out;
}

}  // namespace octet

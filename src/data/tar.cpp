#include "data/tar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace octet {
namespace {

constexpr std::size_t block_size = 512;
constexpr std::uint64_t max_file_size = std::uint64_t{1} << 40;
constexpr std::uint64_t max_extension_size = std::uint64_t{1} << 20;
constexpr std::uint64_t max_kept_size = std::uint64_t{64} << 20;

// Field positions of a ustar header (POSIX.1-1988).
struct Field {
  std::size_t offset;
  std::size_t length;
};
constexpr Field name_field{0, 100};
constexpr Field size_field{124, 12};
constexpr Field checksum_field{148, 8};
constexpr std::size_t type_offset = 156;
constexpr Field magic_field{257, 6};
constexpr Field prefix_field{345, 155};

using Block = std::array<std::byte, block_size>;

/// The characters of a field up to the first NUL.
std::string_view text_of(std::span<const std::byte> block, Field field) {
  const std::string_view text(reinterpret_cast<const char*>(block.data()) + field.offset,
                              field.length);
  return text.substr(0, text.find('\0'));
}

std::optional<std::uint64_t> parse_octal(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return 0;
  text.remove_prefix(first);
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c == ' ') break;
    if (c < '0' || c > '7' || value >> 60 != 0) return std::nullopt;
    value = value * 8 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

/// Octal digits, or (GNU, for 8 GiB and more) big-endian binary marked by the highest bit.
std::optional<std::uint64_t> parse_size(std::span<const std::byte> block) {
  const auto field = block.subspan(size_field.offset, size_field.length);
  if ((field[0] & std::byte{0x80}) == std::byte{0}) return parse_octal(text_of(block, size_field));
  std::uint64_t value = std::to_integer<std::uint64_t>(field[0]) & 0x7FU;
  for (const auto byte : field.subspan(1)) {
    if (value >> 56 != 0) return std::nullopt;
    value = value << 8 | std::to_integer<std::uint64_t>(byte);
  }
  return value;
}

bool checksum_matches(std::span<const std::byte> block) {
  const auto stored = parse_octal(text_of(block, checksum_field));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block_size; ++i) {
    const bool own = i >= checksum_field.offset && i < checksum_field.offset + 8;
    sum += own ? std::uint64_t{' '} : std::to_integer<std::uint64_t>(block[i]);
  }
  return stored && *stored == sum;
}

bool all_zero(const Block& block) {
  return std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; });
}

std::string normalized(std::string_view name) {
  while (name.substr(0, 2) == "./") name.remove_prefix(2);
  while (!name.empty() && name.back() == '/') name.remove_suffix(1);
  return std::string(name);
}

/// What extended headers say about the next entry.
struct Extension {
  std::optional<std::string> name;
  std::optional<std::uint64_t> size;
};

/// pax: records of "LENGTH KEY=VALUE\n", where LENGTH counts the whole record.
Status parse_pax(std::string_view text, std::uint64_t offset, Extension& out) {
  while (!text.empty()) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    const auto digits = static_cast<std::size_t>(end - text.data());
    if (error != std::errc{} || length > text.size() || length < digits + 2 ||
        text[digits] != ' ' || text[length - 1] != '\n') {
      return bad_input("damaged pax header at byte {}", offset);
    }
    const auto record = text.substr(digits + 1, length - digits - 2);
    const auto equals = record.find('=');
    if (equals == std::string_view::npos) return bad_input("damaged pax header at byte {}", offset);
    const auto key = record.substr(0, equals);
    const auto value = record.substr(equals + 1);
    if (key == "path") out.name = std::string(value.substr(0, value.find('\0')));
    if (key == "size") {
      std::uint64_t size = 0;
      const auto [stop, problem] = std::from_chars(value.data(), value.data() + value.size(), size);
      if (problem != std::errc{} || stop != value.data() + value.size()) {
        return bad_input("damaged size in the pax header at byte {}", offset);
      }
      out.size = size;
    }
    text.remove_prefix(length);
  }
  return {};
}

class Indexer {
 public:
  Indexer(ByteStream& stream, const TarFilter& keep) : stream_(stream), keep_(keep) {}

  Result<std::vector<TarEntry>> run() {
    Block block{};
    while (true) {
      const auto at = stream_.position();
      OCTET_ASSIGN(const auto count, stream_.read(block));
      if (count < block_size) {
        return bad_input("truncated: the archive ends at byte {} without its end block",
                         stream_.position());
      }
      if (all_zero(block)) return std::move(entries_);
      if (!checksum_matches(block)) return bad_input("damaged tar header at byte {}", at);
      OCTET_TRY(add(block, at));
    }
  }

 private:
  Status add(const Block& block, std::uint64_t at) {
    const char type = static_cast<char>(block[type_offset]);
    const auto stored = parse_size(block);
    if (!stored) return bad_input("bad size in the tar header at byte {}", at);
    if (type == 'L' || type == 'K' || type == 'x' || type == 'g') {
      return add_extension(type, *stored, at);
    }
    const bool regular = type == '0' || type == '\0' || type == '7';
    const auto size = regular && extension_.size ? *extension_.size : *stored;
    if (size > max_file_size) {
      return bad_input("the tar header at byte {} claims a file of {} bytes", at, size);
    }
    TarEntry entry{normalized(extension_.name ? *extension_.name : ustar_name(block)),
                   stream_.position(),
                   size,
                   type == '5',
                   {}};
    extension_ = {};
    if (regular && keep_ && keep_(entry.name)) {
      if (size > max_kept_size) return bad_input("{} is absurdly large", entry.name);
      OCTET_ASSIGN(entry.contents, read_text(size));
      OCTET_TRY(skip_padding(size, at));
    } else {
      OCTET_TRY(skip_contents(size, at));
    }
    if ((regular || entry.directory) && !entry.name.empty()) entries_.push_back(std::move(entry));
    return {};
  }

  Status add_extension(char type, std::uint64_t size, std::uint64_t at) {
    if (size > max_extension_size) {
      return bad_input("the extended tar header at byte {} claims {} bytes", at, size);
    }
    if (type == 'g' || type == 'K') return skip_contents(size, at);
    OCTET_ASSIGN(const auto text, read_text(size));
    OCTET_TRY(skip_padding(size, at));
    if (type == 'x') return parse_pax(text, at, extension_);
    extension_.name = text.substr(0, text.find('\0'));
    return {};
  }

  static std::string ustar_name(const Block& block) {
    std::string name(text_of(block, name_field));
    // GNU's old format has other things where ustar has the prefix; its magic ends in a space.
    if (text_of(block, magic_field) != "ustar") return name;
    const auto prefix = text_of(block, prefix_field);
    return prefix.empty() ? name : std::string(prefix) + "/" + name;
  }

  Result<std::string> read_text(std::uint64_t size) {
    // Grown as the bytes arrive: the size is only a claim.
    std::string text;
    while (text.size() < size) {
      const auto step = std::min<std::uint64_t>(size - text.size(), std::uint64_t{1} << 16);
      const auto old = text.size();
      text.resize(old + static_cast<std::size_t>(step));
      OCTET_TRY(read_exactly(stream_, std::as_writable_bytes(std::span(text).subspan(old))));
    }
    return text;
  }

  Status skip_padding(std::uint64_t size, std::uint64_t at) {
    return skip_bytes((block_size - size % block_size) % block_size, at);
  }
  Status skip_contents(std::uint64_t size, std::uint64_t at) {
    return skip_bytes((size + block_size - 1) / block_size * block_size, at);
  }
  Status skip_bytes(std::uint64_t count, std::uint64_t at) {
    OCTET_ASSIGN(const auto skipped, stream_.skip(count));
    if (skipped < count) {
      return bad_input("truncated at byte {}, inside the entry that starts at byte {}",
                       stream_.position(), at);
    }
    return {};
  }

  ByteStream& stream_;
  const TarFilter& keep_;
  Extension extension_;
  std::vector<TarEntry> entries_;
};

}  // namespace

Result<std::vector<TarEntry>> index_tar(ByteStream& stream, const TarFilter& keep) {
  return Indexer(stream, keep).run();
}

bool is_tar_header(std::span<const std::byte> block) {
  if (block.size() < block_size) return false;
  block = block.first(block_size);
  return block[0] != std::byte{0} && checksum_matches(block);
}

}  // namespace octet

#pragma once
// Bytes of files, read piecewise: at any offset, or as a stream that inflates gzip on the fly.
// Reads go through read(2), not through a mapping, so that the pages do not count as memory of
// octet.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "core/result.h"

namespace octet {

/// A file open for reading at any offset. Thread-safe.
class RandomFile {
 public:
  [[nodiscard]] static Result<std::shared_ptr<const RandomFile>> open(
      const std::filesystem::path& path);
  RandomFile(const RandomFile&) = delete;
  RandomFile& operator=(const RandomFile&) = delete;
  ~RandomFile();

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Fills `out`; a file that ends before is an error naming the byte.
  [[nodiscard]] Status read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  RandomFile(int fd, std::uint64_t size, std::filesystem::path path)
      : fd_(fd), size_(size), path_(std::move(path)) {}
  int fd_;
  std::uint64_t size_;
  std::filesystem::path path_;
};

/// All bytes of a file of at most `limit` bytes.
[[nodiscard]] Result<std::vector<std::byte>> read_whole_file(const std::filesystem::path& path,
                                                             std::uint64_t limit);

/// Bytes in order. Errors do not name the file: the caller knows it.
class ByteStream {
 public:
  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  virtual ~ByteStream() = default;
  /// Fills `out` from the front; fewer bytes than that come only at the end.
  [[nodiscard]] virtual Result<std::size_t> read(std::span<std::byte> out) = 0;
  /// Steps over `count` bytes and returns how many there were.
  [[nodiscard]] virtual Result<std::uint64_t> skip(std::uint64_t count) = 0;
  /// Bytes read or skipped so far.
  [[nodiscard]] virtual std::uint64_t position() const = 0;
};

/// Streams a file; gzip (recognised by its first two bytes; several members too) is inflated.
[[nodiscard]] Result<std::unique_ptr<ByteStream>> open_byte_stream(
    const std::filesystem::path& path);

/// Streams memory that must outlive the stream.
[[nodiscard]] std::unique_ptr<ByteStream> memory_byte_stream(std::span<const std::byte> bytes);

/// Fills `out`, or fails naming the byte (of the inflated stream) where it ended.
[[nodiscard]] Status read_exactly(ByteStream& stream, std::span<std::byte> out);

/// Whether a file starts with the gzip signature.
[[nodiscard]] Result<bool> is_gzip_file(const std::filesystem::path& path);

}  // namespace octet

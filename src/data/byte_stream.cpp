#include "data/byte_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace octet {
namespace {

bool has_gzip_signature(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

class FileStream final : public ByteStream {
 public:
  explicit FileStream(std::shared_ptr<const RandomFile> file) : file_(std::move(file)) {}

  Result<std::size_t> read(std::span<std::byte> out) override {
    const auto count = std::min<std::uint64_t>(out.size(), file_->size() - position_);
    OCTET_TRY(file_->read_at(position_, out.first(static_cast<std::size_t>(count))));
    position_ += count;
    return static_cast<std::size_t>(count);
  }
  Result<std::uint64_t> skip(std::uint64_t count) override {
    const auto step = std::min(count, file_->size() - position_);
    position_ += step;
    return step;
  }
  std::uint64_t position() const override { return position_; }

 private:
  std::shared_ptr<const RandomFile> file_;
  std::uint64_t position_ = 0;
};

class MemoryStream final : public ByteStream {
 public:
  explicit MemoryStream(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<std::size_t> read(std::span<std::byte> out) override {
    const auto count = std::min(out.size(), bytes_.size() - position_);
    std::copy_n(bytes_.data() + position_, count, out.data());
    position_ += count;
    return count;
  }
  Result<std::uint64_t> skip(std::uint64_t count) override {
    const auto step = std::min<std::uint64_t>(count, bytes_.size() - position_);
    position_ += static_cast<std::size_t>(step);
    return step;
  }
  std::uint64_t position() const override { return position_; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

class GzipStream final : public ByteStream {
 public:
  static Result<std::unique_ptr<ByteStream>> open(std::shared_ptr<const RandomFile> file) {
    auto stream = std::unique_ptr<GzipStream>(new GzipStream(std::move(file)));
    // 15 window bits, +16: a gzip header and trailer are expected and its checksum verified.
    if (inflateInit2(&stream->zlib_, 15 + 16) != Z_OK) {
      return internal_error("zlib cannot be initialised");
    }
    stream->initialised_ = true;
    return std::unique_ptr<ByteStream>(std::move(stream));
  }
  ~GzipStream() override {
    if (initialised_) inflateEnd(&zlib_);
  }

  Result<std::size_t> read(std::span<std::byte> out) override {
    std::size_t done = 0;
    OCTET_TRY(consume(out.size(), [&](std::span<const std::byte> chunk) {
      std::copy(chunk.begin(), chunk.end(), out.data() + done);
      done += chunk.size();
    }));
    return done;
  }
  Result<std::uint64_t> skip(std::uint64_t count) override {
    std::uint64_t done = 0;
    OCTET_TRY(consume(count, [&](std::span<const std::byte> chunk) { done += chunk.size(); }));
    return done;
  }
  std::uint64_t position() const override { return position_; }

 private:
  explicit GzipStream(std::shared_ptr<const RandomFile> file) : file_(std::move(file)) {}

  /// Hands the next `count` inflated bytes (fewer at the end) to `sink`, in pieces.
  template <class Sink>
  Status consume(std::uint64_t count, Sink sink) {
    while (count > 0) {
      if (begin_ == end_) {
        OCTET_TRY(refill());
        if (begin_ == end_) return {};
      }
      const auto step =
          static_cast<std::size_t>(std::min<std::uint64_t>(count, std::uint64_t{end_ - begin_}));
      sink(std::span<const std::byte>(output_.data() + begin_, step));
      begin_ += step;
      position_ += step;
      count -= step;
    }
    return {};
  }

  Status refill() {
    begin_ = end_ = 0;
    while (end_ == 0 && !finished_) {
      if (zlib_.avail_in == 0) OCTET_TRY(load());
      zlib_.next_out = reinterpret_cast<Bytef*>(output_.data());
      zlib_.avail_out = static_cast<uInt>(output_.size());
      const int code = inflate(&zlib_, Z_NO_FLUSH);
      end_ = output_.size() - zlib_.avail_out;
      if (code == Z_STREAM_END) {
        OCTET_TRY(next_member());
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        return bad_input("damaged gzip data near byte {}: {}", loaded_ - zlib_.avail_in,
                         zlib_.msg != nullptr ? zlib_.msg : "inflate failed");
      }
    }
    return {};
  }

  /// Reads on in the compressed file.
  Status load() {
    const auto count = std::min<std::uint64_t>(input_.size(), file_->size() - loaded_);
    if (count == 0) return bad_input("truncated: the gzip data ends early, at byte {}", loaded_);
    OCTET_TRY(file_->read_at(loaded_, std::span(input_).first(static_cast<std::size_t>(count))));
    loaded_ += count;
    zlib_.next_in = reinterpret_cast<Bytef*>(input_.data());
    zlib_.avail_in = static_cast<uInt>(count);
    return {};
  }

  /// gzip files may be concatenated; anything else after a member (padding) is ignored, as gzip
  /// does.
  Status next_member() {
    const auto at = loaded_ - zlib_.avail_in;
    std::array<std::byte, 2> signature{};
    finished_ = file_->size() - at < signature.size();
    if (finished_) return {};
    OCTET_TRY(file_->read_at(at, signature));
    finished_ = !has_gzip_signature(signature);
    if (!finished_ && inflateReset(&zlib_) != Z_OK) return internal_error("zlib cannot be reset");
    return {};
  }

  std::shared_ptr<const RandomFile> file_;
  z_stream zlib_{};
  bool initialised_ = false;
  bool finished_ = false;
  std::uint64_t loaded_ = 0;  // compressed bytes taken from the file
  std::uint64_t position_ = 0;
  std::vector<std::byte> input_ = std::vector<std::byte>(std::size_t{64} << 10);
  std::vector<std::byte> output_ = std::vector<std::byte>(std::size_t{128} << 10);
  std::size_t begin_ = 0;  // unread part of output_
  std::size_t end_ = 0;
};

}  // namespace

Result<std::shared_ptr<const RandomFile>> RandomFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe nobody writes to must not hang.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return bad_input("cannot open {}: {}", path.string(), std::strerror(errno));
  struct stat info {};
  const bool known = ::fstat(fd, &info) == 0;
  if (!known || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return bad_input("{} is not a regular file", path.string());
  }
  return std::shared_ptr<const RandomFile>(
      new RandomFile(fd, static_cast<std::uint64_t>(info.st_size), path));
}

RandomFile::~RandomFile() { ::close(fd_); }

Status RandomFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const auto count = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0) {
      if (errno == EINTR) continue;
      return bad_input("cannot read {}: {}", path_.string(), std::strerror(errno));
    }
    if (count == 0) return bad_input("{} is truncated at byte {}", path_.string(), offset);
    out = out.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<std::vector<std::byte>> read_whole_file(const std::filesystem::path& path,
                                               std::uint64_t limit) {
  OCTET_ASSIGN(const auto file, RandomFile::open(path));
  if (file->size() > limit) {
    return bad_input("{} has {} bytes, more than the {} that make sense for it", path.string(),
                     file->size(), limit);
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(file->size()));
  OCTET_TRY(file->read_at(0, bytes));
  return bytes;
}

Result<std::unique_ptr<ByteStream>> open_byte_stream(const std::filesystem::path& path) {
  OCTET_ASSIGN(auto file, RandomFile::open(path));
  std::array<std::byte, 2> signature{};
  if (file->size() >= signature.size()) OCTET_TRY(file->read_at(0, signature));
  if (has_gzip_signature(signature)) return GzipStream::open(std::move(file));
  return std::unique_ptr<ByteStream>(std::make_unique<FileStream>(std::move(file)));
}

std::unique_ptr<ByteStream> memory_byte_stream(std::span<const std::byte> bytes) {
  return std::make_unique<MemoryStream>(bytes);
}

Status read_exactly(ByteStream& stream, std::span<std::byte> out) {
  OCTET_ASSIGN(const auto count, stream.read(out));
  if (count < out.size()) return bad_input("truncated at byte {}", stream.position());
  return {};
}

Result<bool> is_gzip_file(const std::filesystem::path& path) {
  OCTET_ASSIGN(const auto file, RandomFile::open(path));
  std::array<std::byte, 2> signature{};
  if (file->size() < signature.size()) return false;
  OCTET_TRY(file->read_at(0, signature));
  return has_gzip_signature(signature);
}

}  // namespace octet

#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace octet {
namespace {

std::string reason() { return std::strerror(errno); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

/// Removes the temporary file unless it was renamed into place.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string name) : name_(std::move(name)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!name_.empty()) ::unlink(name_.c_str());
  }
  void release() { name_.clear(); }

 private:
  std::string name_;
};

Status write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return bad_input("cannot write {}: {}", path.string(), reason());
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0 && errno != EINVAL) {
    return bad_input("cannot write {}: {}", path.string(), reason());
  }
  return {};
}

/// A pipe or device cannot be replaced by renaming over it.
Status write_device(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return bad_input("cannot write {}: {}", path.string(), reason());
  return write_all(file.get(), bytes, path);
}

}  // namespace

Result<FileView> FileView::open(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return bad_input("cannot open {}: {}", path.string(), reason());
  struct stat info {};
  if (::fstat(file.get(), &info) != 0)
    return bad_input("cannot read {}: {}", path.string(), reason());
  if (S_ISDIR(info.st_mode)) return bad_input("{} is a folder, not a file", path.string());
  FileView view;
  view.size_ = static_cast<std::size_t>(info.st_size);
  if (view.size_ == 0) return view;
  void* memory = ::mmap(nullptr, view.size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (memory == MAP_FAILED) return bad_input("cannot read {}: {}", path.string(), reason());
  const auto size = view.size_;
  view.data_ = {static_cast<const std::byte*>(memory),
                [size](const std::byte* p) { ::munmap(const_cast<std::byte*>(p), size); }};
  return view;
}

Status write_file(const std::filesystem::path& given, std::span<const std::byte> bytes) {
  std::error_code error;
  // A link stays a link: what it points to is replaced.
  const bool is_link = std::filesystem::is_symlink(given, error);
  const auto path = is_link ? std::filesystem::weakly_canonical(given, error) : given;
  const auto kind = std::filesystem::status(path, error).type();
  using std::filesystem::file_type;
  if (kind == file_type::directory)
    return bad_input("cannot write {}: it is a folder", path.string());
  if (kind != file_type::regular && kind != file_type::not_found && kind != file_type::none) {
    return write_device(path, bytes);
  }
  std::string temporary = path.string() + ".XXXXXX";
  const Descriptor file(::mkstemp(temporary.data()));
  if (!file.valid()) return bad_input("cannot write {}: {}", path.string(), reason());
  TemporaryFile guard(temporary);
  OCTET_TRY(write_all(file.get(), bytes, path));
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(file.get(), 0666U & ~mask) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) {
    return bad_input("cannot write {}: {}", path.string(), reason());
  }
  guard.release();
  return {};
}

Status write_file(const std::filesystem::path& path, std::string_view text) {
  return write_file(path, std::as_bytes(std::span(text.data(), text.size())));
}

Status check_writable(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return bad_input("cannot write {}: it is a folder", path.string());
  }
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    return bad_input("cannot write {}: {}: {}", path.string(), folder.string(), reason());
  }
  return {};
}

}  // namespace octet

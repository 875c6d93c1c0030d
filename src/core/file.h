#pragma once
// Whole files: read by memory mapping, written atomically (temporary file, fsync, rename).

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"

namespace octet {

/// A read-only view of a file's bytes that stays valid while the object lives.
class FileView {
 public:
  [[nodiscard]] static Result<FileView> open(const std::filesystem::path& path);
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<const char*>(data_.get()), size_};
  }

 private:
  std::shared_ptr<const std::byte> data_;
  std::size_t size_ = 0;
};

/// Writes `bytes` so that `path` holds either its old contents or all of the new ones. Errors name
/// the path and the system's reason (no such folder, permission, disk full).
[[nodiscard]] Status write_file(const std::filesystem::path& path,
                                std::span<const std::byte> bytes);
[[nodiscard]] Status write_file(const std::filesystem::path& path, std::string_view text);

/// Fails early, before hours of work, when `path` could not be written later.
[[nodiscard]] Status check_writable(const std::filesystem::path& path);

}  // namespace octet

#include <charconv>

#include "formats/onnx/wire.h"

namespace octet::onnx {
namespace {

struct Location {
  std::string file;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
};

Result<std::uint64_t> parse_size(const std::string& text, std::string_view key,
                                 std::string_view label) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) {
    return bad_input("tensor {}: {} \"{}\" of its external data is not a number", label, key, text);
  }
  return value;
}

Result<Location> read_location(const wire::TensorProto& tensor, std::string_view label) {
  Location location;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") {
      location.file = entry.value();
    } else if (entry.key() == "offset") {
      OCTET_ASSIGN(location.offset, parse_size(entry.value(), "offset", label));
    } else if (entry.key() == "length") {
      OCTET_ASSIGN(location.length, parse_size(entry.value(), "length", label));
    }
  }
  if (location.file.empty()) {
    return bad_input("tensor {}: its external data names no file", label);
  }
  return location;
}

/// Does `path`, links resolved, lie inside `folder`?
bool is_inside(const std::filesystem::path& path, const std::filesystem::path& folder) {
  std::error_code error;
  const auto base = std::filesystem::weakly_canonical(folder, error);
  if (error) return false;
  const auto full = std::filesystem::weakly_canonical(path, error);
  if (error) return false;
  const auto relative = full.lexically_relative(base);
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

Result<const FileView*> ExternalFiles::open(const std::string& location, std::string_view label) {
  const auto found = files_.find(location);
  if (found != files_.end()) return &found->second;
  const std::filesystem::path relative(location);
  const auto folder = folder_.empty() ? std::filesystem::path(".") : folder_;
  const auto path = folder / relative;
  if (relative.is_absolute() || location.find('\0') != std::string::npos ||
      !is_inside(path, folder)) {
    return bad_input("tensor {}: its external data \"{}\" lies outside the model's folder", label,
                     location);
  }
  std::error_code error;
  const auto kind = std::filesystem::status(path, error).type();
  if (kind != std::filesystem::file_type::regular) {
    return bad_input(
        "tensor {}: {} with its external data {}", label, path.string(),
        kind == std::filesystem::file_type::not_found ? "is missing" : "is not a regular file");
  }
  auto view = FileView::open(path);
  if (!view) {
    return tl::unexpected(view.error().with_context(fmt::format("external data of {}", label)));
  }
  return &files_.emplace(location, std::move(*view)).first->second;
}

Result<std::span<const std::byte>> ExternalFiles::bytes(const wire::TensorProto& tensor,
                                                        std::string_view label) {
  OCTET_ASSIGN(const auto location, read_location(tensor, label));
  OCTET_ASSIGN(const auto* file, open(location.file, label));
  const auto all = file->bytes();
  if (location.offset > all.size()) {
    return bad_input("tensor {}: its external data starts at byte {} of {}, which has {} bytes",
                     label, location.offset, location.file, all.size());
  }
  const auto length = location.length.value_or(all.size() - location.offset);
  if (length > all.size() - location.offset) {
    return bad_input("tensor {}: its external data needs {} bytes from byte {} of {}, which has {}",
                     label, length, location.offset, location.file, all.size());
  }
  return all.subspan(location.offset, length);
}

}  // namespace octet::onnx

#include "octet/files.h"

#include "core/file.h"

namespace octet {

Result<std::string> read_text_file(const std::string& path, std::size_t limit) {
  OCTET_ASSIGN(const auto file, FileView::open(path));
  if (file.text().size() > limit) {
    return bad_input("{}: {} bytes, {} at most are expected", path, file.text().size(), limit);
  }
  return std::string(file.text());
}

Status write_text_file(const std::string& path, std::string_view text) {
  return write_file(path, text);
}

}  // namespace octet

#pragma once
// Small text files beside models: configurations, reports.

#include <string>
#include <string_view>

#include "octet/result.h"

namespace octet {

/// The whole file; fails beyond `limit` bytes.
[[nodiscard]] Result<std::string> read_text_file(const std::string& path, std::size_t limit);

/// Writes the file so that it appears whole or not at all.
[[nodiscard]] Status write_text_file(const std::string& path, std::string_view text);

}  // namespace octet

#pragma once
// The library never prints: it hands lines to a sink that the program installs (none by default).

#include <fmt/format.h>

#include <string_view>

#include "octet/runtime.h"

namespace octet {

/// Thread-safe.
void log_line(LogLevel level, std::string_view line);

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace octet

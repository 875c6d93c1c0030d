#pragma once
// How options name nodes and values: --keep-float, --int16, --int4.

#include <fnmatch.h>

#include <string>

namespace octet {

/// POSIX shell patterns; a slash is a character like any other.
[[nodiscard]] inline bool matches(const std::string& glob, const std::string& name) {
  return fnmatch(glob.c_str(), name.c_str(), 0) == 0;
}

}  // namespace octet

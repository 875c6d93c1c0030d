#pragma once
// Scratch memory is handed out in whole cache lines, so that no two threads share one.

#include <cstddef>

namespace octet {

/// `bytes` rounded up to whole cache lines.
[[nodiscard]] constexpr std::size_t whole_lines(std::size_t bytes) {
  constexpr std::size_t line = 64;
  return (bytes + line - 1) / line * line;
}

}  // namespace octet

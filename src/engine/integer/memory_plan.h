#pragma once
// Places buffers that live at different times in one arena.

#include <cstddef>
#include <vector>

namespace octet::integer {

/// A buffer that is alive from step `first` through step `last`.
struct Lifetime {
  std::size_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryPlan {
  std::vector<std::size_t> offsets;  ///< by lifetime; multiples of 64
  std::size_t arena_bytes = 0;
};

/// Kernels may read this far beyond a buffer's end.
inline constexpr std::size_t overread_bytes = 64;

/// Largest buffers first, each at the lowest offset where it fits between those that live at the
/// same time. Every buffer keeps overread_bytes of readable memory behind it.
[[nodiscard]] MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes);

}  // namespace octet::integer

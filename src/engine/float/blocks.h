#pragma once
// Work of operators that compute their elements (or rows) one by one, shared between threads.

#include <cstdint>
#include <functional>

namespace octet::float_engine {

/// Calls fn(begin, end) for [0, count) cut into blocks of `grain`, on as many threads as oneDNN
/// would use here. Blocks do not depend on the number of threads. fn must not throw.
void for_blocks(std::int64_t count, std::int64_t grain,
                const std::function<void(std::int64_t, std::int64_t)>& fn);

/// Rows of `width` elements that make a block worth a thread.
[[nodiscard]] constexpr std::int64_t rows_of_block(std::int64_t width) {
  constexpr std::int64_t elements = 16 * 1024;
  return width >= elements ? 1 : elements / (width > 0 ? width : 1);
}

}  // namespace octet::float_engine

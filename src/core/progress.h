#pragma once
// Progress of long work, and its interruption.

#include <cstdint>
#include <functional>
#include <string_view>

#include "core/result.h"

namespace octet {

/// Called now and then with what is running, how many items are done and how many there are
/// (0: not known). Called from one thread at a time.
using Progress = std::function<void(std::string_view task, std::int64_t done, std::int64_t total)>;

/// Asks all running work to stop at its next check. Safe in a signal handler.
void request_cancel() noexcept;
void clear_cancel() noexcept;
[[nodiscard]] bool cancel_requested() noexcept;

/// An error of kind `cancelled` once request_cancel() was called.
[[nodiscard]] Status check_cancel();

}  // namespace octet

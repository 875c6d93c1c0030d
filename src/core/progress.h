#pragma once
// Progress of long work, and its interruption.

#include "core/result.h"
#include "octet/runtime.h"

namespace octet {

void clear_cancel() noexcept;
[[nodiscard]] bool cancel_requested() noexcept;

/// An error of kind `cancelled` once request_cancel() was called.
[[nodiscard]] Status check_cancel();

}  // namespace octet

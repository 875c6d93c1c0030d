#include "core/progress.h"

#include <atomic>

namespace octet {
namespace {
std::atomic<bool> cancelled{false};
static_assert(std::atomic<bool>::is_always_lock_free, "request_cancel runs in signal handlers");
}  // namespace

void request_cancel() noexcept { cancelled = true; }
void clear_cancel() noexcept { cancelled = false; }
bool cancel_requested() noexcept { return cancelled; }

Status check_cancel() {
  if (cancelled) return fail(ErrorKind::cancelled, "interrupted; nothing was written");
  return {};
}

}  // namespace octet

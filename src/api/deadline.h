#pragma once
// A limit of time for work that can be cancelled.

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "api/clock.h"
#include "core/progress.h"

namespace octet {

/// Cancels what runs (request_cancel) when the time is up. Whoever gets ErrorKind::cancelled then
/// asks expired(), and goes on after clear_cancel().
class Deadline {
 public:
  /// nullopt: never. The time runs from `start`, which may lie back.
  Deadline(const std::optional<double>& seconds, Clock::time_point start) {
    if (!seconds) return;
    const std::chrono::duration<double> left =
        std::chrono::duration<double>(*seconds) - (Clock::now() - start);
    thread_ = std::jthread([this, left](const std::stop_token& stop) {
      std::unique_lock lock(mutex_);
      const auto stopped = [&] { return stop.stop_requested(); };
      changed_.wait_for(lock, stop, left, stopped);
      if (stop.stop_requested()) return;
      expired_ = true;
      request_cancel();
    });
  }
  /// Nothing is cancelled from here on; expired() stays.
  void stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
  }
  [[nodiscard]] bool expired() const { return expired_; }

 private:
  std::atomic<bool> expired_{false};
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::jthread thread_;  ///< last: it ends before what it uses
};

}  // namespace octet

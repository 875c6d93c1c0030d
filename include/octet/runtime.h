#pragma once
// Settings of the process: threads, log, progress, interruption.

#include <cstdint>
#include <functional>
#include <string_view>

namespace octet {

/// "0.1.0"
[[nodiscard]] std::string_view version();

/// Threads that work uses; 0 asks for one per core. Results do not depend on it.
void set_thread_count(int threads);
[[nodiscard]] int thread_count();

enum class LogLevel { info, warning };
using LogSink = std::function<void(LogLevel, std::string_view line)>;

/// Installs the receiver of log lines; the library itself never prints. An empty function silences
/// them. Not thread-safe: call it before work starts.
void set_log_sink(LogSink sink);

/// Called now and then with what is running, how many items are done and how many there are
/// (0: not known). Called from one thread at a time.
using Progress = std::function<void(std::string_view task, std::int64_t done, std::int64_t total)>;

/// Asks all running work to stop at its next check; it ends with ErrorKind::cancelled and writes
/// nothing. Safe in a signal handler.
void request_cancel() noexcept;

}  // namespace octet

#include "core/log.h"

#include <mutex>
#include <utility>

namespace octet {
namespace {
std::mutex log_mutex;
LogSink log_sink;
}  // namespace

void set_log_sink(LogSink sink) { log_sink = std::move(sink); }

void log_line(LogLevel level, std::string_view line) {
  if (!log_sink) return;
  const std::lock_guard lock(log_mutex);
  log_sink(level, line);
}

}  // namespace octet

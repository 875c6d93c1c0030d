#include "cli/context.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

namespace octet::cli {
namespace {

using Clock = std::chrono::steady_clock;

/// One task's display; remembers when it started and what was last shown. What follows a colon in
/// the name of a task changes while it runs.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(bool terminal) : terminal_(terminal) {}

  void update(std::string_view task, std::int64_t done, std::int64_t total) {
    const auto now = Clock::now();
    const auto name = task.substr(0, task.find(':'));
    if (name != task_) start(name, now, done);
    detail_ = task.substr(name.size());
    const double elapsed = std::chrono::duration<double>(now - started_).count();
    const double rate = elapsed > 0 ? static_cast<double>(done - first_done_) / elapsed : 0;
    const bool finished = total > 0 && done >= total;
    if (terminal_) {
      bar(done, total, rate, finished);
    } else {
      line(done, total, rate, finished);
    }
  }

 private:
  void start(std::string_view name, Clock::time_point now, std::int64_t done) {
    task_ = name;
    started_ = now;
    first_done_ = done;
    shown_tenth_ = 0;
    ended_ = false;
  }

  void bar(std::int64_t done, std::int64_t total, double rate, bool finished) {
    if (ended_) return;
    constexpr int width = 30;
    const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
    const int filled = static_cast<int>(share * width);
    const double left = rate > 0 ? static_cast<double>(total - done) / rate : 0;
    fmt::print(stderr, "\r\x1b[K{} [{:#<{}}{:.<{}}] {}/{}  {:.0f}/s  {:.0f} s left{}", task_, "",
               filled, "", width - filled, done, total, rate, left, detail_);
    if (finished) fmt::print(stderr, "\r\x1b[K{}: {} in {:.2f} s\n", task_, done, seconds());
    ended_ = finished;
    std::fflush(stderr);
  }

  void line(std::int64_t done, std::int64_t total, double rate, bool finished) {
    if (ended_ || total <= 0) return;
    const auto tenth = done * 10 / total;
    if (finished) {
      fmt::print(stderr, "{}: {} in {:.2f} s\n", task_, done, seconds());
      ended_ = true;
    } else if (tenth > shown_tenth_ && seconds() > 5) {
      fmt::print(stderr, "{}: {}/{}, {:.0f}/s, {:.0f} s left{}\n", task_, done, total, rate,
                 rate > 0 ? static_cast<double>(total - done) / rate : 0, detail_);
    }
    shown_tenth_ = tenth;
  }

  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - started_).count();
  }

  bool terminal_;
  std::string task_;
  std::string detail_;  ///< ": loss 0.5312" or nothing
  Clock::time_point started_;
  std::int64_t first_done_ = 0;  ///< what was done when it started: a resumed run has done some
  std::int64_t shown_tenth_ = 0;
  bool ended_ = false;
};

}  // namespace

Progress Context::progress() const {
  if (quiet) return {};
  auto display = std::make_shared<ProgressDisplay>(::isatty(STDERR_FILENO) != 0);
  return [display](std::string_view task, std::int64_t done, std::int64_t total) {
    display->update(task, done, total);
  };
}

int Context::report(const Error& error) const {
  fmt::print(stderr, "octet: {}\n", one_line(error.message));
  switch (error.kind) {
    case ErrorKind::usage: return exit_usage;
    case ErrorKind::bad_input: return exit_bad_input;
    case ErrorKind::cancelled: return exit_interrupted;
    case ErrorKind::internal: return exit_internal;
  }
  return exit_internal;
}

void Context::print(const Json& json_form, const std::string& text) const {
  if (json) {
    const auto replace = Json::error_handler_t::replace;
    fmt::print("{}\n", json_form.dump(2, ' ', false, replace));
  } else {
    fmt::print("{}", text);
  }
}

void add_common_options(CLI::App& command, Context& context) {
  command.add_flag("--json", context.json, "Print one JSON object on stdout");
  command.add_option("--threads", context.threads, "Threads to use; 0: one per core")
      ->check(CLI::Range(0, 1024));
  command.add_flag("--quiet", context.quiet, "No progress and no log lines");
}

void add_data_options(CLI::App& command, DataSource& data) {
  command.add_option("--data", data.path,
                     "Class folders, folder with labels.txt, .tar[.gz] of these, .npy, .npz, IDX");
  command.add_option("--labels", data.labels, "Labels as .npy, for .npy data");
  command.add_option("--recipe", data.recipe, "JSON that says how an image becomes the input");
  command.add_option("--samples", data.samples, "Samples to draw over the whole set")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  command.add_option("--seed", data.seed, "Seed of the draw");
  command.add_flag("--skip-undecodable", data.skip_undecodable,
                   "Leave out images that cannot be decoded (each is named) instead of failing");
}

std::string skipped_text(std::int64_t skipped) {
  return skipped == 0 ? std::string() : fmt::format(", {} skipped", skipped);
}

namespace {

/// Bytes of the UTF-8 sequence that starts `text`, 0 when it is none.
std::size_t utf8_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) return 0;
  }
  return length;
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto length = utf8_length(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    // U+0080 to U+009F are control characters too.
    const bool c1 = length == 2 && byte == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (length == 0 || byte < 0x20 || byte == 0x7F || c1) {
      out += fmt::format("\\x{:02X}", byte);
      text.remove_prefix(1);
      continue;
    }
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

std::string with_commas(std::uint64_t number) {
  const auto digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string percent(double share) { return fmt::format("{:.2f} %", share * 100); }

Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json obstacles_json(const std::vector<Obstacle>& nodes) {
  Json list = Json::array();
  for (const auto& node : nodes) {
    list.push_back({{"name", node.name}, {"op", node.op}, {"reason", node.reason}});
  }
  return list;
}

}  // namespace octet::cli

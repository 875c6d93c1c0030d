#pragma once
// What all commands share: output form, threads, progress, exit codes.

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "octet/octet.h"

namespace octet::cli {

using Json = nlohmann::ordered_json;

/// Exit codes of docs/cli.md.
enum ExitCode : int {
  exit_done = 0,
  exit_usage = 1,
  exit_bad_input = 2,
  exit_target_missed = 3,
  exit_internal = 4,
  exit_interrupted = 130,
};

struct Context {
  bool json = false;
  bool quiet = false;
  int threads = 0;
  /// What the parsed command does; set by its callback.
  std::function<int()> action;

  /// Progress on stderr: a bar with rate and time left on a terminal, plain lines otherwise.
  [[nodiscard]] Progress progress() const;
  /// Prints an error as one line and gives the exit code of its kind.
  [[nodiscard]] int report(const Error& error) const;
  /// Prints the result: `json` when --json was given, else `text`.
  void print(const Json& json_form, const std::string& text) const;
};

/// Adds --json, --threads and --quiet to a command.
void add_common_options(CLI::App& command, Context& context);
/// Adds --data, --labels, --recipe, --samples, --seed and --skip-undecodable.
void add_data_options(CLI::App& command, DataSource& data);

/// ", 3 skipped" when samples were left out, else "".
[[nodiscard]] std::string skipped_text(std::int64_t skipped);

/// `text` as one line that a terminal shows as it is: control characters and bytes that are not
/// UTF-8 become \\xNN.
[[nodiscard]] std::string one_line(std::string_view text);

/// 1234567 -> "1,234,567"
[[nodiscard]] std::string with_commas(std::uint64_t number);
/// 0.9146 -> "91.46 %"
[[nodiscard]] std::string percent(double share);
/// JSON has no infinity: such values become null.
[[nodiscard]] Json finite_or_null(double value);
[[nodiscard]] Json obstacles_json(const std::vector<Obstacle>& nodes);

inline constexpr const char* rule_help =
    "onnx|openvino|xnnpack|tflite: arithmetic of a quantized model (default: as it states)";

void add_inspect(CLI::App& app, Context& context);
void add_quantize(CLI::App& app, Context& context);
void add_convert(CLI::App& app, Context& context);
void add_calibrate(CLI::App& app, Context& context);
void add_eval(CLI::App& app, Context& context);
void add_compare(CLI::App& app, Context& context);
void add_run(CLI::App& app, Context& context);
void add_bench(CLI::App& app, Context& context);
void add_train(CLI::App& app, Context& context);
void add_tune(CLI::App& app, Context& context);

}  // namespace octet::cli

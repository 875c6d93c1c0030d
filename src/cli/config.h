#pragma once
// --config and --save-config: the options of a command in a JSON object, under their own names.

#include <memory>

#include "cli/context.h"

namespace octet::cli {

/// Files given with --config and --save-config.
struct ConfigFiles {
  std::string load;
  std::string save;
};

/// Adds --config and --save-config to a command; call it after all its other options are there.
[[nodiscard]] std::shared_ptr<ConfigFiles> add_config_options(CLI::App& command);

/// Gives options that the command line left out the values of the file. An option stands under its
/// long name without dashes; flags are true or false, options that repeat are arrays. Fails on a
/// key that is no option of the command, and on a value that the option does not take.
[[nodiscard]] Status load_config(CLI::App& command, const std::string& path);

/// Writes the options that have a value, given or by default, so that the file loaded again says
/// the same. Options that do not change what is made are left out: where it goes and what is shown
/// (output, json, quiet, threads, dry-run, dump-after).
[[nodiscard]] Status save_config(const CLI::App& command, const std::string& path);

/// What a command does once its configuration is loaded (now) and saved (before `action` runs).
[[nodiscard]] std::function<int()> with_config(CLI::App& command, const ConfigFiles& files,
                                               const Context& context, std::function<int()> action);

}  // namespace octet::cli

#pragma once
// --config and --save-config: the options of a command in a JSON object, under their own names.

#include <functional>

#include "cli/context.h"

namespace octet::cli {

/// Adds --config and --save-config to a command, which then runs `action` with its configuration
/// loaded and saved. Call it after all its other options are there. docs/cli.md has the file's
/// form.
void run_configured(CLI::App& command, Context& context, std::function<int()> action);

}  // namespace octet::cli

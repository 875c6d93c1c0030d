#include "cli/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace octet::cli {
namespace {

/// A configuration is small; a file beyond this is something else.
constexpr std::size_t largest_config = 1 << 20;

using Names = std::vector<std::string_view>;

bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Neither loaded nor saved.
const Names& outside() {
  static const Names names = {"help", "config", "save-config"};
  return names;
}

/// Loaded but not saved: they do not change what is made.
const Names& presentation() {
  static const Names names = {"output", "json", "quiet", "threads", "dry-run", "dump-after"};
  return names;
}

/// Options of which the command line's choice of one puts the file's choice of another aside.
const std::vector<Names>& alternatives() {
  static const std::vector<Names> groups = {{"per-channel", "per-tensor"},
                                            {"data", "stats", "data-free"}};
  return groups;
}

tl::unexpected<Error> bad_config(const std::string& path, const std::string& what) {
  return tl::unexpected(Error{ErrorKind::bad_input, fmt::format("{}: {}", path, what)});
}

std::string long_name(const CLI::Option& option) {
  return option.get_lnames().empty() ? std::string() : option.get_lnames().front();
}

bool is_flag(const CLI::Option& option) { return option.get_expected_max() == 0; }

/// One element as the command line would have it.
Result<std::string> as_argument(const Json& value, const std::string& key,
                                const std::string& path) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return std::string(value.get<bool>() ? "true" : "false");
  if (value.is_number()) return value.dump();
  return bad_config(path, fmt::format("{} must be text, a number, true or false", key));
}

Result<std::vector<std::string>> as_arguments(const CLI::Option& option, const Json& value,
                                              const std::string& key, const std::string& path) {
  const bool repeats = option.get_expected_max() > 1;
  if (is_flag(option) != value.is_boolean()) {
    const auto* wanted = is_flag(option) ? "must be" : "cannot be";
    return bad_config(path, fmt::format("{} {} true or false", key, wanted));
  }
  if (value.is_array() && !repeats) return bad_config(path, fmt::format("{} takes one value", key));
  std::vector<std::string> out;
  const auto elements = value.is_array() ? value : Json::array({value});
  for (const auto& element : elements) {
    auto argument = as_argument(element, key, path);
    if (!argument) return tl::unexpected(argument.error());
    out.push_back(std::move(*argument));
  }
  return out;
}

/// Whether the command line gave this option, or one that excludes it.
bool given(const CLI::App& command, const std::string& key) {
  const auto count = [&](std::string_view name) {
    const auto* option = command.get_option_no_throw(fmt::format("--{}", name));
    return option == nullptr ? std::size_t{0} : option->count();
  };
  if (count(key) > 0) return true;
  return std::any_of(alternatives().begin(), alternatives().end(), [&](const Names& group) {
    return contains(group, key) &&
           std::any_of(group.begin(), group.end(),
                       [&](std::string_view name) { return count(name) > 0; });
  });
}

Json scalar(const CLI::Option& option, const std::string& text) {
  const auto type = option.get_type_name();
  const bool number =
      type.starts_with("INT") || type.starts_with("UINT") || type.starts_with("FLOAT");
  if (!number) return text;
  auto parsed = Json::parse(text, nullptr, false);
  return parsed.is_number() ? parsed : Json(text);
}

Json saved_value(const CLI::Option& option) {
  if (is_flag(option)) return option.count() == 0 ? Json() : Json(option.as<bool>());
  if (option.get_expected_max() > 1) {
    return option.count() == 0 ? Json() : Json(option.results());
  }
  const auto text = option.count() > 0 ? option.results().back() : option.get_default_str();
  return text.empty() && option.count() == 0 ? Json() : scalar(option, text);
}

/// Gives options that the command line left out the values of the file. An option stands under its
/// long name without dashes; flags are true or false, options that repeat are arrays. Fails on a
/// key that is no option of the command, and on a value that the option does not take.
Status load_config(CLI::App& command, const std::string& path) {
  const auto text = read_text_file(path, largest_config);
  if (!text) return tl::unexpected(text.error());
  const auto json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) return bad_config(path, "not a JSON object");
  std::vector<std::pair<CLI::Option*, std::vector<std::string>>> chosen;
  for (const auto& [key, value] : json.items()) {
    auto* option = command.get_option_no_throw(fmt::format("--{}", key));
    if (option == nullptr || contains(outside(), key)) {
      return bad_config(path, fmt::format("{} has no option '{}'", command.get_name(), key));
    }
    auto arguments = as_arguments(*option, value, key, path);
    if (!arguments) return tl::unexpected(arguments.error());
    if (!given(command, key)) chosen.emplace_back(option, std::move(*arguments));
  }
  for (auto& [option, arguments] : chosen) {
    if (arguments.empty()) continue;
    try {
      option->add_result(arguments);
      option->run_callback();
    } catch (const CLI::Error& error) {
      return bad_config(path, error.what());
    }
  }
  return {};
}

/// Writes the options that have a value, given or by default, so that the file loaded again says
/// the same. Options that do not change what is made are left out.
Status save_config(const CLI::App& command, const std::string& path) {
  Json json = Json::object();
  for (const auto* option : command.get_options()) {
    const auto name = long_name(*option);
    if (name.empty() || contains(outside(), name) || contains(presentation(), name)) continue;
    auto value = saved_value(*option);
    if (!value.is_null()) json[name] = std::move(value);
  }
  return write_text_file(path, json.dump(2) + "\n");
}

/// Files given with --config and --save-config.
struct ConfigFiles {
  std::string load;
  std::string save;
};

/// Loads the configuration now; what it gives saves it and runs `action`.
std::function<int()> with_config(CLI::App& command, const ConfigFiles& files,
                                 const Context& context, std::function<int()> action) {
  if (!files.load.empty()) {
    if (auto status = load_config(command, files.load); !status) {
      return [error = status.error(), &context] { return context.report(error); };
    }
  }
  if (files.save.empty()) return action;
  return [&command, path = files.save, &context, action = std::move(action)] {
    if (auto status = save_config(command, path); !status) return context.report(status.error());
    return action();
  };
}

}  // namespace

void run_configured(CLI::App& command, Context& context, std::function<int()> action) {
  auto files = std::make_shared<ConfigFiles>();
  command.add_option("--config", files->load,
                     "JSON file with options of this command; the command line goes before it");
  command.add_option("--save-config", files->save, "Write the options as such a file");
  command.callback([files, &command, &context, action = std::move(action)] {
    context.action = with_config(command, *files, context, action);
  });
}

}  // namespace octet::cli

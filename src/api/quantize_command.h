#pragma once
// From a quantized model's provenance back to the command that makes it.

#include <map>
#include <string>
#include <vector>

namespace octet {

/// What the provenance says of how a model was made, as options of `octet quantize`. Empty for
/// models of other tools. `provenance` as read_provenance() gives it.
[[nodiscard]] std::vector<std::string> options_from_provenance(
    const std::map<std::string, std::string>& provenance);

/// The observer of the calibration, "mse" where it is not known.
[[nodiscard]] std::string observer_from_provenance(
    const std::map<std::string, std::string>& provenance);

/// `base` with `changes`: an option of `changes` takes the place of one of `base` that says
/// something of the same (--per-tensor and --per-channel; --weights and --bits-weights).
[[nodiscard]] std::vector<std::string> changed_options(const std::vector<std::string>& base,
                                                       const std::vector<std::string>& changes);

/// Words joined by blanks, quoted for a shell where they need it.
[[nodiscard]] std::string shell_text(const std::vector<std::string>& words);

}  // namespace octet

#pragma once
// Requests as the command lines that say the same.

#include <string>

#include "octet/quantize.h"
#include "octet/train.h"

namespace octet {

/// `octet quantize ...` with the options that differ from their defaults, quoted for a shell.
[[nodiscard]] std::string quantize_command(const QuantizeRequest& request);
/// `octet train ...`, likewise.
[[nodiscard]] std::string train_command(const TrainRequest& request);

/// The glob that this name alone matches.
[[nodiscard]] std::string exact_glob(const std::string& name);

}  // namespace octet

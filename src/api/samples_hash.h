#pragma once
#include <string>

#include "api/engine_choice.h"

namespace octet {

/// Content hash of a text.
[[nodiscard]] std::string hash_of(const std::string& text);

/// Content hash of the selected samples as they are stored, and of their labels.
[[nodiscard]] Result<std::string> samples_hash(const OpenData& data);

}  // namespace octet

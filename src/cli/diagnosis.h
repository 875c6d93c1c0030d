#pragma once
// A diagnosis as JSON and as text.

#include "cli/context.h"
#include "octet/diagnose.h"

namespace octet::cli {

[[nodiscard]] Json diagnosis_json(const Diagnosis& diagnosis);
[[nodiscard]] std::string diagnosis_text(const Diagnosis& diagnosis);

}  // namespace octet::cli

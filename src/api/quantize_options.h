#pragma once
// From the words of a QuantizeRequest to the options of the pipeline.

#include "octet/quantize.h"
#include "passes/pipeline.h"

namespace octet {

[[nodiscard]] Result<ObserverKind> parse_observer(const std::string& text);

/// Checks everything that can be checked without reading a file; errors are of kind usage, and say
/// what there is instead.
[[nodiscard]] Result<QuantizeOptions> parse_options(const QuantizeRequest& request);

/// The rule that the request names instead of the target's.
[[nodiscard]] Result<std::optional<Rule>> parse_rule(const std::string& text);

}  // namespace octet

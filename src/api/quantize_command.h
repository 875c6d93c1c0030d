#pragma once
// From a quantized model's provenance back to the request that makes it.

#include <map>
#include <span>
#include <string>
#include <vector>

#include "octet/quantize.h"

namespace octet {

/// What the provenance says of how a model was made; what it does not say, as in models of other
/// tools, stays as it is by default. Models, data and output are the caller's. `provenance` as
/// read_provenance() gives it.
[[nodiscard]] QuantizeRequest request_from_provenance(
    const std::map<std::string, std::string>& provenance);

/// A number such as "samples" or "classes" of the calibration, 0 where it is not known.
[[nodiscard]] std::int64_t number_from_provenance(
    const std::map<std::string, std::string>& provenance, const std::string& key);

/// Changes the request as options of `octet quantize` say that advice may hold: --keep-float,
/// --int16, --observer, --weights int8, --per-channel, --equalize. What only their opposite asked
/// for is forgotten.
void apply_advice(std::span<const std::string> options, QuantizeRequest& request);

/// Words joined by blanks, quoted for a shell where they need it.
[[nodiscard]] std::string shell_text(const std::vector<std::string>& words);

}  // namespace octet

#pragma once
// Functions of one code by rules tflite and xnnpack, as tables of u8 codes (signed code + 128).

#include <optional>

#include "graph/graph.h"
#include "kernels/elementwise.h"

namespace octet {

/// QUANTIZE between two quantizations.
[[nodiscard]] kernels::LookupTable litert_convert_table(const kernels::CodeParams& input,
                                                        const kernels::CodeParams& output);

/// Whether CONCATENATION itself takes a part with params other than the output's: of uint8 files.
[[nodiscard]] bool joins_by_table(const kernels::CodeParams& input,
                                  const kernels::CodeParams& output);
/// What it then makes of the part.
[[nodiscard]] kernels::LookupTable litert_join_table(const kernels::CodeParams& input,
                                                     const kernels::CodeParams& output);

/// An operator that LiteRT has for 8-bit codes; nullopt for others, which run as the float operator
/// between DEQUANTIZE and QUANTIZE.
[[nodiscard]] std::optional<kernels::LookupTable> litert_table(const Graph& graph, const Node& node,
                                                               const kernels::CodeParams& input,
                                                               const kernels::CodeParams& output);

/// RSQRT: a Sqrt and the Reciprocal behind it.
[[nodiscard]] kernels::LookupTable litert_reciprocal_root_table(const kernels::CodeParams& input,
                                                                const kernels::CodeParams& output);

}  // namespace octet

#pragma once
// Provenance: what octet writes into a quantized model about how it was made.

#include <map>
#include <string>

#include "calibration/statistics.h"
#include "formats/model_file.h"
#include "octet/quantize.h"
#include "passes/pipeline.h"

namespace octet {

struct Provenance {
  const QuantizeRequest& request;
  const QuantizeOptions& options;
  const std::string& source_hash;  ///< of the model that was quantized
  const Statistics* statistics;    ///< nullptr when none were needed
  std::int64_t classes = 0;        ///< of the calibration samples; 0: not known
};

/// Adds the octet.* metadata to a quantized graph. Holds nothing that differs between runs (no
/// times, paths or thread counts), so equal inputs give equal bytes.
void write_provenance(QuantizedGraph& model, const Provenance& provenance);

/// The octet.* entries of a graph's metadata, without the prefix.
[[nodiscard]] std::map<std::string, std::string> read_provenance(const Graph& graph);

}  // namespace octet

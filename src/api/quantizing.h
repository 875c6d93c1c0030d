#pragma once
#include "api/shared_calibration.h"
#include "graph/plan.h"
#include "octet/quantize.h"

namespace octet {

/// quantize() with samples and statistics that other requests for the same model and data know, or
/// will; the written bytes are the same. nullptr: with none.
[[nodiscard]] Result<QuantizeSummary> quantize_sharing(const QuantizeRequest& request,
                                                       SharedCalibration* shared);

struct QuantizedModel {
  QuantizedGraph model;
  QuantizeSummary summary;  ///< but for what is known of a file alone
};

/// The same without writing it. `request.output` still tells the format.
[[nodiscard]] Result<QuantizedModel> quantize_in_memory(const QuantizeRequest& request,
                                                        SharedCalibration* shared);

}  // namespace octet

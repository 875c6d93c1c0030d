#pragma once
// From the words of a QuantizeRequest to the options of the pipeline.

#include "graph/image_layout.h"
#include "octet/quantize.h"
#include "passes/pipeline.h"

namespace octet {

[[nodiscard]] Result<ObserverKind> parse_observer(const std::string& text);

/// The target that is meant where none is named: tflite for a .tflite file, else onnxruntime.
[[nodiscard]] std::string default_target(const std::string& path);

/// channels_last for "nhwc", channels_first for "nchw", nullopt for "".
[[nodiscard]] Result<std::optional<AxisOrder>> parse_input_layout(const std::string& text);

/// A note for models that --input-layout does nothing to.
[[nodiscard]] std::string no_image_inputs(const std::string& layout);

/// Checks everything that can be checked without reading a file; errors are of kind usage, and say
/// what there is instead.
[[nodiscard]] Result<QuantizeOptions> parse_options(const QuantizeRequest& request);

}  // namespace octet

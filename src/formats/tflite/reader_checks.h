#pragma once
// The parts of open_model_bytes.

#include "formats/tflite/reader_model.h"

namespace octet::tflite {

/// Fills model.tensors. Errors name the tensor.
[[nodiscard]] Status read_tensors(const wire::SubGraph& from, FileModel& model);

/// Fills model.operators, and checks that each tensor is made once and before it is read. Errors
/// name the operator.
[[nodiscard]] Status read_operators(const wire::SubGraph& from, FileModel& model);

}  // namespace octet::tflite

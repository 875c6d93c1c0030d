#pragma once
#include "formats/tflite/reader_model.h"

namespace octet::tflite {

/// Names, description, metadata and signatures of the file, into Graph::name, producer, metadata
/// and format_extra (keys in extra.h).
[[nodiscard]] Status read_metadata(const FileModel& file, Graph& graph);

}  // namespace octet::tflite

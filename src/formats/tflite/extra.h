#pragma once
// Keys of Graph::format_extra for what only a .tflite file knows.

#include <string_view>

namespace octet::tflite::extra {

/// Followed by the name of a metadata entry whose bytes are no text; the bytes.
inline constexpr std::string_view metadata = "tflite.metadata/";
/// A Model (flatbuffer) with nothing but the signature definitions. Their tensor indices count the
/// graph's inputs and outputs, each from 0.
inline constexpr std::string_view signatures = "tflite.signatures";

}  // namespace octet::tflite::extra

#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace octet::onnx {

/// Why protobuf could not parse these bytes as a ModelProto: not an ONNX file at all, cut off (at
/// which byte), or damaged (in which part).
[[nodiscard]] std::string describe_damage(std::span<const std::byte> bytes);

}  // namespace octet::onnx

#include "formats/onnx/wire_damage.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>

namespace octet::onnx {
namespace {

/// Reads the fields of a protobuf message without knowing their meaning.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] bool at_end() const { return position_ >= bytes_.size(); }
  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - position_; }
  void skip(std::size_t count) { position_ += count; }

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !at_end(); shift += 7) {
      const auto byte = static_cast<std::uint64_t>(bytes_[position_++]);
      value |= (byte & 0x7FU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    return std::nullopt;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

bool is_model_field(std::uint64_t field) {
  return (field >= 1 && field <= 8) || field == 14 || field == 20 || field == 25 || field == 26;
}

std::string part_name(std::uint64_t field) {
  switch (field) {
    case 7: return "the graph";
    case 8: return "the opset imports";
    case 14: return "the metadata";
    case 20: return "the training info";
    case 25: return "the functions";
    default: return fmt::format("field {}", field);
  }
}

}  // namespace

std::string describe_damage(std::span<const std::byte> bytes) {
  Cursor cursor(bytes);
  std::string last = "its last part";
  std::size_t last_start = 0;
  while (!cursor.at_end()) {
    const auto start = cursor.position();
    const auto tag = cursor.varint();
    const auto type = tag.value_or(0) & 7U;
    const auto field = tag.value_or(0) >> 3U;
    const bool known = tag && is_model_field(field);
    if (!known || (type != 0 && type != 1 && type != 2 && type != 5)) {
      return fmt::format("not an ONNX model (byte {} starts no field of one)", start);
    }
    last = part_name(field);
    last_start = start;
    std::optional<std::uint64_t> size = type == 1 ? 8 : type == 5 ? 4 : cursor.varint();
    if (!size) return fmt::format("the file is cut off at byte {}, in {}", bytes.size(), last);
    if (type == 0) continue;
    if (*size > cursor.left()) {
      return fmt::format("the file is cut off: {} needs {} bytes from byte {}, the file has {}",
                         last, *size, cursor.position(), cursor.left());
    }
    cursor.skip(static_cast<std::size_t>(*size));
  }
  return fmt::format("not an ONNX model, or damaged inside {}, which starts at byte {}", last,
                     last_start);
}

}  // namespace octet::onnx

#include "data/idx.h"

#include <cstring>

#include "data/file_shape.h"

namespace octet {
namespace {
constexpr std::byte unsigned_byte{8};
}

bool has_idx_signature(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && bytes[0] == std::byte{0} && bytes[1] == std::byte{0} &&
         bytes[2] == unsigned_byte && bytes[3] >= std::byte{1} && bytes[3] <= std::byte{4};
}

Result<IdxHeader> parse_idx_header(std::span<const std::byte> bytes) {
  if (!has_idx_signature(bytes)) {
    return bad_input("not an IDX file of unsigned bytes (bad signature at byte 0)");
  }
  const auto rank = std::to_integer<std::size_t>(bytes[3]);
  IdxHeader header;
  header.data_offset = 4 + 4 * rank;
  if (bytes.size() < header.data_offset) {
    return bad_input("truncated IDX header at byte {}", bytes.size());
  }
  for (std::size_t d = 0; d < rank; ++d) {
    std::int64_t dim = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      dim = dim << 8 | std::to_integer<std::int64_t>(bytes[4 + 4 * d + i]);
    }
    header.shape.push_back(dim);
  }
  OCTET_TRY(check_file_shape(header.shape));
  return header;
}

Result<Tensor> parse_idx(std::span<const std::byte> bytes) {
  OCTET_ASSIGN(const auto header, parse_idx_header(bytes));
  const auto wanted = static_cast<std::size_t>(element_count(header.shape));
  const auto data = bytes.subspan(header.data_offset);
  if (data.size() < wanted) {
    return bad_input("truncated IDX data: shape {} needs {} bytes, the file ends at byte {}",
                     to_string(header.shape), wanted, bytes.size());
  }
  OCTET_ASSIGN(Tensor out, Tensor::create(DType::u8, header.shape));
  if (wanted > 0) std::memcpy(out.mutable_raw(), data.data(), wanted);
  return out;
}

}  // namespace octet

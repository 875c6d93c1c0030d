#include "data/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

#include "data/byte_stream.h"
#include "data/file_shape.h"
#include "data/npy_header.h"

namespace octet {
namespace {

static_assert(std::endian::native == std::endian::little, "data is written as it lies in memory");

constexpr std::string_view signature = "\x93NUMPY";
constexpr std::size_t max_rank = 32;  // numpy's own limit

struct TypeCode {
  std::string_view code;
  DType dtype;
};
constexpr std::array<TypeCode, 12> type_codes{{{"f4", DType::f32},
                                               {"f8", DType::f64},
                                               {"f2", DType::f16},
                                               {"i1", DType::i8},
                                               {"u1", DType::u8},
                                               {"i2", DType::i16},
                                               {"u2", DType::u16},
                                               {"i4", DType::i32},
                                               {"u4", DType::u32},
                                               {"i8", DType::i64},
                                               {"u8", DType::u64},
                                               {"b1", DType::boolean}}};

/// Reads the one form of Python dictionary that headers have:
/// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::size_t offset) : text_(text), offset_(offset) {}

  Result<NpyHeader> parse() {
    OCTET_TRY(expect('{'));
    while (peek() != '}') {
      OCTET_ASSIGN(const auto key, quoted());
      OCTET_TRY(expect(':'));
      OCTET_TRY(field(key));
      if (peek() != ',') break;
      ++position_;
    }
    OCTET_TRY(expect('}'));
    if (peek() != '\0') return error("unexpected text after the dictionary");
    if (!has_descr_ || !has_order_ || !has_shape_) {
      return error("descr, fortran_order or shape is missing");
    }
    return std::move(header_);
  }

 private:
  tl::unexpected<Error> error(std::string_view what) const {
    return bad_input("bad .npy header at byte {}: {}", offset_ + position_, what);
  }

  /// The next character that is no white space, or NUL at the end.
  char peek() {
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return c;
      ++position_;
    }
    return '\0';
  }
  Status expect(char wanted) {
    if (peek() != wanted) return error(fmt::format("expected '{}'", wanted));
    ++position_;
    return {};
  }
  Result<std::string_view> quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') return error("expected a quoted name");
    const auto end = text_.find(quote, position_ + 1);
    if (end == std::string_view::npos) return error("unfinished name");
    const auto value = text_.substr(position_ + 1, end - position_ - 1);
    position_ = end + 1;
    return value;
  }

  Status field(std::string_view key) {
    if (key == "descr") return descr();
    if (key == "fortran_order") return order();
    if (key == "shape") return shape();
    return error("unknown field");
  }
  Status descr() {
    if (peek() == '[') return error("structured arrays are not supported");
    OCTET_ASSIGN(const auto code, quoted());
    has_descr_ = true;
    const auto found = std::find_if(
        type_codes.begin(), type_codes.end(),
        [&](const TypeCode& type) { return code.size() == 3 && code.substr(1) == type.code; });
    const char order = code.empty() ? '?' : code[0];
    if (found == type_codes.end() || std::string_view("<>|=").find(order) == code.npos) {
      return error("the element type is not supported (known: f2, f4, f8, i1 to i8, u1 to u8, b1)");
    }
    header_.dtype = found->dtype;
    header_.big_endian = order == '>';
    return {};
  }
  Status order() {
    peek();
    const auto rest = text_.substr(position_);
    has_order_ = true;
    header_.fortran_order = rest.substr(0, 4) == "True";
    if (!header_.fortran_order && rest.substr(0, 5) != "False") {
      return error("expected True or False");
    }
    position_ += header_.fortran_order ? 4 : 5;
    return {};
  }
  Status shape() {
    OCTET_TRY(expect('('));
    has_shape_ = true;
    header_.shape.clear();
    while (peek() != ')') {
      OCTET_ASSIGN(const auto dim, dimension());
      header_.shape.push_back(dim);
      if (header_.shape.size() > max_rank) return error("too many dimensions");
      if (peek() != ',') break;
      ++position_;
    }
    OCTET_TRY(expect(')'));
    if (!check_file_shape(header_.shape)) return error("the shape is absurdly large");
    return {};
  }
  Result<std::int64_t> dimension() {
    std::int64_t value = 0;
    const auto start = position_;
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') {
      if (value > std::int64_t{1} << 40) return error("the shape is absurdly large");
      value = value * 10 + (text_[position_++] - '0');
    }
    if (position_ == start) return error("expected a dimension");
    return value;
  }

  std::string_view text_;
  std::size_t offset_;
  std::size_t position_ = 0;
  NpyHeader header_;
  bool has_descr_ = false;
  bool has_order_ = false;
  bool has_shape_ = false;
};

void swap_bytes(std::byte* data, std::int64_t count, std::size_t width) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::reverse(data, data + width);
    data += width;
  }
}

/// Elements of a column-major array in row-major order.
void from_fortran(const std::byte* from, const Shape& shape, std::size_t width, std::byte* to) {
  const auto rank = shape.size();
  std::vector<std::int64_t> strides(rank, 1);
  for (std::size_t d = 1; d < rank; ++d) strides[d] = strides[d - 1] * shape[d - 1];
  Shape at(rank, 0);
  std::int64_t source = 0;
  for (std::int64_t i = 0, n = element_count(shape); i < n; ++i) {
    std::memcpy(to, from + static_cast<std::size_t>(source) * width, width);
    to += width;
    for (std::size_t d = rank; d-- > 0;) {
      source += strides[d];
      if (++at[d] < shape[d]) break;
      source -= strides[d] * shape[d];
      at[d] = 0;
    }
  }
}

}  // namespace

bool has_npy_signature(std::span<const std::byte> bytes) {
  return bytes.size() >= signature.size() &&
         std::memcmp(bytes.data(), signature.data(), signature.size()) == 0;
}

Result<NpyHeader> parse_npy_header(std::span<const std::byte> bytes) {
  if (!has_npy_signature(bytes)) return bad_input("not a .npy file (bad signature at byte 0)");
  if (bytes.size() < 12) return bad_input("truncated .npy header at byte {}", bytes.size());
  const auto u8_at = [&](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
  const auto version = u8_at(6);
  if (version < 1 || version > 3) return bad_input("unknown .npy version {} at byte 6", version);
  std::size_t length = u8_at(8) | u8_at(9) << 8;
  if (version > 1) length |= u8_at(10) << 16 | u8_at(11) << 24;
  const std::size_t start = version == 1 ? 10 : 12;
  if (length > max_npy_header - start) {
    return bad_input("the .npy header claims {} bytes (at byte 8)", length);
  }
  if (length > bytes.size() - start) {
    return bad_input("truncated .npy header at byte {}", bytes.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + start, length);
  if (text.find('\0') != text.npos) return bad_input("bad .npy header: it has a NUL character");
  OCTET_ASSIGN(auto header, HeaderParser(text, start).parse());
  header.data_offset = start + length;
  return header;
}

Result<Tensor> parse_npy(std::span<const std::byte> bytes) {
  OCTET_ASSIGN(const auto header, parse_npy_header(bytes));
  const auto data = bytes.subspan(header.data_offset);
  const auto wanted = storage_bytes(header.dtype, element_count(header.shape));
  if (data.size() < wanted) {
    return bad_input(
        "truncated .npy data: shape {} of {} needs {} bytes up to byte {}, but the "
        "file ends at byte {}",
        to_string(header.shape), name(header.dtype), wanted, header.data_offset + wanted,
        bytes.size());
  }
  OCTET_ASSIGN(Tensor out, Tensor::create(header.dtype, header.shape));
  if (wanted == 0) return out;
  const auto width = static_cast<std::size_t>(bits(header.dtype)) / 8;
  if (header.fortran_order) {
    from_fortran(data.data(), header.shape, width, out.mutable_raw());
  } else {
    std::memcpy(out.mutable_raw(), data.data(), wanted);
  }
  if (header.big_endian && width > 1) swap_bytes(out.mutable_raw(), out.size(), width);
  if (header.dtype == DType::boolean) {
    // Any other byte would be an invalid bool.
    for (auto& byte : std::span(out.mutable_raw(), wanted)) {
      if (byte != std::byte{0}) byte = std::byte{1};
    }
  }
  return out;
}

Result<Tensor> read_npy(const std::filesystem::path& path) {
  OCTET_ASSIGN(const auto bytes, read_whole_file(path, std::uint64_t{1} << 43));
  auto tensor = parse_npy(bytes);
  if (!tensor) return tl::unexpected(tensor.error().with_context(path.string()));
  return tensor;
}

Result<std::string> encode_npy(const Tensor& tensor) {
  const auto* found = std::find_if(type_codes.begin(), type_codes.end(), [&](const TypeCode& type) {
    return type.dtype == tensor.dtype();
  });
  if (found == type_codes.end()) {
    return bad_input(".npy has no type for {}", name(tensor.dtype()));
  }
  std::string shape;
  for (const auto dim : tensor.shape())
    shape += fmt::format("{}{}", shape.empty() ? "" : ", ", dim);
  if (tensor.rank() == 1) shape += ',';
  const char order = bits(tensor.dtype()) == 8 ? '|' : '<';
  std::string dictionary = fmt::format(
      "{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}", order, found->code, shape);
  // The data starts at a multiple of 64 bytes, and the header ends in a line feed.
  const std::size_t start = 10;
  const std::size_t header = (start + dictionary.size() + 1 + 63) / 64 * 64;
  dictionary.resize(header - start - 1, ' ');
  dictionary += '\n';
  std::string out(signature);
  out += std::string("\x01\x00", 2);
  out += static_cast<char>(dictionary.size() & 0xFF);
  out += static_cast<char>(dictionary.size() >> 8);
  out += dictionary;
  if (tensor.bytes() > 0) {
    out.append(reinterpret_cast<const char*>(tensor.raw()), tensor.bytes());
  }
  return out;
}

}  // namespace octet

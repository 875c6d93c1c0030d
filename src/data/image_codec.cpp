#include "data/image_codec.h"

#include <turbojpeg.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>

#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#include <stb/stb_image.h>

namespace octet {
namespace {

constexpr int max_side = 32768;
constexpr std::int64_t max_pixels = std::int64_t{1} << 26;

bool starts_with(std::span<const std::byte> bytes, std::string_view signature) {
  return bytes.size() >= signature.size() &&
         std::memcmp(bytes.data(), signature.data(), signature.size()) == 0;
}

Status check_size(int width, int height) {
  if (width < 1 || height < 1 || width > max_side || height > max_side ||
      std::int64_t{width} * height > max_pixels) {
    return bad_input("its size {}x{} makes no sense", width, height);
  }
  return {};
}

Image blank(int width, int height, int channels) {
  const auto count = static_cast<std::size_t>(std::int64_t{width} * height * channels);
  return {width, height, channels, std::vector<std::uint8_t>(count)};
}

int divide_by_255(int value) { return (value + 128 + ((value + 128) >> 8)) >> 8; }

/// Adobe's CMYK files store ink inverted (255: none), so light = colour * black.
Image cmyk_to_rgb(const Image& cmyk) {
  Image rgb = blank(cmyk.width, cmyk.height, 3);
  for (std::size_t i = 0, n = cmyk.pixels.size() / 4; i < n; ++i) {
    const int black = cmyk.pixels[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const int ink = 255 - cmyk.pixels[4 * i + c];
      rgb.pixels[3 * i + c] = static_cast<std::uint8_t>(black - divide_by_255(ink * black));
    }
  }
  return rgb;
}

Result<Image> decode_jpeg(std::span<const std::byte> bytes) {
  const std::unique_ptr<void, int (*)(void*)> decoder(tjInitDecompress(), &tjDestroy);
  if (!decoder) return internal_error("libturbojpeg cannot be initialised");
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto size = static_cast<unsigned long>(bytes.size());
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colorspace = 0;
  if (tjDecompressHeader3(decoder.get(), data, size, &width, &height, &subsampling, &colorspace) !=
      0) {
    return bad_input("{}", tjGetErrorStr2(decoder.get()));
  }
  OCTET_TRY(check_size(width, height));
  const bool cmyk = colorspace == TJCS_CMYK || colorspace == TJCS_YCCK;
  Image image = blank(width, height, cmyk ? 4 : 3);
  // The limit on scans stops small progressive files that would take minutes.
  const int code =
      tjDecompress2(decoder.get(), data, size, image.pixels.data(), width, 0, height,
                    cmyk ? TJPF_CMYK : TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS);
  if (code != 0) {
    // Many good files carry stray bytes that libjpeg warns of; missing image data is worse.
    const std::string_view message = tjGetErrorStr2(decoder.get());
    const bool truncated = message.find("Premature end of JPEG file") != std::string_view::npos;
    if (truncated) return bad_input("truncated JPEG data");
    if (tjGetErrorCode(decoder.get()) != TJERR_WARNING) return bad_input("{}", message);
  }
  return cmyk ? cmyk_to_rgb(image) : std::move(image);
}

std::uint32_t big_endian_u32(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

/// stb_image ignores the checksums that PNG has on each chunk. Chunks that a decoder may ignore
/// (lower-case first letter) are not checked.
Status check_png(std::span<const std::byte> bytes) {
  if (bytes.size() < 33 || std::memcmp(bytes.data() + 12, "IHDR", 4) != 0) {
    return bad_input("PNG data without a header chunk");
  }
  constexpr std::uint32_t large = max_side + 1;
  OCTET_TRY(check_size(static_cast<int>(std::min(big_endian_u32(bytes, 16), large)),
                       static_cast<int>(std::min(big_endian_u32(bytes, 20), large))));
  std::size_t at = 8;
  while (true) {
    if (bytes.size() - at < 12) return bad_input("truncated PNG data at byte {}", bytes.size());
    const std::size_t length = big_endian_u32(bytes, at);
    if (length > bytes.size() - at - 12)
      return bad_input("truncated PNG data at byte {}", bytes.size());
    const auto* chunk = reinterpret_cast<const Bytef*>(bytes.data() + at + 4);
    const auto sum = crc32(0, chunk, static_cast<uInt>(length + 4));
    const bool critical = (bytes[at + 4] & std::byte{0x20}) == std::byte{0};
    if (critical && sum != big_endian_u32(bytes, at + 8 + length)) {
      return bad_input("PNG chunk at byte {} has a wrong checksum", at);
    }
    if (std::memcmp(chunk, "IEND", 4) == 0) return {};
    at += 12 + length;
  }
}

std::int64_t little_endian(std::span<const std::byte> bytes, std::size_t at, std::size_t width) {
  std::int64_t value = 0;
  for (std::size_t i = width; i-- > 0;) {
    value = value << 8 | std::to_integer<std::int64_t>(bytes[at + i]);
  }
  return value;
}

/// stb_image reads zeros beyond the end of a BMP file. Rows are padded to 4 bytes; the last one
/// need not be.
Status check_bmp(std::span<const std::byte> bytes, int width, int height) {
  if (bytes.size() < 32) return bad_input("truncated BMP data at byte {}", bytes.size());
  const bool old_header = little_endian(bytes, 14, 4) == 12;
  const auto depth = little_endian(bytes, old_header ? 24 : 28, 2);
  const auto row_bits = width * depth;
  const auto end =
      little_endian(bytes, 10, 4) + (row_bits + 31) / 32 * 4 * (height - 1) + (row_bits + 7) / 8;
  if (end > static_cast<std::int64_t>(bytes.size())) {
    return bad_input("truncated BMP data: {} bytes of {}", bytes.size(), end);
  }
  return {};
}

Result<Image> decode_by_stb(std::span<const std::byte> bytes) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return bad_input("it is absurdly large");
  }
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  int width = 0;
  int height = 0;
  int stored_channels = 0;
  if (stbi_info_from_memory(data, size, &width, &height, &stored_channels) == 0) {
    return bad_input("{}", stbi_failure_reason());
  }
  OCTET_TRY(check_size(width, height));
  if (starts_with(bytes, "BM")) OCTET_TRY(check_bmp(bytes, width, height));
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(data, size, &width, &height, &stored_channels, 3), &stbi_image_free);
  if (!pixels) return bad_input("{}", stbi_failure_reason());
  Image image = blank(width, height, 3);
  std::copy_n(pixels.get(), image.pixels.size(), image.pixels.data());
  return image;
}

}  // namespace

Result<Image> decode_image(std::span<const std::byte> bytes) {
  if (bytes.empty()) return bad_input("the file is empty");
  if (starts_with(bytes, "\xff\xd8")) return decode_jpeg(bytes);
  if (starts_with(bytes, "\x89PNG\r\n\x1a\n")) {
    OCTET_TRY(check_png(bytes));
    return decode_by_stb(bytes);
  }
  if (starts_with(bytes, "BM")) return decode_by_stb(bytes);
  return bad_input("it is neither PNG, JPEG nor BMP");
}

}  // namespace octet

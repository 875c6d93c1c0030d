#include <gtest/gtest.h>

#include <algorithm>

#include "data/byte_stream.h"
#include "data/image_codec.h"
#include "data/preprocess.h"
#include "fixtures.h"
#include "support.h"

namespace octet {
namespace {

using test::as_span;
using test::pattern;
using test::pixels_of;
using test::unhex;

Image decode(std::string_view hex) {
  const auto file = unhex(hex);
  auto image = decode_image(as_span(file));
  EXPECT_TRUE(image) << test::message_of(image);
  return image ? *image : Image{};
}

/// One channel of the pattern's top left corner, repeated.
std::string grey_corner(int side) {
  const Image image = pattern(side, side);
  std::string out;
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    out += std::string(3, static_cast<char>(image.pixels[i]));
  }
  return out;
}

TEST(ImageCodec, JpegGivesPillowsPixels) {
  const auto image = decode(fixtures::jpeg_420);
  EXPECT_EQ(image.width, 13);
  EXPECT_EQ(image.height, 11);
  EXPECT_EQ(pixels_of(image), unhex(fixtures::jpeg_420_pixels));
  EXPECT_EQ(pixels_of(decode(fixtures::jpeg_gray)), unhex(fixtures::jpeg_gray_pixels));
  EXPECT_EQ(pixels_of(decode(fixtures::jpeg_cmyk)), unhex(fixtures::jpeg_cmyk_pixels));
}

TEST(ImageCodec, EveryKindOfPngBecomesRgb) {
  EXPECT_EQ(pixels_of(decode(fixtures::png_rgba)), pixels_of(pattern(4, 3)));
  EXPECT_EQ(pixels_of(decode(fixtures::png_palette)), pixels_of(pattern(5, 4)));
  EXPECT_EQ(pixels_of(decode(fixtures::png_gray_alpha)), grey_corner(3));
  EXPECT_EQ(pixels_of(decode(fixtures::png_gray16)), grey_corner(3));
  EXPECT_EQ(pixels_of(decode(fixtures::bmp_rgb)), pixels_of(pattern(13, 11)));
  EXPECT_EQ(pixels_of(decode_image(as_span(test::encode_png(pattern(9, 5)))).value()),
            pixels_of(pattern(9, 5)));
}

TEST(ImageCodec, TruncatedAndForeignFilesAreErrors) {
  for (const auto hex : {fixtures::jpeg_420, fixtures::png_rgba, fixtures::bmp_rgb}) {
    const auto file = unhex(hex);
    for (std::size_t size = 0; size + 3 < file.size(); size += 3) {
      EXPECT_FALSE(decode_image(as_span(file.substr(0, size)))) << size;
    }
  }
  EXPECT_ERROR(decode_image(as_span("hello")), "neither PNG, JPEG nor BMP");
  EXPECT_ERROR(decode_image({}), "empty");
}

TEST(ImageCodec, FlippedPngBitsAreErrors) {
  const auto file = test::encode_png(pattern(6, 6));
  for (std::size_t i = 8; i < file.size(); ++i) {
    auto damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    // A flip of the case bit of a chunk's name is not among these.
    EXPECT_FALSE(decode_image(as_span(damaged))) << i;
  }
}

TEST(ImageCodec, AbsurdSizesAreRefusedBeforeMemoryIsTaken) {
  auto image = pattern(2, 2);
  image.width = 30000;  // only the header says so
  auto file = test::encode_png({1, 1, 3, {1, 2, 3}});
  const auto header =
      "IHDR" + test::big_endian(30000) + test::big_endian(30000) + std::string("\x08\x02\0\0\0", 5);
  const auto sum =
      crc32(0, reinterpret_cast<const Bytef*>(header.data()), static_cast<uInt>(header.size()));
  file.replace(12, header.size(), header);
  file.replace(12 + header.size(), 4, test::big_endian(static_cast<std::uint32_t>(sum)));
  EXPECT_ERROR(decode_image(as_span(file)), "30000x30000 makes no sense");
}

TEST(ImageCodec, SamplesDecodeAndResizeAsPillowDoes) {
  const test::fs::path folder =
      test::fs::path(OCTET_SOURCE_DIR) / "../shared/data/imagenet_samples/evaluation/images";
  if (!test::fs::exists(folder)) GTEST_SKIP() << "no " << folder;
  struct Expected {
    const char* file;
    unsigned long decoded;
    int width, height;
    unsigned long resized;
  };
  // zlib.crc32 of the pixels, decoded and resized to 192 on the shorter side, by Pillow.
  const std::array<Expected, 4> samples{{{"n01494475_004.jpg", 0xe5d93f5b, 192, 288, 0x5b40ee96},
                                         {"n01498041_006.jpg", 0x5132c0fa, 255, 192, 0x17b0abb9},
                                         {"n03063599_504.jpg", 0x64cc9aaf, 251, 192, 0x413e1b65},
                                         {"n13133613_998.jpg", 0x22c00dfb, 233, 192, 0xf1fd1974}}};
  const auto sum = [](const Image& image) {
    return crc32(0, image.pixels.data(), static_cast<uInt>(image.pixels.size()));
  };
  for (const auto& sample : samples) {
    const auto bytes = read_whole_file(folder / sample.file, 1 << 24).value();
    const auto image = decode_image(bytes).value();
    EXPECT_EQ(sum(image), sample.decoded) << sample.file;
    EXPECT_EQ(sum(resize_bilinear(image, sample.width, sample.height)), sample.resized);
  }
}

}  // namespace
}  // namespace octet

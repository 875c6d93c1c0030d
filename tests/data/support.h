#pragma once
// Helpers of the data tests: temporary folders, fixtures, and writers for PNG and tar that share no
// code with octet.

#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "data/recipe.h"

namespace octet::test {

namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "octet_data_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

  /// Writes a file, with the folders above it.
  fs::path write(const fs::path& name, std::string_view contents) const {
    const auto file = path_ / name;
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary)
        .write(contents.data(), static_cast<std::streamsize>(contents.size()));
    return file;
  }

 private:
  fs::path path_;
};

inline std::string unhex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    out += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
  }
  return out;
}

inline std::span<const std::byte> as_span(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string pixels_of(const Image& image) {
  return {reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size()};
}

/// The test pattern of the fixtures: (19 x + 31 y + 57 c + 7 x y) mod 256.
inline Image pattern(int width, int height, int channels = 3) {
  Image image{width, height, channels, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<std::uint8_t>(x * 19 + y * 31 + c * 57 + x * y * 7));
      }
    }
  }
  return image;
}

inline std::string big_endian(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFF);
  return out;
}

inline std::string encode_png(const Image& image) {
  const auto chunk = [](std::string body) {
    const auto sum =
        crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
    return big_endian(static_cast<std::uint32_t>(body.size() - 4)) + body +
           big_endian(static_cast<std::uint32_t>(sum));
  };
  const auto row = static_cast<std::size_t>(image.width * image.channels);
  std::string raw;
  for (std::size_t y = 0; y < static_cast<std::size_t>(image.height); ++y) {
    raw += '\0';  // no filter
    raw.append(reinterpret_cast<const char*>(image.pixels.data()) + y * row, row);
  }
  uLongf size = compressBound(static_cast<uLong>(raw.size()));
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(raw.data()), static_cast<uLong>(raw.size()));
  packed.resize(size);
  const std::string depth_and_color = image.channels == 3 ? "\x08\x02" : std::string("\x08\0", 2);
  return "\x89PNG\r\n\x1a\n" +
         chunk("IHDR" + big_endian(static_cast<std::uint32_t>(image.width)) +
               big_endian(static_cast<std::uint32_t>(image.height)) + depth_and_color +
               std::string(3, '\0')) +
         chunk("IDAT" + packed) + chunk("IEND");
}

/// A 2x2 image all of whose values are `value`.
inline std::string flat_png(int value) {
  return encode_png({2, 2, 3, std::vector<std::uint8_t>(12, static_cast<std::uint8_t>(value))});
}

/// One member of a ustar archive, padded.
inline std::string tar_member(const std::string& name, const std::string& contents,
                              char type = '0') {
  std::string header(512, '\0');
  const auto put = [&](std::size_t at, const std::string& text) {
    header.replace(at, text.size(), text);
  };
  put(0, name);
  put(100, "0000644");
  std::array<char, 16> octal{};
  std::snprintf(octal.data(), octal.size(), "%011o", static_cast<unsigned>(contents.size()));
  put(124, octal.data());
  put(148, "        ");
  header[156] = type;
  put(257, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(octal.data(), octal.size(), "%06o", sum);
  put(148, octal.data());
  header[154] = '\0';
  return header + contents + std::string((512 - contents.size() % 512) % 512, '\0');
}

inline const std::string tar_end(1024, '\0');

inline std::string gzip(const std::string& text) {
  z_stream zlib{};
  deflateInit2(&zlib, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&zlib, static_cast<uLong>(text.size())) + 32, '\0');
  std::string input = text;
  zlib.next_in = reinterpret_cast<Bytef*>(input.data());
  zlib.avail_in = static_cast<uInt>(input.size());
  zlib.next_out = reinterpret_cast<Bytef*>(out.data());
  zlib.avail_out = static_cast<uInt>(out.size());
  deflate(&zlib, Z_FINISH);
  out.resize(zlib.total_out);
  deflateEnd(&zlib);
  return out;
}

/// The message of a failed result, or "" when it did not fail.
template <class T>
std::string message_of(const Result<T>& result) {
  return result ? std::string() : result.error().message;
}

}  // namespace octet::test

/// The message of a failed result has this in it.
#define EXPECT_ERROR(result, text)                                           \
  do {                                                                       \
    const auto octet_message = octet::test::message_of(result);              \
    EXPECT_NE(octet_message.find(text), std::string::npos) << octet_message; \
  } while (false)

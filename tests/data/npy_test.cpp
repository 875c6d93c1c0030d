#include "data/npy.h"

#include <gtest/gtest.h>

#include "fixtures.h"
#include "support.h"

namespace octet {
namespace {

using test::as_span;
using test::unhex;

Tensor parse(std::string_view hex) {
  auto tensor = parse_npy(as_span(unhex(hex)));
  EXPECT_TRUE(tensor) << test::message_of(tensor);
  return tensor ? *tensor : Tensor();
}

template <class T>
std::vector<T> values(const Tensor& tensor) {
  return {tensor.values<T>().begin(), tensor.values<T>().end()};
}

/// A version 1 file with this dictionary and no data.
std::string with_header(const std::string& dictionary, std::string_view data = "") {
  std::string out("\x93NUMPY\x01\0", 8);
  out += static_cast<char>(dictionary.size() & 0xFF);
  out += static_cast<char>(dictionary.size() >> 8);
  return out + dictionary + std::string(data);
}

std::string parse_error(const std::string& file) {
  return test::message_of(parse_npy(as_span(file)));
}

TEST(Npy, ReadsWhatNumpyWrites) {
  const auto f4 = parse(fixtures::npy_f4);
  EXPECT_EQ(f4.shape(), (Shape{2, 3}));
  EXPECT_EQ(values<float>(f4), (std::vector<float>{0, 0.5F, 1, 1.5F, 2, 2.5F}));
  EXPECT_EQ(values<std::int32_t>(parse(fixtures::npy_big_i4)),
            (std::vector<std::int32_t>{-2, -1, 0, 1}));
  const auto fortran = parse(fixtures::npy_fortran_f8);
  EXPECT_EQ(fortran.shape(), (Shape{2, 3, 2}));
  EXPECT_EQ(values<double>(fortran), (std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(values<bool>(parse(fixtures::npy_bool)), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(values<std::uint8_t>(parse(fixtures::npy_v2_u1)), (std::vector<std::uint8_t>{7, 9}));
  EXPECT_EQ(parse(fixtures::npy_scalar).shape(), Shape{});
  EXPECT_EQ(parse(fixtures::npy_scalar).data<std::int64_t>()[0], 3);
  EXPECT_EQ(values<float>(to_f32(parse(fixtures::npy_half)).value()),
            (std::vector<float>{0.5F, -2}));
  EXPECT_EQ(parse(fixtures::npy_empty).shape(), (Shape{0, 3}));
}

TEST(Npy, WritesTheBytesThatNumpyWrites) {
  // NumPy pads versions 1 to 64 bytes as well; these have no padding choice left.
  for (const auto hex : {fixtures::npy_f4, fixtures::npy_scalar, fixtures::npy_half}) {
    const auto file = unhex(hex);
    EXPECT_EQ(encode_npy(parse(hex)).value(), file);
  }
}

TEST(Npy, EncodedTensorsReadBack) {
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{0, 4}, Shape{2, 1, 3, 2}}) {
    auto tensor = Tensor::zeros(DType::i16, shape);
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      tensor.mutable_data<std::int16_t>()[i] = static_cast<std::int16_t>(300 * i - 400);
    }
    const auto file = encode_npy(tensor).value();
    EXPECT_EQ(file.find('\n') % 64, 63U);
    EXPECT_TRUE(identical(parse_npy(as_span(file)).value(), tensor));
  }
  EXPECT_FALSE(encode_npy(Tensor::zeros(DType::bf16, {2})));
}

TEST(Npy, EveryTruncationIsAnError) {
  for (const auto hex : {fixtures::npy_f4, fixtures::npy_v2_u1, fixtures::npy_fortran_f8}) {
    const auto file = unhex(hex);
    for (std::size_t size = 0; size < file.size(); ++size) {
      EXPECT_FALSE(parse_npy(as_span(file.substr(0, size)))) << size;
    }
  }
}

TEST(Npy, HostileHeadersAreRefused) {
  const auto dictionary = [](const std::string& descr, const std::string& shape) {
    return with_header("{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + "}");
  };
  EXPECT_NE(parse_error(dictionary("'<f4'", "(1152921504606846976,)")).find("absurdly large"),
            std::string::npos);
  EXPECT_NE(parse_error(dictionary("'<f4'", "(99999999999999999999999,)")).find("absurdly"),
            std::string::npos);
  EXPECT_NE(parse_error(dictionary("'<f4'", "(65536, 65536, 65536, 0xF)")), "");
  EXPECT_NE(parse_error(dictionary("'<f4'", "(1099511627776, 1099511627776, 0)")).find("absurdly"),
            std::string::npos);
  EXPECT_NE(parse_error(dictionary("'<f4'", "(-1,)")).find("dimension"), std::string::npos);
  EXPECT_NE(parse_error(dictionary("'<f4'", "(2,)")).find("truncated"), std::string::npos);
  EXPECT_NE(parse_error(dictionary("'|O'", "(2,)")).find("element type"), std::string::npos);
  EXPECT_NE(parse_error(dictionary("[('a', '<f4')]", "(2,)")).find("structured"),
            std::string::npos);
  EXPECT_NE(parse_error(dictionary("__import__('os')", "(2,)")), "");
  EXPECT_NE(parse_error(with_header("{'descr': '<f4'}")).find("missing"), std::string::npos);
  EXPECT_NE(parse_error(with_header("{'evil': '<f4'}")).find("unknown field"), std::string::npos);
  EXPECT_NE(parse_error(with_header("{'descr: ")).find("byte"), std::string::npos);
  EXPECT_NE(parse_error(std::string("\x93NUMPY\x09") + std::string(20, ' ')).find("version 9"),
            std::string::npos);
  std::string many = "(";
  for (int i = 0; i < 40; ++i) many += "1,";
  EXPECT_NE(parse_error(dictionary("'<f4'", many + ")")).find("dimensions"), std::string::npos);
}

TEST(Npy, BoolsAreNormalised) {
  const auto file =
      with_header("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", "\x05\x01");
  const auto tensor = parse_npy(as_span(file)).value();
  EXPECT_EQ(tensor.data<std::uint8_t>()[0], 1);
}

TEST(Npy, FileErrorsNameTheFile) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("x.npy", unhex(fixtures::npy_f4).substr(0, 130));
  EXPECT_ERROR(read_npy(path), path.string() + ": truncated");
  EXPECT_ERROR(read_npy(folder.path() / "none.npy"), "none.npy");
}

}  // namespace
}  // namespace octet

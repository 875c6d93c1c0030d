#include <gtest/gtest.h>

#include "data/dataset.h"
#include "data/idx.h"
#include "data/npy.h"
#include "fixtures.h"
#include "support.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using test::as_span;
using test::big_endian;
using test::TemporaryFolder;

InputSpec spec(std::string name, Shape shape, DType dtype = DType::f32) {
  return {std::move(name), dtype, std::move(shape), ImageLayout::nchw};
}

template <class T>
Tensor iota(DType dtype, Shape shape) {
  Tensor tensor(dtype, std::move(shape));
  for (std::int64_t i = 0; i < tensor.size(); ++i) tensor.mutable_data<T>()[i] = static_cast<T>(i);
  return tensor;
}

Result<std::vector<Tensor>> decode(const fs::path& path, const DatasetOptions& options,
                                   std::int64_t index) {
  OCTET_ASSIGN(const auto dataset, open_dataset(path, options));
  OCTET_ASSIGN(const auto stream, dataset->stream({index}));
  OCTET_ASSIGN(const auto sample, stream->next());
  return dataset->decode(*sample);
}

std::vector<float> floats(const Tensor& tensor) {
  const auto wide = to_f32(tensor).value();
  return {wide.values<float>().begin(), wide.values<float>().end()};
}

TEST(ArrayData, RowsOfFloatsPassThroughWithLabels) {
  const TemporaryFolder folder;
  const auto x = folder.write("x.npy", encode_npy(iota<float>(DType::f32, {3, 2, 2})).value());
  DatasetOptions options;
  options.inputs = {spec("anything", {-1, 2, 2})};
  options.recipe.scale = 5;  // for images only
  options.labels =
      folder.write("y.bin", encode_npy(Tensor::from<std::int64_t>({4, 0, 2}, {3, 1})).value());
  const auto dataset = open_dataset(x, options).value();
  EXPECT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->labels(), (std::vector<std::int32_t>{4, 0, 2}));
  EXPECT_EQ(floats(decode(x, options, 2).value()[0]), (std::vector<float>{8, 9, 10, 11}));
  options.inputs = {spec("anything", {-1, 4})};
  EXPECT_EQ(decode(x, options, 1).value()[0].shape(), (Shape{1, 4}));
  options.inputs = {spec("anything", {-1, 1, 2, 2})};
  EXPECT_EQ(decode(x, options, 1).value()[0].shape(), (Shape{1, 1, 2, 2}));
  options.inputs = {spec("anything", {-1, 3, 2})};
  EXPECT_ERROR(open_dataset(x, options), "wants samples of shape [1,3,2], the array has [1,2,2]");
}

TEST(ArrayData, LabelsAreChecked) {
  const TemporaryFolder folder;
  const auto x = folder.write("x.npy", encode_npy(iota<float>(DType::f32, {3, 2})).value());
  const auto with = [&](const Tensor& labels) {
    DatasetOptions options;
    options.labels = folder.write("y.bin", encode_npy(labels).value());
    return open_dataset(x, options);
  };
  EXPECT_TRUE(with(Tensor::from<std::uint8_t>({1, 2, 3}, {3})));
  EXPECT_ERROR(with(Tensor::from<std::int32_t>({1, 2}, {2})), "one label for each of the 3");
  EXPECT_ERROR(with(Tensor::from<std::int32_t>({1, -2, 0}, {3})), "label -2 of sample 1");
  EXPECT_ERROR(with(Tensor::from<float>({1, 2, 0}, {3})), "expected integers");
  DatasetOptions options;
  options.labels = folder.path() / "missing.npy";
  EXPECT_ERROR(open_dataset(x, options), "missing.npy");
}

TEST(ArrayData, OtherNumberTypesAreConverted) {
  const TemporaryFolder folder;
  DatasetOptions options;
  options.inputs = {spec("x", {-1, 2})};
  const auto doubles = folder.write("d.npy", encode_npy(iota<double>(DType::f64, {2, 2})).value());
  EXPECT_EQ(decode(doubles, options, 1).value()[0].dtype(), DType::f32);
  const auto big = folder.write("b.npy", test::unhex(fixtures::npy_fortran_f8));
  options.inputs = {spec("x", {-1, 3, 2})};
  EXPECT_EQ(floats(decode(big, options, 1).value()[0]), (std::vector<float>{6, 7, 8, 9, 10, 11}));
  const auto ids = folder.write(
      "i.npy",
      encode_npy(Tensor::from<std::int64_t>({1, 2, std::int64_t{1} << 40, 4}, {2, 2})).value());
  options.inputs = {spec("x", {-1, 2}, DType::i32)};
  EXPECT_EQ(decode(ids, options, 0).value()[0].dtype(), DType::i32);
  EXPECT_ERROR(decode(ids, options, 1), "i.npy[1]");
  EXPECT_ERROR(decode(doubles, options, 1), "expected integers");
}

TEST(ArrayData, IntegersBecomeTheTypeThatHoldsThem) {
  const TemporaryFolder folder;
  fs::path path;
  const auto write = [&](std::initializer_list<std::int64_t> values) {
    const auto count = static_cast<std::int64_t>(values.size());
    path = folder.write("mask.npy",
                        encode_npy(Tensor::from<std::int64_t>(values, {count, 1})).value());
  };
  DatasetOptions options;
  const auto first_as = [&](DType dtype) {
    options.inputs = {spec("mask", {-1, 1}, dtype)};
    return decode(path, options, 0);
  };
  write({1});
  for (const auto dtype : {DType::boolean, DType::i8, DType::u8, DType::i16, DType::u16, DType::i32,
                           DType::u32, DType::u64, DType::i64}) {
    const auto got = first_as(dtype);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->front().dtype(), dtype);
    EXPECT_EQ(floats(got->front()), std::vector<float>{1});
  }
  write({-1});
  EXPECT_TRUE(first_as(DType::i8));
  EXPECT_FALSE(first_as(DType::u8));
  EXPECT_FALSE(first_as(DType::u64));
  write({2});
  EXPECT_FALSE(first_as(DType::boolean));
  write({128});
  EXPECT_FALSE(first_as(DType::i8));
  EXPECT_TRUE(first_as(DType::u8));
  EXPECT_FALSE(first_as(DType::f64));
}

TEST(ArrayData, ByteImagesGoThroughTheRecipe) {
  const TemporaryFolder folder;
  DatasetOptions options;
  options.inputs = {spec("x", {-1, 3, 2, 2})};
  options.recipe.scale = 0.5;
  options.recipe.mean = {1, 2, 3};
  const auto hwc = iota<std::uint8_t>(DType::u8, {2, 2, 2, 3});
  const auto packed = folder.write("p.npy", encode_npy(hwc).value());
  const std::vector<float> wanted{5, 6.5F, 8, 9.5F, 4.5F, 6, 7.5F, 9, 4, 5.5F, 7, 8.5F};
  EXPECT_EQ(floats(decode(packed, options, 1).value()[0]), wanted);
  auto chw = Tensor::zeros(DType::u8, {2, 3, 2, 2});
  for (std::int64_t n = 0; n < 2; ++n) {
    for (std::int64_t i = 0; i < 4; ++i) {
      for (std::int64_t c = 0; c < 3; ++c) {
        chw.mutable_data<std::uint8_t>()[n * 12 + c * 4 + i] =
            hwc.data<std::uint8_t>()[n * 12 + i * 3 + c];
      }
    }
  }
  const auto planar = folder.write("q.npy", encode_npy(chw).value());
  EXPECT_EQ(floats(decode(planar, options, 1).value()[0]), wanted);
  options.inputs = {spec("x", {-1, 6})};
  options.recipe.mean = {1};
  const auto flat =
      folder.write("f.npy", encode_npy(iota<std::uint8_t>(DType::u8, {2, 6})).value());
  EXPECT_EQ(floats(decode(flat, options, 0).value()[0]),
            (std::vector<float>{-1, -0.5F, 0, 0.5F, 1, 1.5F}));
}

TEST(ArrayData, SeveralInputsAreMatchedByName) {
  const TemporaryFolder folder;
  DatasetOptions options;
  options.inputs = {spec("a", {-1, 3}), spec("b", {-1, 2}, DType::i64)};
  const auto check = [&](const fs::path& path) {
    const auto dataset = open_dataset(path, options);
    ASSERT_TRUE(dataset) << dataset.error().message;
    EXPECT_EQ((*dataset)->size(), 2);
    EXPECT_EQ((*dataset)->labels(), (std::vector<std::int32_t>{1, 0}));
    const auto tensors = decode(path, options, 1).value();
    EXPECT_EQ(floats(tensors[0]), (std::vector<float>{3, 4, 5}));
    EXPECT_EQ(floats(tensors[1]), (std::vector<float>{2, 3}));
  };
  check(folder.write("x.npz", test::unhex(fixtures::npz_stored)));
  folder.write("d/a.npy", encode_npy(iota<float>(DType::f32, {2, 3})).value());
  folder.write("d/b.npy", encode_npy(iota<std::int64_t>(DType::i64, {2, 2})).value());
  folder.write("d/labels.npy", encode_npy(Tensor::from<std::int32_t>({1, 0}, {2})).value());
  check(folder.path() / "d");
  folder.write("d/b.npy", encode_npy(iota<std::int64_t>(DType::i64, {3, 2})).value());
  EXPECT_ERROR(open_dataset(folder.path() / "d", options), "b has 3 samples, but a has 2");
  fs::remove(folder.path() / "d/b.npy");
  EXPECT_ERROR(open_dataset(folder.path() / "d", options), "has no array b");
  EXPECT_ERROR(open_dataset(folder.path() / "d/a.npy", options), "the model has 2 inputs");
}

TEST(ArrayData, CompressedArchivesAreInflated) {
  const TemporaryFolder folder;
  DatasetOptions options;
  options.inputs = {spec("input", {-1, 3})};
  const auto file = test::unhex(fixtures::npz_deflated);
  const auto path = folder.write("x.npz", file);
  EXPECT_EQ(floats(decode(path, options, 1).value()[0]), (std::vector<float>{3, 4, 5}));
  for (std::size_t size = 1; size < file.size(); size += 3) {
    EXPECT_FALSE(open_dataset(folder.write("t.npz", file.substr(0, size)), options)) << size;
  }
}

TEST(ArrayData, DamagedArchivesNeverCrash) {
  const TemporaryFolder folder;
  DatasetOptions options;
  for (const auto hex : {fixtures::npz_deflated, fixtures::npz_stored}) {
    const auto file = test::unhex(hex);
    for (std::size_t i = 0; i < file.size(); i += 3) {
      auto damaged = file;
      damaged[i] = static_cast<char>(damaged[i] ^ 0xFF);
      const auto dataset = open_dataset(folder.write("x.npz", damaged), options);
      EXPECT_TRUE(dataset || !dataset.error().message.empty());
    }
  }
}

std::string idx_images(std::uint32_t count, std::uint32_t height, std::uint32_t width) {
  std::string out =
      std::string("\0\0\x08\x03", 4) + big_endian(count) + big_endian(height) + big_endian(width);
  for (std::uint32_t i = 0; i < count * height * width; ++i) out += static_cast<char>(i);
  return out;
}

TEST(IdxData, ImagesAreGreyAndLabelsLieBeside) {
  const auto labels = std::string("\0\0\x08\x01", 4) + big_endian(3) + "\x07\x01\x02";
  for (const bool packed : {false, true}) {
    const TemporaryFolder folder;
    const auto images = idx_images(3, 2, 4);
    const auto path = packed ? folder.write("t-images-idx3-ubyte.gz", test::gzip(images))
                             : folder.write("t-images-idx3-ubyte", images);
    folder.write("t-labels-idx1-ubyte.gz", test::gzip(labels));
    for (const Shape& shape : {Shape{-1, 1, 2, 4}, Shape{-1, 8}, Shape{-1, 2, 4}}) {
      DatasetOptions options;
      options.inputs = {spec("x", shape)};
      options.recipe.scale = 2;
      const auto dataset = open_dataset(path, options);
      ASSERT_TRUE(dataset) << dataset.error().message;
      EXPECT_EQ((*dataset)->labels(), (std::vector<std::int32_t>{7, 1, 2}));
      EXPECT_EQ(floats(decode(path, options, 1).value()[0]),
                (std::vector<float>{16, 18, 20, 22, 24, 26, 28, 30}));
    }
    DatasetOptions options;
    options.inputs = {spec("x", {-1, 1, 8, 8})};
    EXPECT_ERROR(decode(path, options, 1), "[1]: its size is 4x2, but input x wants 8x8");
    EXPECT_ERROR(open_dataset(folder.path() / "t-labels-idx1-ubyte.gz", options),
                 "a labels file goes beside");
    EXPECT_ERROR(open_dataset(folder.path(), options), "holds MNIST files");
  }
}

TEST(IdxData, TruncatedAndHostileFilesAreErrors) {
  const auto file = idx_images(3, 2, 4);
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(parse_idx(as_span(file.substr(0, size)))) << size;
  }
  EXPECT_EQ(parse_idx(as_span(file))->shape(), (Shape{3, 2, 4}));
  auto huge = file;
  huge.replace(4, 12, std::string(12, '\xff'));
  EXPECT_ERROR(parse_idx(as_span(huge)), "absurdly large");
  // The product overflows before the last dimension makes it zero.
  EXPECT_ERROR(parse_idx(as_span(std::string("\0\0\x08\x04", 4) + std::string(12, '\x7f') +
                                 std::string(4, '\0'))),
               "absurdly large");
  const TemporaryFolder folder;
  EXPECT_ERROR(open_dataset(folder.write("x", file.substr(0, 30)), {}), "truncated at byte 30");
  const auto packed = folder.write("x.gz", test::gzip(file.substr(0, 30)));
  EXPECT_TRUE(decode(packed, {}, 0));
  EXPECT_ERROR(decode(packed, {}, 2), packed.string() + ": truncated at byte 30");
}

TEST(IdxData, MnistReads) {
  const auto path = fs::path(OCTET_SOURCE_DIR) / "../shared/data/mnist/t10k-images-idx3-ubyte.gz";
  if (!fs::exists(path)) GTEST_SKIP() << "no " << path;
  DatasetOptions options;
  options.inputs = {spec("x", {-1, 1, 28, 28})};
  const auto dataset = open_dataset(path, options).value();
  EXPECT_EQ(dataset->size(), 10000);
  ASSERT_EQ(dataset->labels().size(), 10000U);
  // The first ten labels of the test set.
  EXPECT_EQ(std::vector<std::int32_t>(dataset->labels().begin(), dataset->labels().begin() + 10),
            (std::vector<std::int32_t>{7, 2, 1, 0, 4, 1, 4, 9, 5, 9}));
  EXPECT_TRUE(decode(path, options, 9999));
}

}  // namespace
}  // namespace octet

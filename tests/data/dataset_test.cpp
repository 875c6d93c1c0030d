#include "data/dataset.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "fixtures.h"
#include "support.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using test::flat_png;
using test::tar_end;
using test::tar_member;
using test::TemporaryFolder;

DatasetOptions options_for(Shape shape, ImageLayout layout = ImageLayout::nchw) {
  DatasetOptions options;
  options.inputs = {{"input", DType::f32, std::move(shape), layout}};
  return options;
}

/// First value of every sample that is fed, by data set index.
std::map<std::int64_t, float> first_values(const Dataset& dataset) {
  std::map<std::int64_t, float> out;
  auto stream = dataset.stream(select_samples(dataset, 0, 0)).value();
  while (auto sample = stream->next().value()) {
    const auto tensors = dataset.decode(*sample);
    EXPECT_TRUE(tensors) << test::message_of(tensors);
    if (tensors) out[sample->index] = (*tensors)[0].data<float>()[0];
  }
  return out;
}

TEST(Dataset, ClassFoldersAreSortedAndOtherFilesIgnored) {
  const TemporaryFolder folder;
  folder.write("b/2.png", flat_png(2));
  folder.write("b/1.PNG", flat_png(1));
  folder.write("a/9.png", flat_png(9));
  folder.write("b/notes.txt", "x");
  folder.write(".git/1.png", flat_png(50));
  folder.write("a/.hidden.png", flat_png(51));
  fs::create_directory(folder.path() / "c");
  const auto dataset = open_dataset(folder.path() / "", options_for({-1, 3, 2, 2})).value();
  EXPECT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->class_count(), 3);
  EXPECT_EQ(dataset->name(), folder.path().filename().string());
  EXPECT_EQ(dataset->labels(), (std::vector<std::int32_t>{0, 1, 1}));
  EXPECT_EQ(first_values(*dataset), (std::map<std::int64_t, float>{{0, 9}, {1, 1}, {2, 2}}));
}

TEST(Dataset, LabelListFindsImagesInBothPlaces) {
  const TemporaryFolder folder;
  folder.write("labels.txt", "z.png\t7\nsub/y.png\t3\n");
  folder.write("z.png", flat_png(10));
  folder.write("images/sub/y.png", flat_png(20));
  const auto dataset = open_dataset(folder.path(), options_for({1, 3, 2, 2})).value();
  EXPECT_EQ(dataset->labels(), (std::vector<std::int32_t>{7, 3}));
  EXPECT_EQ(dataset->class_count(), 0);
  EXPECT_EQ(first_values(*dataset), (std::map<std::int64_t, float>{{0, 10}, {1, 20}}));
  folder.write("labels.txt", "z.png\t7\nmissing.png\t3\n");
  EXPECT_ERROR(open_dataset(folder.path(), options_for({1, 3, 2, 2})),
               "line 2: there is no image missing.png");
}

TEST(Dataset, ArchivesGiveWhatFoldersGive) {
  const TemporaryFolder folder;
  std::string archive = tar_member("set/b/2.png", flat_png(2)) +
                        tar_member("set/a/9.png", flat_png(9)) + tar_member("set/b/readme", "x") +
                        tar_member("set/b/1.png", flat_png(1)) + tar_end;
  const auto options = options_for({-1, 3, 2, 2});
  for (const auto& path :
       {folder.write("x.tar", archive), folder.write("x.tar.gz", test::gzip(archive)),
        folder.write("two_members.tgz", test::gzip(archive.substr(0, 700)) +
                                            test::gzip(archive.substr(700)) + "padding")}) {
    const auto dataset = open_dataset(path, options);
    ASSERT_TRUE(dataset) << dataset.error().message;
    EXPECT_EQ((*dataset)->labels(), (std::vector<std::int32_t>{1, 0, 1}));
    EXPECT_EQ((*dataset)->class_count(), 2);
    EXPECT_EQ(first_values(**dataset), (std::map<std::int64_t, float>{{0, 2}, {1, 9}, {2, 1}}));
    auto stream = (*dataset)->stream({1}).value();
    EXPECT_EQ(stream->next().value()->name, "set/a/9.png");
    EXPECT_FALSE(stream->next().value().has_value());
  }
}

TEST(Dataset, ArchivesMayHoldALabelList) {
  const TemporaryFolder folder;
  const auto with_list = [&](const std::string& list) {
    return folder.write("x.tar.gz", test::gzip(tar_member("s/images/1.png", flat_png(1)) +
                                               tar_member("s/labels.txt", list) +
                                               tar_member("s/2.png", flat_png(2)) + tar_end));
  };
  const auto options = options_for({-1, 3, 2, 2});
  const auto dataset = open_dataset(with_list("2.png\t5\n1.png\t4\n"), options).value();
  EXPECT_EQ(dataset->labels(), (std::vector<std::int32_t>{4, 5}));
  EXPECT_EQ(first_values(*dataset), (std::map<std::int64_t, float>{{0, 1}, {1, 2}}));
  EXPECT_ERROR(open_dataset(with_list("2.png\t5\n3.png\t4\n"), options), "line 2");
  EXPECT_ERROR(open_dataset(with_list("2.png\t5\n2.png\t4\n"), options), "listed twice");
  EXPECT_ERROR(open_dataset(with_list("2.png"), options), "s/labels.txt: line 1");
}

TEST(Dataset, TruncatedArchivesNameFileAndByte) {
  const TemporaryFolder folder;
  const auto archive = tar_member("a/1.png", flat_png(1)) + tar_end;
  const auto plain = folder.write("x.tar", archive.substr(0, 550));
  EXPECT_ERROR(open_dataset(plain, {}), plain.string() + ": truncated at byte 550");
  auto packed = test::gzip(archive);
  packed.resize(packed.size() / 2);
  const auto zipped = folder.write("x.tar.gz", packed);
  EXPECT_ERROR(open_dataset(zipped, {}), zipped.string() + ": truncated");
  packed = test::gzip(archive);
  packed[30] = static_cast<char>(packed[30] ^ 0xFF);
  EXPECT_ERROR(open_dataset(folder.write("y.tar.gz", packed), {}), "y.tar.gz: ");
}

TEST(Dataset, UnusablePathsSayWhatIsAccepted) {
  const TemporaryFolder folder;
  EXPECT_ERROR(open_dataset(folder.path() / "none", {}), "there is no");
  EXPECT_ERROR(open_dataset(folder.path(), {}), "holds no data: expected class folders");
  EXPECT_ERROR(open_dataset(folder.write("empty", ""), {}), "is empty");
  fs::remove(folder.path() / "empty");
  EXPECT_ERROR(open_dataset(folder.write("x.bin", "what is this"), {}), "accepted: a folder");
  EXPECT_ERROR(open_dataset(folder.write("x.tar", "what is this"), {}), "x.tar: truncated");
  EXPECT_ERROR(open_dataset(folder.write("x.npy", "what is this"), {}), "not a .npy file");
  fs::remove(folder.path() / "x.npy");
  EXPECT_ERROR(open_dataset(folder.write("x.png", flat_png(3)), {}), "a single image");
  EXPECT_ERROR(open_dataset(folder.path(), {}), "holds 1 images but neither");
  fs::create_directories(folder.path() / "a/b");
  fs::remove(folder.path() / "x.png");
  EXPECT_ERROR(open_dataset(folder.path(), {}), "no images in its 1 folders; is ");
}

TEST(Dataset, ImagesMustFitTheInput) {
  const TemporaryFolder folder;
  folder.write("a/1.png", test::encode_png(test::pattern(5, 4)));
  const auto decode = [&](const DatasetOptions& options) -> Result<std::vector<Tensor>> {
    OCTET_ASSIGN(const auto dataset, open_dataset(folder.path(), options));
    OCTET_ASSIGN(const auto stream, dataset->stream({0}));
    OCTET_ASSIGN(const auto sample, stream->next());
    return dataset->decode(*sample);
  };
  const auto shape_of = [&](Shape shape, ImageLayout layout = ImageLayout::nchw) {
    const auto tensors = decode(options_for(std::move(shape), layout));
    return tensors ? to_string((*tensors)[0].shape()) : tensors.error().message;
  };
  EXPECT_EQ(shape_of({-1, 3, 4, 5}), "[1,3,4,5]");
  EXPECT_EQ(shape_of({-1, 3, -1, -1}), "[1,3,4,5]");
  EXPECT_EQ(shape_of({-1, 1, 4, 5}), "[1,1,4,5]");
  EXPECT_EQ(shape_of({-1, 4, 5, 3}, ImageLayout::nhwc), "[1,4,5,3]");
  EXPECT_EQ(shape_of({-1, 4, 5, 3}), "[1,4,5,3]");
  EXPECT_EQ(shape_of({-1, 4, 5}), "[1,4,5]");
  EXPECT_EQ(shape_of({-1, 20}), "[1,20]");
  EXPECT_EQ(shape_of({-1, 60}), "[1,60]");
  const auto wrong = shape_of({-1, 3, 8, 9});
  EXPECT_NE(wrong.find("a/1.png: its size is 5x4, but input input wants 9x8"), wrong.npos) << wrong;
  EXPECT_NE(wrong.find("resize_shorter"), wrong.npos) << wrong;
  EXPECT_NE(shape_of({-1, 61}).find("do not make the 61 values"), std::string::npos);
  EXPECT_NE(shape_of({-1, 7, 8, 8}).find("7 channels"), std::string::npos);
  auto options = options_for({-1, 3, 8, 8});
  options.recipe.crop = 8;
  EXPECT_ERROR(decode(options), "5x4 is too small for the recipe's crop of 8");
  options.recipe = {};
  options.recipe.resize_width = options.recipe.resize_height = 8;
  EXPECT_TRUE(decode(options));
  options.recipe.color = ColorOrder::gray;
  EXPECT_ERROR(decode(options), "color gray gives 1 channel");
  options = options_for({-1, 1, 4, 5});
  options.recipe.mean = {1, 2, 3};
  EXPECT_ERROR(decode(options), "mean has 3 numbers");
  options.inputs.push_back(options.inputs[0]);
  EXPECT_ERROR(decode(options), "the model has 2 inputs");
}

TEST(Dataset, FlatInputsTakeRowsOfInterleavedPixels) {
  const TemporaryFolder folder;
  const auto image = test::pattern(3, 2);
  folder.write("a/1.png", test::encode_png(image));
  const auto dataset = open_dataset(folder.path(), options_for({-1, 18})).value();
  const auto sample = *dataset->stream({0}).value()->next().value();
  const auto tensor = dataset->decode(sample).value()[0];
  for (std::size_t i = 0; i < 18; ++i) {
    EXPECT_EQ(tensor.data<float>()[i], static_cast<float>(image.pixels[i]));
  }
}

TEST(Dataset, RawByteInputsTakePixels) {
  const TemporaryFolder folder;
  folder.write("a/1.png", flat_png(200));
  auto options = options_for({-1, 3, 2, 2});
  options.inputs[0].dtype = DType::u8;
  const auto dataset = open_dataset(folder.path(), options).value();
  const auto sample = *dataset->stream({0}).value()->next().value();
  EXPECT_EQ(dataset->decode(sample).value()[0].data<std::uint8_t>()[11], 200);
  options.recipe.scale = 2;
  EXPECT_ERROR(open_dataset(folder.path(), options), "input has type u8");
}

TEST(Dataset, UndecodableImagesAreNamedWithTheReason) {
  const TemporaryFolder folder;
  folder.write("a/1.png", flat_png(1).substr(0, 40));
  const auto dataset = open_dataset(folder.path(), options_for({-1, 3, 2, 2})).value();
  const auto sample = *dataset->stream({0}).value()->next().value();
  EXPECT_ERROR(
      dataset->decode(sample),
      "cannot decode image " + (folder.path() / "a/1.png").string() + ": truncated PNG data");
}

TEST(Dataset, CifarArchiveMatchesItsDescription) {
  const auto path = fs::path(OCTET_SOURCE_DIR) / "../shared/data/cifar10_val.tar.gz";
  if (!fs::exists(path)) GTEST_SKIP() << "no " << path;
  const auto dataset = open_dataset(path, options_for({-1, 3, 32, 32})).value();
  EXPECT_EQ(dataset->size(), 5000);
  EXPECT_EQ(dataset->class_count(), 10);
  std::map<std::int32_t, int> counts;
  for (const auto label : dataset->labels()) ++counts[label];
  for (const auto& [label, count] : counts) EXPECT_EQ(count, 500) << label;
}

}  // namespace
}  // namespace octet

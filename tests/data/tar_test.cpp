#include "data/tar.h"

#include <gtest/gtest.h>

#include "data/image_list.h"
#include "fixtures.h"
#include "support.h"

namespace octet {
namespace {

using test::as_span;
using test::tar_end;
using test::tar_member;

Result<std::vector<TarEntry>> index_of(const std::string& archive) {
  const auto stream = memory_byte_stream(as_span(archive));
  return index_tar(*stream, is_label_list);
}

TEST(Tar, ListsFilesAndFolders) {
  const auto archive = tar_member("./top/", "", '5') + tar_member("./top/a.png", "hello") +
                       tar_member("link", "", '2') +
                       tar_member("labels.txt", std::string(600, 'x')) + tar_end;
  const auto index = index_of(archive);
  ASSERT_TRUE(index) << index.error().message;
  ASSERT_EQ(index->size(), 3U);
  EXPECT_TRUE((*index)[0].directory);
  EXPECT_EQ((*index)[0].name, "top");
  EXPECT_EQ((*index)[1].name, "top/a.png");
  EXPECT_EQ((*index)[1].size, 5U);
  EXPECT_EQ(archive.substr((*index)[1].offset, 5), "hello");
  EXPECT_EQ((*index)[1].contents, "");
  EXPECT_EQ((*index)[2].contents, std::string(600, 'x'));
}

TEST(Tar, ReadsGnuAndPaxNames) {
  for (const auto hex : {fixtures::tar_gz_gnu, fixtures::tar_gz_pax}) {
    const test::TemporaryFolder folder;
    const auto stream = open_byte_stream(folder.write("x.tar.gz", test::unhex(hex))).value();
    const auto index = index_tar(*stream, {});
    ASSERT_TRUE(index) << index.error().message;
    ASSERT_EQ(index->size(), 4U);
    EXPECT_EQ((*index)[1].name, "top/a/\xc3\xa9.png");
    EXPECT_EQ((*index)[2].name,
              "top/" + std::string(60, 'c') + "/" + std::string(120, 'n') + ".png");
    const auto png = test::unhex(fixtures::png_2x2);
    EXPECT_EQ((*index)[2].size, png.size());
  }
}

TEST(Tar, EveryTruncationIsAnErrorThatNamesTheByte) {
  const auto whole = tar_member("a/1.png", "hello") + tar_member("b/2.png", std::string(700, 'x'));
  for (std::size_t size = 0; size <= whole.size(); size += 7) {
    EXPECT_ERROR(index_of(whole.substr(0, size)), fmt::format("byte {}", size));
  }
}

TEST(Tar, DamagedHeadersAreErrors) {
  const auto good = tar_member("a/1.png", "hello") + tar_end;
  for (std::size_t i = 0; i < 512; ++i) {
    // These flips turn '0' before or ' ' after the checksum's digits into each other.
    if (i == 148 || i == 155) continue;
    auto bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    EXPECT_FALSE(index_of(bad)) << i;
  }
}

std::string with_size(const std::string& field) {
  auto header = tar_member("a", "");
  header.replace(124, 12, field);
  header.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::array<char, 16> octal{};
  std::snprintf(octal.data(), octal.size(), "%06o", sum);
  header.replace(148, 7, std::string(octal.data()) + '\0');
  return header + tar_end;
}

TEST(Tar, HostileSizesAreErrors) {
  EXPECT_ERROR(index_of(with_size("77777777777 ")), "truncated");
  EXPECT_ERROR(index_of(with_size("0000000000x ")), "bad size");
  EXPECT_ERROR(index_of(with_size("\xff" + std::string(11, '\xff'))), "bad size");
  EXPECT_ERROR(index_of(with_size("\x80" + std::string(4, '\0') + std::string(7, '\x7f'))),
               "claims a file");
  std::string five = "\x80" + std::string(10, '\0') + "\x05";
  EXPECT_ERROR(index_of(with_size(five).substr(0, 512) + "hello"), "truncated");
}

TEST(Tar, HostileExtensionsAreErrors) {
  const auto with_pax = [](const std::string& records) {
    return tar_member("x", records, 'x') + tar_member("a", "") + tar_end;
  };
  EXPECT_TRUE(index_of(with_pax("9 path=b\n")));
  EXPECT_EQ(index_of(with_pax("9 path=b\n"))->front().name, "b");
  for (const auto* records : {"9 path=", "0 path=b\n", "99999999999999999999999 path=b\n", "path",
                              "2 \n", "3 a\n", "8 path=b\n", "11 size=1x\n", "11 size=-1\n"}) {
    EXPECT_ERROR(index_of(with_pax(records)), "byte");
  }
  EXPECT_ERROR(index_of(with_pax("23 size=999999999999999\n")), "byte");
  EXPECT_ERROR(index_of(tar_member("x", std::string(1100000, 'n'), 'L') + tar_end), "claims");
}

TEST(ImageList, LabelLinesAreChecked) {
  const auto lines = parse_label_list("a.png\t3\r\n\nb c.png\t0");
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->size(), 2U);
  EXPECT_EQ((*lines)[1].file, "b c.png");
  EXPECT_EQ((*lines)[0].label, 3);
  EXPECT_EQ((*lines)[1].line, 3);
  EXPECT_ERROR(parse_label_list("a.png\t1\nb.png 2\n"), "line 2");
  EXPECT_ERROR(parse_label_list("a.png\tcat\n"), "line 1: the class");
  EXPECT_ERROR(parse_label_list("a.png\t-1\n"), "line 1");
  EXPECT_ERROR(parse_label_list("a.png\t99999999999\n"), "line 1");
  EXPECT_ERROR(parse_label_list("../a.png\t1\n"), "below the folder");
  EXPECT_ERROR(parse_label_list("/a.png\t1\n"), "below the folder");
  EXPECT_ERROR(parse_label_list("\n\n"), "empty");
}

Result<ImageList> list_of(const std::vector<std::string>& names) {
  std::vector<TarEntry> entries;
  for (const auto& name : names) {
    const bool folder = name.back() == '/';
    entries.push_back({folder ? name.substr(0, name.size() - 1) : name, 0, 0, folder, {}});
  }
  return list_tar_images(entries);
}

TEST(ImageList, ArchivesMayHaveATopFolder) {
  for (const std::string top : {"", "top/", "a/b/"}) {
    const auto list = list_of({top + "dog/2.png", top + "cat/1.PNG", top + "dog/x.txt",
                               top + "dog/.hidden.png", top + "bird/", "README"});
    ASSERT_TRUE(list) << list.error().message;
    EXPECT_EQ(list->class_count, 3);
    ASSERT_EQ(list->entries.size(), 2U);
    EXPECT_EQ(list->entries[0].label, 2);
    EXPECT_EQ(list->entries[1].label, 1);
  }
  EXPECT_EQ(list_of({"top/only/1.png", "top/only/2.png"})->class_count, 1);
  EXPECT_ERROR(list_of({"1.png", "2.png"}), "no data");
  EXPECT_ERROR(list_of({"a/b/"}), "no data");
  EXPECT_ERROR(list_of({}), "no data");
}

}  // namespace
}  // namespace octet

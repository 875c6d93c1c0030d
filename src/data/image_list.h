#pragma once
// Which images a folder or an archive holds, and their classes.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "data/tar.h"

namespace octet {

struct ImageEntry {
  std::string name;  ///< relative to the folder, or as in the archive
  std::int32_t label = 0;
  std::uint64_t offset = 0;  ///< in the (inflated) archive
  std::uint64_t size = 0;    ///< likewise
};

struct ImageList {
  std::vector<ImageEntry> entries;
  int class_count = 0;  ///< 0: the source does not say
};

/// Whether a file name ends in .png, .jpg, .jpeg or .bmp, in any case.
[[nodiscard]] bool has_image_suffix(std::string_view name);

struct LabelLine {
  std::string file;
  std::int32_t label = 0;
  std::int64_t line = 0;  ///< from 1
};

/// labels.txt: `file<TAB>class` a line, class >= 0; empty lines are skipped. Errors name the line.
[[nodiscard]] Result<std::vector<LabelLine>> parse_label_list(std::string_view text);

/// A folder of class folders: classes in the order of their names (bytewise), images likewise.
/// An empty class folder is a class too. Hidden and other files are ignored.
[[nodiscard]] Result<ImageList> list_class_folders(const std::filesystem::path& folder);

/// A folder with labels.txt: in the order of its lines. Every image must exist, beside it or under
/// images/.
[[nodiscard]] Result<ImageList> list_labelled_images(const std::filesystem::path& folder);

/// Either of the two as an archive, possibly below one top folder; in archive order.
[[nodiscard]] Result<ImageList> list_tar_images(const std::vector<TarEntry>& entries);

/// The filter for index_tar() that list_tar_images() relies on.
[[nodiscard]] bool is_label_list(std::string_view name);

}  // namespace octet

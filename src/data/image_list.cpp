#include "data/image_list.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "data/byte_stream.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t max_list_size = std::uint64_t{64} << 20;

bool is_hidden(std::string_view name) { return !name.empty() && name.front() == '.'; }

/// Names of what a folder holds, sorted, hidden ones left out.
Result<std::vector<std::string>> sorted_names(const fs::path& folder, bool want_folders) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    std::error_code ignored;  // a dangling link is neither file nor folder
    const bool wanted = want_folders ? it->is_directory(ignored) : it->is_regular_file(ignored);
    auto name = it->path().filename().string();
    if (wanted && !is_hidden(name)) names.push_back(std::move(name));
  }
  if (error) return bad_input("cannot read folder {}: {}", folder.string(), error.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> image_names(std::vector<std::string> names) {
  std::erase_if(names, [](const std::string& name) { return !has_image_suffix(name); });
  return names;
}

/// Why a folder without images in class folders is no data set.
Result<ImageList> no_images(const fs::path& folder, const std::vector<std::string>& classes) {
  OCTET_ASSIGN(const auto loose, sorted_names(folder, false));
  const auto images = image_names(loose).size();
  if (images > 0) {
    return bad_input(
        "{} holds {} images but neither class folders nor labels.txt, so that their classes are "
        "not known",
        folder.string(), images);
  }
  for (const auto& name : classes) {
    OCTET_ASSIGN(const auto inner, sorted_names(folder / name, true));
    if (!inner.empty()) {
      return bad_input("{} has no images in its {} folders; is {} meant?", folder.string(),
                       classes.size(), (folder / name).string());
    }
  }
  if (!classes.empty()) {
    return bad_input("{} has {} folders but no PNG, JPEG or BMP image in them", folder.string(),
                     classes.size());
  }
  return bad_input(
      "{} holds no data: expected class folders with PNG, JPEG or BMP images, labels.txt, or "
      "NAME.npy files",
      folder.string());
}

bool escapes(const fs::path& file) {
  return file.is_absolute() || std::find(file.begin(), file.end(), "..") != file.end();
}

std::vector<std::string_view> split_path(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const auto slash = path.find('/');
    const auto part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.push_back(part);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return parts;
}

Result<ImageList> list_labelled_tar(const std::vector<TarEntry>& entries, const TarEntry& list) {
  const auto context = [&](const Error& error) {
    return tl::unexpected(error.with_context(list.name));
  };
  const auto lines = parse_label_list(list.contents);
  if (!lines) return context(lines.error());
  const auto slash = list.name.rfind('/');
  const auto base = slash == std::string::npos ? std::string() : list.name.substr(0, slash + 1);
  std::unordered_map<std::string_view, std::size_t> by_name;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].directory) by_name[entries[i].name] = i;
  }
  std::map<std::size_t, std::int32_t> chosen;  // archive order
  for (const auto& line : *lines) {
    auto found = by_name.find(base + line.file);
    if (found == by_name.end()) found = by_name.find(base + "images/" + line.file);
    if (found == by_name.end()) {
      return bad_input("{} line {}: the archive has no image {}", list.name, line.line, line.file);
    }
    if (!chosen.emplace(found->second, line.label).second) {
      return bad_input("{} line {}: {} is listed twice", list.name, line.line, line.file);
    }
  }
  ImageList out;
  for (const auto& [i, label] : chosen) {
    out.entries.push_back({entries[i].name, label, entries[i].offset, entries[i].size});
  }
  return out;
}

struct TarPath {
  const TarEntry* entry = nullptr;
  std::vector<std::string_view> parts;
};

/// Images and folders that are not hidden.
std::vector<TarPath> visible_paths(const std::vector<TarEntry>& entries) {
  std::vector<TarPath> paths;
  for (const auto& entry : entries) {
    if (!entry.directory && !has_image_suffix(entry.name)) continue;
    TarPath path{&entry, split_path(entry.name)};
    const bool hidden = std::any_of(path.parts.begin(), path.parts.end(), is_hidden);
    if (!path.parts.empty() && !hidden) paths.push_back(std::move(path));
  }
  return paths;
}

/// How many top folders all images share above their class folders.
std::size_t shared_depth(const std::vector<TarPath>& paths) {
  const std::vector<std::string_view>* first = nullptr;
  std::size_t shared = 0;
  std::size_t deepest = 0;
  for (const auto& path : paths) {
    if (path.entry->directory) continue;
    deepest = std::max(deepest, path.parts.size());
    if (first == nullptr) {
      first = &path.parts;
      shared = path.parts.size() - 1;
      continue;
    }
    const auto limit = std::min(shared, path.parts.size() - 1);
    shared = 0;
    while (shared < limit && (*first)[shared] == path.parts[shared]) ++shared;
  }
  return std::min(shared, std::max<std::size_t>(deepest, 2) - 2);
}

}  // namespace

bool has_image_suffix(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string suffix(name.substr(dot + 1));
  for (char& c : suffix) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return suffix == "png" || suffix == "jpg" || suffix == "jpeg" || suffix == "bmp";
}

Result<std::vector<LabelLine>> parse_label_list(std::string_view text) {
  std::vector<LabelLine> lines;
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    const auto tab = line.find('\t');
    if (tab == std::string_view::npos || tab == 0) {
      return bad_input("line {}: expected file<TAB>class", number);
    }
    const auto digits = line.substr(tab + 1);
    std::int32_t label = -1;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), label);
    if (error != std::errc{} || stop != digits.data() + digits.size() || label < 0) {
      return bad_input("line {}: the class after the tab must be a number >= 0", number);
    }
    std::string file(line.substr(0, tab));
    if (file.find('\0') != std::string::npos || escapes(file)) {
      return bad_input("line {}: the file must lie below the folder of the list", number);
    }
    lines.push_back({std::move(file), label, number});
  }
  if (lines.empty()) return bad_input("the list is empty");
  return lines;
}

Result<ImageList> list_class_folders(const fs::path& folder) {
  OCTET_ASSIGN(const auto classes, sorted_names(folder, true));
  ImageList out;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    OCTET_ASSIGN(auto names, sorted_names(folder / classes[label], false));
    for (const auto& name : image_names(std::move(names))) {
      out.entries.push_back({classes[label] + "/" + name, static_cast<std::int32_t>(label), 0, 0});
    }
  }
  if (out.entries.empty()) return no_images(folder, classes);
  out.class_count = static_cast<int>(classes.size());
  return out;
}

Result<ImageList> list_labelled_images(const fs::path& folder) {
  const auto path = folder / "labels.txt";
  OCTET_ASSIGN(const auto bytes, read_whole_file(path, max_list_size));
  const auto lines = parse_label_list({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!lines) return tl::unexpected(lines.error().with_context(path.string()));
  ImageList out;
  for (const auto& line : *lines) {
    std::error_code error;
    std::string name = line.file;
    if (!fs::is_regular_file(folder / name, error)) name = "images/" + line.file;
    if (!fs::is_regular_file(folder / name, error)) {
      return bad_input("{} line {}: there is no image {}, neither beside it nor under images/",
                       path.string(), line.line, line.file);
    }
    out.entries.push_back({std::move(name), line.label, 0, 0});
  }
  return out;
}

bool is_label_list(std::string_view name) {
  return name == "labels.txt" ||
         (name.size() > 11 && name.substr(name.size() - 11) == "/labels.txt");
}

Result<ImageList> list_tar_images(const std::vector<TarEntry>& entries) {
  for (const auto& entry : entries) {
    // At the top, or below one top folder; a class folder may hold a file of that name too.
    const bool near = std::count(entry.name.begin(), entry.name.end(), '/') <= 1;
    if (!entry.directory && near && is_label_list(entry.name)) {
      return list_labelled_tar(entries, entry);
    }
  }
  const auto paths = visible_paths(entries);
  const auto top = shared_depth(paths);
  const auto* first = paths.empty() ? nullptr : &paths.front().parts;
  for (const auto& path : paths) {
    if (!path.entry->directory) {
      first = &path.parts;
      break;
    }
  }
  const auto below_top = [&](const TarPath& path) {
    return path.parts.size() > top &&
           std::equal(path.parts.begin(), path.parts.begin() + static_cast<std::ptrdiff_t>(top),
                      first->begin());
  };
  std::set<std::string_view> classes;
  for (const auto& path : paths) {
    const std::size_t depth = path.entry->directory ? 1 : 2;
    if (path.parts.size() == top + depth && below_top(path)) classes.insert(path.parts[top]);
  }
  ImageList out;
  for (const auto& path : paths) {
    if (path.entry->directory || path.parts.size() != top + 2) continue;
    const auto label = std::distance(classes.begin(), classes.find(path.parts[top]));
    out.entries.push_back(
        {path.entry->name, static_cast<std::int32_t>(label), path.entry->offset, path.entry->size});
  }
  if (out.entries.empty()) {
    return bad_input(
        "the archive holds no data: expected class folders with PNG, JPEG or BMP images, or "
        "labels.txt");
  }
  out.class_count = static_cast<int>(classes.size());
  return out;
}

}  // namespace octet

#pragma once
#include <filesystem>
#include <span>
#include <vector>

#include "core/file.h"
#include "graph/graph.h"

namespace octet::onnx {

/// What a model file and the files it points to hold.
struct ParsedModel {
  Graph graph;
  std::vector<FileView> external_files;  ///< in order of their names
};

/// See onnx::parse.
[[nodiscard]] Result<ParsedModel> parse_model(std::span<const std::byte> bytes,
                                              const std::filesystem::path& folder);

}  // namespace octet::onnx

#include "formats/tflite/reader_metadata.h"

#include <algorithm>

#include "formats/tflite/extra.h"

namespace octet::tflite {
namespace {

/// How many bytes of a character follow its first one; -1 for a byte that starts none.
int following_bytes(unsigned char first) {
  if (first < 0x80) return 0;
  if (first >= 0xC2 && first < 0xE0) return 1;
  if (first >= 0xE0 && first < 0xF0) return 2;
  if (first >= 0xF0 && first < 0xF5) return 3;
  return -1;
}

/// UTF-8 without zero bytes.
bool is_text(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto first = static_cast<unsigned char>(bytes[i]);
    const int following = first == 0 ? -1 : following_bytes(first);
    if (following < 0 || bytes.size() - i <= static_cast<std::size_t>(following)) return false;
    for (int k = 0; k < following; ++k) {
      if ((static_cast<unsigned char>(bytes[++i]) & 0xC0) != 0x80) return false;
    }
  }
  return true;
}

Status read_entry(const FileModel& file, const wire::Metadata& entry, Graph& graph) {
  const auto name = entry.name() == nullptr ? std::string() : entry.name()->str();
  const auto bytes = buffer_bytes(file, entry.buffer());
  if (!bytes) return tl::unexpected(bytes.error().with_context("metadata " + name));
  std::string contents(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  if (is_text(contents)) {
    graph.metadata[name] = std::move(contents);
  } else {
    graph.format_extra[std::string(extra::metadata) + name] = std::move(contents);
  }
  return {};
}

using TensorMaps = std::vector<std::unique_ptr<wire::TensorMapT>>;

/// Tensor numbers -> positions in the graph's list; false when one is not in it.
bool renumber(TensorMaps& maps, const std::vector<int>& list) {
  return std::all_of(maps.begin(), maps.end(), [&](const auto& map) {
    const auto found =
        std::find(list.begin(), list.end(), static_cast<std::int64_t>(map->tensor_index));
    map->tensor_index = static_cast<std::uint32_t>(found - list.begin());
    return found != list.end();
  });
}

/// Signatures that name other tensors than the graph's inputs and outputs mean nothing after the
/// translation.
void read_signatures(const FileModel& file, Graph& graph) {
  const auto* signatures = file.wire->signature_defs();
  if (signatures == nullptr || signatures->size() == 0) return;
  wire::ModelT kept;
  for (const auto* signature : *signatures) {
    std::unique_ptr<wire::SignatureDefT> copy(signature->UnPack());
    if (!renumber(copy->inputs, file.inputs) || !renumber(copy->outputs, file.outputs)) continue;
    kept.signature_defs.push_back(std::move(copy));
  }
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(wire::Model::Pack(builder, &kept), wire::ModelIdentifier());
  graph.format_extra[std::string(extra::signatures)] =
      std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

}  // namespace

Status read_metadata(const FileModel& file, Graph& graph) {
  const auto& subgraph = *file.wire->subgraphs()->Get(0);
  if (subgraph.name() != nullptr) graph.name = subgraph.name()->str();
  if (file.wire->description() != nullptr) graph.producer = file.wire->description()->str();
  if (file.wire->metadata() != nullptr) {
    for (const auto* entry : *file.wire->metadata()) OCTET_TRY(read_entry(file, *entry, graph));
  }
  read_signatures(file, graph);
  return {};
}

}  // namespace octet::tflite

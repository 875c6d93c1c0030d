#include "api/samples_hash.h"

#include <fmt/format.h>

#include "core/hash.h"

namespace octet {

std::string hash_of(const std::string& text) {
  return content_hash(std::as_bytes(std::span(text)));
}

Result<std::string> samples_hash(const OpenData& data) {
  OCTET_ASSIGN(const auto stream, data.dataset->stream(data.selection));
  std::string hash = hash_of(fmt::format("{} {}", data.dataset->name(), data.dataset->size()));
  for (;;) {
    OCTET_ASSIGN(const auto sample, stream->next());
    if (!sample) break;
    auto text = sample->name + content_hash(sample->bytes);
    for (const auto& tensor : sample->tensors) {
      text += content_hash({tensor.raw(), tensor.bytes()});
    }
    hash = add_hashes(hash, hash_of(text));
  }
  // A sum of hashes knows no order, which labels have.
  std::string of_samples;
  for (const auto i : data.selection) {
    const auto at = static_cast<std::size_t>(i);
    if (at < data.dataset->labels().size()) {
      of_samples += fmt::format("{} ", data.dataset->labels()[at]);
    }
  }
  return add_hashes(hash, hash_of(of_samples));
}

}  // namespace octet

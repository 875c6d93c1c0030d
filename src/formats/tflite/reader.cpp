#include <set>

#include "formats/tflite/reader_metadata.h"
#include "formats/tflite/tflite.h"
#include "formats/tflite/translator.h"

namespace octet::tflite {

Result<QuantizedGraph> parse(std::span<const std::byte> bytes) {
  OCTET_ASSIGN(const auto file, open_model_bytes(bytes));
  OCTET_ASSIGN(auto model, Translator(file).run());
  OCTET_TRY(read_metadata(file, model.graph));
  // What LiteRT computes by default; files that octet wrote say in their metadata if it is another.
  model.plan.rule = Rule::xnnpack;
  return model;
}

}  // namespace octet::tflite

#include "api/provenance.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/engine_choice.h"
#include "core/hash.h"

namespace octet {
namespace {

constexpr std::string_view prefix = "octet.";

nlohmann::ordered_json options_json(const Provenance& provenance) {
  const auto& options = provenance.options;
  const auto& request = provenance.request;
  const bool with_data = options.method == Method::static_ranges;
  nlohmann::ordered_json json;
  json["method"] = name(options.method);
  json["target"] = options.target;
  const int most_bits = options.reduce_range ? 7 : 8;
  const int bits = std::min(options.weight_bits, most_bits);
  json["weights"] = options.weights == WeightType::float16 ? "float16" : fmt::format("int{}", bits);
  for (const auto& [key, own] : {std::pair("bits_first_last", options.edge_weight_bits),
                                 std::pair("bits_depthwise", options.depthwise_weight_bits)}) {
    const int of_layer = std::min(own.value_or(bits), most_bits);
    if (options.weights != WeightType::float16 && of_layer != bits) json[key] = of_layer;
  }
  if (options.weights == WeightType::int4) json["packed"] = true;
  if (options.method == Method::dynamic) {
    json["dynamic_form"] = options.dynamic_form == DynamicForm::qdq ? "qdq" : "integer";
  }
  if (with_data) {
    json["observer"] = options.choose_ranges ? "auto" : name(provenance.statistics->observer);
    json["activations"] = options.activation_bits;
    const auto& skip = options.skip;
    if (request.optimize == "best") json["optimize"] = request.optimize;
    json["equalize"] = options.equalize;
    if (options.absorb_bias) json["absorb_bias"] = true;
    json["refine_bias"] = options.refine_bias;
    json["adaround"] = options.learn_rounding;
    if (options.rounding_scope != RoundingScope::layer) {
      json["adaround_scope"] = name(options.rounding_scope);
    }
    if (request.data_free) json["data_free"] = true;
    json["bias_correction"] = std::find(skip.begin(), skip.end(), "correct_bias") == skip.end();
  }
  if (options.weight_observer != WeightObserver::minmax) {
    json["weight_observer"] = name(options.weight_observer);
  }
  if (request.per_channel) json["per_channel"] = *request.per_channel;
  if (!request.activation_storage.empty()) json["storage"] = request.activation_storage;
  if (request.io != "float") json["io"] = request.io;
  if (!request.input_layout.empty()) json["input_layout"] = request.input_layout;
  if (!options.keep_float.empty()) json["keep_float"] = options.keep_float;
  if (!options.wide.empty()) json["int16"] = options.wide;
  if (!options.narrow.empty()) json["int4"] = options.narrow;
  if (!request.skip.empty()) json["skip"] = request.skip;
  if (request.requantize) json["requantize"] = true;
  if (with_data && request.statistics.empty() && !request.data_free) {
    json["seed"] = request.data.seed;
  }
  return json;
}

}  // namespace

void write_provenance(QuantizedGraph& model, const Provenance& provenance) {
  auto& metadata = model.graph.metadata;
  // Of the model that was quantized, which octet may have written too, only the recipe stays true.
  std::erase_if(metadata, [](const auto& entry) {
    return entry.first.starts_with(prefix) && entry.first != recipe_key;
  });
  metadata["octet.version"] = version();
  metadata["octet.options"] = options_json(provenance).dump();
  metadata["octet.float_model"] = provenance.source_hash;
  state_rule(model, provenance.request.output);
  if (provenance.statistics == nullptr || provenance.request.data_free) return;
  const auto& statistics = *provenance.statistics;
  const auto bytes = encode(statistics);
  metadata["octet.statistics"] = content_hash(std::as_bytes(std::span(bytes)));
  if (!statistics.data_name.empty()) metadata["octet.data"] = statistics.data_name;
  metadata["octet.data_fingerprint"] = statistics.data_fingerprint;
  metadata["octet.samples"] = std::to_string(statistics.samples);
  if (provenance.classes > 0) metadata["octet.classes"] = std::to_string(provenance.classes);
}

std::map<std::string, std::string> read_provenance(const Graph& graph) {
  std::map<std::string, std::string> entries;
  for (const auto& [key, value] : graph.metadata) {
    if (key.starts_with(prefix)) entries[key.substr(prefix.size())] = value;
  }
  return entries;
}

}  // namespace octet

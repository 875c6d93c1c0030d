#include "api/provenance.h"

#include <nlohmann/json.hpp>

#include "core/hash.h"

namespace octet {
namespace {

constexpr std::string_view prefix = "octet.";

nlohmann::ordered_json options_json(const QuantizeRequest& request) {
  nlohmann::ordered_json json;
  json["method"] = "static";
  json["target"] = request.target;
  json["observer"] = request.observer;
  json["weights"] =
      fmt::format("int{}", request.reduce_range ? request.weight_bits - 1 : request.weight_bits);
  json["activations"] = request.activation_bits;
  if (request.per_channel) json["per_channel"] = *request.per_channel;
  if (!request.keep_float.empty()) json["keep_float"] = request.keep_float;
  json["bias_correction"] = request.bias_correction;
  if (!request.skip.empty()) json["skip"] = request.skip;
  if (request.statistics.empty()) json["seed"] = request.data.seed;
  return json;
}

}  // namespace

void write_provenance(Graph& graph, const QuantizeRequest& request, const std::string& float_hash,
                      const Statistics& statistics) {
  const auto bytes = encode(statistics);
  graph.metadata["octet.version"] = version();
  graph.metadata["octet.options"] = options_json(request).dump();
  graph.metadata["octet.float_model"] = float_hash;
  graph.metadata["octet.statistics"] = content_hash(std::as_bytes(std::span(bytes)));
  if (!statistics.data_name.empty()) graph.metadata["octet.data"] = statistics.data_name;
  graph.metadata["octet.data_fingerprint"] = statistics.data_fingerprint;
  graph.metadata["octet.samples"] = std::to_string(statistics.samples);
}

std::map<std::string, std::string> read_provenance(const Graph& graph) {
  std::map<std::string, std::string> entries;
  for (const auto& [key, value] : graph.metadata) {
    if (key.starts_with(prefix)) entries[key.substr(prefix.size())] = value;
  }
  return entries;
}

}  // namespace octet

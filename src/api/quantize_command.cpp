#include "api/quantize_command.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "api/commands.h"

namespace octet {
namespace {

using Json = nlohmann::json;

Json options_of(const std::map<std::string, std::string>& provenance) {
  const auto it = provenance.find("options");
  if (it == provenance.end()) return Json::object();
  auto json = Json::parse(it->second, nullptr, false);
  return json.is_object() ? json : Json::object();
}

std::vector<std::string> texts(const Json& json, const char* key) {
  std::vector<std::string> out;
  const auto it = json.find(key);
  if (it == json.end() || !it->is_array()) return out;
  for (const auto& entry : *it) {
    if (entry.is_string()) out.push_back(entry.get<std::string>());
  }
  return out;
}

std::string text(const Json& json, const char* key, const std::string& usual = {}) {
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : usual;
}

std::optional<bool> flag(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_boolean()) return std::nullopt;
  return it->get<bool>();
}

int number(const Json& json, const char* key, int usual) {
  const auto it = json.find(key);
  return it != json.end() && it->is_number_integer() ? it->get<int>() : usual;
}

void read_weights(const Json& json, QuantizeRequest& r) {
  r.weight_observer = text(json, "weight_observer", r.weight_observer);
  const auto weights = text(json, "weights", "int8");
  const bool packed = flag(json, "packed").value_or(false);
  if (weights == "float16" || packed) r.weights = packed ? "int4" : weights;
  if (weights.size() != 4 || !weights.starts_with("int")) return;
  const int bits = weights[3] - '0';
  // 7 bits in all layers are what --reduce-range makes: others keep 8 in the depthwise ones.
  r.reduce_range = bits == 7 && !json.contains("bits_depthwise");
  if (bits == 8 || r.reduce_range) return;
  if (!packed || bits != 4) r.weight_bits = bits;
  const int of_edges = number(json, "bits_first_last", bits);
  if (of_edges != 8) r.edge_weight_bits = of_edges;
}

void read_activations(const Json& json, QuantizeRequest& r) {
  const int bits = number(json, "activations", 8);
  r.activation_storage = text(json, "storage");
  if (bits == 16) r.activation_storage = "int16";
  if (bits < 8) r.activation_bits = bits;
}

}  // namespace

QuantizeRequest request_from_provenance(const std::map<std::string, std::string>& provenance) {
  const Json json = options_of(provenance);
  QuantizeRequest r;
  r.method = text(json, "method", "static");
  if (r.method == "static") r.method.clear();
  r.target = text(json, "target");
  if (r.target == "onnxruntime") r.target.clear();
  r.dynamic_form = text(json, "dynamic_form");
  r.observer = text(json, "observer", "mse");
  r.per_channel = flag(json, "per_channel");
  read_weights(json, r);
  read_activations(json, r);
  r.io = text(json, "io", "float");
  r.input_layout = text(json, "input_layout");
  r.keep_float = texts(json, "keep_float");
  r.wide = texts(json, "int16");
  r.narrow = texts(json, "int4");
  r.skip = texts(json, "skip");
  r.data_free = flag(json, "data_free").value_or(false);
  r.requantize = flag(json, "requantize").value_or(false);
  // Its switches have other usual positions than those of the usual level.
  r.optimize = text(json, "optimize");
  const auto unusual = [&](const std::optional<bool>& on, bool usual) {
    return r.optimize.empty() && on == usual ? std::nullopt : on;
  };
  const bool few_bits = r.weight_bits != 0 || r.weights == "int4" || !r.narrow.empty();
  r.equalize = unusual(flag(json, "equalize"), few_bits || r.per_channel == false);
  r.absorb_bias = unusual(flag(json, "absorb_bias"), false);
  r.refine_bias = unusual(flag(json, "refine_bias"), false);
  r.bias_correction = unusual(flag(json, "bias_correction"), true);
  r.learn_rounding = unusual(flag(json, "adaround"), few_bits);
  r.rounding_scope = text(json, "adaround_scope");
  return r;
}

std::int64_t number_from_provenance(const std::map<std::string, std::string>& provenance,
                                    const std::string& key) {
  const auto it = provenance.find(key);
  std::int64_t value = 0;
  if (it == provenance.end()) return value;
  std::from_chars(it->second.data(), it->second.data() + it->second.size(), value);
  return value;
}

void apply_advice(std::span<const std::string> options, QuantizeRequest& request) {
  for (std::size_t i = 0; i < options.size(); ++i) {
    const auto& option = options[i];
    if (option == "--per-channel") {
      request.per_channel = true;
      request.equalize.reset();
    }
    if (option == "--equalize") request.equalize = true;
    if (i + 1 == options.size()) break;
    if (option == "--keep-float") request.keep_float.push_back(exact_glob(options[i + 1]));
    if (option == "--int16") request.wide.push_back(exact_glob(options[i + 1]));
    if (option == "--observer") request.observer = options[i + 1];
    if (option != "--weights") continue;
    request.weights = options[i + 1];
    request.weight_bits = request.edge_weight_bits = 0;
    request.reduce_range = false;
    request.narrow.clear();
    request.learn_rounding.reset();
    request.rounding_scope.clear();
    request.equalize.reset();
  }
}

std::string shell_text(const std::vector<std::string>& words) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,<>";
  std::string out;
  for (const auto& word : words) {
    if (!out.empty()) out += ' ';
    const bool placeholder = word.starts_with('<') && word.ends_with('>');
    if (!word.empty() && (placeholder || word.find_first_not_of(plain) == std::string::npos)) {
      out += word;
      continue;
    }
    out += '\'';
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += '\'';
  }
  return out;
}

}  // namespace octet

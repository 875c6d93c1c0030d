#include "api/quantize_command.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace octet {
namespace {

using Json = nlohmann::json;

Json options_of(const std::map<std::string, std::string>& provenance) {
  const auto it = provenance.find("options");
  if (it == provenance.end()) return Json::object();
  auto json = Json::parse(it->second, nullptr, false);
  return json.is_object() ? json : Json::object();
}

void add_lists(const Json& json, std::vector<std::string>& out) {
  for (const auto& [key, option] :
       {std::pair("keep_float", "--keep-float"), std::pair("int16", "--int16"),
        std::pair("int4", "--int4"), std::pair("skip", "--skip")}) {
    if (!json.contains(key) || !json[key].is_array()) continue;
    for (const auto& name : json[key]) {
      if (!name.is_string()) continue;
      out.emplace_back(option);
      out.push_back(name.get<std::string>());
    }
  }
}

/// Options of one family say something of the same thing.
std::string family(const std::string& option) {
  if (option == "--per-tensor" || option == "--per-channel") return "granularity";
  if (option == "--weights" || option == "--bits-weights" || option == "--bits-first-last") {
    return "weights";
  }
  std::string name = option.substr(std::min<std::size_t>(option.size(), 2));
  if (name.starts_with("no-")) name = name.substr(3);
  return name;
}

bool repeats(const std::string& option) {
  return option == "--keep-float" || option == "--int16" || option == "--int4" ||
         option == "--skip";
}

}  // namespace

std::string observer_from_provenance(const std::map<std::string, std::string>& provenance) {
  const auto observer = options_of(provenance).value("observer", std::string("mse"));
  return observer == "auto" ? "mse" : observer;
}

std::vector<std::string> options_from_provenance(
    const std::map<std::string, std::string>& provenance) {
  const Json json = options_of(provenance);
  std::vector<std::string> out;
  const auto text = [&](const char* key, const char* option, const std::string& usual) {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_string() || it->get<std::string>() == usual) return;
    out.emplace_back(option);
    out.push_back(it->get<std::string>());
  };
  const auto flag = [&](const char* key, const char* name, bool usual) {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_boolean() || it->get<bool>() == usual) return;
    out.push_back(std::string(usual ? "--no-" : "--") + name);
  };
  text("method", "--method", "static");
  text("target", "--target", "onnxruntime");
  const auto weights = json.value("weights", std::string("int8"));
  const bool packed = json.value("packed", false);
  if (weights == "float16" || packed) {
    out.insert(out.end(), {"--weights", packed ? "int4" : weights});
  } else if (weights.starts_with("int") && weights != "int8") {
    out.insert(out.end(), {"--bits-weights", weights.substr(3)});
  }
  text("observer", "--observer", "mse");
  text("weight_observer", "--weight-observer", "minmax");
  if (const auto it = json.find("per_channel"); it != json.end() && it->is_boolean()) {
    out.emplace_back(it->get<bool>() ? "--per-channel" : "--per-tensor");
  }
  if (const auto it = json.find("activations"); it != json.end() && it->is_number_integer()) {
    if (it->get<int>() == 16) out.insert(out.end(), {"--activations", "int16"});
    if (it->get<int>() < 8) {
      out.insert(out.end(), {"--bits-activations", std::to_string(it->get<int>())});
    }
  }
  const bool low_bits = weights != "int8" && weights != "float16";
  const bool one_scale = json.value("per_channel", true) == false;
  flag("equalize", "equalize", low_bits || one_scale);
  flag("absorb_bias", "absorb-bias", false);
  flag("refine_bias", "refine-bias", false);
  flag("bias_correction", "bias-correction", true);
  flag("adaround", "adaround", low_bits);
  text("io", "--io", "float");
  text("input_layout", "--input-layout", "");
  add_lists(json, out);
  return out;
}

std::vector<std::string> changed_options(const std::vector<std::string>& base,
                                         const std::vector<std::string>& changes) {
  std::set<std::string> families;
  for (const auto& word : changes) {
    if (word.starts_with("--") && !repeats(word)) families.insert(family(word));
  }
  // With 8 bits and a scale for each channel there is nothing that asks for these.
  if (families.contains("weights")) families.insert({"adaround", "equalize"});
  if (families.contains("granularity")) families.insert("equalize");
  std::vector<std::string> out;
  for (std::size_t i = 0; i < base.size(); ++i) {
    const bool dropped = base[i].starts_with("--") && families.contains(family(base[i]));
    const bool argument = i + 1 < base.size() && !base[i + 1].starts_with("--");
    if (!dropped) out.push_back(base[i]);
    if (argument && base[i].starts_with("--")) {
      ++i;
      if (!dropped) out.push_back(base[i]);
    }
  }
  out.insert(out.end(), changes.begin(), changes.end());
  return out;
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

#include "api/trial_log.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/file.h"

namespace octet {
namespace {

using Json = nlohmann::ordered_json;

Json optional(const std::optional<double>& number) { return number ? Json(*number) : Json(); }
Json finite(double number) { return std::isfinite(number) ? Json(number) : Json(); }

std::optional<double> number(const Json& line, const char* key) {
  const auto it = line.find(key);
  if (it == line.end() || !it->is_number()) return std::nullopt;
  return it->get<double>();
}

TuneTrial trial_from(const Json& line) {
  TuneTrial t;
  t.key = line.at("key");
  t.step = line.at("step");
  t.command = line.at("command");
  t.error = line.value("error", "");
  // JSON has no infinity (the SQNR of an exact model): null stands for it.
  t.value = number(line, "value").value_or(std::numeric_limits<double>::infinity());
  t.drop = number(line, "drop").value_or(0);
  t.drop_low = number(line, "drop_low");
  t.drop_high = number(line, "drop_high");
  t.output_error = number(line, "output_error").value_or(0);
  t.bytes = line.value("bytes", std::uint64_t{0});
  t.hash = line.value("hash", "");
  t.median_ms = number(line, "median_ms");
  t.seconds = number(line, "seconds").value_or(0);
  return t;
}

Json layer_json(const LayerEffect& layer) {
  return {{"node", layer.node},
          {"input", layer.input},
          {"float_gain", layer.float_gain},
          {"narrow_loss", layer.narrow_loss},
          {"weights", layer.weights},
          {"macs", layer.macs},
          {"integer_ms", layer.integer_ms},
          {"float_ms", layer.float_ms},
          {"may_narrow", layer.may_narrow}};
}

LayerEffect layer_from(const Json& line) {
  return {line.at("node"),        line.at("input"),    line.at("float_gain"),
          line.at("narrow_loss"), line.at("weights"),  line.at("macs"),
          line.at("integer_ms"),  line.at("float_ms"), line.at("may_narrow")};
}

}  // namespace

std::string log_line(const TuneTrial& t) {
  Json line = {{"key", t.key}, {"step", t.step}, {"command", t.command}};
  if (!t.error.empty()) {
    line["error"] = t.error;
  } else {
    line["value"] = finite(t.value);
    line["drop"] = t.drop;
    line["drop_low"] = optional(t.drop_low);
    line["drop_high"] = optional(t.drop_high);
    line["output_error"] = t.output_error;
    line["bytes"] = t.bytes;
    line["hash"] = t.hash;
    line["median_ms"] = optional(t.median_ms);
  }
  line["seconds"] = t.seconds;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<TrialLog> TrialLog::open(std::string path, bool resume) {
  OCTET_TRY(check_writable(path));
  TrialLog log;
  log.path_ = std::move(path);
  std::error_code error;
  if (resume && std::filesystem::exists(log.path_, error)) OCTET_TRY(log.read());
  return log;
}

Status TrialLog::read() {
  OCTET_ASSIGN(const auto file, FileView::open(path_));
  text_ = file.text();
  std::size_t number = 0;
  for (std::size_t from = 0; from < text_.size(); ++number) {
    const auto end = std::min(text_.find('\n', from), text_.size());
    const auto line = Json::parse(text_.begin() + static_cast<std::ptrdiff_t>(from),
                                  text_.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    from = end + 1;
    try {
      const std::string key = line.at("key");
      if (!line.contains("layers")) {
        trials_[key] = trial_from(line);
        continue;
      }
      for (const auto& layer : line["layers"]) layers_[key].push_back(layer_from(layer));
    } catch (const Json::exception&) {
      return bad_input("{} line {} is no trial of octet tune; leave out --resume to begin anew",
                       path_, number + 1);
    }
  }
  return {};
}

const TuneTrial* TrialLog::find(const std::string& key) const {
  const auto it = trials_.find(key);
  return it == trials_.end() ? nullptr : &it->second;
}

const std::vector<LayerEffect>* TrialLog::find_layers(const std::string& key) const {
  const auto it = layers_.find(key);
  return it == layers_.end() ? nullptr : &it->second;
}

Status TrialLog::append(const std::string& line) {
  text_ += line + "\n";
  return write_file(path_, std::string_view(text_));
}

Status TrialLog::add(const TuneTrial& trial) {
  trials_[trial.key] = trial;
  return append(log_line(trial));
}

Status TrialLog::add_layers(const std::string& key, const std::vector<LayerEffect>& layers) {
  layers_[key] = layers;
  Json list = Json::array();
  for (const auto& layer : layers) list.push_back(layer_json(layer));
  const Json line = {{"key", key}, {"layers", list}};
  return append(line.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace octet

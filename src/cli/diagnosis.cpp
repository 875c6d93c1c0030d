#include "cli/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/judgement.h"

namespace octet::cli {
namespace {

constexpr std::size_t layers_listed = 10;
constexpr std::size_t improvements_listed = 3;

Json to_json(const OutputDistanceSummary& s) {
  return {{"kl", number_or_null(s.kl)},
          {"agreement", number_or_null(s.agreement)},
          {"sqnr_db", finite_or_null(s.sqnr_db)}};
}

Json to_json(const Cause& cause) {
  return {{"cause", cause.cause},
          {"layer", cause.layer},
          {"text", cause.text},
          {"evidence", cause.evidence},
          {"options", cause.advice.options},
          {"command", cause.advice.command},
          {"expected", cause.advice.expected ? to_json(*cause.advice.expected) : Json()},
          {"float_top1_gain", number_or_null(cause.float_top1_gain)}};
}

Json to_json(const std::vector<Cause>& causes) {
  Json list = Json::array();
  for (const auto& cause : causes) list.push_back(to_json(cause));
  return list;
}

std::string distance_text(const OutputDistanceSummary& s) {
  std::string text;
  if (s.agreement) text += fmt::format("agreement {}, ", percent(*s.agreement));
  if (s.kl) text += fmt::format("KL {:.5f}, ", *s.kl);
  return text + (std::isfinite(s.sqnr_db) ? fmt::format("SQNR {:.1f} dB", s.sqnr_db)
                                          : std::string("SQNR exact"));
}

/// What the remedy takes off, in the words of the model's own distance.
std::string gain_text(const OutputDistanceSummary& now, const OutputDistanceSummary& then) {
  auto text = "expected: " + distance_text(then);
  if (now.agreement && then.agreement) {
    text += fmt::format(" ({:+.1f} points of agreement)", 100 * (*then.agreement - *now.agreement));
  }
  return text;
}

std::string cause_text(const Diagnosis& d, const Cause& cause) {
  std::string text = fmt::format("{}: {}\n", cause.cause, one_line(cause.text));
  for (const auto& line : cause.evidence) text += fmt::format("     {}\n", one_line(line));
  if (cause.float_top1_gain) {
    text +=
        fmt::format("     the float model itself: {:+.1f} points of top-1 with the better recipe\n",
                    100 * *cause.float_top1_gain);
  }
  if (cause.advice.expected) {
    text += fmt::format("     {}\n", gain_text(d.quantized, *cause.advice.expected));
  }
  if (cause.advice.command.empty()) return text;
  return text + fmt::format("     {}\n", one_line(cause.advice.command));
}

std::string layers_text(const Diagnosis& d) {
  if (d.layers.empty()) return "";
  std::string text = fmt::format(
      "layers by what leaving them float takes off the error at the outputs ({}):\n"
      "  {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}  layer\n",
      d.measure == "kl" ? "KL, nats" : "noise over signal", "float", "alone", "SQNR dB", "clipped",
      "rounded", "shifted", "channels");
  for (std::size_t i = 0; i < std::min(layers_listed, d.layers.size()); ++i) {
    const auto& layer = d.layers[i];
    text += fmt::format(
        "  {:>9.2g} {:>9.2g} {:>8.1f} {:>8.1g} {:>8.1g} {:>8.1g} {:>8.1f}  {} ({})\n",
        layer.float_gain, layer.alone_error, layer.sqnr_db, layer.clipping, layer.rounding,
        layer.mean_shift, layer.channel_ratio, one_line(layer.name), layer.op);
  }
  return text;
}

}  // namespace

Json diagnosis_json(const Diagnosis& d) {
  Json layers = Json::array();
  for (const auto& layer : d.layers) {
    layers.push_back({{"name", layer.name},
                      {"op", layer.op},
                      {"value", layer.value},
                      {"sqnr_db", finite_or_null(layer.sqnr_db)},
                      {"alone_error", finite_or_null(layer.alone_error)},
                      {"float_gain", finite_or_null(layer.float_gain)},
                      {"clipping", finite_or_null(layer.clipping)},
                      {"rounding", finite_or_null(layer.rounding)},
                      {"mean_shift", finite_or_null(layer.mean_shift)},
                      {"outside", finite_or_null(layer.outside)},
                      {"channel_ratio", finite_or_null(layer.channel_ratio)}});
  }
  return {{"samples", d.samples},
          {"measure", d.measure},
          {"advice_samples", d.advice_samples},
          {"quantized", to_json(d.quantized)},
          {"causes", to_json(d.causes)},
          {"improvements", to_json(d.improvements)},
          {"layers", layers},
          {"notes", d.notes}};
}

std::string diagnosis_text(const Diagnosis& d) {
  auto text = fmt::format(
      "diagnosis on {} samples{}: {}\n", d.samples,
      d.advice_samples > 0 ? fmt::format(", advice tried on {}", d.advice_samples) : std::string(),
      distance_text(d.quantized));
  if (d.causes.empty()) {
    text += "no cause found: no fault that a remedy takes a good part of the error off\n";
  }
  for (std::size_t i = 0; i < d.causes.size(); ++i) {
    text += fmt::format("  {}. {}", i + 1, cause_text(d, d.causes[i]));
  }
  if (!d.improvements.empty()) text += "what else takes most off the error:\n";
  for (std::size_t i = 0; i < std::min(improvements_listed, d.improvements.size()); ++i) {
    text += "   - " + cause_text(d, d.improvements[i]);
  }
  text += layers_text(d);
  for (const auto& note : d.notes) text += fmt::format("note: {}\n", one_line(note));
  return text;
}

}  // namespace octet::cli

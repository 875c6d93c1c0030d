// Executes the worked numbers of docs/arithmetic.md.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "arithmetic/dynamic.h"
#include "arithmetic/hybrid.h"
#include "arithmetic/litert.h"
#include "arithmetic/litert_average.h"
#include "arithmetic/litert_softmax.h"
#include "arithmetic/litert_unary.h"
#include "arithmetic/litert_wide.h"
#include "arithmetic/openvino.h"
#include "arithmetic/params.h"
#include "arithmetic/quantize.h"
#include "arithmetic/requantize.h"

namespace octet {
namespace {

/// `name key=value ... -> result`, where the result is a number or more keys.
struct Example {
  int line = 0;
  std::string name;
  std::map<std::string, double> in;
  std::map<std::string, double> out;  ///< key "" for a bare number

  [[nodiscard]] double number(const std::string& key) const {
    const auto it = in.find(key);
    if (it == in.end()) ADD_FAILURE() << "line " << line << " lacks " << key;
    return it == in.end() ? 0 : it->second;
  }
  [[nodiscard]] double number(const std::string& key, double fallback) const {
    const auto it = in.find(key);
    return it == in.end() ? fallback : it->second;
  }
  [[nodiscard]] float real(const std::string& key) const { return static_cast<float>(number(key)); }
  [[nodiscard]] std::int32_t integer(const std::string& key) const {
    return static_cast<std::int32_t>(number(key));
  }
  [[nodiscard]] std::int32_t integer(const std::string& key, double fallback) const {
    return static_cast<std::int32_t>(number(key, fallback));
  }
};

std::vector<Example> read_examples() {
  std::ifstream file(OCTET_SOURCE_DIR "/docs/arithmetic.md");
  std::vector<Example> examples;
  bool inside = false;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.starts_with("```")) {
      inside = line == "```examples";
      continue;
    }
    if (!inside || line.empty()) continue;
    std::istringstream words(line);
    Example example;
    example.line = number;
    words >> example.name;
    bool result = false;
    for (std::string word; words >> word;) {
      if (word == "->") {
        result = true;
        continue;
      }
      const auto equals = word.find('=');
      const std::string key = equals == std::string::npos ? "" : word.substr(0, equals);
      const std::string text = equals == std::string::npos ? word : word.substr(equals + 1);
      char* end = nullptr;
      const double value = std::strtod(text.c_str(), &end);
      EXPECT_EQ(*end, '\0') << "line " << number << ": " << word;
      (result ? example.out : example.in)[key] = value;
    }
    EXPECT_FALSE(example.out.empty()) << "line " << number << " has no result";
    examples.push_back(std::move(example));
  }
  return examples;
}

QuantScheme scheme_of(const Example& e) {
  QuantScheme scheme;
  scheme.bits = e.integer("bits", 8);
  if (e.number("symmetric", 0) != 0) scheme.symmetry = Symmetry::symmetric;
  if (e.number("narrow", 0) != 0) scheme.range = CodeRange::narrow;
  return scheme;
}

std::int32_t quantize_result(const Example& e) {
  const auto scheme = scheme_of(e);
  return quantize_value(e.real("x"), e.real("scale"), e.integer("zp"),
                        static_cast<std::int32_t>(scheme.qmin()),
                        static_cast<std::int32_t>(scheme.qmax()));
}

std::int32_t add_result(const Example& e) {
  const auto add = onnx_add(e.real("sa"), e.integer("za"), e.real("sb"), e.integer("zb"),
                            e.real("sy"), e.integer("zy"));
  return add_onnx(add, e.integer("a"), e.integer("b"), 0, 255);
}

std::int32_t multiply_result(const Example& e) {
  const float a = dequantize_value(e.integer("a"), e.real("sa"), e.integer("za"));
  const float b = dequantize_value(e.integer("b"), e.real("sb"), e.integer("zb"));
  return quantize_narrow(a * b, e.real("sy"), e.integer("zy"), -128, 127);
}

std::int32_t openvino_result(const Example& e) {
  const auto line = openvino::quantize_line(e.real("scale"), e.integer("zp"));
  const float x = e.in.contains("acc") ? float_output(e.integer("acc"), e.real("m"), e.real("bias"))
                                       : e.real("x");
  return openvino::quantize(x, line, 0, 255);
}

/// A factor given as it is.
litert::Channel channel_of(const Example& e) {
  litert::Channel channel;
  channel.real = e.number("m");
  channel.fixed = fixed_multiplier(channel.real);
  return channel;
}

std::int32_t scaled_result(const Example& e, litert::Scaling scaling) {
  return litert::requantize(scaling, channel_of(e), e.integer("acc"), e.integer("zp"),
                            e.integer("low", -128), e.integer("high", 127));
}

std::optional<double> litert_result(const Example& e) {
  if (e.name == "twice") return scaled_result(e, litert::Scaling::twice_rounded);
  if (e.name == "upward") return scaled_result(e, litert::Scaling::rounded_up);
  if (e.name == "real") return scaled_result(e, litert::Scaling::real);
  if (e.name == "wide") {
    return litert::requantize_wide(litert::WideScaling::reduced, channel_of(e),
                                   static_cast<std::int64_t>(e.number("acc")),
                                   e.integer("low", -32768), e.integer("high", 32767));
  }
  if (e.name == "bound_away" || e.name == "bound_even") {
    const auto bound = e.name == "bound_away" ? litert::bound_half_away : litert::bound_half_even;
    return bound(e.real("x"), e.real("scale"), e.integer("zp"), -128, 127);
  }
  if (e.name == "hybrid_code") {
    const auto form = static_cast<litert::HybridCodes>(e.integer("form"));
    return litert::hybrid_code(form, litert::hybrid_params(form, e.real("min"), e.real("max")),
                               e.real("x"));
  }
  if (e.name == "quantize_wide") {
    const auto quantize =
        e.integer("form") == 0 ? litert::quantize_wide_reference : litert::quantize_wide_default;
    return quantize(e.real("x"), e.real("scale"), 0, -32768, 32767);
  }
  return std::nullopt;
}

/// `NAME_tflite` or `NAME_xnnpack`.
std::optional<Rule> rule_of(const Example& e, const std::string& name) {
  if (e.name == name + "_tflite") return Rule::tflite;
  return e.name == name + "_xnnpack" ? std::optional(Rule::xnnpack) : std::nullopt;
}

struct Limits {
  explicit Limits(const Example& e) : low(-(1 << (e.integer("bits", 8) - 1))), high(-low - 1) {}
  std::int32_t low, high;
};

std::optional<double> binary_result(const Example& e) {
  using litert::Operation;
  const auto of = [&](Rule rule, Operation operation) {
    const auto binary =
        litert::binary(rule, operation, {e.real("sa"), 0}, {e.real("sb"), 0}, {e.real("s"), 0});
    return litert::code(binary, e.integer("x"), e.integer("y"), -128, 127);
  };
  if (const auto rule = rule_of(e, "sum")) return of(*rule, Operation::add);
  if (const auto rule = rule_of(e, "product")) return of(*rule, Operation::multiply);
  if (e.name == "squared_difference") return of(Rule::tflite, Operation::squared_difference);
  if (e.name != "sum_wide" && e.name != "sum_shifted") return std::nullopt;
  const auto make = e.name == "sum_wide" ? litert::wide_binary : litert::power_of_two_sum;
  const auto binary = make(Operation::add, e.real("sa"), e.real("sb"), e.real("s"));
  const std::int32_t x = e.integer("x");
  const std::int32_t y = e.integer("y");
  return e.integer("block", 0) != 0 ? litert::code_in_block(binary, x, y, INT16_MIN, INT16_MAX)
                                    : litert::code(binary, x, y, INT16_MIN, INT16_MAX);
}

std::optional<double> unary_result(const Example& e) {
  const Limits limits(e);
  if (!e.in.contains("x") || !e.in.contains("sa")) return std::nullopt;
  const std::int32_t x = e.integer("x");
  const litert::Affine from{e.real("sa"), 0};
  if (e.name == "logistic_wide") return litert::WideSigmoid(from.scale).logistic(x);
  if (e.name == "tanh_wide") return litert::WideSigmoid(from.scale).tanh(x);
  const litert::Affine to{e.real("s"), 0};
  if (e.name == "relu") return litert::rescale(x, from, to, 0, limits.high);
  if (const auto rule = rule_of(e, "leaky")) {
    return litert::leaky_relu(*rule, e.real("slope"), x, from, to, limits.low, limits.high);
  }
  if (const auto rule = rule_of(e, "convert")) {
    return litert::convert(*rule, true, x, from, to, limits.low, limits.high);
  }
  if (e.name == "hard_swish") return litert::hard_swish(x, from, to, limits.low, limits.high);
  if (e.name == "reciprocal_root") {
    return litert::reciprocal_root(x, from, to, limits.low, limits.high);
  }
  return std::nullopt;
}

/// The share of the first of two codes, from the lowest output code.
std::optional<double> softmax_result(const Example& e) {
  if (e.name == "softmax_wide") {
    std::int16_t row[] = {static_cast<std::int16_t>(e.integer("a")),
                          static_cast<std::int16_t>(e.integer("b"))};
    litert::WideSoftmax(e.real("sa")).row(row, row, 2);
    return row[0];
  }
  const auto rule = rule_of(e, "softmax");
  if (!rule) return std::nullopt;
  std::uint8_t row[] = {static_cast<std::uint8_t>(e.integer("a") + 128),
                        static_cast<std::uint8_t>(e.integer("b") + 128)};
  litert::Softmax(*rule, litert::SoftmaxKind::softmax, e.real("sa"), 128).row(row, row, 2, 1);
  return row[0];
}

std::optional<double> average_result(const Example& e) {
  if (e.name == "pooled") return litert::pooled(e.integer("sum"), e.integer("count"));
  const auto rule = rule_of(e, "mean");
  if (!rule) return std::nullopt;
  const auto average = litert::average(*rule, litert::Reduction::mean, e.integer("count"),
                                       {e.real("sa"), 0}, {e.real("s"), 0});
  return litert::code(average, e.integer("sum"), -128, 127);
}

double result_of(const Example& e) {
  for (const auto fn :
       {litert_result, binary_result, softmax_result, average_result, unary_result}) {
    if (const auto result = fn(e)) return *result;
  }
  const auto low = e.integer("low", -128);
  const auto high = e.integer("high", 127);
  if (e.name == "quantize") return quantize_result(e);
  if (e.name == "dequantize") {
    return static_cast<double>(dequantize_value(e.integer("q"), e.real("scale"), e.integer("zp")));
  }
  if (e.name == "multiplier") {
    return static_cast<double>(onnx_multiplier(e.real("sx"), e.real("sw"), e.real("sy")));
  }
  if (e.name == "requantize") {
    return requantize_onnx(e.integer("acc"), e.real("m"), e.integer("zp"), low, high);
  }
  if (e.name == "openvino") return openvino_result(e);
  if (e.name == "add") return add_result(e);
  if (e.name == "mul") return multiply_result(e);
  if (e.name == "average") {
    const float m = onnx_average_multiplier(e.real("sx"), e.real("sy"), e.integer("count"));
    return requantize_onnx(e.integer("sum"), m, e.integer("zp"), low, high);
  }
  ADD_FAILURE() << "line " << e.line << ": unknown example " << e.name;
  return 0;
}

/// Examples with results of several names.
bool check_params(const Example& e) {
  if (e.name == "params") {
    const auto params = params_from_range(e.number("min"), e.number("max"), scheme_of(e));
    EXPECT_FLOAT_EQ(params.scale[0], static_cast<float>(e.out.at("scale"))) << "line " << e.line;
    EXPECT_EQ(params.zero_point[0], static_cast<std::int32_t>(e.out.at("zp"))) << "line " << e.line;
    return true;
  }
  if (e.name == "fixed") {
    const auto fixed = fixed_multiplier(e.number("m"));
    EXPECT_EQ(fixed.multiplier, static_cast<std::int32_t>(e.out.at("multiplier")))
        << "line " << e.line;
    EXPECT_EQ(fixed.shift, static_cast<int>(e.out.at("shift"))) << "line " << e.line;
    return true;
  }
  const std::map<std::string, litert::HybridCodes> forms = {
      {"symmetric", litert::HybridCodes::symmetric},
      {"asymmetric", litert::HybridCodes::asymmetric},
      {"delegate", litert::HybridCodes::delegate}};
  const auto form = forms.find(e.name);
  if (form == forms.end()) return false;
  const auto params = litert::hybrid_params(form->second, e.real("min"), e.real("max"));
  EXPECT_FLOAT_EQ(params.scale, static_cast<float>(e.out.at("scale"))) << "line " << e.line;
  EXPECT_EQ(params.zero_point, static_cast<std::int32_t>(e.out.at("zp"))) << "line " << e.line;
  return true;
}

TEST(ArithmeticPage, ItsExamplesAreTrue) {
  const auto examples = read_examples();
  ASSERT_GT(examples.size(), 100U);
  for (const auto& e : examples) {
    if (check_params(e)) continue;
    EXPECT_EQ(static_cast<float>(result_of(e)), static_cast<float>(e.out.at("")))
        << "line " << e.line;
  }
}

}  // namespace
}  // namespace octet

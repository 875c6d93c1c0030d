#include "api/quantize_options.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace octet {
namespace {

bool has_data(const QuantizeRequest& request) {
  return !request.data.path.empty() || !request.statistics.empty();
}

Result<WeightType> parse_weights(const std::string& text) {
  if (text == "int8") return WeightType::int8;
  if (text == "float16") return WeightType::float16;
  return fail(ErrorKind::usage, "--weights {} is not in this version; int8 and float16 are", text);
}

Result<Method> parse_method(const QuantizeRequest& request, WeightType weights) {
  if (request.method.empty()) {
    if (weights == WeightType::float16) return Method::weight_only;
    return has_data(request) ? Method::static_ranges : Method::dynamic;
  }
  const auto method = method_from_name(request.method);
  if (!method) {
    return fail(ErrorKind::usage, "no method '{}'; there are static, dynamic and weight-only",
                request.method);
  }
  if (weights == WeightType::float16 && *method != Method::weight_only) {
    return fail(ErrorKind::usage, "--weights float16 goes with --method weight-only, not {}",
                request.method);
  }
  return *method;
}

Status check_sources(const QuantizeRequest& request, Method method) {
  if (request.data_free) {
    return fail(ErrorKind::usage,
                "--data-free is not in this version; give --data, or take --method dynamic, which "
                "needs none");
  }
  if (!request.data.path.empty() && !request.statistics.empty()) {
    return fail(ErrorKind::usage, "give either --data or --stats, not both");
  }
  if (method == Method::static_ranges && !has_data(request)) {
    return fail(ErrorKind::usage,
                "--method static needs data: give --data or --stats; octet never invents any "
                "(--method dynamic needs none; --data-free is not in this version)");
  }
  return {};
}

Status check_bits(const QuantizeRequest& request) {
  if (request.weight_bits < 2 || request.weight_bits > 8) {
    return fail(ErrorKind::usage, "weights of {} bits; 2 to 8 are possible", request.weight_bits);
  }
  if (request.activation_bits < 2 || request.activation_bits > 8) {
    return fail(ErrorKind::usage, "activations of {} bits; 2 to 8 are possible",
                request.activation_bits);
  }
  return {};
}

Result<DynamicForm> parse_dynamic_form(const std::string& text, Method method) {
  if (!text.empty() && method != Method::dynamic) {
    return fail(ErrorKind::usage, "--dynamic-form goes with --method dynamic, not {}",
                name(method));
  }
  if (text.empty() || text == "integer") return DynamicForm::integer_operators;
  if (text == "qdq") return DynamicForm::qdq;
  return fail(ErrorKind::usage, "no dynamic form '{}'; there are integer and qdq", text);
}

Result<std::optional<DType>> parse_storage(const std::string& text) {
  if (text.empty()) return std::optional<DType>();
  if (text == "int8") return std::optional(DType::i8);
  if (text == "uint8") return std::optional(DType::u8);
  return fail(ErrorKind::usage, "--activations {} is not in this version; int8 and uint8 are",
              text);
}

/// What --optimize and the single switches choose.
Status parse_optimizations(const QuantizeRequest& request, QuantizeOptions& options) {
  const std::string level = request.optimize.empty() ? "fast" : request.optimize;
  if (level != "none" && level != "fast" && level != "best") {
    return fail(ErrorKind::usage, "no optimization '{}'; there are none, fast and best", level);
  }
  if (options.method != Method::static_ranges) return {};
  const bool per_tensor = options.weight_granularity == Granularity::per_tensor;
  options.equalize = request.equalize.value_or(level == "best" || (level == "fast" && per_tensor));
  if (!request.bias_correction.value_or(level != "none")) options.skip.emplace_back("correct_bias");
  return {};
}

}  // namespace

Result<ObserverKind> parse_observer(const std::string& text) {
  const auto kind = observer_from_name(text);
  if (kind) return *kind;
  return fail(ErrorKind::usage,
              "no observer '{}'; there are minmax, moving-average, percentile, mse and entropy",
              text);
}

Result<std::optional<Rule>> parse_rule(const std::string& text) {
  if (text.empty()) return std::optional<Rule>();
  const auto rule = rule_from_name(text);
  if (rule == Rule::onnx || rule == Rule::openvino) return rule;
  return fail(ErrorKind::usage, "rule {} is not in this version; onnx and openvino are", text);
}

Result<QuantizeOptions> parse_options(const QuantizeRequest& request) {
  QuantizeOptions options;
  OCTET_ASSIGN(options.weights, parse_weights(request.weights));
  OCTET_ASSIGN(options.method, parse_method(request, options.weights));
  OCTET_TRY(check_sources(request, options.method));
  OCTET_TRY(check_bits(request));
  OCTET_ASSIGN(options.dynamic_form, parse_dynamic_form(request.dynamic_form, options.method));
  if (find_target(request.target) == nullptr) {
    return fail(ErrorKind::usage, "no target '{}'; there are: {}", request.target,
                fmt::join(target_names(), ", "));
  }
  options.target = request.target;
  OCTET_TRY(parse_rule(request.rule));
  OCTET_ASSIGN(options.observer, parse_observer(request.observer));
  OCTET_ASSIGN(options.activation_storage, parse_storage(request.activation_storage));
  if (request.io != "float") {
    return fail(ErrorKind::usage,
                "--io {} is not in this version: inputs and outputs of the written model are float",
                request.io);
  }
  if (request.per_channel) {
    options.weight_granularity =
        *request.per_channel ? Granularity::per_channel : Granularity::per_tensor;
  }
  options.weight_bits = request.weight_bits;
  options.activation_bits = request.activation_bits;
  options.reduce_range = request.reduce_range;
  options.keep_float = request.keep_float;
  options.skip = request.skip;
  OCTET_TRY(parse_optimizations(request, options));
  options.dump_after = request.dump_after;
  options.dump = request.dump;
  return options;
}

}  // namespace octet

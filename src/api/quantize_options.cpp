#include "api/quantize_options.h"

#include "api/engine_choice.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace octet {
namespace {

bool has_data(const QuantizeRequest& request) {
  return !request.data.path.empty() || !request.statistics.empty();
}

Result<WeightType> parse_weights(const std::string& text) {
  if (text == "int8") return WeightType::int8;
  if (text == "int4") return WeightType::int4;
  if (text == "float16") return WeightType::float16;
  return fail(ErrorKind::usage, "--weights {} is not in this version; int8, int4 and float16 are",
              text);
}

Result<Method> parse_method(const QuantizeRequest& request, WeightType weights) {
  if (request.method.empty()) {
    if (weights == WeightType::float16) return Method::weight_only;
    const bool static_ranges = has_data(request) || request.data_free;
    return static_ranges ? Method::static_ranges : Method::dynamic;
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
  if (request.data_free && (has_data(request) || method != Method::static_ranges)) {
    return fail(ErrorKind::usage, "--data-free goes with {}",
                has_data(request) ? "neither --data nor --stats" : "--method static");
  }
  if (!request.data.path.empty() && !request.statistics.empty()) {
    return fail(ErrorKind::usage, "give either --data or --stats, not both");
  }
  if (method == Method::static_ranges && !has_data(request) && !request.data_free) {
    return fail(ErrorKind::usage,
                "--method static needs data: give --data or --stats; octet never invents any "
                "(--method dynamic needs none, --data-free takes what BatchNormalization knows)");
  }
  return {};
}

Status check_bits(const QuantizeRequest& request) {
  for (const int bits : {request.weight_bits, request.edge_weight_bits}) {
    if (bits == 0 || (bits >= 2 && bits <= 8)) continue;
    return fail(ErrorKind::usage, "weights of {} bits; 2 to 8 are possible", bits);
  }
  if (request.activation_bits < 2 || request.activation_bits > 8) {
    return fail(ErrorKind::usage,
                "activations of {} bits; 2 to 8 are possible, and 16 by --activations int16",
                request.activation_bits);
  }
  return {};
}

/// Few bits are for the layers between: the first and the last, and depthwise ones, which have few
/// weights and feel each of them, keep 8 unless told otherwise.
Status parse_weight_bits(const QuantizeRequest& request, QuantizeOptions& options) {
  const bool packed = options.weights == WeightType::int4;
  options.weight_bits = request.weight_bits != 0 ? request.weight_bits : packed ? 4 : 8;
  if (packed && options.weight_bits > 4) {
    return fail(ErrorKind::usage, "--weights int4 has no room for {} bits", options.weight_bits);
  }
  if (packed && options.method == Method::dynamic) {
    return fail(ErrorKind::usage, "--weights int4 goes with --method static and weight-only");
  }
  const int kept = std::max(8, options.weight_bits);
  options.edge_weight_bits = request.edge_weight_bits != 0 ? request.edge_weight_bits : kept;
  options.depthwise_weight_bits = kept;
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
  if (text == "int16") return std::optional(DType::i16);
  return fail(ErrorKind::usage,
              "--activations {} is not in this version; int8, uint8 and int16 are", text);
}

/// Types of activations: what the target stores, and 16 bits where it has them.
Status parse_activations(const QuantizeRequest& request, const TargetProfile& target,
                         QuantizeOptions& options) {
  OCTET_ASSIGN(options.activation_storage, parse_storage(request.activation_storage));
  options.activation_bits = request.activation_bits;
  if (options.activation_storage == DType::i16) {
    if (request.activation_bits != 8) {
      return fail(ErrorKind::usage,
                  "--activations int16 has 16 bits; --bits-activations {} has no "
                  "place there",
                  request.activation_bits);
    }
    options.activation_bits = 16;
  }
  if (target.litert && options.activation_storage == DType::u8) {
    return fail(ErrorKind::usage, "target {} has int8 and int16 activations, no uint8",
                target.name);
  }
  if (options.method != Method::static_ranges) return {};
  OCTET_TRY(with_activation_bits(target, options.activation_bits));
  return {};
}

/// Single layers of 4 bits.
Status check_narrow(const QuantizeOptions& options) {
  if (options.narrow.empty() || options.method == Method::static_ranges) return {};
  return fail(ErrorKind::usage, "--int4 goes with --method static, not {}", name(options.method));
}

/// Single values of 16 bits.
Status check_wide(const QuantizeOptions& options, const TargetProfile& target) {
  if (options.wide.empty()) return {};
  if (options.method != Method::static_ranges) {
    return fail(ErrorKind::usage, "--int16 goes with --method static, not {}",
                name(options.method));
  }
  if (target.wide_values) return {};
  return fail(ErrorKind::usage,
              "--int16: target {} has no single 16-bit values among others{}; onnxruntime has",
              target.name,
              target.wide_ops.empty() ? "" : ", but a whole model of them (--activations int16)");
}

Result<std::optional<DType>> parse_io(const QuantizeRequest& request,
                                      const QuantizeOptions& options) {
  const auto& text = request.io;
  if (text == "float") return std::optional<DType>();
  const auto type = text == "int8"    ? std::optional(DType::i8)
                    : text == "uint8" ? std::optional(DType::u8)
                    : text == "int16" ? std::optional(DType::i16)
                                      : std::nullopt;
  if (!type) {
    return fail(ErrorKind::usage,
                "no type '{}' of inputs and outputs; there are float, int8, uint8 "
                "and int16",
                text);
  }
  if (!request.output.empty() && !is_tflite_path(request.output)) {
    return fail(
        ErrorKind::usage,
        "--io {} goes with a .tflite output: inputs and outputs of an .onnx model are float", text);
  }
  if (options.method != Method::static_ranges) {
    return fail(ErrorKind::usage, "--io {} goes with --method static: activations stay float in {}",
                text, name(options.method));
  }
  const bool wide = options.activation_bits > 8;
  if ((*type == DType::i16) != wide) {
    return fail(ErrorKind::usage, "--io {} does not go with activations of {} bits", text,
                options.activation_bits);
  }
  return type;
}

/// A target has its own format, but what is made for LiteRT can be stated in ONNX as well.
Status check_format(const QuantizeRequest& request, const TargetProfile& target) {
  if (target.litert || request.output.empty() || !is_tflite_path(request.output)) return {};
  return fail(ErrorKind::usage,
              "target {} is written as .onnx; a .tflite file takes tflite or "
              "tflite-micro",
              target.name);
}

/// What runs the model on samples can do with neither their statistics nor none.
Status check_samples(const QuantizeRequest& request) {
  const bool from_file = !request.statistics.empty();
  std::string_view asked;
  if (request.learn_rounding.value_or(false)) asked = "--adaround";
  if (request.rounding_scope == "block") asked = "--adaround-scope block";
  if (request.refine_bias.value_or(false)) asked = "--refine-bias";
  if (from_file && request.equalize.value_or(false)) asked = "--equalize";
  if (from_file && request.absorb_bias.value_or(false)) asked = "--absorb-bias";
  if (request.observer == "auto") asked = "--observer auto";
  if (asked.empty() || (!from_file && !request.data_free)) return {};
  return fail(ErrorKind::usage, "{} needs the samples themselves: give --data, not {}", asked,
              from_file ? "--stats" : "--data-free");
}

Status parse_rounding_scope(const QuantizeRequest& request, QuantizeOptions& options) {
  if (request.rounding_scope.empty()) return {};
  const auto scope = rounding_scope_from_name(request.rounding_scope);
  if (!scope) {
    return fail(ErrorKind::usage, "no scope of rounding '{}'; there are layer and block",
                request.rounding_scope);
  }
  options.rounding_scope = *scope;
  if (options.learn_rounding || *scope == RoundingScope::layer) return {};
  return fail(ErrorKind::usage,
              "--adaround-scope block is for rounding by samples, which is off: --adaround turns "
              "it on");
}

/// What --optimize and the single switches choose.
Status parse_optimizations(const QuantizeRequest& request, QuantizeOptions& options) {
  const std::string level = request.optimize.empty() ? "fast" : request.optimize;
  if (level != "none" && level != "fast" && level != "best") {
    return fail(ErrorKind::usage, "no optimization '{}'; there are none, fast and best", level);
  }
  if (options.method != Method::static_ranges) return {};
  const bool per_tensor = options.weight_granularity == Granularity::per_tensor;
  OCTET_TRY(check_samples(request));
  const bool from_file = !request.statistics.empty();
  const bool samples = !from_file && !request.data_free;
  const bool few_bits = options.weight_bits < 8 || !options.narrow.empty();
  options.equalize =
      !from_file && request.equalize.value_or(level != "none" && (per_tensor || few_bits));
  options.absorb_bias = !from_file && request.absorb_bias.value_or(false);
  const bool corrected = request.bias_correction.value_or(level != "none");
  options.refine_bias = samples && request.refine_bias.value_or(corrected && level == "best");
  options.learn_rounding = samples && request.learn_rounding.value_or(level != "none" && few_bits);
  if (!corrected) options.skip.emplace_back("correct_bias");
  return parse_rounding_scope(request, options);
}

}  // namespace

Result<ObserverKind> parse_observer(const std::string& text) {
  const auto kind = observer_from_name(text);
  if (kind) return *kind;
  return fail(
      ErrorKind::usage,
      "no observer '{}'; there are minmax, moving-average, percentile, mse and entropy, and "
      "for quantize auto",
      text);
}

Result<WeightObserver> parse_weight_observer(const std::string& text) {
  const auto observer = weight_observer_from_name(text);
  if (observer) return *observer;
  return fail(ErrorKind::usage, "no weight observer '{}'; there are minmax and mse", text);
}

std::string default_target(const std::string& path) {
  return is_tflite_path(path) ? "tflite" : "onnxruntime";
}

Result<std::optional<AxisOrder>> parse_input_layout(const std::string& text) {
  if (text.empty()) return std::optional<AxisOrder>();
  if (text == "nhwc") return std::optional(AxisOrder::channels_last);
  if (text == "nchw") return std::optional(AxisOrder::channels_first);
  return fail(ErrorKind::usage, "no input layout '{}'; there are nchw and nhwc", text);
}

std::string no_image_inputs(const std::string& layout) {
  return fmt::format("--input-layout {} changes nothing: the model has no image inputs", layout);
}

Result<QuantizeOptions> parse_options(const QuantizeRequest& request) {
  QuantizeOptions options;
  OCTET_ASSIGN(options.weights, parse_weights(request.weights));
  OCTET_ASSIGN(options.method, parse_method(request, options.weights));
  OCTET_TRY(check_sources(request, options.method));
  OCTET_TRY(check_bits(request));
  OCTET_ASSIGN(options.dynamic_form, parse_dynamic_form(request.dynamic_form, options.method));
  options.target = request.target.empty() ? default_target(request.output) : request.target;
  const auto* target = find_target(options.target);
  if (target == nullptr) {
    return fail(ErrorKind::usage, "no target '{}'; there are: {}", options.target,
                fmt::join(target_names(), ", "));
  }
  OCTET_TRY(check_format(request, *target));
  if (target->litert && !request.dynamic_form.empty()) {
    return fail(ErrorKind::usage,
                "--dynamic-form says how an .onnx file states dynamic operators; target {} has "
                "operators for them",
                target->name);
  }
  OCTET_TRY(parse_input_layout(request.input_layout));
  OCTET_TRY(parse_rule(request.rule));
  options.choose_ranges = request.observer == "auto";
  OCTET_ASSIGN(options.observer, parse_observer(options.choose_ranges ? "mse" : request.observer));
  OCTET_ASSIGN(options.weight_observer, parse_weight_observer(request.weight_observer));
  OCTET_TRY(parse_activations(request, *target, options));
  OCTET_ASSIGN(options.io, parse_io(request, options));
  if (request.per_channel) {
    options.weight_granularity =
        *request.per_channel ? Granularity::per_channel : Granularity::per_tensor;
  }
  OCTET_TRY(parse_weight_bits(request, options));
  options.reduce_range = request.reduce_range;
  options.keep_float = request.keep_float;
  options.wide = request.wide;
  OCTET_TRY(check_wide(options, *target));
  options.narrow = request.narrow;
  OCTET_TRY(check_narrow(options));
  options.skip = request.skip;
  OCTET_TRY(parse_optimizations(request, options));
  options.dump_after = request.dump_after;
  options.dump = request.dump;
  return options;
}

}  // namespace octet

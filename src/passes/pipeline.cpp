#include "passes/pipeline.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <span>

#include "core/progress.h"
#include "graph/dump.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"
#include "passes/layer_bits.h"
#include "passes/litert.h"
#include "passes/passes.h"

namespace octet {
namespace {

Status run_simplify(PassContext& context) { return simplify(context.model.graph); }

Status run_fit_target(PassContext& context) {
  OCTET_TRY(fit_target(context.model.graph, context.options));
  OCTET_ASSIGN(context.layer_bits, layer_bits(context.model.graph, context.options));
  note_narrow(context.model.graph, context.options, context.report.notes);
  return {};
}

enum class Skippable : std::uint8_t { no, yes };

struct Pass {
  std::string_view name;
  std::string_view after;  ///< what must have run before, "" for nothing
  Skippable skippable = Skippable::no;
  Status (*run)(PassContext&) = nullptr;
};

constexpr std::array static_pipeline = {
    Pass{"simplify", "", Skippable::yes, run_simplify},
    Pass{"fit_target", "", Skippable::no, run_fit_target},
    Pass{"equalize", "fit_target", Skippable::yes, passes::equalize},
    Pass{"absorb_bias", "fit_target", Skippable::yes, passes::absorb_bias},
    Pass{"place", "fit_target", Skippable::no, passes::place},
    Pass{"calibrate", "place", Skippable::no, passes::calibrate},
    Pass{"choose_ranges", "calibrate", Skippable::yes, passes::choose_ranges},
    Pass{"widen_ranges", "calibrate", Skippable::no, passes::widen_ranges},
    Pass{"share_params", "calibrate", Skippable::no, passes::share_params},
    Pass{"quantize_weights", "share_params", Skippable::no, passes::quantize_weights},
    Pass{"round_weights", "quantize_weights", Skippable::yes, passes::round_weights},
    Pass{"correct_bias", "quantize_weights", Skippable::yes, passes::correct_bias},
    Pass{"refine_bias", "quantize_weights", Skippable::yes, passes::refine_bias},
    Pass{"derive_bias", "quantize_weights", Skippable::no, passes::derive_bias},
    Pass{"absorb_activations", "share_params", Skippable::yes, passes::absorb_activations},
    Pass{"state_limits", "share_params", Skippable::no, passes::state_limits},
    Pass{"free_float_readers", "derive_bias", Skippable::yes, passes::free_float_readers},
    Pass{"state_io", "derive_bias", Skippable::no, passes::state_io},
};

constexpr std::array dynamic_pipeline = {
    Pass{"simplify", "", Skippable::yes, run_simplify},
    Pass{"fit_target", "", Skippable::no, run_fit_target},
    Pass{"plain_products", "fit_target", Skippable::no, passes::plain_products},
    Pass{"place_weights", "plain_products", Skippable::no, passes::place_weights},
    Pass{"quantize_sites", "place_weights", Skippable::no, passes::quantize_sites},
};

constexpr std::array weight_only_pipeline = {
    Pass{"simplify", "", Skippable::yes, run_simplify},
    Pass{"fit_target", "", Skippable::no, run_fit_target},
    Pass{"place_weights", "fit_target", Skippable::no, passes::place_weights},
    Pass{"quantize_sites", "place_weights", Skippable::no, passes::quantize_sites},
};

constexpr std::array float16_pipeline = {
    Pass{"simplify", "", Skippable::yes, run_simplify},
    Pass{"fit_target", "", Skippable::no, run_fit_target},
    Pass{"place_weights", "fit_target", Skippable::no, passes::place_weights},
    Pass{"weights_to_float16", "place_weights", Skippable::no, passes::weights_to_float16},
};

std::span<const Pass> pipeline_of(const QuantizeOptions& options) {
  switch (options.method) {
    case Method::static_ranges: return static_pipeline;
    case Method::dynamic: return dynamic_pipeline;
    case Method::weight_only: break;
  }
  if (options.weights == WeightType::float16) return float16_pipeline;
  return weight_only_pipeline;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Status check_names(const std::vector<std::string>& names, std::string_view option,
                   const std::vector<std::string_view>& known) {
  for (const auto& wanted : names) {
    if (std::find(known.begin(), known.end(), wanted) != known.end()) continue;
    return fail(ErrorKind::usage, "{} {}: no such pass; there are {}", option, wanted,
                fmt::join(known, ", "));
  }
  return {};
}

Status check_options(const QuantizeOptions& options) {
  const auto known = pass_names(options);
  OCTET_TRY(check_names(options.skip, "--skip", known));
  OCTET_TRY(check_names(options.dump_after, "--dump-after", known));
  for (const auto& pass : pipeline_of(options)) {
    if (pass.skippable == Skippable::no && contains(options.skip, pass.name)) {
      return fail(ErrorKind::usage, "--skip {}: quantization cannot do without this pass",
                  pass.name);
    }
  }
  const auto between_2_and_8 = [](int bits) { return bits >= 2 && bits <= 8; };
  for (const int bits : {options.weight_bits, options.edge_weight_bits.value_or(8),
                         options.depthwise_weight_bits.value_or(8)}) {
    if (between_2_and_8(bits)) continue;
    return fail(ErrorKind::usage, "weights of {} bits; 2 to 8 are possible", bits);
  }
  if (!between_2_and_8(options.activation_bits) && options.activation_bits != 16) {
    return fail(ErrorKind::usage, "activations of {} bits; 2 to 8 and 16 are possible",
                options.activation_bits);
  }
  return {};
}

/// The options' target, with the options' width of activations.
Result<TargetProfile> target_of(const QuantizeOptions& options) {
  if (const auto* target = find_target(options.target)) {
    return with_activation_bits(*target, options.activation_bits);
  }
  return fail(ErrorKind::usage, "no target '{}'; there are {}", options.target,
              fmt::join(target_names(), ", "));
}

/// Operators that work on codes or make them, as QOperator and dynamically quantized models and
/// what QDQ import leaves behind have.
bool is_quantized_operator(const Node& node) {
  if (!node.domain.empty() && node.domain != "com.microsoft") return false;
  constexpr std::array<std::string_view, 14> names = {"QuantizeLinear",
                                                      "DequantizeLinear",
                                                      "DynamicQuantizeLinear",
                                                      "ConvInteger",
                                                      "MatMulInteger",
                                                      "MatMulIntegerToFloat",
                                                      "MatMulInteger16",
                                                      "DynamicQuantizeMatMul",
                                                      "DynamicQuantizeLSTM",
                                                      "QGemm",
                                                      "QAttention",
                                                      "QEmbedLayerNormalization",
                                                      "MatMulNBits",
                                                      "GatherBlockQuantized"};
  return node.op.starts_with("QLinear") ||
         std::find(names.begin(), names.end(), node.op) != names.end();
}

Status check_float_model(const Graph& graph) {
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const Node& node = graph.node(static_cast<NodeId>(i));
    if (!node.alive || !is_quantized_operator(node)) continue;
    return bad_input(
        "the model is quantized already (node {} is a {}), in a form that octet cannot dequantize; "
        "give the float model it was made from",
        node.name, node.op);
  }
  return {};
}

/// Infinities that are no weights: masks, bounds, what padding is made of.
bool may_be_infinite(const Node& node) {
  constexpr std::array<std::string_view, 11> names = {
      "Add", "Sub",    "Where",           "Clip",  "Min",   "Max",
      "Pad", "Expand", "ConstantOfShape", "Trilu", "Concat"};
  return node.domain.empty() && std::find(names.begin(), names.end(), node.op) != names.end();
}

/// No NaN anywhere, and infinities only where a mask or a bound may be.
Status check_weights(const Graph& graph) {
  auto status = check_finite_constants(graph);
  if (status) return {};
  const auto uses = graph.uses();
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    const auto id = static_cast<ValueId>(i);
    const auto* constant = graph.constant(id);
    if (constant == nullptr || !is_float(constant->dtype()) || uses[i].empty()) continue;
    OCTET_ASSIGN(const auto wide, to_f32(*constant));
    const auto values = wide.values<float>();
    const bool finite =
        std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
    if (finite) continue;
    const bool wrong =
        std::any_of(values.begin(), values.end(), [](float value) { return std::isnan(value); });
    const bool masks = std::all_of(uses[i].begin(), uses[i].end(), [&](const Use& use) {
      return may_be_infinite(graph.node(use.node));
    });
    if (wrong || !masks) return status;
  }
  return {};
}

Status run_pass(const Pass& pass, PassContext& context) {
  OCTET_TRY(check_cancel());
  const auto start = std::chrono::steady_clock::now();
  OCTET_TRY(pass.run(context));
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  context.report.passes.push_back({std::string(pass.name), taken.count()});
  OCTET_TRY(verify(context.model));
  if (context.options.dump && contains(context.options.dump_after, pass.name)) {
    context.options.dump(pass.name, dump(context.model));
  }
  return {};
}

Result<QuantizedGraph> run_pipeline(Graph graph, const QuantizeOptions& options,
                                    const QuantizeSources& sources, QuantizeReport& report) {
  OCTET_TRY(check_options(options));
  OCTET_ASSIGN(const auto target, target_of(options));
  OCTET_TRY(check_float_model(graph));
  OCTET_TRY(check_weights(graph));
  OCTET_TRY(infer_shapes(graph));
  PassContext context{{std::move(graph), {}}, options, target, sources, report};
  context.model.plan.target = std::string(target.name);
  context.model.plan.rule = target.rule;
  // As .onnx such a model has its weights [out, in], which MatMulInteger does not take.
  context.model.plan.dynamic_form = target.litert ? DynamicForm::qdq : options.dynamic_form;
  std::vector<std::string_view> ran;
  for (const auto& pass : pipeline_of(options)) {
    if (contains(options.skip, pass.name)) continue;
    if (!pass.after.empty() && std::find(ran.begin(), ran.end(), pass.after) == ran.end()) {
      return internal_error("pass {} needs {} to have run", pass.name, pass.after);
    }
    if (auto status = run_pass(pass, context); !status) {
      const auto kind = status.error().kind;
      if (kind == ErrorKind::cancelled) return tl::unexpected(std::move(status).error());
      return tl::unexpected(status.error().with_context(fmt::format("pass {}", pass.name)));
    }
    ran.push_back(pass.name);
  }
  return std::move(context.model);
}

}  // namespace

std::string_view name(Method method) {
  switch (method) {
    case Method::static_ranges: return "static";
    case Method::dynamic: return "dynamic";
    case Method::weight_only: return "weight-only";
  }
  return "static";
}

std::optional<Method> method_from_name(std::string_view text) {
  for (const auto method : {Method::static_ranges, Method::dynamic, Method::weight_only}) {
    if (name(method) == text) return method;
  }
  return std::nullopt;
}

std::string_view name(RoundingScope scope) {
  return scope == RoundingScope::block ? "block" : "layer";
}

std::optional<RoundingScope> rounding_scope_from_name(std::string_view text) {
  if (text == "layer") return RoundingScope::layer;
  if (text == "block") return RoundingScope::block;
  return std::nullopt;
}

std::vector<std::string_view> pass_names(const QuantizeOptions& options) {
  std::vector<std::string_view> names;
  for (const auto& pass : pipeline_of(options)) names.push_back(pass.name);
  return names;
}

std::vector<std::string_view> pass_names() { return pass_names(QuantizeOptions{}); }

Status fit_target(Graph& simplified, const QuantizeOptions& options) {
  OCTET_ASSIGN(const auto target, target_of(options));
  if (!target.litert) return {};
  OCTET_TRY(infer_shapes(simplified));
  return fit_litert(simplified, target, options.method != Method::static_ranges);
}

Result<std::vector<ValueId>> values_to_observe(const Graph& simplified,
                                               const QuantizeOptions& options) {
  OCTET_TRY(check_float_model(simplified));
  OCTET_ASSIGN(const auto target, target_of(options));
  OCTET_ASSIGN(const auto placement, place(simplified, target, options));
  return placement.observed();
}

Status report_placement(const Graph& simplified, const QuantizeOptions& options,
                        QuantizeReport& report) {
  OCTET_ASSIGN(const auto target, target_of(options));
  OCTET_ASSIGN(const auto placement, place(simplified, target, options));
  describe_placement(simplified, placement, report);
  return {};
}

Result<QuantizedGraph> quantize_static(Graph graph, const QuantizeOptions& options,
                                       const QuantizeSources& sources, QuantizeReport& report) {
  if (options.method != Method::static_ranges) {
    return internal_error("quantize_static was asked for method {}", name(options.method));
  }
  return run_pipeline(std::move(graph), options, sources, report);
}

Result<QuantizedGraph> quantize_static(Graph graph, const QuantizeOptions& options,
                                       const StatisticsSource& statistics, QuantizeReport& report) {
  return quantize_static(std::move(graph), options, QuantizeSources{statistics, {}, {}}, report);
}

Result<QuantizedGraph> quantize_without_data(Graph graph, const QuantizeOptions& options,
                                             QuantizeReport& report) {
  if (options.method == Method::static_ranges) {
    return fail(ErrorKind::usage, "static quantization needs data");
  }
  const bool halves = options.weights == WeightType::float16;
  if (halves && options.method == Method::dynamic) {
    return fail(ErrorKind::usage, "dynamic quantization needs int8 weights, not float16");
  }
  const auto* target = find_target(options.target);
  if (target != nullptr && target->micro && (halves || options.method == Method::dynamic)) {
    return fail(ErrorKind::usage,
                "target {} has no kernels for float activations with {} weights; give data for "
                "static quantization",
                target->name, halves ? "float16" : "int8");
  }
  return run_pipeline(std::move(graph), options, {}, report);
}

}  // namespace octet

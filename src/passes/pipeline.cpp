#include "passes/pipeline.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "core/progress.h"
#include "graph/dump.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"
#include "passes/passes.h"

namespace octet {
namespace {

Status run_simplify(PassContext& context) { return simplify(context.model.graph); }

enum class Skippable : std::uint8_t { no, yes };

struct Pass {
  std::string_view name;
  std::string_view after;  ///< what must have run before, "" for nothing
  Skippable skippable = Skippable::no;
  Status (*run)(PassContext&) = nullptr;
};

constexpr std::array pipeline = {
    Pass{"simplify", "", Skippable::yes, run_simplify},
    Pass{"place", "", Skippable::no, passes::place},
    Pass{"calibrate", "place", Skippable::no, passes::calibrate},
    Pass{"share_params", "calibrate", Skippable::no, passes::share_params},
    Pass{"quantize_weights", "share_params", Skippable::no, passes::quantize_weights},
    Pass{"correct_bias", "quantize_weights", Skippable::yes, passes::correct_bias},
    Pass{"derive_bias", "quantize_weights", Skippable::no, passes::derive_bias},
    Pass{"absorb_activations", "share_params", Skippable::yes, passes::absorb_activations},
};

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Status check_names(const std::vector<std::string>& names, std::string_view option) {
  const auto known = pass_names();
  for (const auto& wanted : names) {
    if (std::find(known.begin(), known.end(), wanted) != known.end()) continue;
    return fail(ErrorKind::usage, "{} {}: no such pass; there are {}", option, wanted,
                fmt::join(known, ", "));
  }
  return {};
}

Status check_options(const QuantizeOptions& options) {
  OCTET_TRY(check_names(options.skip, "--skip"));
  OCTET_TRY(check_names(options.dump_after, "--dump-after"));
  for (const auto& pass : pipeline) {
    if (pass.skippable == Skippable::no && contains(options.skip, pass.name)) {
      return fail(ErrorKind::usage, "--skip {}: quantization cannot do without this pass",
                  pass.name);
    }
  }
  for (const int bits : {options.weight_bits, options.activation_bits}) {
    if (bits >= 2 && bits <= 8) continue;
    return fail(ErrorKind::usage, "{} bits; 2 to 8 are possible", bits);
  }
  return {};
}

Result<const TargetProfile*> target_of(const QuantizeOptions& options) {
  if (const auto* target = find_target(options.target)) return target;
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
        "the model is quantized already (node {} is a {}); give the float model it was made from",
        node.name, node.op);
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

std::vector<std::string_view> pass_names() {
  std::vector<std::string_view> names;
  for (const auto& pass : pipeline) names.push_back(pass.name);
  return names;
}

Result<std::vector<ValueId>> values_to_observe(const Graph& simplified,
                                               const QuantizeOptions& options) {
  OCTET_TRY(check_float_model(simplified));
  OCTET_ASSIGN(const auto* target, target_of(options));
  OCTET_ASSIGN(auto placement, place(simplified, *target, options));
  return std::move(placement.sources);
}

Status report_placement(const Graph& simplified, const QuantizeOptions& options,
                        QuantizeReport& report) {
  OCTET_ASSIGN(const auto* target, target_of(options));
  OCTET_ASSIGN(const auto placement, place(simplified, *target, options));
  describe_placement(simplified, placement, report);
  return {};
}

Result<QuantizedGraph> quantize_static(Graph graph, const QuantizeOptions& options,
                                       const StatisticsSource& statistics, QuantizeReport& report) {
  OCTET_TRY(check_options(options));
  OCTET_ASSIGN(const auto* target, target_of(options));
  OCTET_TRY(check_float_model(graph));
  OCTET_TRY(check_finite_constants(graph));
  OCTET_TRY(infer_shapes(graph));
  PassContext context{{std::move(graph), {}}, options, *target, statistics, report, {}, {}};
  context.model.plan.target = std::string(target->name);
  context.model.plan.rule = target->rule;
  std::vector<std::string_view> ran;
  for (const auto& pass : pipeline) {
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

}  // namespace octet

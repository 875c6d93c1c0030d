#include <algorithm>

#include "graph/op_schema.h"
#include "graph/shape_inference.h"
#include "passes/integer_rules.h"
#include "passes/passes.h"

namespace octet::passes {
namespace {

/// Below this a scale and two more nodes take nearly what the codes save.
constexpr std::size_t min_weight_bytes = 1024;
/// The same for LiteRT, in elements: the threshold of the TFLite converter.
constexpr std::size_t litert_min_elements = 1024;
/// What the accumulators of a product by run time quantization hold: 255 * 127 * depth < 2^31.
constexpr std::int64_t dynamic_depth_limit = 66000;

const Tensor* weight_at(const Graph& graph, const Node& node, std::size_t slot) {
  const Tensor* tensor = graph.constant(node.input(slot));
  return tensor != nullptr && tensor->dtype() == DType::f32 ? tensor : nullptr;
}

/// Where operators keep weights, and along which axis one scale for each index serves them best:
/// output channels, rows of a table, gates of a recurrent layer.
std::vector<WeightSite> weights_of(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (!node.domain.empty()) return {};
  const auto rank = [&](std::size_t slot) {
    const Tensor* tensor = weight_at(graph, node, slot);
    return tensor == nullptr ? 0 : tensor->rank();
  };
  if (node.is("Conv") && rank(1) >= 3) return {{{id, 1}, 0}};
  if (node.is("ConvTranspose") && rank(1) >= 3) {
    // [in, out / group, ...]: with groups the channels of one index of axis 1 have little in
    // common.
    return {{{id, 1}, node.int_attribute("group", 1) == 1 ? 1 : 0}};
  }
  if (node.is("Gemm") && rank(1) == 2) return {{{id, 1}, output_channel_axis(node)}};
  if (node.is("MatMul") && rank(1) >= 1) return {{{id, 1}, rank(1) >= 2 ? rank(1) - 1 : -1}};
  if (node.is("MatMul") && rank(0) >= 1) return {{{id, 0}, rank(0) >= 2 ? rank(0) - 2 : -1}};
  if (node.is("Gather") && rank(0) >= 1) {
    return {{{id, 0}, rank(0) >= 2 && node.int_attribute("axis", 0) == 0 ? 0 : -1}};
  }
  if (node.is("LSTM") || node.is("GRU")) {
    std::vector<WeightSite> sites;
    for (const int slot : {1, 2}) {
      if (rank(static_cast<std::size_t>(slot)) == 3) sites.push_back({{id, slot}, 1});
    }
    return sites;
  }
  return {};
}

/// The same for LiteRT's hybrid kernels, which take weights [out, in] of Gemm alone.
std::string hybrid_reason(const Graph& graph, const Node& node) {
  const Tensor* weight = weight_at(graph, node, 1);
  if (!node.is("Conv") && !node.is("Gemm")) {
    return fmt::format("operator {} has no kernel for integer weights", node.op);
  }
  if (weight == nullptr || graph.constant(node.input(0)) != nullptr) {
    return "its weights are not its second input";
  }
  if (graph.value(node.input(0)).dtype != DType::f32) return "its input is not f32";
  if (node.is("Conv")) return weight->rank() == 4 ? "" : "only 2-D convolutions run in integers";
  const bool plain = node.int_attribute("transB", 0) != 0 && node.int_attribute("transA", 0) == 0 &&
                     node.float_attribute("alpha", 1) == 1 && node.float_attribute("beta", 1) == 1;
  return plain ? "" : "alpha, beta or transA is set, or its bias is no constant row";
}

/// Whether the node's input is quantized at run time: "" or the reason why not.
std::string dynamic_reason(const Graph& graph, const Node& node) {
  const Tensor* weight = weight_at(graph, node, 1);
  const bool multiplies = node.is("Conv") || node.is("Gemm") || node.is("MatMul");
  if (!multiplies) return fmt::format("operator {} has no integer form", node.op);
  if (weight == nullptr || graph.constant(node.input(0)) != nullptr) {
    return "its weights are not its second input";
  }
  const auto& input = graph.value(node.input(0));
  if (input.dtype != DType::f32) return "its input is not f32";
  if (node.is("Conv")) {
    if (weight->rank() > 4) return "only 1-D and 2-D convolutions run in integers";
    if (!input.shape) return "the rank of its input is unknown";
  } else if (weight->rank() != 2) {
    return "its weight is not a matrix";
  }
  if (node.is("Gemm") &&
      (node.float_attribute("alpha", 1) != 1 || node.float_attribute("beta", 1) != 1 ||
       node.int_attribute("transA", 0) != 0 || node.int_attribute("transB", 0) != 0)) {
    return "alpha, beta, transA or transB is set";
  }
  const auto depth =
      weight->size() / std::max<std::int64_t>(1, weight->dim(output_channel_axis(node)));
  if (depth > dynamic_depth_limit) return fmt::format("it sums {} products", depth);
  if (node.input(2) != ValueId::none) {
    const Tensor* bias = graph.constant(node.input(2));
    const bool row = bias != nullptr && bias->dtype() == DType::f32 && bias->rank() == 1 &&
                     bias->size() == weight->dim(output_channel_axis(node));
    if (!row) return "its bias is no constant row";
  }
  return "";
}

std::size_t least_weight_bytes(const PassContext& context) {
  const bool by_elements = context.target.litert && context.options.weights != WeightType::float16;
  return by_elements ? litert_min_elements * sizeof(float) : min_weight_bytes;
}

class Finder {
 public:
  explicit Finder(PassContext& context)
      : context_(context),
        graph_(context.model.graph),
        dynamic_(context.options.method == Method::dynamic),
        least_bytes_(least_weight_bytes(context)) {}

  void run(const std::vector<NodeId>& order) {
    const auto kept = kept_in_float(graph_, context_.options.keep_float, context_.report.notes);
    context_.report.float_nodes.clear();
    std::int64_t all = 0;
    std::int64_t integer = 0;
    for (const auto id : order) {
      const auto macs = node_macs(graph_, graph_.node(id));
      all += macs;
      const auto sites_before = context_.sites.size();
      const auto reason = kept[index(id)] ? "kept by --keep-float" : add_sites(id);
      for (auto i = sites_before; i < context_.sites.size(); ++i) {
        if (context_.sites[i].dynamic) integer += macs;
      }
      if (reason.empty() || !computes_floats(graph_, graph_.node(id))) continue;
      context_.report.float_nodes.push_back({graph_.node(id).name, graph_.node(id).op, reason});
    }
    context_.report.integer_mac_share =
        all > 0 ? static_cast<double>(integer) / static_cast<double>(all) : 0.0;
  }

 private:
  /// Adds the node's weights; the reason why the node stays float, "" when it does not.
  std::string add_sites(NodeId id) {
    auto found = weights_of(graph_, id);
    if (found.empty()) return "it has no weights";
    const auto small = [&](const WeightSite& site) {
      const auto slot = static_cast<std::size_t>(site.use.input);
      return graph_.constant(graph_.node(id).input(slot))->bytes() < least_bytes_;
    };
    if (std::all_of(found.begin(), found.end(), small)) {
      return fmt::format("its weights take less than {} bytes", least_bytes_);
    }
    std::erase_if(found, small);
    auto reason = dynamic_ ? run_time_reason(graph_.node(id))
                           : std::string("its weights are dequantized, it computes in float");
    for (auto& site : found) {
      site.dynamic = dynamic_ && reason.empty();
      // One scale lets the looked up codes stand for the result, too.
      if (dynamic_ && graph_.node(id).is("Gather")) site.axis = -1;
    }
    context_.sites.insert(context_.sites.end(), found.begin(), found.end());
    if (dynamic_ && !reason.empty()) reason += "; its weights are stored as codes";
    return reason;
  }

  /// Whether the input is quantized at run time: "" or the reason why not.
  [[nodiscard]] std::string run_time_reason(const Node& node) const {
    return context_.target.litert ? hybrid_reason(graph_, node) : dynamic_reason(graph_, node);
  }

  PassContext& context_;
  const Graph& graph_;
  bool dynamic_;
  std::size_t least_bytes_;
};

}  // namespace

Status place_weights(PassContext& context) {
  OCTET_TRY(infer_shapes(context.model.graph));
  const Graph& graph = context.model.graph;
  OCTET_ASSIGN(const auto order, graph.topological_order());
  Finder(context).run(order);
  if (!context.sites.empty()) return {};
  if (order.empty()) return bad_input("the graph has no nodes to quantize");
  return bad_input("the model has no weights of {} bytes or more to quantize; node {} ({}): {}",
                   least_weight_bytes(context), graph.node(order.front()).name,
                   graph.node(order.front()).op,
                   context.report.float_nodes.empty() ? std::string("it computes no floats")
                                                      : context.report.float_nodes.front().reason);
}

}  // namespace octet::passes

#include "engine/float/float_op.h"

#include <algorithm>
#include <limits>

#include "engine/float/ops.h"

namespace octet {
namespace float_engine {
namespace {

const OpEntry* find_entry(const Node& node) {
  if (!node.domain.empty() && node.domain != "ai.onnx") return nullptr;
  const std::span<const OpEntry> tables[] = {
      elementwise_entries(),   shape_entries(),     movement_entries(),
      convolution_entries(),   gemm_entries(),      pool_entries(),
      reduction_entries(),     quantize_entries(),  transposed_convolution_entries(),
      resize_entries(),        layout_entries(),    index_entries(),
      scatter_entries(),       integer_entries(),   unary_entries(),
      comparison_entries(),    cast_entries(),      softmax_entries(),
      normalization_entries(), selection_entries(), einsum_entries(),
      recurrent_entries()};
  for (const auto& table : tables) {
    for (const auto& entry : table) {
      if (entry.op == node.op) return &entry;
    }
  }
  return nullptr;
}

std::string describe(const Node& node) { return fmt::format("node {} ({})", node.name, node.op); }

Status check_arity(const OpEntry& entry, const Node& node) {
  for (std::size_t i = 0; i < entry.required_inputs; ++i) {
    if (node.input(i) == ValueId::none) {
      return bad_input("{}: input {} is missing", describe(node), i);
    }
  }
  for (std::size_t i = entry.max_outputs; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != ValueId::none) {
      return bad_input("{}: its output {} is not supported", describe(node), i);
    }
  }
  return {};
}

class FunctionOp : public NodeOp {
 public:
  FunctionOp(const OpSource& source, InputOrder order, Compute compute)
      : NodeOp(source), order_(order), compute_(std::move(compute)) {}

 protected:
  Outputs compute(Inputs inputs, State*) const override {
    if (order_ == InputOrder::any) return compute_(inputs);
    const auto converts = [](const Activation* input) { return input && input->channels_last; };
    if (std::none_of(inputs.begin(), inputs.end(), converts)) return compute_(inputs);
    std::vector<Activation> plain(inputs.size());
    std::vector<const Activation*> pointers(inputs.begin(), inputs.end());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!converts(inputs[i])) continue;
      plain[i] = to_plain(*inputs[i]);
      pointers[i] = &plain[i];
    }
    return compute_(pointers);
  }

 private:
  InputOrder order_;
  Compute compute_;
};

}  // namespace

NodeOp::NodeOp(const OpSource& source)
    : context_(describe(source.node)), required_inputs_(source.required_inputs) {
  for (const auto id : source.node.inputs) {
    const Tensor* constant = source.graph.constant(id);
    constants_.push_back(constant != nullptr ? Activation{*constant} : Activation{});
  }
}

Outputs NodeOp::run(Inputs inputs, State* state) const {
  std::vector<const Activation*> complete(std::max(inputs.size(), constants_.size()), nullptr);
  std::copy(inputs.begin(), inputs.end(), complete.begin());
  for (std::size_t i = 0; i < constants_.size(); ++i) {
    if (complete[i] == nullptr && !constants_[i].tensor.empty()) complete[i] = &constants_[i];
  }
  for (std::size_t i = 0; i < required_inputs_; ++i) {
    if (complete[i] == nullptr || complete[i]->tensor.empty()) {
      return internal_error("{}: input {} has no value", context_, i);
    }
  }
  auto outputs = compute(complete, state);
  if (!outputs) return tl::unexpected(outputs.error().with_context(context_));
  return outputs;
}

std::string NodeOp::kernel(const State*) const { return "plain"; }
std::int64_t NodeOp::macs(const Activation&) const { return 0; }

MadeOp make_function(const OpSource& source, InputOrder order, Compute compute) {
  return std::make_unique<FunctionOp>(source, order, std::move(compute));
}

MadeOp make_node_op(const Graph& graph, NodeId id, const Fusion& fusion) {
  const Node& node = graph.node(id);
  const OpEntry* entry = find_entry(node);
  if (entry == nullptr) {
    return bad_input("node {}: operator {} (domain {}) is not supported", node.name, node.op,
                     node.domain.empty() ? "ai.onnx" : node.domain);
  }
  OCTET_TRY(check_arity(*entry, node));
  const OpSource source{graph, node, entry->required_inputs};
  auto made = [&]() -> MadeOp {
    if (fusion.kind == Fusion::Kind::none) return entry->make(source);
    if (node.op == "Conv") return make_conv(source, fusion);
    if (node.op == "Gemm") return make_gemm(source, fusion);
    return internal_error("cannot fuse into {}", node.op);
  }();
  if (!made) return tl::unexpected(made.error().with_context(describe(node)));
  return made;
}

std::optional<Fusion> fusion_of(const Graph& graph, const Node& node) {
  if (node.is("Relu")) return Fusion{Fusion::Kind::relu, 0, 0};
  if (!node.is("Clip")) return std::nullopt;
  Fusion fusion{Fusion::Kind::clip,
                node.float_attribute("min", std::numeric_limits<float>::lowest()),
                node.float_attribute("max", std::numeric_limits<float>::max())};
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    if (node.input(i) == ValueId::none) continue;
    const Tensor* bound = graph.constant(node.input(i));
    if (bound == nullptr || bound->dtype() != DType::f32 || bound->size() != 1) {
      return std::nullopt;
    }
    (i == 1 ? fusion.low : fusion.high) = bound->data<float>()[0];
  }
  return fusion;
}

Result<std::size_t> element_bytes(DType dtype) {
  const int width = bits(dtype);
  if (width < 8) return bad_input("elements of type {} are not supported", name(dtype));
  return static_cast<std::size_t>(width / 8);
}

Status require_f32(const Tensor& tensor, std::string_view what) {
  if (tensor.dtype() == DType::f32) return {};
  return bad_input("{} is {}, only f32 is supported", what, name(tensor.dtype()));
}

Result<std::vector<std::int64_t>> integer_input(const Activation& input, std::string_view what) {
  if (input.tensor.rank() > 1) {
    return bad_input("{} has shape {}, expected one dimension", what,
                     to_string(input.tensor.shape()));
  }
  auto values = to_int64(input.tensor);
  if (!values) return tl::unexpected(values.error().with_context(what));
  return values;
}

Shape memory_shape(const Activation& activation) {
  const Shape& shape = activation.tensor.shape();
  if (!activation.channels_last) return shape;
  return {shape[0], shape[2], shape[3], shape[1]};
}

void transpose_matrix(const float* in, float* out, std::int64_t rows, std::int64_t columns) {
  constexpr std::int64_t tile = 16;
  for (std::int64_t r0 = 0; r0 < rows; r0 += tile) {
    const std::int64_t r1 = std::min(r0 + tile, rows);
    for (std::int64_t c0 = 0; c0 < columns; c0 += tile) {
      const std::int64_t c1 = std::min(c0 + tile, columns);
      for (std::int64_t c = c0; c < c1; ++c) {
        for (std::int64_t r = r0; r < r1; ++r) out[c * rows + r] = in[r * columns + c];
      }
    }
  }
}

namespace {

/// Converts image by image a [rows, columns] matrix to its transpose.
Activation reorder(const Activation& activation, bool channels_last) {
  const Tensor& tensor = activation.tensor;
  const std::int64_t channels = tensor.dim(1);
  const std::int64_t pixels = tensor.dim(2) * tensor.dim(3);
  if (channels == 1 || pixels == 1 || tensor.size() == 0) return {tensor, channels_last};
  auto made = new_tensor(DType::f32, tensor.shape());
  Tensor out = made ? std::move(*made) : Tensor(DType::f32, tensor.shape());
  const float* from = tensor.data<float>();
  float* to = out.mutable_data<float>();
  for (std::int64_t n = 0; n < tensor.dim(0); ++n) {
    const std::int64_t offset = n * channels * pixels;
    transpose_matrix(from + offset, to + offset, channels_last ? channels : pixels,
                     channels_last ? pixels : channels);
  }
  return {std::move(out), channels_last};
}

}  // namespace
}  // namespace float_engine

Activation to_plain(const Activation& activation) {
  return activation.channels_last ? float_engine::reorder(activation, false) : activation;
}

Activation to_channels_last(const Activation& activation) {
  return activation.channels_last ? activation : float_engine::reorder(activation, true);
}

Result<std::unique_ptr<FloatOp>> make_float_op(const Graph& graph, NodeId node) {
  OCTET_ASSIGN(auto op, float_engine::make_node_op(graph, node));
  return op;
}

bool float_op_supported(const Node& node) { return float_engine::find_entry(node) != nullptr; }

Result<std::vector<Tensor>> evaluate_constant_node(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  for (const auto input : node.inputs) {
    if (input != ValueId::none && graph.constant(input) == nullptr) {
      return internal_error("node {} ({}): input {} is not constant", node.name, node.op,
                            graph.value(input).name);
    }
  }
  OCTET_ASSIGN(const auto op, float_engine::make_node_op(graph, id));
  const auto state = op->make_state();
  // The op knows its constants.
  OCTET_ASSIGN(const auto outputs, op->run({}, state.get()));
  std::vector<Tensor> tensors;
  for (const auto& output : outputs) tensors.push_back(to_plain(output).tensor);
  return tensors;
}

}  // namespace octet

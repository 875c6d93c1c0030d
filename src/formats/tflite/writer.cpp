#include "formats/tflite/lowering.h"

#include <algorithm>
#include <cmath>

#include "formats/tflite/tflite.h"
#include "formats/tflite/writer_images.h"
#include "graph/litert_attributes.h"

namespace octet::tflite {
namespace {

/// The fused form of a Relu or Clip, or NONE.
Activation fused_form(Lowering& lowering, const Node& node) {
  if (node.is("Relu")) return Activation::RELU;
  if (!node.is("Clip")) return Activation::NONE;
  const auto bound = [&](std::size_t slot, float fallback) {
    const auto* tensor =
        node.input(slot) == ValueId::none ? nullptr : lowering.known(node.input(slot));
    if (tensor == nullptr) return node.input(slot) == ValueId::none ? fallback : NAN;
    return tensor->dtype() == DType::f32 && tensor->size() == 1 ? *tensor->data<float>() : NAN;
  };
  const float low = bound(1, -INFINITY);
  const float high = bound(2, INFINITY);
  if (low == 0 && high == INFINITY) return Activation::RELU;
  if (low == 0 && high == 6) return Activation::RELU6;
  return low == -1 && high == 1 ? Activation::RELU_N1_TO_1 : Activation::NONE;
}

}  // namespace

Lowering::Lowering(const QuantizedGraph& model, std::vector<ValueFacts> facts)
    : model_(model),
      graph_(model.graph),
      facts_(std::move(facts)),
      uses_(graph_.value_slots()),
      producers_(graph_.producers()),
      jobs_(graph_.node_slots()),
      absorbed_(graph_.node_slots(), false),
      needed_(graph_.node_slots(), false),
      held_(graph_.value_slots()) {}

Result<Draft> Lowering::run() {
  OCTET_ASSIGN(order_, graph_.topological_order());
  images_ = find_images(graph_, order_, facts_);
  find_storage_of_bytes();
  find_needed();
  fuse();
  add_inputs();
  for (const auto id : order_) {
    if (!needed_[index(id)] || absorbed_[index(id)]) continue;
    if (auto status = lower(id); !status) {
      const auto& node = graph_.node(id);
      return tl::unexpected(
          status.error().with_context(fmt::format("node {} ({})", node.name, node.op)));
    }
  }
  OCTET_TRY(add_outputs());
  return std::move(draft_);
}

/// Old files store all 8-bit codes as u8, weights too, with one scale for a tensor.
void Lowering::find_storage_of_bytes() {
  bool all = true;
  bool weights = false;
  for (const auto& [id, quantization] : model_.plan.values) {
    if (quantization.scheme.bits > 16) continue;
    all = all && quantization.storage == DType::u8 && !quantization.params.per_channel();
    weights = weights || graph_.value(id).is_constant();
  }
  for (const auto& [use, quantization] : model_.plan.overrides) {
    all = all && quantization.storage == DType::u8 && !octet::is_dynamic(quantization);
  }
  stores_bytes_ = all && weights;
}

bool Lowering::are_extents(ValueId id) const {
  const auto* numbers = id == ValueId::none ? nullptr : partial_ints(id);
  return numbers != nullptr &&
         std::none_of(numbers->elements.begin(), numbers->elements.end(),
                      [](const auto& number) { return number.kind == PartialInt::Kind::unknown; });
}

/// Made by shape arithmetic: whatever the nodes were, it is computed from the shapes anew.
bool Lowering::follows_from_shapes(ValueId id) const {
  return id != ValueId::none && !is_constant(id) && producers_[index(id)] != NodeId::none &&
         are_extents(id);
}

/// Inputs that state a shape or an end, which the writer takes from shape inference instead.
bool Lowering::states_numbers(const Node& node, std::size_t slot) const {
  if (node.is("Reshape") || node.is("Expand")) return slot == 1;
  if (node.is("Resize")) return slot >= 1 && (slot != 3 || are_extents(node.input(3)));
  if (node.is("Range")) return are_extents(node.input(slot));
  return node.is("Slice") && slot >= 1 && are_extents(node.input(slot));
}

/// Marks the nodes that the outputs depend on, shape arithmetic left out, and lists what they read.
void Lowering::find_needed() {
  std::vector<ValueId> pending(graph_.outputs.rbegin(), graph_.outputs.rend());
  while (!pending.empty()) {
    const auto value = pending.back();
    pending.pop_back();
    const auto maker = producers_[index(value)];
    if (is_constant(value) || maker == NodeId::none || needed_[index(maker)]) continue;
    needed_[index(maker)] = true;
    if (follows_from_shapes(value)) continue;
    const auto& node = graph_.node(maker);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != ValueId::none && !states_numbers(node, i)) {
        pending.push_back(node.inputs[i]);
      }
    }
  }
  for (const auto id : order_) {
    const auto& node = graph_.node(id);
    if (!needed_[index(id)] || follows_from_shapes(node.output())) continue;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == ValueId::none || states_numbers(node, i)) continue;
      uses_[index(node.inputs[i])].push_back({id, static_cast<int>(i)});
    }
  }
}

const Use* Lowering::sole_reader(ValueId id) const {
  const auto& readers = uses_[index(id)];
  return readers.size() == 1 && !graph_.is_output(id) ? &readers[0] : nullptr;
}

bool Lowering::reads_more_outputs(const Node& node) const {
  return std::any_of(node.outputs.begin() + 1, node.outputs.end(), [&](ValueId id) {
    return id != ValueId::none && (!uses(id).empty() || graph_.is_output(id));
  });
}

/// Whether `between`, which only the node that makes `end` reads, needs no codes of its own.
bool Lowering::joins_codes(ValueId between, ValueId end) const {
  if (model_.plan.overrides.contains(uses_[index(between)][0])) return false;
  const auto own = coding(between);
  return !own || own == coding(end);
}

/// An Add of a constant row behind a MatMul by a constant matrix is its bias.
bool Lowering::fuse_bias(NodeId id, ValueId& end) {
  const auto& node = graph_.node(id);
  const auto* weight = node.is("MatMul") ? known(node.input(1)) : nullptr;
  const auto* reader = sole_reader(end);
  if (weight == nullptr || weight->rank() != 2 || reader == nullptr) return false;
  const auto& add = graph_.node(reader->node);
  if (!add.is("Add") || absorbed_[index(reader->node)]) return false;
  const int slot = 1 - reader->input;
  const auto* row = known(add.input(static_cast<std::size_t>(slot)));
  const auto columns = weight->dim(1);
  if (row == nullptr || row->dtype() != DType::f32 || row->rank() < 1 || row->size() != columns ||
      row->shape().back() != columns) {
    return false;
  }
  const auto& before = facts_[index(end)].shape;
  if (!before || static_cast<std::size_t>(row->rank()) > before->size()) return false;
  if (!joins_codes(end, add.output())) return false;
  jobs_[index(id)].bias = Use{reader->node, slot};
  absorbed_[index(reader->node)] = true;
  end = add.output();
  return true;
}

bool Lowering::fuse_activation(NodeId id, ValueId& end) {
  const auto* reader = sole_reader(end);
  if (reader == nullptr || reader->input != 0) return false;
  const auto& node = graph_.node(reader->node);
  const auto form = fused_form(*this, node);
  if (form == Activation::NONE || dtype(end) != DType::f32) return false;
  if (is_kept_float(node)) return false;
  if (!joins_codes(end, node.output())) return false;
  jobs_[index(id)].activation = form;
  absorbed_[index(reader->node)] = true;
  end = node.output();
  return true;
}

void Lowering::fuse() {
  for (const auto id : order_) {
    if (!needed_[index(id)] || absorbed_[index(id)]) continue;
    const auto& node = graph_.node(id);
    auto& job = jobs_[index(id)];
    job.id = id;
    job.node = &node;
    job.output = node.output();
    const auto* rule = find_rule(node);
    if (rule == nullptr || job.output == ValueId::none) continue;
    fuse_bias(id, job.output);
    if (rule->fuses_activation) fuse_activation(id, job.output);
  }
}

bool Lowering::weights_run_on_codes(const Job& job) const {
  const auto& node = *job.node;
  const auto weight = node.input(1);
  if (!graph_.value(weight).is_constant()) return node.is("MatMul");
  const auto* quantization = model_.plan.find(graph_, {job.id, 1});
  if (quantization == nullptr || quantization->scheme.bits > 8) return false;
  const auto& params = quantization->params;
  const bool centred = std::all_of(params.zero_point.begin(), params.zero_point.end(),
                                   [](std::int32_t zero) { return zero == 0; });
  if (!centred && !stores_bytes_) return false;
  const int rank = graph_.value(weight).constant->rank();
  const int channels = node.is("Conv")                        ? 0
                       : node.is("ConvTranspose")             ? 1
                       : node.is("MatMul")                    ? rank - 1
                       : node.int_attribute("transB", 0) != 0 ? 0
                                                              : 1;
  if (params.per_channel() && params.axis != channels) return false;
  if (node.is("Gemm")) {
    if (node.float_attribute("alpha", 1) != 1 || node.float_attribute("beta", 1) != 1 ||
        node.int_attribute("transA", 0) != 0) {
      return false;
    }
  }
  return node.input(2) == ValueId::none || graph_.value(node.input(2)).is_constant();
}

bool Lowering::runs_on_codes(const Job& job) const {
  const auto* rule = find_rule(*job.node);
  const auto output = coding(job.output);
  if (rule->codes == CodesTaken::none || !output || dtype(job.output) != DType::f32) return false;
  if (output->storage == DType::i16 && rule->codes == CodesTaken::bytes) return false;
  if (is_kept_float(*job.node)) return false;
  const auto& node = *job.node;
  const bool has_weights =
      node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm") || node.is("MatMul");
  if (has_weights && !weights_run_on_codes(job)) return false;
  bool any = false;
  for (std::size_t i = 0; i < std::min(data_inputs(node), node.inputs.size()); ++i) {
    if (node.inputs[i] == ValueId::none || graph_.value(node.inputs[i]).is_constant()) continue;
    const auto input = coding(Use{job.id, static_cast<int>(i)});
    if (!input || input->storage != output->storage) return false;
    any = true;
  }
  return any;
}

Status Lowering::lower(NodeId id) {
  auto& job = jobs_[index(id)];
  if (follows_from_shapes(job.output)) return lower_numbers(job);
  const auto* rule = find_rule(*job.node);
  if (rule == nullptr) return bad_input("has no TFLite equivalent");
  job.coded = runs_on_codes(job);
  const auto before = draft_.operators.size();
  OCTET_TRY(rule->lower(*this, job));
  for (auto i = before; i < draft_.operators.size(); ++i) {
    OCTET_TRY(check_types(draft_.operators[i]));
    if (job.coded) OCTET_TRY(check_scales(draft_.operators[i], job.activation));
  }
  return {};
}

Result<std::string> serialize(const QuantizedGraph& model) {
  OCTET_ASSIGN(auto facts, infer_facts(model.graph));
  OCTET_ASSIGN(auto draft, Lowering(model, std::move(facts)).run());
  return encode(std::move(draft), model);
}

}  // namespace octet::tflite

// QUANTIZE of a float value: the value's own quantization where nobody sees the float, else what
// the readers behind it see.

#include <algorithm>

#include "formats/tflite/translator.h"

namespace octet::tflite {

/// The float before a Transpose to or from an image is quantized like the value behind it, when
/// nothing else reads it.
void Translator::quantize_before_transpose(ValueId value,
                                           const std::vector<std::vector<Use>>& uses) {
  const auto found = transposed_from_.find(value);
  if (found == transposed_from_.end()) return;
  const auto source = found->second;
  if (uses[index(source)].size() != 1 || model_.graph.is_output(source)) return;
  if (model_.graph.value(source).is_constant()) return;
  model_.plan.values.try_emplace(source, Quantization(model_.plan.values.at(value)));
}

void Translator::settle(const PendingQuantizer& quantizer, std::vector<std::vector<Use>>& uses) {
  auto& graph = model_.graph;
  auto& plan = model_.plan;
  const NodeId node = quantizer.node;
  const ValueId from = quantizer.from;
  const ValueId to = quantizer.to;
  auto& before = uses[index(from)];
  auto& behind = uses[index(to)];
  const bool output = graph.is_output(to);
  const bool whole = before.size() == 1 && !graph.is_output(from) && !plan.values.contains(from) &&
                     !graph.value(from).is_constant() && !(output && graph.is_input(from));
  if (!whole && output) return;
  const auto stated = plan.values.at(to);
  plan.values.erase(to);
  graph.remove_node(node);
  for (const auto& use : behind) {
    graph.node(use.node).inputs[static_cast<std::size_t>(use.input)] = from;
    if (!whole) plan.overrides[use] = stated;
  }
  std::erase_if(before, [&](const Use& use) { return use.node == node; });
  before.insert(before.end(), behind.begin(), behind.end());
  behind.clear();
  if (!whole) return;
  plan.values[from] = stated;
  quantize_before_transpose(from, uses);
  if (!output) return;
  std::replace(graph.outputs.begin(), graph.outputs.end(), to, from);
  if (const auto coded = plan.coded_io.find(to); coded != plan.coded_io.end()) {
    plan.coded_io[from] = coded->second;
    plan.coded_io.erase(to);
  }
  const auto name = graph.value(to).name;
  rename_to(to, graph.unique_value_name(name + "/unquantized"));
  rename_to(from, name);
}

void Translator::settle_quantizers() {
  if (quantizers_.empty()) return;
  auto uses = model_.graph.uses();
  for (const auto& quantizer : quantizers_) settle(quantizer, uses);
}

}  // namespace octet::tflite

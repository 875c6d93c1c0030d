#include "engine/gradient/gradient_op.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/float/vector_clones.h"

namespace octet::gradient {
namespace {

const OpEntry* find_entry(const Node& node) {
  const std::array tables = {convolution_entries(),   product_entries(),   activation_entries(),
                             arithmetic_entries(),    pool_entries(),      movement_entries(),
                             normalization_entries(), reduction_entries(), resample_entries(),
                             selection_entries()};
  if (node.domain.empty()) {
    for (const auto table : tables) {
      const auto found = std::find_if(table.begin(), table.end(),
                                      [&](const OpEntry& entry) { return entry.op == node.op; });
      if (found != table.end()) return &*found;
    }
    return nullptr;
  }
  const auto own = fake_quant_entries();
  const auto found = std::find_if(own.begin(), own.end(),
                                  [&](const OpEntry& entry) { return entry.op == node.op; });
  return node.domain == "octet" && found != own.end() ? &*found : nullptr;
}

OCTET_VECTOR_CLONES void add_all(float* __restrict to, const float* __restrict from,
                                 std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] += from[i];
}

}  // namespace

bool has_gradient(const Node& node) { return find_entry(node) != nullptr; }

bool reads_numbers(const Node& node, std::size_t input) {
  return (node.is("Gather") && input == 1) || (node.is("Where") && input == 0) ||
         (node.is("Pow") && input == 1);
}

std::vector<std::int64_t> OpSource::strides(std::size_t input) const {
  return strides_of(inputs[input], parameters[input]);
}
std::vector<std::int64_t> OpSource::output_strides() const {
  return strides_of(output, output_parameter);
}

MadeOp make_gradient_op(const OpSource& source) {
  const auto* entry = find_entry(source.node);
  if (entry == nullptr) {
    return bad_input("node {}: octet cannot train through operator {}", source.node.name,
                     source.node.op);
  }
  if (source.output_index > 0 && !source.node.is("Split")) {
    return bad_input("node {}: octet cannot train through output {} of operator {}",
                     source.node.name, source.output_index, source.node.op);
  }
  auto op = entry->make(source);
  if (!op) return tl::unexpected(op.error().with_context(fmt::format("node {}", source.node.name)));
  return op;
}

std::vector<std::int64_t> strides_of(const Shape& shape, bool parameter) {
  std::vector<std::int64_t> strides(shape.size());
  if (shape.size() == 4 && !parameter) {
    const auto channels = shape[1];
    return {shape[2] * shape[3] * channels, 1, shape[3] * channels, channels};
  }
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

std::vector<std::int64_t> broadcast_steps(const OpSource& source, std::size_t input) {
  const Shape& shape = source.inputs[input];
  const auto strides = source.strides(input);
  std::vector<std::int64_t> steps(source.output.size(), 0);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1) steps[steps.size() - shape.size() + i] = strides[i];
  }
  return steps;
}

Status check_broadcast(const OpSource& source) {
  const Shape& out = source.output;
  for (const Shape& shape : source.inputs) {
    bool fits = shape.size() <= out.size();
    for (std::size_t i = 0; fits && i < shape.size(); ++i) {
      fits = shape[i] == 1 || shape[i] == out[out.size() - shape.size() + i];
    }
    if (!fits) {
      return bad_input("an input of shape {} does not broadcast to {}", to_string(shape),
                       to_string(out));
    }
  }
  return {};
}

bool is_row_major(const Shape& shape, bool parameter) {
  return parameter || shape.size() != 4 || shape[1] == 1 || shape[2] * shape[3] == 1;
}

void deliver(const Target& target, const float* source, std::int64_t count) {
  if (!target) return;
  if (target.add) {
    add_all(target.data, source, count);
  } else {
    std::memcpy(target.data, source, static_cast<std::size_t>(count) * sizeof(float));
  }
}

}  // namespace octet::gradient

#include "graph/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

namespace octet {
namespace {

template <class Map>
std::string unique_name(const Map& taken, std::string_view hint, std::string_view fallback) {
  std::string base(hint.empty() ? fallback : hint);
  if (!taken.contains(base)) return base;
  const auto numbered = [&](std::int64_t i) { return fmt::format("{}_{}", base, i); };
  // Numbers are mostly taken in a row, and thousands of nodes may have no name: the row's end is
  // found by halving.
  std::int64_t last_taken = 0;
  std::int64_t end = 1;
  for (; taken.contains(numbered(end)); end *= 2) last_taken = end;
  while (end - last_taken > 1) {
    const auto middle = last_taken + (end - last_taken) / 2;
    (taken.contains(numbered(middle)) ? last_taken : end) = middle;
  }
  return numbered(end);
}

}  // namespace

ValueId Graph::add_value(Value value) {
  value.name = unique_name(value_names_, value.name, "value");
  const auto id = static_cast<ValueId>(values_.size());
  value_names_[value.name] = id;
  values_.push_back(std::move(value));
  return id;
}

ValueId Graph::add_constant(std::string_view name_hint, Tensor tensor) {
  Value value;
  value.name = name_hint;
  value.dtype = tensor.dtype();
  value.shape = tensor.shape();
  value.constant = std::move(tensor);
  return add_value(std::move(value));
}

NodeId Graph::add_node(Node node) {
  node.name = unique_name(node_names_, node.name, node.op);
  const auto id = static_cast<NodeId>(nodes_.size());
  node_names_[node.name] = id;
  nodes_.push_back(std::move(node));
  return id;
}

ValueId Graph::find_value(std::string_view value_name) const {
  const auto it = value_names_.find(value_name);
  return it == value_names_.end() ? ValueId::none : it->second;
}

const Tensor* Graph::constant(ValueId id) const {
  if (id == ValueId::none || !value(id).constant) return nullptr;
  return &*value(id).constant;
}

Result<std::vector<NodeId>> Graph::topological_order() const {
  const auto producer = producers();
  const auto readers = uses();
  std::vector<int> waiting(nodes_.size(), 0);
  std::priority_queue<NodeId, std::vector<NodeId>, std::greater<>> ready;
  std::size_t live = 0;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].alive) continue;
    ++live;
    for (const auto input : nodes_[i].inputs) {
      if (input != ValueId::none && producer[index(input)] != NodeId::none) ++waiting[i];
    }
    if (waiting[i] == 0) ready.push(static_cast<NodeId>(i));
  }
  std::vector<NodeId> order;
  order.reserve(live);
  while (!ready.empty()) {
    const auto id = ready.top();
    ready.pop();
    order.push_back(id);
    for (const auto output : node(id).outputs) {
      if (output == ValueId::none) continue;
      for (const auto& use : readers[index(output)]) {
        if (--waiting[index(use.node)] == 0) ready.push(use.node);
      }
    }
  }
  if (order.size() == live) return order;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].alive && waiting[i] > 0) {
      return bad_input("the graph has a cycle through node {} ({})", nodes_[i].name, nodes_[i].op);
    }
  }
  return internal_error("topological order lost a node");
}

std::vector<NodeId> Graph::producers() const {
  std::vector<NodeId> producer(values_.size(), NodeId::none);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].alive) continue;
    for (const auto output : nodes_[i].outputs) {
      if (output != ValueId::none) producer[index(output)] = static_cast<NodeId>(i);
    }
  }
  return producer;
}

std::vector<std::vector<Use>> Graph::uses() const {
  std::vector<std::vector<Use>> readers(values_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].alive) continue;
    for (std::size_t k = 0; k < nodes_[i].inputs.size(); ++k) {
      const auto input = nodes_[i].inputs[k];
      if (input == ValueId::none) continue;
      readers[index(input)].push_back({static_cast<NodeId>(i), static_cast<int>(k)});
    }
  }
  return readers;
}

bool Graph::is_input(ValueId id) const {
  return std::find(inputs.begin(), inputs.end(), id) != inputs.end();
}

bool Graph::is_output(ValueId id) const {
  return std::find(outputs.begin(), outputs.end(), id) != outputs.end();
}

void Graph::replace_uses(ValueId from, ValueId to) {
  for (auto& node : nodes_) {
    if (node.alive) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  }
  std::replace(outputs.begin(), outputs.end(), from, to);
}

void Graph::remove_dead_nodes() {
  const auto producer = producers();
  std::vector<bool> needed(nodes_.size(), false);
  std::vector<NodeId> pending;
  const auto need = [&](ValueId id) {
    if (id == ValueId::none) return;
    const auto source = producer[index(id)];
    if (source == NodeId::none || needed[index(source)]) return;
    needed[index(source)] = true;
    pending.push_back(source);
  };
  for (const auto id : outputs) need(id);
  while (!pending.empty()) {
    const auto id = pending.back();
    pending.pop_back();
    for (const auto input : node(id).inputs) need(input);
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) nodes_[i].alive = nodes_[i].alive && needed[i];
}

std::string Graph::unique_value_name(std::string_view hint) const {
  return unique_name(value_names_, hint, "value");
}

Status Graph::rename_value(ValueId id, const std::string& new_name) {
  if (value(id).name == new_name) return {};
  if (value_names_.contains(new_name)) return internal_error("value {} exists already", new_name);
  value_names_.erase(value(id).name);
  value_names_[new_name] = id;
  value(id).name = new_name;
  return {};
}

}  // namespace octet

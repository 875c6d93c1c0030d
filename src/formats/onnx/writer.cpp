#include <google/protobuf/stubs/logging.h>

#include "formats/onnx/onnx.h"
#include "formats/onnx/qdq.h"
#include "formats/onnx/wire.h"
#include "graph/litert_attributes.h"

namespace octet::onnx {
namespace {

/// First IR version that opset 21 may appear in.
constexpr std::int64_t minimum_ir_version = 10;

class Writer {
 public:
  Writer(const Graph& graph, std::vector<NodeId> order)
      : graph_(graph), order_(std::move(order)), used_(graph.value_slots(), false) {}

  Result<std::string> write();

 private:
  void mark_used_values();
  Status check_size() const;
  void write_opsets();
  void write_nodes();
  void write_node(const Node& node, wire::NodeProto& out) const;
  void write_initializers();
  void write_infos();

  const Graph& graph_;
  std::vector<NodeId> order_;
  std::vector<bool> used_;  ///< by value slot: a node or the graph's outputs read it
  std::set<std::string> sparse_;
  wire::ModelProto model_;
};

void Writer::mark_used_values() {
  bool captures = false;
  for (const auto id : order_) {
    for (const auto input : graph_.node(id).inputs) {
      if (input != ValueId::none) used_[index(input)] = true;
    }
    for (const auto& [name, attribute] : graph_.node(id).attributes) {
      captures = captures || std::holds_alternative<OpaqueAttribute>(attribute);
    }
  }
  for (const auto id : graph_.outputs) used_[index(id)] = true;
  // A sub-graph may read any value of the graph around it by name.
  if (captures) used_.assign(used_.size(), true);
}

Status Writer::check_size() const {
  std::size_t total = 0;
  for (std::size_t i = 0; i < graph_.value_slots(); ++i) {
    const auto& value = graph_.value(static_cast<ValueId>(i));
    if (!used_[i] || !value.is_constant()) continue;
    total += value.constant->bytes();
    if (total > wire_limit) {
      return bad_input("the weights up to {} take {} bytes; an ONNX file holds at most {}",
                       value.name, total, wire_limit);
    }
  }
  return {};
}

void Writer::write_opsets() {
  bool standard = graph_.opsets.contains("");
  for (const auto id : order_) standard = standard || graph_.node(id).domain.empty();
  auto opsets = graph_.opsets;
  if (standard) opsets.emplace("", canonical_opset);
  for (const auto& [domain, version] : opsets) {
    auto& import = *model_.add_opset_import();
    import.set_domain(domain);
    import.set_version(version);
  }
}

void Writer::write_node(const Node& node, wire::NodeProto& out) const {
  if (const auto* kept = extra::find(graph_, extra::node, node.name)) out.ParseFromString(*kept);
  const auto name_of = [&](ValueId id) {
    return id == ValueId::none ? std::string() : graph_.value(id).name;
  };
  for (const auto input : node.inputs) out.add_input(name_of(input));
  for (const auto output : node.outputs) out.add_output(name_of(output));
  out.set_name(node.name);
  out.set_op_type(node.op);
  if (!node.domain.empty()) out.set_domain(node.domain);
  for (const auto& [name, attribute] : node.attributes) {
    if (is_litert_attribute(name)) continue;
    *out.add_attribute() = encode_attribute(name, attribute);
  }
}

void Writer::write_nodes() {
  for (const auto id : order_) write_node(graph_.node(id), *model_.mutable_graph()->add_node());
}

void Writer::write_initializers() {
  for (std::size_t i = 0; i < graph_.value_slots(); ++i) {
    const auto& value = graph_.value(static_cast<ValueId>(i));
    if (!used_[i] || !value.is_constant() || sparse_.contains(value.name)) continue;
    auto& out = *model_.mutable_graph()->add_initializer();
    if (!is_plain(value.constant->dtype())) {
      if (const auto* whole = extra::find(graph_, extra::tensor, value.name)) {
        out.ParseFromString(*whole);
      }
    } else {
      if (const auto* kept = extra::find(graph_, extra::initializer, value.name)) {
        out.ParseFromString(*kept);
      }
      encode_tensor(*value.constant, out);
    }
    out.set_name(value.name);
  }
}

void Writer::write_infos() {
  auto& out = *model_.mutable_graph();
  std::set<ValueId> described(graph_.inputs.begin(), graph_.inputs.end());
  described.insert(graph_.outputs.begin(), graph_.outputs.end());
  const auto encode = [&](ValueId id, std::string_view kind) {
    const auto& value = graph_.value(id);
    return encode_value_info(value, extra::find(graph_, kind, value.name));
  };
  for (const auto id : graph_.inputs) *out.add_input() = encode(id, extra::value);
  for (const auto id : graph_.outputs) *out.add_output() = encode(id, extra::value);
  for (const auto node : order_) {
    for (const auto id : graph_.node(node).outputs) {
      if (id == ValueId::none || described.contains(id)) continue;
      if (extra::find(graph_, extra::value_info, graph_.value(id).name) == nullptr) continue;
      *out.add_value_info() = encode(id, extra::value_info);
    }
  }
}

Result<std::string> Writer::write() {
  if (const auto kept = graph_.format_extra.find(std::string(extra::model));
      kept != graph_.format_extra.end()) {
    model_.ParseFromString(kept->second);
  }
  for (const auto& sparse : model_.graph().sparse_initializer()) {
    sparse_.insert(sparse.values().name());
  }
  mark_used_values();
  OCTET_TRY(check_size());
  model_.set_ir_version(std::max<std::int64_t>(model_.ir_version(), minimum_ir_version));
  if (model_.producer_name() != graph_.producer) model_.clear_producer_version();
  if (!graph_.producer.empty()) model_.set_producer_name(graph_.producer);
  model_.mutable_graph()->set_name(graph_.name.empty() ? "graph" : graph_.name);
  write_opsets();
  write_nodes();
  write_initializers();
  write_infos();
  for (const auto& [key, value] : graph_.metadata) {
    auto& entry = *model_.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  const auto size = model_.ByteSizeLong();
  if (size > wire_limit) {
    return bad_input("the model takes {} bytes; an ONNX file holds at most {}", size, wire_limit);
  }
  std::string bytes;
  if (!model_.SerializeToString(&bytes)) return internal_error("protobuf cannot encode the model");
  return bytes;
}

bool has_swish(const Graph& graph) {
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto& node = graph.node(static_cast<NodeId>(i));
    if (node.alive && node.is("Swish")) return true;
  }
  return false;
}

}  // namespace

Result<std::string> serialize(const Graph& graph) {
  const google::protobuf::LogSilencer silence;
  if (has_swish(graph)) {
    Graph plain = graph;
    split_swish(plain);
    return serialize(plain);
  }
  OCTET_ASSIGN(auto order, graph.topological_order());
  return Writer(graph, std::move(order)).write();
}

}  // namespace octet::onnx

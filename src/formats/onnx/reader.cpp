#include "formats/onnx/reader.h"

#include <google/protobuf/stubs/logging.h>

#include "formats/onnx/onnx.h"
#include "formats/onnx/opset_upgrade.h"
#include "formats/onnx/wire.h"
#include "formats/onnx/wire_damage.h"
#include "graph/op_schema.h"

namespace octet::onnx {
namespace {

/// "ai.onnx" is the long name of the standard domain.
std::string canonical_domain(const std::string& domain) {
  return domain == "ai.onnx" ? std::string() : domain;
}

/// Moves a parsed ModelProto into a Graph, emptying the message on the way.
class Reader {
 public:
  Reader(wire::ModelProto& model, const std::filesystem::path& folder)
      : model_(model), source_(*model.mutable_graph()), files_(folder) {}

  Result<ParsedModel> read();

 private:
  Status read_opsets();
  Status read_initializers();
  Status read_sparse_initializers();
  Status read_inputs();
  Status declare_outputs(int node_index);
  Status read_node(int node_index);
  Status read_outputs();
  Status read_value_infos();
  Status read_attributes(const wire::NodeProto& from, Node& node);
  Result<bool> read_constant(wire::NodeProto& from);
  Result<Tensor> constant_tensor(const wire::AttributeProto& attribute, const std::string& label);
  Status add_constant_value(const std::string& name, Tensor tensor, wire::TensorProto& from);
  Result<ValueId> resolve(const std::string& name, std::string_view reader) const;
  void keep_info(std::string_view kind, const wire::ValueInfoProto& info, const Value& value);
  void keep_leftovers();

  wire::ModelProto& model_;
  wire::GraphProto& source_;
  ExternalFiles files_;
  Graph graph_;
  std::vector<bool> absorbed_;  ///< by node index: a Constant that became a value
};

std::string node_label(const wire::NodeProto& node, int node_index) {
  if (!node.name().empty()) return fmt::format("node {} ({})", node.name(), node.op_type());
  return fmt::format("node number {} ({})", node_index, node.op_type());
}

Status Reader::read_opsets() {
  for (const auto& import : model_.opset_import()) {
    const auto domain = canonical_domain(import.domain());
    const auto [it, added] = graph_.opsets.emplace(domain, import.version());
    if (!added && it->second != import.version()) {
      return bad_input("the model imports versions {} and {} of the operator set \"{}\"",
                       it->second, import.version(), domain);
    }
  }
  const auto found = graph_.opsets.find("");
  if (found == graph_.opsets.end()) {
    for (const auto& node : source_.node()) {
      if (canonical_domain(node.domain()).empty()) {
        return bad_input("the model does not say which opset it uses");
      }
    }
    return {};
  }
  if (found->second < oldest_opset || found->second > newest_opset) {
    return bad_input("the model uses opset {}; octet reads opsets {} to {}", found->second,
                     oldest_opset, newest_opset);
  }
  return {};
}

Status Reader::add_constant_value(const std::string& name, Tensor tensor, wire::TensorProto& from) {
  if (graph_.find_value(name) != ValueId::none) {
    return bad_input("value {} is defined twice", name);
  }
  if (!is_plain(tensor.dtype())) {
    graph_.format_extra[extra::key(extra::tensor, name)] = from.SerializeAsString();
  } else if (strip_tensor(from)) {
    graph_.format_extra[extra::key(extra::initializer, name)] = from.SerializeAsString();
  }
  graph_.add_constant(name, std::move(tensor));
  return {};
}

Status Reader::read_initializers() {
  for (int i = 0; i < source_.initializer_size(); ++i) {
    auto& initializer = *source_.mutable_initializer(i);
    const std::string name = initializer.name();
    if (name.empty()) return bad_input("initializer number {} has no name", i);
    OCTET_ASSIGN(auto tensor, decode_tensor(initializer, name, files_));
    OCTET_TRY(add_constant_value(name, std::move(tensor), initializer));
  }
  source_.clear_initializer();
  return {};
}

/// Sparse initializers stay in the leftovers; the graph sees a constant without bytes.
Status Reader::read_sparse_initializers() {
  for (const auto& sparse : source_.sparse_initializer()) {
    const auto& name = sparse.values().name();
    if (name.empty()) return bad_input("a sparse initializer has no name");
    if (graph_.find_value(name) != ValueId::none) {
      return bad_input("value {} is defined twice", name);
    }
    const Shape shape(sparse.dims().begin(), sparse.dims().end());
    OCTET_TRY(checked_element_count(shape));
    graph_.add_constant(name, Tensor(DType::other, shape));
  }
  return {};
}

void Reader::keep_info(std::string_view kind, const wire::ValueInfoProto& info,
                       const Value& value) {
  auto bytes = info.SerializeAsString();
  const bool differs = encode_value_info(value, nullptr).SerializeAsString() != bytes;
  // Of other values the bare fact that the file described them is kept too.
  if (differs) {
    graph_.format_extra[extra::key(kind, value.name)] = std::move(bytes);
  } else if (kind == extra::value_info) {
    graph_.format_extra[extra::key(kind, value.name)] = "";
  }
}

Status Reader::read_inputs() {
  for (int i = 0; i < source_.input_size(); ++i) {
    const auto& info = source_.input(i);
    if (info.name().empty()) return bad_input("graph input number {} has no name", i);
    const auto existing = graph_.find_value(info.name());
    if (existing != ValueId::none) {
      // Old files list every initializer among the inputs, too.
      if (graph_.value(existing).is_constant()) continue;
      return bad_input("graph input {} is listed twice", info.name());
    }
    Value value;
    value.name = info.name();
    if (auto status = decode_value_info(info, value); !status) {
      return tl::unexpected(status.error().with_context("graph input"));
    }
    const auto id = graph_.add_value(std::move(value));
    graph_.inputs.push_back(id);
    keep_info(extra::value, info, graph_.value(id));
  }
  return {};
}

Result<Tensor> Reader::constant_tensor(const wire::AttributeProto& attribute,
                                       const std::string& label) {
  const auto& name = attribute.name();
  if (name == "value") return decode_tensor(attribute.t(), label, files_);
  if (name == "value_float") return Tensor::from<float>({attribute.f()}, {});
  if (name == "value_int") return Tensor::from<std::int64_t>({attribute.i()}, {});
  if (name == "value_floats") {
    const std::vector<float> values(attribute.floats().begin(), attribute.floats().end());
    return Tensor::from<float>(values, {static_cast<std::int64_t>(values.size())});
  }
  if (name == "value_ints") {
    const std::vector<std::int64_t> values(attribute.ints().begin(), attribute.ints().end());
    return Tensor::from<std::int64_t>(values, {static_cast<std::int64_t>(values.size())});
  }
  return Tensor();
}

/// Turns a Constant node into a constant value; false for the kinds that stay nodes (strings,
/// sparse, attributes of a function).
Result<bool> Reader::read_constant(wire::NodeProto& from) {
  if (from.op_type() != "Constant" || !canonical_domain(from.domain()).empty()) return false;
  if (from.attribute_size() != 1 || from.output_size() != 1 || from.output(0).empty()) return false;
  auto& attribute = *from.mutable_attribute(0);
  if (!attribute.ref_attr_name().empty()) return false;
  const std::string name = from.output(0);
  OCTET_ASSIGN(auto tensor, constant_tensor(attribute, name));
  if (tensor.empty()) return false;
  auto& source = *attribute.mutable_t();
  source.clear_name();
  if (!is_plain(tensor.dtype())) source.set_name(name);
  OCTET_TRY(add_constant_value(name, std::move(tensor), source));
  return true;
}

Status Reader::declare_outputs(int node_index) {
  auto& from = *source_.mutable_node(node_index);
  if (from.op_type().empty()) {
    return bad_input("{} names no operator", node_label(from, node_index));
  }
  const auto& op = from.op_type();
  if (canonical_domain(from.domain()).empty() && (op == "If" || op == "Loop" || op == "Scan")) {
    return bad_input("{}: control flow ({}) is not supported", node_label(from, node_index), op);
  }
  auto is_constant = read_constant(from);
  if (!is_constant) {
    return tl::unexpected(is_constant.error().with_context(node_label(from, node_index)));
  }
  absorbed_.push_back(*is_constant);
  if (*is_constant) return {};
  for (const auto& output : from.output()) {
    if (output.empty()) continue;
    const auto existing = graph_.find_value(output);
    if (existing != ValueId::none) {
      return bad_input("{} makes value {}, which is {}", node_label(from, node_index), output,
                       graph_.is_input(existing)              ? "a graph input"
                       : graph_.value(existing).is_constant() ? "an initializer"
                                                              : "made by another node, too");
    }
    Value value;
    value.name = output;
    graph_.add_value(std::move(value));
  }
  return {};
}

Result<ValueId> Reader::resolve(const std::string& name, std::string_view reader) const {
  if (name.empty()) return ValueId::none;
  const auto id = graph_.find_value(name);
  if (id == ValueId::none) {
    return bad_input("{} reads {}, which is no initializer, no graph input and no node's output",
                     reader, name);
  }
  return id;
}

Status Reader::read_attributes(const wire::NodeProto& from, Node& node) {
  const bool known = find_schema(node) != nullptr;
  for (const auto& attribute : from.attribute()) {
    if (attribute.name().empty()) return bad_input("an attribute has no name");
    const auto label = fmt::format("attribute {}", attribute.name());
    OCTET_ASSIGN(auto value, decode_attribute(attribute, label, files_));
    // What octet would not write back as it was stays as it is, unless octet needs to read it.
    if (!known && attribute.t().data_location() != wire::TensorProto::EXTERNAL) {
      auto bytes = attribute.SerializeAsString();
      if (encode_attribute(attribute.name(), value).SerializeAsString() != bytes) {
        value = OpaqueAttribute{std::move(bytes)};
      }
    }
    if (!node.attributes.emplace(attribute.name(), std::move(value)).second) {
      return bad_input("attribute {} is given twice", attribute.name());
    }
  }
  return {};
}

Status Reader::read_node(int node_index) {
  auto& from = *source_.mutable_node(node_index);
  const auto label = node_label(from, node_index);
  Node node;
  node.op = from.op_type();
  node.domain = canonical_domain(from.domain());
  node.name = from.name();
  for (const auto& input : from.input()) {
    OCTET_ASSIGN(const auto id, resolve(input, label));
    node.inputs.push_back(id);
  }
  for (const auto& output : from.output()) node.outputs.push_back(graph_.find_value(output));
  if (auto status = read_attributes(from, node); !status) {
    return tl::unexpected(status.error().with_context(label));
  }
  const auto id = graph_.add_node(std::move(node));
  for (auto* field : {from.mutable_input(), from.mutable_output()}) field->Clear();
  from.clear_attribute();
  from.clear_name();
  from.clear_op_type();
  from.clear_domain();
  if (from.ByteSizeLong() > 0) {
    graph_.format_extra[extra::key(extra::node, graph_.node(id).name)] = from.SerializeAsString();
  }
  return {};
}

Status Reader::read_outputs() {
  for (int i = 0; i < source_.output_size(); ++i) {
    const auto& info = source_.output(i);
    if (info.name().empty()) return bad_input("graph output number {} has no name", i);
    OCTET_ASSIGN(const auto id, resolve(info.name(), "the list of graph outputs"));
    if (graph_.is_output(id)) return bad_input("graph output {} is listed twice", info.name());
    graph_.outputs.push_back(id);
    auto& value = graph_.value(id);
    if (value.is_constant() || graph_.is_input(id)) continue;
    if (auto status = decode_value_info(info, value); !status) {
      return tl::unexpected(status.error().with_context("graph output"));
    }
    keep_info(extra::value, info, value);
  }
  if (graph_.outputs.empty()) return bad_input("the graph has no outputs");
  return {};
}

Status Reader::read_value_infos() {
  wire::GraphProto unused;
  for (const auto& info : source_.value_info()) {
    const auto id = graph_.find_value(info.name());
    if (id == ValueId::none) {
      *unused.add_value_info() = info;
      continue;
    }
    auto& value = graph_.value(id);
    if (value.is_constant() || graph_.is_input(id) || graph_.is_output(id)) continue;
    if (auto status = decode_value_info(info, value); !status) {
      return tl::unexpected(status.error().with_context("value"));
    }
    keep_info(extra::value_info, info, value);
  }
  source_.mutable_value_info()->Swap(unused.mutable_value_info());
  return {};
}

void Reader::keep_leftovers() {
  graph_.name = source_.name();
  graph_.producer = model_.producer_name();
  for (const auto& entry : model_.metadata_props()) graph_.metadata[entry.key()] = entry.value();
  source_.clear_name();
  source_.clear_node();
  source_.clear_input();
  source_.clear_output();
  model_.clear_metadata_props();
  model_.clear_opset_import();
  graph_.format_extra[std::string(extra::model)] = model_.SerializeAsString();
}

Result<ParsedModel> Reader::read() {
  OCTET_TRY(read_opsets());
  OCTET_TRY(read_initializers());
  OCTET_TRY(read_sparse_initializers());
  OCTET_TRY(read_inputs());
  for (int i = 0; i < source_.node_size(); ++i) OCTET_TRY(declare_outputs(i));
  for (int i = 0; i < source_.node_size(); ++i) {
    if (!absorbed_[static_cast<std::size_t>(i)]) OCTET_TRY(read_node(i));
  }
  OCTET_TRY(read_outputs());
  OCTET_TRY(read_value_infos());
  // Functions and training graphs share the imported opset, and octet does not rewrite those.
  const bool whole = model_.functions_size() == 0 && model_.training_info_size() == 0;
  keep_leftovers();
  if (whole && can_upgrade(graph_)) OCTET_TRY(upgrade_opset(graph_));
  ParsedModel parsed;
  parsed.graph = std::move(graph_);
  for (const auto& [name, view] : files_.opened()) parsed.external_files.push_back(view);
  return parsed;
}

}  // namespace

Result<ParsedModel> parse_model(std::span<const std::byte> bytes,
                                const std::filesystem::path& folder) {
  if (bytes.empty()) return bad_input("the file is empty");
  if (bytes.size() > wire_limit) {
    return bad_input(
        "the file has {} bytes; an ONNX file holds at most {} (weights beyond that "
        "must be external data)",
        bytes.size(), wire_limit);
  }
  const google::protobuf::LogSilencer silence;
  wire::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return bad_input("{}", describe_damage(bytes));
  }
  if (!model.has_graph()) return bad_input("not an ONNX model, or cut off: it holds no graph");
  return Reader(model, folder).read();
}

Result<Graph> parse(std::span<const std::byte> bytes, const std::filesystem::path& folder) {
  OCTET_ASSIGN(auto parsed, parse_model(bytes, folder));
  return std::move(parsed.graph);
}

}  // namespace octet::onnx

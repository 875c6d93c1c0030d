#pragma once
// Small ModelProtos for the tests, written field by field, apart from the writer under test.

#include <onnx-ml.pb.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "formats/onnx/onnx.h"

namespace octet::testing {

namespace wire = ::onnx;

inline void add_opset(wire::ModelProto& model, std::int64_t version,
                      const std::string& domain = "") {
  auto* import = model.add_opset_import();
  import->set_domain(domain);
  import->set_version(version);
}

inline wire::ModelProto empty_model(std::int64_t opset = 21) {
  wire::ModelProto model;
  model.set_ir_version(10);
  model.mutable_graph()->set_name("g");
  add_opset(model, opset);
  return model;
}

inline wire::ValueInfoProto info(const std::string& name, std::vector<std::int64_t> dims,
                                 int type = wire::TensorProto::FLOAT) {
  wire::ValueInfoProto out;
  out.set_name(name);
  auto* tensor = out.mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  for (const auto dim : dims) tensor->mutable_shape()->add_dim()->set_dim_value(dim);
  return out;
}

inline void add_input(wire::ModelProto& model, const std::string& name,
                      std::vector<std::int64_t> dims, int type = wire::TensorProto::FLOAT) {
  *model.mutable_graph()->add_input() = info(name, std::move(dims), type);
}

inline void add_output(wire::ModelProto& model, const std::string& name,
                       std::vector<std::int64_t> dims, int type = wire::TensorProto::FLOAT) {
  *model.mutable_graph()->add_output() = info(name, std::move(dims), type);
}

inline wire::NodeProto& add_node(wire::ModelProto& model, const std::string& op,
                                 std::initializer_list<std::string> inputs,
                                 std::initializer_list<std::string> outputs,
                                 const std::string& name = "") {
  auto* node = model.mutable_graph()->add_node();
  node->set_op_type(op);
  if (!name.empty()) node->set_name(name);
  for (const auto& input : inputs) node->add_input(input);
  for (const auto& output : outputs) node->add_output(output);
  return *node;
}

inline wire::AttributeProto& add_attribute(wire::NodeProto& node, const std::string& name,
                                           wire::AttributeProto::AttributeType type) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(type);
  return *attribute;
}

inline void set_int(wire::NodeProto& node, const std::string& name, std::int64_t value) {
  add_attribute(node, name, wire::AttributeProto::INT).set_i(value);
}
inline void set_float(wire::NodeProto& node, const std::string& name, float value) {
  add_attribute(node, name, wire::AttributeProto::FLOAT).set_f(value);
}
inline void set_ints(wire::NodeProto& node, const std::string& name,
                     std::initializer_list<std::int64_t> values) {
  auto& attribute = add_attribute(node, name, wire::AttributeProto::INTS);
  for (const auto value : values) attribute.add_ints(value);
}

/// An initializer without data.
inline wire::TensorProto& add_initializer(wire::ModelProto& model, const std::string& name,
                                          std::vector<std::int64_t> dims, int type) {
  auto* tensor = model.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(type);
  for (const auto dim : dims) tensor->add_dims(dim);
  return *tensor;
}

template <class T>
wire::TensorProto& add_raw(wire::ModelProto& model, const std::string& name,
                           std::vector<std::int64_t> dims, int type, const std::vector<T>& values) {
  auto& tensor = add_initializer(model, name, std::move(dims), type);
  tensor.set_raw_data(values.data(), values.size() * sizeof(T));
  return tensor;
}

inline wire::TensorProto& add_floats(wire::ModelProto& model, const std::string& name,
                                     std::vector<std::int64_t> dims,
                                     const std::vector<float>& values) {
  return add_raw(model, name, std::move(dims), wire::TensorProto::FLOAT, values);
}

/// x -> Relu -> y
inline wire::ModelProto relu_model(std::int64_t opset = 21) {
  auto model = empty_model(opset);
  add_input(model, "x", {1, 4});
  add_node(model, "Relu", {"x"}, {"y"}, "relu");
  add_output(model, "y", {1, 4});
  return model;
}

inline Result<Graph> parse_text(std::string_view bytes, const std::filesystem::path& folder = ".") {
  return onnx::parse(std::as_bytes(std::span(bytes)), folder);
}

inline Result<Graph> parse_proto(const wire::ModelProto& model,
                                 const std::filesystem::path& folder = ".") {
  return parse_text(model.SerializeAsString(), folder);
}

/// The error that parsing gives, or "" when it succeeds.
inline std::string parse_error(const wire::ModelProto& model,
                               const std::filesystem::path& folder = ".") {
  const auto graph = parse_proto(model, folder);
  return graph ? std::string() : graph.error().message;
}

/// parse, serialize, and what protobuf reads in the result.
inline wire::ModelProto rewritten(const wire::ModelProto& model) {
  wire::ModelProto out;
  const auto graph = parse_proto(model);
  if (!graph) return out;
  const auto bytes = onnx::serialize(*graph);
  if (bytes) out.ParseFromString(*bytes);
  return out;
}

}  // namespace octet::testing

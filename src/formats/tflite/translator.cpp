#include "formats/tflite/translator.h"

#include <algorithm>
#include <array>

#include "formats/tflite/reader_operators.h"
#include "graph/litert_attributes.h"

namespace octet::tflite {
namespace {

std::vector<std::int64_t> widened(const std::array<int, 4>& perm) {
  return {perm.begin(), perm.end()};
}

/// The type of a value: codes stand for floats.
DType value_dtype(const FileTensor& tensor) {
  return tensor.is_coded() ? DType::f32 : tensor.dtype;
}

}  // namespace

Translator::Translator(const FileModel& file)
    : file_(file),
      images_(find_images(file)),
      forms_(file.tensors.size()),
      roots_(file.tensors.size()),
      casts_(file.tensors.size(), -1),
      is_graph_output_(file.tensors.size()) {
  for (std::size_t i = 0; i < roots_.size(); ++i) {
    roots_[i] = static_cast<int>(i);
    tensor_names_[file.tensors[i].name] = static_cast<int>(i);
  }
  for (const auto output : file.outputs) is_graph_output_[static_cast<std::size_t>(output)] = true;
}

int Translator::root(int tensor) const { return roots_[static_cast<std::size_t>(tensor)]; }

bool Translator::is_constant(int tensor) const {
  return casts_[static_cast<std::size_t>(root(tensor))] >= 0 ||
         file_.tensor(root(tensor)).is_constant;
}

const Quantization* Translator::quantization(int tensor) const {
  const auto& from = file_.tensor(root(tensor));
  return from.is_coded() ? &*from.quantization : nullptr;
}

/// A name that no tensor of the file has.
std::string Translator::invent(std::string hint) const {
  while (tensor_names_.contains(hint)) hint += "_";
  return model_.graph.unique_value_name(hint);
}

/// The first form of a tensor has its name; of graph inputs and outputs the form in the file's
/// order always has.
std::string Translator::name_for(int tensor, Order order) const {
  const auto& from = file_.tensor(tensor);
  const auto& known = forms_[static_cast<std::size_t>(root(tensor))];
  const bool reserved = order == Order::image && from.rank() == 4 &&
                        is_graph_output_[static_cast<std::size_t>(tensor)];
  if (!reserved && known.file == ValueId::none && known.image == ValueId::none) return from.name;
  return invent(from.name + (order == Order::image ? "/nchw" : "/nhwc"));
}

ValueId Translator::add_value(std::string name, int tensor, std::optional<Shape> shape) {
  Value value;
  value.name = std::move(name);
  value.dtype = value_dtype(file_.tensor(tensor));
  value.shape = std::move(shape);
  const auto id = model_.graph.add_value(std::move(value));
  if (const auto* stated = quantization(tensor)) model_.plan.values[id] = *stated;
  return id;
}

ValueId Translator::define(int tensor, Order order) {
  const auto& from = file_.tensor(tensor);
  // With dynamic inputs the extents that a file states for what follows from them are only
  // examples.
  std::optional<Shape> shape;
  if (is_static_) shape = order == Order::image ? image_shape(from.shape) : from.shape;
  const auto id = add_value(name_for(tensor, order), tensor, std::move(shape));
  (order == Order::image ? forms(tensor).image : forms(tensor).file) = id;
  return id;
}

Node Translator::node(std::string op, std::vector<ValueId> inputs) {
  Node node;
  node.op = std::move(op);
  node.inputs = std::move(inputs);
  return node;
}

NodeId Translator::add(Node node) {
  if (node.name.empty()) node.name = model_.graph.value(node.outputs[0]).name;
  return model_.graph.add_node(std::move(node));
}

ValueId Translator::plain_value(std::string name, DType dtype) {
  Value value;
  value.name = std::move(name);
  value.dtype = dtype;
  return model_.graph.add_value(std::move(value));
}

ValueId Translator::inner(Node node, std::string name, DType dtype) {
  const auto id = plain_value(std::move(name), dtype);
  node.outputs = {id};
  add(std::move(node));
  return id;
}

ValueId Translator::inner_like(Node node, std::string name, int tensor) {
  const auto id = inner(std::move(node), std::move(name), value_dtype(file_.tensor(tensor)));
  if (const auto* stated = quantization(tensor)) model_.plan.values[id] = *stated;
  return id;
}

ValueId Translator::transposed(ValueId from, std::vector<std::int64_t> perm, std::string name) {
  auto move = node("Transpose", {from});
  move.attributes["perm"] = std::move(perm);
  const auto id = inner(std::move(move), std::move(name), model_.graph.value(from).dtype);
  const auto found = model_.plan.values.find(from);
  if (found != model_.plan.values.end()) model_.plan.values[id] = Quantization(found->second);
  transposed_from_[id] = from;
  return id;
}

Order Translator::available(int tensor) const {
  const auto& known = forms_[static_cast<std::size_t>(root(tensor))];
  return known.file == ValueId::none && known.image != ValueId::none ? Order::image : Order::file;
}

Result<ValueId> Translator::value(int tensor, Order order) {
  const auto& from = file_.tensor(tensor);
  const bool image = order == Order::image;
  if (image && from.rank() != 4) {
    return bad_input("tensor {} {} is not of rank 4", from.name, to_string(from.shape));
  }
  if (is_constant(tensor)) {
    if (!image) return constant(tensor, {});
    return constant(tensor, {std::nullopt, {to_image.begin(), to_image.end()}});
  }
  auto& known = forms(tensor);
  auto& wanted = image ? known.image : known.file;
  if (wanted != ValueId::none) return wanted;
  const auto other = image ? known.file : known.image;
  if (other == ValueId::none) {
    // A tensor without elements needs no buffer to be a constant.
    if (std::find(from.shape.begin(), from.shape.end(), 0) != from.shape.end()) {
      return constant(tensor, {});
    }
    return internal_error("nothing made tensor {}", from.name);
  }
  wanted = transposed(other, widened(image ? to_image : from_image), name_for(tensor, order));
  return wanted;
}

Result<ValueId> Translator::operand(int tensor, Order order) {
  const auto& from = file_.tensor(tensor);
  const bool single =
      std::all_of(from.shape.begin(), from.shape.end(), [](auto e) { return e == 1; });
  if (order == Order::file || from.rank() > 4 || (single && from.rank() < 4)) {
    return value(tensor, Order::file);
  }
  if (from.rank() == 4) return value(tensor, Order::image);
  const auto missing = 4 - from.shape.size();
  Shape padded(missing, 1);
  padded.insert(padded.end(), from.shape.begin(), from.shape.end());
  if (is_constant(tensor)) {
    return constant(tensor, {padded, {to_image.begin(), to_image.end()}});
  }
  OCTET_ASSIGN(const auto plain, value(tensor, Order::file));
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < missing; ++i) axes.push_back(static_cast<std::int64_t>(i));
  const auto list = integer_list(axes, from.name + "/axes");
  const auto wide =
      inner_like(node("Unsqueeze", {plain, list}), invent(from.name + "/rank4"), tensor);
  return transposed(wide, widened(to_image), invent(from.name + "/nchw"));
}

Status Translator::activate(wire::ActivationFunctionType activation, ValueId from, ValueId to) {
  using Kind = wire::ActivationFunctionType;
  const std::string name = model_.graph.value(to).name;  // adding constants moves the values
  Node function;
  switch (activation) {
    case Kind::RELU: function = node("Relu", {from}); break;
    case Kind::RELU6: function = node("Clip", {from, real(0, name), real(6, name)}); break;
    case Kind::RELU_N1_TO_1: function = node("Clip", {from, real(-1, name), real(1, name)}); break;
    default:
      // TANH among them: LiteRT's own kernels pass it over.
      return bad_input("the fused activation {} is not supported",
                       wire::EnumNameActivationFunctionType(activation));
  }
  function.outputs = {to};
  add(std::move(function));
  return {};
}

ValueId Translator::value_like(std::string name, int tensor) {
  return add_value(std::move(name), tensor, std::nullopt);
}

Result<ValueId> Translator::inner_fused(Node node, const std::string& name, int tensor,
                                        wire::ActivationFunctionType activation) {
  if (activation == wire::ActivationFunctionType::NONE) {
    return inner_like(std::move(node), name, tensor);
  }
  const auto dtype = value_dtype(file_.tensor(tensor));
  const auto linear = inner(std::move(node), invent(name + "/linear"), dtype);
  const auto made = add_value(name, tensor, std::nullopt);
  OCTET_TRY(activate(activation, linear, made));
  return made;
}

Status Translator::finish(const FileOperator& op, Node node, Order order,
                          wire::ActivationFunctionType activation) {
  for (const auto number : op.outputs) {
    const auto& target = file_.tensor(number);
    if (order == Order::image && target.rank() != 4) {
      return bad_input("its output {} {} is not of rank 4", target.name, to_string(target.shape));
    }
  }
  const bool fused = activation != wire::ActivationFunctionType::NONE;
  if (!fused) {
    for (const auto output : op.outputs) node.outputs.push_back(define(output, order));
    add(std::move(node));
    return {};
  }
  const auto& target = output(op);
  const auto linear = inner(std::move(node), invent(target.name + "/linear"), value_dtype(target));
  return activate(activation, linear, define(op.outputs[0], order));
}

void Translator::alias(int tensor, int to) {
  roots_[static_cast<std::size_t>(tensor)] = root(to);
  const auto& stated = file_.tensor(tensor).quantization;
  if (!stated || stated->storage != DType::i8) return;
  // Of codes that are u8 outside and i8 inside, the inside counts.
  for (const auto id : {forms(tensor).file, forms(tensor).image}) {
    const auto found = model_.plan.values.find(id);
    if (found != model_.plan.values.end()) found->second.storage = DType::i8;
  }
}

void Translator::cast_constant(int tensor, int source) {
  casts_[static_cast<std::size_t>(tensor)] = source;
}

Status Translator::add_inputs() {
  for (const auto number : file_.inputs) {
    const auto& shape = file_.tensor(number).shape;
    is_static_ = is_static_ && octet::is_static(shape);
  }
  for (const auto number : file_.inputs) {
    const auto& tensor = file_.tensor(number);
    const auto id = add_value(tensor.name, number, tensor.shape);
    forms(number).file = id;
    model_.graph.inputs.push_back(id);
    if (tensor.is_coded()) model_.plan.coded_io[id] = tensor.dtype;
  }
  return {};
}

void Translator::rename_to(ValueId value, const std::string& name) {
  auto& graph = model_.graph;
  if (graph.value(value).name == name) return;
  // No value of another tensor has the name: they are unique, and invented ones differ from all.
  static_cast<void>(graph.rename_value(value, name).has_value());
}

Status Translator::add_output(int number) {
  auto& graph = model_.graph;
  const auto& tensor = file_.tensor(number);
  OCTET_ASSIGN(auto id, value(number, Order::file));
  const bool taken = graph.is_input(id) || graph.value(id).is_constant() || graph.is_output(id);
  if (taken && (graph.value(id).name != tensor.name || graph.is_output(id))) {
    auto copy = node("Identity", {id});
    id = inner_like(std::move(copy), invent(tensor.name + "/copy"), number);
  }
  if (!graph.is_input(id) && !graph.value(id).is_constant()) rename_to(id, tensor.name);
  graph.outputs.push_back(id);
  if (tensor.is_coded()) model_.plan.coded_io[id] = tensor.dtype;
  return {};
}

Status Translator::add_outputs() {
  for (const auto number : file_.outputs) {
    if (auto status = add_output(number); !status) {
      return tl::unexpected(
          status.error().with_context("graph output " + file_.tensor(number).name));
    }
  }
  return {};
}

/// Nodes of an operator that makes floats are remembered: between codes they stay float.
Status Translator::add_operator(const FileOperator& op) {
  const auto first = index(next_node());
  OCTET_TRY(translate(*this, op));
  if (output(op).dtype != DType::f32) return {};
  for (auto i = first; i < index(next_node()); ++i) float_nodes_.push_back(static_cast<NodeId>(i));
  return {};
}

Result<QuantizedGraph> Translator::run() {
  model_.graph.opsets[""] = 21;
  OCTET_TRY(add_inputs());
  for (const auto& op : file_.operators) {
    if (auto status = add_operator(op); !status) {
      return tl::unexpected(status.error().with_context(op.label));
    }
  }
  OCTET_TRY(add_outputs());
  settle_quantizers();
  for (const auto id : float_nodes_) keep_float(model_, id);
  return std::move(model_);
}

}  // namespace octet::tflite

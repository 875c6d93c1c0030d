// Small random graphs of every operator that octet knows: verified, inferred and, where inference
// says that the results are small, run by the float operators, whose answers must have the types
// and shapes that were inferred. fuzz/shape_inference.options states the memory limit.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>

#include "engine/float/float_op.h"
#include "graph/attribute_types.h"
#include "graph/op_schema.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"
#include "graph/widen.h"

namespace {

using namespace octet;

constexpr std::int64_t element_limit = std::int64_t{1} << 14;

/// Reads choices from the fuzzer's bytes; zeros after their end.
class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  std::uint8_t byte() { return position_ < size_ ? data_[position_++] : 0; }
  std::size_t below(std::size_t limit) { return byte() % limit; }
  bool done() const { return position_ >= size_; }

  template <class T, std::size_t n>
  const T& of(const T (&list)[n]) {
    return list[below(n)];
  }

  std::int64_t integer() {
    static constexpr std::int64_t odd[] = {
        INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, std::int64_t{1} << 40, 65536, 4097, 100};
    const auto choice = byte();
    if (choice < 200) return choice % 6 - 1;
    if (choice < 248) return choice % 12 - 3;
    return odd[choice - 248];
  }

  float real() {
    static constexpr float odd[] = {0.0F, 0.5F, -1.0F, 2.0F, 1.7F, 1e30F, -1e-30F, 0.0F / 1.0F};
    const auto choice = byte();
    return choice < 128 ? static_cast<float>(choice) / 16.0F : odd[choice % 8];
  }

  Shape shape(bool may_be_dynamic) {
    Shape out(below(6));
    for (auto& dim : out) {
      const auto choice = byte();
      // Few extents, so that shapes often go together.
      dim = choice < 192 ? choice % 3 + 1 : choice % 7;
      if (may_be_dynamic && choice >= 250) dim = choice == 255 ? std::int64_t{1} << 33 : -1;
    }
    return out;
  }

  DType dtype() {
    static constexpr DType types[] = {DType::f32, DType::f32, DType::f32,     DType::i64,
                                      DType::i64, DType::i32, DType::boolean, DType::u8,
                                      DType::i8,  DType::f16, DType::f64};
    return of(types);
  }

  Tensor tensor() {
    const auto type = dtype();
    const auto kind = below(4);
    auto dims = kind == 0 ? last_ : shape(false);
    if (kind == 1) dims = {static_cast<std::int64_t>(below(6))};
    if (kind > 1) last_ = dims;
    return filled(type, dims);
  }

  /// Small numbers in every type; the bytes of f16 as they come.
  Tensor filled(DType type, const Shape& dims) {
    Tensor out = Tensor::zeros(type, dims);
    for (std::int64_t i = 0; i < out.size(); ++i) {
      switch (type) {
        case DType::f32: out.mutable_data<float>()[i] = real(); break;
        case DType::f64: out.mutable_data<double>()[i] = static_cast<double>(real()); break;
        case DType::i64: out.mutable_data<std::int64_t>()[i] = integer(); break;
        case DType::i32:
          out.mutable_data<std::int32_t>()[i] = static_cast<std::int32_t>(integer());
          break;
        case DType::boolean: out.mutable_data<std::uint8_t>()[i] = byte() & 1; break;
        case DType::f16:
          out.mutable_data<std::uint16_t>()[i] = static_cast<std::uint16_t>(byte() * 257);
          break;
        default: out.mutable_data<std::uint8_t>()[i] = byte();
      }
      if (done()) break;
    }
    return out;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t position_ = 0;
  Shape last_;
};

std::string word(Choices& choices) {
  static constexpr const char* words[] = {"NOTSET",
                                          "VALID",
                                          "SAME_UPPER",
                                          "SAME_LOWER",
                                          "nearest",
                                          "linear",
                                          "cubic",
                                          "half_pixel",
                                          "align_corners",
                                          "asymmetric",
                                          "pytorch_half_pixel",
                                          "half_pixel_symmetric",
                                          "tf_crop_and_resize",
                                          "floor",
                                          "ceil",
                                          "round_prefer_ceil",
                                          "stretch",
                                          "not_larger",
                                          "not_smaller",
                                          "forward",
                                          "reverse",
                                          "bidirectional",
                                          "DCR",
                                          "CRD",
                                          "constant",
                                          "reflect",
                                          "edge",
                                          "wrap",
                                          "tanh",
                                          "none",
                                          "add",
                                          "mul",
                                          "max",
                                          "ij,jk->ik",
                                          "...ij,...jk->...ik",
                                          "bij,bjk",
                                          "ii->i",
                                          "i,i",
                                          "...a->a...",
                                          "ab,b,",
                                          "->",
                                          "bhid,bhjd->bhij",
                                          "Sigmoid",
                                          "Relu"};
  return choices.of(words);
}

Attribute attribute(Choices& choices, AttributeKind kind) {
  switch (kind) {
    case AttributeKind::integer: return choices.integer();
    case AttributeKind::real: return choices.real();
    case AttributeKind::text: return word(choices);
    case AttributeKind::integers: {
      std::vector<std::int64_t> list(choices.below(6));
      for (auto& entry : list) entry = choices.integer();
      return list;
    }
    case AttributeKind::reals: {
      std::vector<float> list(choices.below(4));
      for (auto& entry : list) entry = choices.real();
      return list;
    }
    case AttributeKind::texts: {
      std::vector<std::string> list(choices.below(4));
      for (auto& entry : list) entry = word(choices);
      return list;
    }
    case AttributeKind::tensor: return choices.tensor();
  }
  return std::int64_t{0};
}

void add_node(Choices& choices, Graph& graph) {
  const auto schemas = all_schemas();
  const auto& schema = schemas[choices.below(schemas.size())];
  Node node;
  node.op = schema.op;
  for (const auto& type : attribute_types()) {
    if (type.op != schema.op) continue;
    const bool needed = type.need == AttributeNeed::required;
    if (needed || choices.below(3) == 0)
      node.attributes.emplace(type.key, attribute(choices, type.kind));
  }
  const auto most = schema.max_inputs < 0 ? schema.min_inputs + 3 : schema.max_inputs;
  const auto extra = choices.below(static_cast<std::size_t>(most - schema.min_inputs) + 1);
  const auto count = static_cast<std::size_t>(schema.min_inputs) + extra;
  for (std::size_t i = 0; i < count; ++i) {
    const bool fresh = choices.below(2) == 0;
    const bool absent = i >= static_cast<std::size_t>(schema.min_inputs) && choices.below(4) == 0;
    if (absent) {
      node.inputs.push_back(ValueId::none);
    } else if (fresh || graph.value_slots() == 0) {
      node.inputs.push_back(graph.add_constant("c", choices.tensor()));
    } else {
      node.inputs.push_back(static_cast<ValueId>(choices.below(graph.value_slots())));
    }
  }
  const int outputs =
      schema.max_outputs < 0 ? 1 + static_cast<int>(choices.below(4)) : schema.max_outputs;
  for (int i = 0; i < outputs; ++i) {
    const bool absent = i >= schema.min_outputs && choices.below(2) == 0;
    node.outputs.push_back(absent ? ValueId::none : graph.add_value({}));
  }
  graph.add_node(std::move(node));
}

Graph make_graph(Choices& choices) {
  Graph graph;
  graph.opsets[""] = 21;
  const auto inputs = choices.below(4);
  for (std::size_t i = 0; i < inputs; ++i) {
    Value value;
    value.name = "x";
    value.dtype = choices.dtype();
    if (choices.below(8) != 0) value.shape = choices.shape(true);
    graph.inputs.push_back(graph.add_value(std::move(value)));
  }
  const auto nodes = 1 + choices.below(4);
  for (std::size_t i = 0; i < nodes; ++i) add_node(choices, graph);
  for (const auto id : graph.node(static_cast<NodeId>(nodes - 1)).outputs) {
    if (id != ValueId::none) graph.outputs.push_back(id);
  }
  return graph;
}

bool is_small(const std::optional<Shape>& shape) {
  if (!shape) return false;
  const auto count = checked_element_count(*shape);
  return count && *count <= element_limit;
}

[[noreturn]] void disagree(const Node& node, const std::string& inferred, const std::string& made) {
  std::fprintf(stderr, "%s: inferred %s, computed %s\n", node.op.c_str(), inferred.c_str(),
               made.c_str());
  __builtin_trap();
}

using Activations = std::vector<std::optional<Activation>>;

void run_node(const Graph& graph, NodeId id, const std::vector<std::optional<Shape>>& shapes,
              Activations& values) {
  const auto& node = graph.node(id);
  std::vector<const Activation*> inputs;
  for (const auto input : node.inputs) {
    if (input != ValueId::none && !values[index(input)]) return;
    inputs.push_back(input == ValueId::none ? nullptr : &*values[index(input)]);
  }
  for (const auto output : node.outputs) {
    if (output != ValueId::none && !is_small(shapes[index(output)])) return;
  }
  const auto op = make_float_op(graph, id);
  if (!op) return;
  const auto state = (*op)->make_state();
  auto results = (*op)->run(inputs, state.get());
  if (!results) return;
  for (std::size_t i = 0; i < node.outputs.size() && i < results->size(); ++i) {
    const auto output = node.outputs[i];
    if (output == ValueId::none) continue;
    const auto& made = (*results)[i].tensor;
    const auto& value = graph.value(output);
    if (made.shape() != *shapes[index(output)]) {
      disagree(node, to_string(*shapes[index(output)]), to_string(made.shape()));
    }
    if (value.dtype != DType::undefined && made.dtype() != value.dtype) {
      disagree(node, std::string(name(value.dtype)), std::string(name(made.dtype())));
    }
    values[index(output)] = std::move((*results)[i]);
  }
}

void run(Choices& choices, Graph& graph) {
  std::map<ValueId, Shape> given;
  Activations values(graph.value_slots());
  for (const auto id : graph.inputs) {
    auto shape = graph.value(id).shape.value_or(Shape{2, 3});
    for (auto& dim : shape) dim = dim < 0 ? 2 : dim;
    if (!is_small(shape)) return;
    given[id] = shape;
    values[index(id)] = Activation{choices.filled(graph.value(id).dtype, shape)};
  }
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    if (const auto* constant = graph.constant(static_cast<ValueId>(i)))
      values[i] = Activation{*constant};
  }
  const auto shapes = infer_shapes_for(graph, given);
  const auto order = graph.topological_order();
  if (!shapes || !order) return;
  for (const auto id : *order) run_node(graph, id, *shapes, values);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Choices choices(data, size);
  auto graph = make_graph(choices);
  if (!verify(graph) || !infer_shapes(graph)) return 0;
  if (!verify(graph)) __builtin_trap();
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    static_cast<void>(node_macs(graph, graph.node(static_cast<NodeId>(i))));
  }
  auto wide = graph;
  if (widen_halves(wide) && !verify(wide)) __builtin_trap();
  run(choices, graph);
  return 0;
}

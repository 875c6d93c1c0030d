#include "api/random_inputs.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <random>

#include "api/named_arguments.h"

namespace octet {
namespace {

constexpr std::int64_t map_extent = 224;
constexpr std::int64_t sequence_extent = 128;

/// Operators that pass on the integers of their first input.
bool passes_on(const Node& node) {
  for (const auto* op :
       {"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"}) {
    if (node.is(op)) return true;
  }
  return false;
}

/// Rows of the smallest constant table that the input's elements index; nullopt when there is none.
std::optional<std::int64_t> indexed_rows(const Graph& graph, ValueId input) {
  const auto uses = graph.uses();
  std::optional<std::int64_t> rows;
  std::vector<ValueId> reached = {input};
  for (std::size_t i = 0; i < reached.size(); ++i) {
    for (const auto& use : uses[index(reached[i])]) {
      const auto& node = graph.node(use.node);
      if (use.input == 0 && passes_on(node) && node.output() != ValueId::none) {
        const bool seen = std::find(reached.begin(), reached.end(), node.output()) != reached.end();
        if (!seen) reached.push_back(node.output());
      }
      if (use.input != 1 || !node.is("Gather")) continue;
      const auto* table = graph.constant(node.input(0));
      if (table == nullptr || table->rank() == 0) continue;
      const auto axis = normalize_axis(node.int_attribute("axis", 0), table->shape().size());
      if (!axis) continue;
      rows = std::min(rows.value_or(std::numeric_limits<std::int64_t>::max()), table->dim(*axis));
    }
  }
  return rows;
}

/// "1x3x224x224"
Result<Shape> parse_shape(const std::string_view argument) {
  std::string_view text = argument;
  Shape shape;
  while (true) {
    const auto end = std::min(text.find('x'), text.size());
    std::int64_t extent = 0;
    const auto* last = text.data() + end;
    const auto [stop, error] = std::from_chars(text.data(), last, extent);
    if (error != std::errc() || stop != last || end == 0 || extent < 0) {
      return fail(ErrorKind::usage, "{} is no shape; write [NAME=]1x3x224x224", argument);
    }
    shape.push_back(extent);
    if (end == text.size()) return shape;
    text.remove_prefix(end + 1);
  }
}

/// Given shapes by input; empty where there is none.
Result<std::vector<Shape>> parse_shapes(std::span<const std::string> arguments,
                                        const Graph& graph) {
  std::vector<Shape> shapes(graph.inputs.size());
  OCTET_ASSIGN(const auto named, named_arguments(arguments, graph));
  for (const auto& [input, text] : named) {
    OCTET_ASSIGN(shapes[input], parse_shape(text));
  }
  return shapes;
}

/// Decides open extents; the same name is the same extent everywhere.
class Extents {
 public:
  explicit Extents(int batch) : batch_(batch) {}

  /// Takes the names of a shape's extents from a shape that was given.
  void learn(const Value& value, const Shape& given) {
    for (std::size_t d = 0; d < std::min(given.size(), value.dim_names.size()); ++d) {
      if (!value.dim_names[d].empty()) named_[value.dim_names[d]] = given[d];
    }
  }

  Shape close(const Value& value) {
    auto shape = *value.shape;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      if (shape[d] != dynamic_dim) continue;
      const auto name = d < value.dim_names.size() ? value.dim_names[d] : std::string();
      const bool map = shape.size() == 4 && d > 1;
      const auto open = d == 0 ? std::int64_t{batch_} : map ? map_extent : sequence_extent;
      shape[d] = name.empty() ? open : named_.try_emplace(name, open).first->second;
    }
    return shape;
  }

 private:
  int batch_;
  std::map<std::string, std::int64_t> named_;
};

void fill_floats(Tensor& tensor, std::mt19937& generator) {
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const float x = static_cast<float>(generator()) * 0x1.0p-31F - 1.0F;
    if (tensor.dtype() == DType::f32) {
      tensor.mutable_data<float>()[i] = x;
    } else {
      tensor.mutable_data<double>()[i] = x;
    }
  }
}

/// `make(i)` gives each element, small enough for the type.
template <class Make>
void fill_integers(Tensor& tensor, Make make) {
  if (tensor.size() == 0) return;
  auto* raw = tensor.mutable_raw();
  const auto width = tensor.bytes() / static_cast<std::size_t>(tensor.size());
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const std::uint64_t value = make();
    std::memcpy(raw + static_cast<std::size_t>(i) * width, &value, width);  // little-endian
  }
}

/// Largest value of the type, at most 2^31 - 1.
std::uint64_t largest(DType dtype) {
  const int width = std::min(is_signed(dtype) ? bits(dtype) - 1 : bits(dtype), 31);
  return (std::uint64_t{1} << width) - 1;
}

Status fill(const Graph& graph, ValueId id, std::mt19937& generator, Tensor& tensor) {
  const auto dtype = tensor.dtype();
  if (dtype == DType::f32 || dtype == DType::f64) {
    fill_floats(tensor, generator);
    return {};
  }
  const auto& name = graph.value(id).name;
  if (dtype == DType::boolean || name.find("mask") != std::string::npos) {
    fill_integers(tensor, [] { return std::uint64_t{1}; });
    return {};
  }
  const auto rows = indexed_rows(graph, id).value_or(1);
  const auto bound =
      std::clamp<std::uint64_t>(static_cast<std::uint64_t>(rows), 1, largest(dtype) + 1);
  fill_integers(tensor, [&] { return generator() % bound; });
  return {};
}

}  // namespace

Result<std::vector<Tensor>> random_inputs(const Graph& graph, int batch,
                                          std::span<const std::string> shapes) {
  OCTET_ASSIGN(const auto given, parse_shapes(shapes, graph));
  Extents extents(batch);
  for (std::size_t i = 0; i < given.size(); ++i) {
    extents.learn(graph.value(graph.inputs[i]), given[i]);
  }
  std::mt19937 generator(0);
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const auto& value = graph.value(graph.inputs[i]);
    const bool whole =
        value.dtype == DType::boolean || (is_integer(value.dtype) && bits(value.dtype) >= 8);
    if (!whole && value.dtype != DType::f32 && value.dtype != DType::f64) {
      return bad_input("input {} has type {}; input can be made up for f32, f64, integers and bool",
                       value.name, name(value.dtype));
    }
    if (given[i].empty() && !value.shape) {
      return bad_input("the rank of input {} is not known: give its shape", value.name);
    }
    OCTET_ASSIGN(auto tensor,
                 Tensor::create(value.dtype, given[i].empty() ? extents.close(value) : given[i]));
    OCTET_TRY(fill(graph, graph.inputs[i], generator, tensor));
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

}  // namespace octet

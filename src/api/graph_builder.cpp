#include "octet/graph_builder.h"

#include <algorithm>
#include <filesystem>

#include "formats/model_file.h"
#include "graph/graph.h"
#include "graph/shape_inference.h"
#include "passes/pipeline.h"
#include "training/network.h"

namespace octet {
namespace {

using Ints = std::vector<std::int64_t>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

Ints both(Extent2d extent) { return {extent.height, extent.width}; }

/// Zeros before and after one axis, so that ceil(input / stride) outputs come out.
std::pair<std::int64_t, std::int64_t> same_padding(std::int64_t input, std::int64_t kernel,
                                                   std::int64_t stride, std::int64_t dilation) {
  const std::int64_t outputs = (input + stride - 1) / stride;
  const std::int64_t reach = (kernel - 1) * dilation + 1;
  const std::int64_t zeros = std::max<std::int64_t>((outputs - 1) * stride + reach - input, 0);
  return {zeros / 2, zeros - zeros / 2};
}

Ints padding_of(const Shape& image, Extent2d kernel, const Conv2dOptions& o) {
  if (o.padding) return Ints(4, *o.padding);
  const auto rows = same_padding(image[2], kernel.height, o.stride.height, o.dilation.height);
  const auto columns = same_padding(image[3], kernel.width, o.stride.width, o.dilation.width);
  return {rows.first, columns.first, rows.second, columns.second};
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace

struct GraphBuilder::State {
  Graph graph;
  std::uint64_t seed = 0;
  std::optional<Error> error;
  int layers = 0;

  template <class... Args>
  Value refuse(fmt::format_string<Args...> format, Args&&... args) {
    if (!error) error = Error{ErrorKind::usage, fmt::format(format, std::forward<Args>(args)...)};
    return {};
  }

  /// The shape with its batch, or nullptr where an earlier layer failed or `x` is of no layer here.
  const Shape* shape_of(Value x) {
    if (error) return nullptr;
    if (x.id < 0 || static_cast<std::size_t>(x.id) >= graph.value_slots()) {
      refuse("layer {}: its input comes from no layer of this network", layers);
      return nullptr;
    }
    return &*graph.value(static_cast<ValueId>(x.id)).shape;
  }

  /// The shape of an image with its batch, or nullptr after saying that `layer` needs one.
  const Shape* image_shape(Value x, std::string_view layer) {
    const Shape* shape = shape_of(x);
    if (shape == nullptr || shape->size() == 4) return shape;
    refuse("layer {} ({}) needs [channels, height, width], not {}", layers, layer,
           to_string(*shape));
    return nullptr;
  }

  bool positive(std::string_view layer, const Ints& numbers) {
    for (const auto number : numbers) {
      if (number >= 1 && number <= std::int64_t{1} << 31) continue;
      refuse("layer {} ({}): {} is no extent", layers, layer, number);
      return false;
    }
    return !error;
  }

  Value weights(std::string_view name, Shape shape, float fill = 0) {
    const auto count = checked_element_count(shape);
    if (!count) return refuse("layer {}: {}", layers, count.error().message);
    Tensor tensor(DType::f32, std::move(shape));
    std::fill_n(tensor.mutable_data<float>(), tensor.size(), fill);
    const auto hint = fmt::format("layer_{}_{}", layers, name);
    return {static_cast<std::int32_t>(graph.add_constant(hint, std::move(tensor)))};
  }

  Value numbers(std::string_view name, const Ints& values) {
    const auto count = static_cast<std::int64_t>(values.size());
    auto tensor = Tensor::from<std::int64_t>(std::span(values), {count});
    const auto hint = fmt::format("layer_{}_{}", layers, name);
    return {static_cast<std::int32_t>(graph.add_constant(hint, std::move(tensor)))};
  }

  /// Adds the node of one layer. Inputs of id -1 are absent ones where `error` is not set.
  Value layer(std::string_view op, const std::vector<Value>& inputs, Attributes attributes = {}) {
    if (error) return {};
    Node node;
    node.op = op;
    node.name = fmt::format("{}_{}", lower(op), layers);
    node.attributes = std::move(attributes);
    for (const auto& input : inputs) node.inputs.push_back(static_cast<ValueId>(input.id));
    octet::Value result;
    result.name = node.name + "_out";
    const auto id = graph.add_value(std::move(result));
    node.outputs = {id};
    graph.add_node(std::move(node));
    if (auto status = infer_shapes(graph); !status) {
      return refuse("layer {}: {}", layers, status.error().message);
    }
    if (!graph.value(id).shape) return refuse("layer {}: {} has no known shape", layers, op);
    ++layers;
    return {static_cast<std::int32_t>(id)};
  }

  /// A layer of one input and no weights.
  Value plain(std::string_view op, Value x, Attributes attributes = {}) {
    if (shape_of(x) == nullptr) return {};
    return layer(op, {x}, std::move(attributes));
  }

  Value of_two(std::string_view op, Value a, Value b) {
    if (shape_of(a) == nullptr || shape_of(b) == nullptr) return {};
    return layer(op, {a, b});
  }

  Value pool(std::string_view op, Value x, Extent2d window, std::optional<Extent2d> stride) {
    const Extent2d step = stride.value_or(window);
    if (image_shape(x, op) == nullptr || !positive(op, both(window)) || !positive(op, both(step))) {
      return {};
    }
    return layer(op, {x}, {{"kernel_shape", both(window)}, {"strides", both(step)}});
  }
};

GraphBuilder::GraphBuilder(std::string name, std::uint64_t seed)
    : state_(std::make_unique<State>()) {
  state_->graph.name = std::move(name);
  state_->graph.producer = "octet";
  state_->seed = seed;
}

GraphBuilder::~GraphBuilder() = default;
GraphBuilder::GraphBuilder(GraphBuilder&&) noexcept = default;
GraphBuilder& GraphBuilder::operator=(GraphBuilder&&) noexcept = default;

GraphBuilder::Value GraphBuilder::input(const std::string& name, const Ints& shape) {
  if (!state_->positive("input", shape)) return {};
  octet::Value value;
  value.name = name;
  value.dtype = DType::f32;
  value.shape = Shape{dynamic_dim};
  value.shape->insert(value.shape->end(), shape.begin(), shape.end());
  value.dim_names = {"N"};
  value.dim_names.resize(value.shape->size());
  const auto id = state_->graph.add_value(std::move(value));
  state_->graph.inputs.push_back(id);
  return {static_cast<std::int32_t>(id)};
}

void GraphBuilder::output(const std::string& name, Value x) {
  if (state_->shape_of(x) == nullptr) return;
  const auto id = static_cast<ValueId>(x.id);
  if (auto status = state_->graph.rename_value(id, name); !status) {
    state_->refuse("output {}: {}", name, status.error().message);
    return;
  }
  state_->graph.outputs.push_back(id);
}

GraphBuilder::Value GraphBuilder::conv2d(Value x, std::int64_t channels, Extent2d kernel,
                                         const Conv2dOptions& options) {
  State& s = *state_;
  const Shape* found = s.image_shape(x, "conv2d");
  if (found == nullptr) return {};
  const Shape image = *found;
  if (!s.positive("conv2d", {channels, kernel.height, kernel.width, options.stride.height,
                             options.stride.width, options.dilation.height, options.dilation.width,
                             options.groups})) {
    return {};
  }
  if (options.padding.value_or(0) < 0) {
    return s.refuse("layer {} (conv2d): padding {}", s.layers, *options.padding);
  }
  if (image[1] % options.groups != 0 || channels % options.groups != 0) {
    return s.refuse("layer {} (conv2d): {} groups divide neither {} nor {} channels evenly",
                    s.layers, options.groups, image[1], channels);
  }
  std::vector<Value> inputs = {
      x, s.weights("weight", {channels, image[1] / options.groups, kernel.height, kernel.width})};
  if (options.bias) inputs.push_back(s.weights("bias", {channels}));
  return s.layer("Conv", inputs,
                 {{"kernel_shape", both(kernel)},
                  {"strides", both(options.stride)},
                  {"dilations", both(options.dilation)},
                  {"group", options.groups},
                  {"pads", padding_of(image, kernel, options)}});
}

GraphBuilder::Value GraphBuilder::depthwise_conv2d(Value x, Extent2d kernel,
                                                   Conv2dOptions options) {
  const Shape* image = state_->image_shape(x, "depthwise_conv2d");
  if (image == nullptr) return {};
  options.groups = (*image)[1];
  return conv2d(x, options.groups, kernel, options);
}

GraphBuilder::Value GraphBuilder::dense(Value x, std::int64_t features, bool bias) {
  State& s = *state_;
  const Shape* shape = s.shape_of(x);
  if (shape == nullptr || !s.positive("dense", {features})) return {};
  const std::int64_t inputs = shape->back();
  if (shape->size() < 2) return s.refuse("layer {} (dense) needs an axis of features", s.layers);
  if (shape->size() == 2) {
    std::vector<Value> read = {x, s.weights("weight", {features, inputs})};
    if (bias) read.push_back(s.weights("bias", {features}));
    return s.layer("Gemm", read, {{"transB", std::int64_t{1}}});
  }
  const Value product = s.layer("MatMul", {x, s.weights("weight", {inputs, features})});
  return bias ? s.layer("Add", {product, s.weights("bias", {features})}) : product;
}

GraphBuilder::Value GraphBuilder::batch_norm(Value x) {
  State& s = *state_;
  const Shape* shape = s.shape_of(x);
  if (shape == nullptr) return {};
  if (shape->size() < 2) return s.refuse("layer {} (batch_norm) needs channels", s.layers);
  const Shape channels = {(*shape)[1]};
  return s.layer("BatchNormalization",
                 {x, s.weights("scale", channels, 1), s.weights("bias", channels),
                  s.weights("mean", channels), s.weights("variance", channels, 1)},
                 {{"epsilon", 1e-5F}});
}

GraphBuilder::Value GraphBuilder::layer_norm(Value x) {
  State& s = *state_;
  const Shape* shape = s.shape_of(x);
  if (shape == nullptr) return {};
  if (shape->size() < 2) return s.refuse("layer {} (layer_norm) needs features", s.layers);
  const Shape features = {shape->back()};
  return s.layer("LayerNormalization",
                 {x, s.weights("scale", features, 1), s.weights("bias", features)},
                 {{"axis", std::int64_t{-1}}, {"epsilon", 1e-5F}});
}

GraphBuilder::Value GraphBuilder::relu(Value x) { return state_->plain("Relu", x); }

GraphBuilder::Value GraphBuilder::relu6(Value x) {
  if (state_->shape_of(x) == nullptr) return {};
  const auto low = state_->weights("low", {}), high = state_->weights("high", {}, 6);
  return state_->layer("Clip", {x, low, high});
}

GraphBuilder::Value GraphBuilder::sigmoid(Value x) { return state_->plain("Sigmoid", x); }
GraphBuilder::Value GraphBuilder::tanh(Value x) { return state_->plain("Tanh", x); }
GraphBuilder::Value GraphBuilder::hard_swish(Value x) { return state_->plain("HardSwish", x); }
GraphBuilder::Value GraphBuilder::gelu(Value x) { return state_->plain("Gelu", x); }

GraphBuilder::Value GraphBuilder::softmax(Value x) {
  return state_->plain("Softmax", x, {{"axis", std::int64_t{-1}}});
}

GraphBuilder::Value GraphBuilder::max_pool(Value x, Extent2d window,
                                           std::optional<Extent2d> stride) {
  return state_->pool("MaxPool", x, window, stride);
}

GraphBuilder::Value GraphBuilder::average_pool(Value x, Extent2d window,
                                               std::optional<Extent2d> stride) {
  return state_->pool("AveragePool", x, window, stride);
}

GraphBuilder::Value GraphBuilder::global_average_pool(Value x) {
  if (state_->image_shape(x, "global_average_pool") == nullptr) return {};
  return state_->layer("GlobalAveragePool", {x});
}

GraphBuilder::Value GraphBuilder::upsample(Value x, std::int64_t factor) {
  State& s = *state_;
  if (s.image_shape(x, "upsample") == nullptr || !s.positive("upsample", {factor})) return {};
  const auto scale = static_cast<float>(factor);
  const auto hint = fmt::format("layer_{}_scales", s.layers);
  const auto scales = s.graph.add_constant(hint, Tensor::from<float>({1, 1, scale, scale}, {4}));
  return s.layer("Resize", {x, {}, {static_cast<std::int32_t>(scales)}},
                 {{"mode", std::string("nearest")},
                  {"coordinate_transformation_mode", std::string("asymmetric")},
                  {"nearest_mode", std::string("floor")}});
}

GraphBuilder::Value GraphBuilder::flatten(Value x) { return state_->plain("Flatten", x); }

GraphBuilder::Value GraphBuilder::reshape(Value x, const Ints& shape) {
  State& s = *state_;
  const Shape* from = s.shape_of(x);
  if (from == nullptr || !s.positive("reshape", shape)) return {};
  const auto before = element_count(Shape(from->begin() + 1, from->end()));
  const auto after = element_count(Shape(shape.begin(), shape.end()));
  if (before != after) {
    return s.refuse("layer {} (reshape): {} elements do not fit in {}", s.layers, before,
                    to_string(Shape(shape.begin(), shape.end())));
  }
  Ints extents = {-1};
  extents.insert(extents.end(), shape.begin(), shape.end());
  return s.layer("Reshape", {x, s.numbers("shape", extents)});
}

GraphBuilder::Value GraphBuilder::transpose(Value x, const Ints& axes) {
  Ints order = {0};
  for (const auto axis : axes) order.push_back(axis + 1);
  return state_->plain("Transpose", x, {{"perm", order}});
}

GraphBuilder::Value GraphBuilder::concat(const std::vector<Value>& parts, std::int64_t axis) {
  for (const auto part : parts) {
    if (state_->shape_of(part) == nullptr) return {};
  }
  if (parts.empty()) return state_->refuse("layer {} (concat) of nothing", state_->layers);
  return state_->layer("Concat", parts, {{"axis", axis < 0 ? axis : axis + 1}});
}

GraphBuilder::Value GraphBuilder::add(Value a, Value b) { return state_->of_two("Add", a, b); }
GraphBuilder::Value GraphBuilder::multiply(Value a, Value b) { return state_->of_two("Mul", a, b); }
GraphBuilder::Value GraphBuilder::matmul(Value a, Value b) {
  return state_->of_two("MatMul", a, b);
}

Result<Ints> GraphBuilder::shape(Value x) const {
  const Shape* shape = state_->shape_of(x);
  if (shape == nullptr) return tl::unexpected(*state_->error);
  return Ints(shape->begin() + 1, shape->end());
}

Result<GraphBuilder::Written> GraphBuilder::write(const std::string& path) const {
  if (state_->error) return tl::unexpected(*state_->error);
  if (state_->graph.outputs.empty()) {
    return fail(ErrorKind::usage, "network {} has no output", state_->graph.name);
  }
  OCTET_TRY(check_model_suffix(path));
  QuantizedGraph model;
  model.graph = state_->graph;
  OCTET_TRY(initialize(model.graph, state_->seed));
  Written written;
  written.parameters = parameter_count(model.graph);
  if (std::filesystem::path(path).extension() == ".tflite") OCTET_TRY(simplify(model.graph));
  OCTET_TRY(write_model(model, path));
  std::error_code error;
  written.bytes = std::filesystem::file_size(path, error);
  return written;
}

}  // namespace octet

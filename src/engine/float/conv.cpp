// Conv: in one and two spatial dimensions on oneDNN, in more as columns.

#include <array>
#include <mutex>
#include <optional>

#include "engine/float/onednn.h"
#include "engine/float/ops.h"
#include "graph/spatial.h"

namespace octet::float_engine {
namespace {

using onednn::ConvKernel;
using onednn::ConvShape;

/// Compiled shapes that a session keeps for each layer; a data sweep needs two (whole batches and
/// the remainder).
constexpr std::size_t kept_primitives = 4;

struct ConvState : FloatOp::State {
  struct Compiled {
    ConvShape shape;
    std::shared_ptr<const ConvKernel> kernel;
    std::unique_ptr<onednn::Primitive> primitive;
  };
  std::vector<Compiled> compiled;  // most recently made last
  std::string last_kernel;
};

/// A 1-D convolution is a 2-D one of height 1.
struct Extents {
  std::int64_t height = 1;
  std::int64_t width = 1;
};
Extents extents(const std::vector<std::int64_t>& spatial, std::int64_t missing) {
  if (spatial.size() == 1) return {missing, spatial[0]};
  return {spatial[0], spatial[1]};
}

Result<ConvShape> conv_shape(const Node& node, const Shape& input, const Shape& weight) {
  if (input.size() != 3 && input.size() != 4) {
    return bad_input("input of shape {} has no spatial dimensions", to_string(input));
  }
  OCTET_ASSIGN(const auto geometry, resolve_conv(node, input, weight));
  const std::int64_t groups = node.int_attribute("group", 1);
  if (groups < 1 || groups > weight[0] || weight[0] % groups != 0 || weight[1] < 1 ||
      input[1] % groups != 0 || input[1] / groups != weight[1]) {
    return bad_input("weight {} with {} groups does not fit input {}", to_string(weight), groups,
                     to_string(input));
  }
  const auto in = extents(Shape(input.begin() + 2, input.end()), 1);
  const auto out = extents(geometry.output, 1);
  const auto kernel = extents(geometry.kernel, 1);
  const auto stride = extents(geometry.strides, 1);
  const auto dilation = extents(geometry.dilations, 1);
  const auto begin = extents(geometry.pads_begin, 0);
  const auto end = extents(geometry.pads_end, 0);
  ConvShape s;
  s.batch = input[0];
  s.in_channels = input[1];
  s.in_height = in.height;
  s.in_width = in.width;
  s.out_channels = weight[0];
  s.out_height = out.height;
  s.out_width = out.width;
  s.groups = groups;
  s.kernel_height = kernel.height;
  s.kernel_width = kernel.width;
  s.stride_height = stride.height;
  s.stride_width = stride.width;
  s.dilation_height = dilation.height;
  s.dilation_width = dilation.width;
  s.pad_top = begin.height;
  s.pad_left = begin.width;
  s.pad_bottom = end.height;
  s.pad_right = end.width;
  return s;
}

class ConvOp : public NodeOp {
 public:
  ConvOp(const OpSource& source, const Fusion& fusion)
      : NodeOp(source), node_(attributes_of(source.node)), fusion_(fusion) {
    constant_parameters_ = source.constant(1) != nullptr &&
                           (source.node.input(2) == ValueId::none || source.constant(2) != nullptr);
    weight_elements_ =
        source.constant(1) != nullptr && source.constant(1)->rank() > 1
            ? source.constant(1)->size() / std::max<std::int64_t>(source.constant(1)->dim(0), 1)
            : 0;
  }

  /// Reorders constant weights now when the graph states the input's shape.
  Status prepare(const OpSource& source) {
    if (!constant_parameters_ || source.node.input(0) == ValueId::none) return {};
    const auto& stated = source.graph.value(source.node.input(0)).shape;
    if (!stated || stated->size() < 2) return {};
    Shape input = *stated;
    if (input[0] == dynamic_dim) input[0] = 1;
    if (!is_static(input) || input.size() > 4) return {};
    const Tensor* bias = source.constant(2);
    OCTET_TRY(shared_kernel(input, *source.constant(1), bias));
    return {};
  }

  std::unique_ptr<State> make_state() const override { return std::make_unique<ConvState>(); }
  std::string kernel(const State* state) const override {
    const auto* conv_state = dynamic_cast<const ConvState*>(state);
    return conv_state != nullptr ? conv_state->last_kernel : "onednn";
  }
  std::int64_t macs(const Activation& output) const override {
    return output.tensor.size() * weight_elements_;
  }

 protected:
  Outputs compute(Inputs inputs, State* state) const override {
    const Tensor& x = inputs[0]->tensor;
    const Tensor weight = to_plain(*inputs[1]).tensor;
    const Tensor* bias = inputs.size() > 2 && inputs[2] != nullptr ? &inputs[2]->tensor : nullptr;
    if (x.rank() > 4) return convolve_columns(node_, x, weight, bias, fusion_);
    OCTET_ASSIGN(const auto shape, conv_shape(node_, x.shape(), weight.shape()));
    OCTET_TRY(require_f32(x, "its input"));
    Shape out_shape{shape.batch, shape.out_channels, shape.out_height, shape.out_width};
    OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, out_shape));
    if (out.size() > 0) {
      const Shape flat{shape.batch, shape.in_channels, shape.in_height, shape.in_width};
      const Activation input = to_channels_last({x.reshaped(flat), inputs[0]->channels_last});
      ConvState local;
      auto* conv_state = dynamic_cast<ConvState*>(state);
      if (conv_state == nullptr) conv_state = &local;
      OCTET_ASSIGN(auto* primitive, compiled(*conv_state, shape, x.shape(), weight, bias));
      OCTET_TRY(primitive->run(input.tensor.data<float>(), out.mutable_data<float>()));
    }
    if (x.rank() == 4) return one_output(std::move(out), true);
    const Activation plain = to_plain({std::move(out), true});
    return one_output(plain.tensor.reshaped({shape.batch, shape.out_channels, shape.out_width}));
  }

 private:
  /// Only what the geometry depends on: a copy of the node would keep its other attributes alive.
  static Node attributes_of(const Node& node) {
    Node copy;
    copy.op = node.op;
    copy.name = node.name;
    copy.attributes = node.attributes;
    return copy;
  }

  Result<std::shared_ptr<const ConvKernel>> new_kernel(const ConvShape& shape, const Tensor& weight,
                                                       const Tensor* bias) const {
    OCTET_TRY(require_f32(weight, "its weight"));
    if (bias != nullptr) {
      OCTET_TRY(require_f32(*bias, "its bias"));
      if (bias->size() != shape.out_channels) {
        return bad_input("bias {} does not fit {} output channels", to_string(bias->shape()),
                         shape.out_channels);
      }
    }
    return ConvKernel::make(shape, weight.data<float>(),
                            bias != nullptr ? bias->data<float>() : nullptr, fusion_);
  }

  /// The kernel of constant weights: made by the first call, then the same for all sessions.
  Result<std::shared_ptr<const ConvKernel>> shared_kernel(const Shape& input, const Tensor& weight,
                                                          const Tensor* bias) const {
    const std::lock_guard lock(mutex_);
    if (kernel_ == nullptr) {
      OCTET_ASSIGN(const auto shape, conv_shape(node_, input, weight.shape()));
      // The same blocking for every thread count.
      const onednn::ThreadScope single(1);
      OCTET_ASSIGN(kernel_, new_kernel(shape, weight, bias));
    }
    return kernel_;
  }

  Result<onednn::Primitive*> compiled(ConvState& state, const ConvShape& shape, const Shape& input,
                                      const Tensor& weight, const Tensor* bias) const {
    if (constant_parameters_) {
      for (const auto& entry : state.compiled) {
        if (entry.shape == shape) return entry.primitive.get();
      }
    }
    ConvState::Compiled entry;
    entry.shape = shape;
    if (constant_parameters_) {
      OCTET_ASSIGN(entry.kernel, shared_kernel(input, weight, bias));
    } else {
      state.compiled.clear();
      OCTET_ASSIGN(entry.kernel, new_kernel(shape, weight, bias));
    }
    OCTET_ASSIGN(entry.primitive, entry.kernel->primitive(shape));
    if (state.compiled.size() >= kept_primitives) state.compiled.erase(state.compiled.begin());
    state.compiled.push_back(std::move(entry));
    auto* primitive = state.compiled.back().primitive.get();
    state.last_kernel = primitive->name();
    return primitive;
  }

  Node node_;
  Fusion fusion_;
  bool constant_parameters_ = false;
  std::int64_t weight_elements_ = 0;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const ConvKernel> kernel_;
};

MadeOp make_plain_conv(const OpSource& source) { return make_conv(source, {}); }

constexpr auto entries = std::to_array<OpEntry>({{"Conv", 2, 1, make_plain_conv}});

}  // namespace

MadeOp make_conv(const OpSource& source, const Fusion& fusion) {
  auto op = std::make_unique<ConvOp>(source, fusion);
  OCTET_TRY(op->prepare(source));
  return op;
}

std::span<const OpEntry> convolution_entries() { return entries; }

}  // namespace octet::float_engine

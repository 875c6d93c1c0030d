// Conv and ConvTranspose in two dimensions, any groups, strides, dilations and paddings.

#include <algorithm>
#include <array>

#include "engine/gradient/gradient_op.h"
#include "engine/gradient/onednn_training.h"
#include "graph/spatial.h"

namespace octet::gradient {
namespace {

using onednn::ConvShape;

/// `input`, `output`: as the convolution that the geometry is of sees them.
ConvShape conv_shape(const Shape& input, const Shape& output, const SpatialGeometry& geometry,
                     std::int64_t groups) {
  ConvShape s;
  s.batch = input[0];
  s.in_channels = input[1];
  s.in_height = input[2];
  s.in_width = input[3];
  s.out_channels = output[1];
  s.out_height = output[2];
  s.out_width = output[3];
  s.groups = groups;
  s.kernel_height = geometry.kernel[0];
  s.kernel_width = geometry.kernel[1];
  s.stride_height = geometry.strides[0];
  s.stride_width = geometry.strides[1];
  s.dilation_height = geometry.dilations[0];
  s.dilation_width = geometry.dilations[1];
  s.pad_top = geometry.pads_begin[0];
  s.pad_left = geometry.pads_begin[1];
  s.pad_bottom = geometry.pads_end[0];
  s.pad_right = geometry.pads_end[1];
  return s;
}

Status check_convolution(const OpSource& source) {
  const auto rank = static_cast<std::int64_t>(source.inputs[0].size());
  if (rank != 4) return bad_input("octet trains convolutions in two dimensions, not {}", rank - 2);
  if (!source.parameters[1] || (source.has(2) && !source.parameters[2])) {
    return bad_input("weights and bias of a trained convolution must be constants");
  }
  return {};
}

struct ConvState : OpState {
  std::unique_ptr<onednn::ConvSession> session;
  std::vector<float> input_gradient, weight_gradient, bias_gradient;
};

/// The session of an op's state, made when it is first needed.
Result<ConvState*> state_of(OpState* state, const onednn::TrainedConv& conv) {
  auto* conv_state = static_cast<ConvState*>(state);
  if (conv_state->session == nullptr) {
    OCTET_ASSIGN(conv_state->session, conv.session());
  }
  return conv_state;
}

float* room(std::vector<float>& buffer, std::int64_t count) {
  buffer.resize(static_cast<std::size_t>(count));
  return buffer.data();
}

class ConvGradient : public GradientOp {
 public:
  ConvGradient(const OpSource& source, std::unique_ptr<onednn::TrainedConv> conv)
      : conv_(std::move(conv)),
        input_size_(element_count(source.inputs[0])),
        weight_size_(element_count(source.inputs[1])),
        channels_(source.inputs[1][0]) {}

  std::unique_ptr<OpState> make_state() const override { return std::make_unique<ConvState>(); }

  Status update(std::span<const float* const> parameters) override {
    return conv_->set_weights(parameters[1], parameters.size() > 2 ? parameters[2] : nullptr);
  }

  Status forward(const ForwardCall& call) const override {
    OCTET_ASSIGN(auto* state, state_of(call.state, *conv_));
    return state->session->forward(call.inputs[0], call.output);
  }

  Status backward(const BackwardCall& call) const override {
    OCTET_ASSIGN(auto* state, state_of(call.state, *conv_));
    if (const Target& to = call.input_gradients[0]) {
      float* gradient = to.add ? room(state->input_gradient, input_size_) : to.data;
      OCTET_TRY(state->session->backward_data(call.output_gradient, gradient));
      if (to.add) deliver(to, gradient, input_size_);
    }
    const Target& weight = call.input_gradients[1];
    const Target bias = call.input_gradients.size() > 2 ? call.input_gradients[2] : Target{};
    if (!weight && !bias) return {};
    float* weight_sums = room(state->weight_gradient, weight_size_);
    float* bias_sums = room(state->bias_gradient, channels_);
    OCTET_TRY(state->session->backward_weights(call.inputs[0], call.output_gradient, weight_sums,
                                               bias_sums));
    deliver(weight, weight_sums, weight_size_);
    deliver(bias, bias_sums, channels_);
    return {};
  }

 private:
  std::unique_ptr<onednn::TrainedConv> conv_;
  std::int64_t input_size_;
  std::int64_t weight_size_;
  std::int64_t channels_;
};

/// A transposed convolution is the gradient of one with respect to its input: the convolution that
/// takes what comes out here to what goes in, with the same weights.
class TransposedConvGradient : public GradientOp {
 public:
  TransposedConvGradient(const OpSource& source, std::unique_ptr<onednn::TrainedConv> conv)
      : conv_(std::move(conv)),
        input_size_(element_count(source.inputs[0])),
        weight_size_(element_count(source.inputs[1])),
        channels_(source.output[1]),
        pixels_(element_count(source.output) / channels_),
        has_bias_(source.has(2)) {}

  std::unique_ptr<OpState> make_state() const override { return std::make_unique<ConvState>(); }

  Status update(std::span<const float* const> parameters) override {
    return conv_->set_weights(parameters[1], nullptr);
  }

  Status forward(const ForwardCall& call) const override {
    OCTET_ASSIGN(auto* state, state_of(call.state, *conv_));
    OCTET_TRY(state->session->backward_data(call.inputs[0], call.output));
    if (!has_bias_) return {};
    for (std::int64_t p = 0; p < pixels_; ++p) {
      deliver({call.output + p * channels_, true}, call.inputs[2], channels_);
    }
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    OCTET_ASSIGN(auto* state, state_of(call.state, *conv_));
    if (const Target& to = call.input_gradients[0]) {
      float* gradient = to.add ? room(state->input_gradient, input_size_) : to.data;
      OCTET_TRY(state->session->forward(call.output_gradient, gradient));
      if (to.add) deliver(to, gradient, input_size_);
    }
    if (const Target& to = call.input_gradients[1]) {
      float* sums = room(state->weight_gradient, weight_size_);
      OCTET_TRY(
          state->session->backward_weights(call.output_gradient, call.inputs[0], sums, nullptr));
      deliver(to, sums, weight_size_);
    }
    if (has_bias_ && call.input_gradients[2]) bias_gradient(call, *state);
    return {};
  }

 private:
  void bias_gradient(const BackwardCall& call, ConvState& state) const {
    float* sums = room(state.bias_gradient, channels_);
    std::fill_n(sums, channels_, 0.0F);
    for (std::int64_t p = 0; p < pixels_; ++p) {
      deliver({sums, true}, call.output_gradient + p * channels_, channels_);
    }
    deliver(call.input_gradients[2], sums, channels_);
  }

  std::unique_ptr<onednn::TrainedConv> conv_;
  std::int64_t input_size_;
  std::int64_t weight_size_;
  std::int64_t channels_;
  std::int64_t pixels_;
  bool has_bias_;
};

MadeOp make_conv(const OpSource& source) {
  OCTET_TRY(check_convolution(source));
  OCTET_ASSIGN(const auto geometry, resolve_conv(source.node, source.inputs[0], source.inputs[1]));
  const auto shape =
      conv_shape(source.inputs[0], source.output, geometry, source.node.int_attribute("group", 1));
  OCTET_ASSIGN(auto conv, onednn::TrainedConv::make(shape));
  return std::make_unique<ConvGradient>(source, std::move(conv));
}

MadeOp make_transposed_conv(const OpSource& source) {
  OCTET_TRY(check_convolution(source));
  OCTET_ASSIGN(const auto geometry,
               resolve_conv_transpose(source.node, source.inputs[0], source.inputs[1]));
  for (std::size_t i = 0; i < 2; ++i) {
    const auto reach = geometry.output[i] + geometry.pads_begin[i] + geometry.pads_end[i] -
                       geometry.effective_kernel(i);
    // Elements that no input reaches, or more than a stride of padding, have no such convolution.
    if (reach / geometry.strides[i] + 1 != source.inputs[0][i + 2]) {
      return bad_input("octet does not train a ConvTranspose with this output_padding");
    }
  }
  const auto shape =
      conv_shape(source.output, source.inputs[0], geometry, source.node.int_attribute("group", 1));
  OCTET_ASSIGN(auto conv, onednn::TrainedConv::make(shape));
  return std::make_unique<TransposedConvGradient>(source, std::move(conv));
}

constexpr auto entries =
    std::to_array<OpEntry>({{"Conv", make_conv}, {"ConvTranspose", make_transposed_conv}});

}  // namespace

std::span<const OpEntry> convolution_entries() { return entries; }

}  // namespace octet::gradient

// Conv in one or two spatial dimensions, any groups, strides, dilations and paddings.

#include <array>

#include "engine/gradient/gradient_op.h"
#include "engine/gradient/onednn_training.h"
#include "graph/spatial.h"

namespace octet::gradient {
namespace {

using onednn::ConvShape;

Result<ConvShape> conv_shape(const OpSource& source) {
  const Shape& input = source.inputs[0];
  const Shape& weight = source.inputs[1];
  if (input.size() != 4) {
    return bad_input("octet trains convolutions in two dimensions, not {}",
                     static_cast<std::int64_t>(input.size()) - 2);
  }
  OCTET_ASSIGN(const auto geometry, resolve_conv(source.node, input, weight));
  ConvShape s;
  s.batch = input[0];
  s.in_channels = input[1];
  s.in_height = input[2];
  s.in_width = input[3];
  s.out_channels = weight[0];
  s.out_height = geometry.output[0];
  s.out_width = geometry.output[1];
  s.groups = source.node.int_attribute("group", 1);
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

struct ConvState : OpState {
  std::unique_ptr<onednn::ConvSession> session;
  std::vector<float> input_gradient, weight_gradient, bias_gradient;
};

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
    OCTET_ASSIGN(auto* state, state_of(call.state));
    return state->session->forward(call.inputs[0], call.output);
  }

  Status backward(const BackwardCall& call) const override {
    OCTET_ASSIGN(auto* state, state_of(call.state));
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
  Result<ConvState*> state_of(OpState* state) const {
    auto* conv_state = static_cast<ConvState*>(state);
    if (conv_state->session == nullptr) {
      OCTET_ASSIGN(conv_state->session, conv_->session());
    }
    return conv_state;
  }

  std::unique_ptr<onednn::TrainedConv> conv_;
  std::int64_t input_size_;
  std::int64_t weight_size_;
  std::int64_t channels_;
};

MadeOp make_conv(const OpSource& source) {
  if (!source.parameters[1] || (source.has(2) && !source.parameters[2])) {
    return bad_input("weights and bias of a trained convolution must be constants");
  }
  OCTET_ASSIGN(const auto shape, conv_shape(source));
  OCTET_ASSIGN(auto conv, onednn::TrainedConv::make(shape));
  return std::make_unique<ConvGradient>(source, std::move(conv));
}

constexpr auto entries = std::to_array<OpEntry>({{"Conv", make_conv}});

}  // namespace

std::span<const OpEntry> convolution_entries() { return entries; }

}  // namespace octet::gradient

#include "engine/gradient/onednn_training.h"

#include <algorithm>
#include <cstring>

#include "core/tensor.h"
#include "engine/float/onednn_support.h"

namespace octet::gradient::onednn {
namespace {

using dnnl::memory;
using float_engine::onednn::cpu;
using float_engine::onednn::f32_desc;
using float_engine::onednn::guarded;
using float_engine::onednn::own_scratch;
using Tag = memory::format_tag;
using Forward = dnnl::convolution_forward;
using BackwardData = dnnl::convolution_backward_data;
using BackwardWeights = dnnl::convolution_backward_weights;

/// The descriptions that the three primitives of a shape share.
struct Descriptions {
  memory::desc source, target, any_weights, plain_weights, bias;
  memory::dims strides, dilations, pads_begin, pads_end;

  explicit Descriptions(const ConvShape& s)
      : source(f32_desc({s.batch, s.in_channels, s.in_height, s.in_width}, Tag::nhwc)),
        target(f32_desc({s.batch, s.out_channels, s.out_height, s.out_width}, Tag::nhwc)),
        bias(f32_desc({s.out_channels}, Tag::x)),
        strides{s.stride_height, s.stride_width},
        // oneDNN counts dilation from 0.
        dilations{s.dilation_height - 1, s.dilation_width - 1},
        pads_begin{s.pad_top, s.pad_left},
        pads_end{s.pad_bottom, s.pad_right} {
    const memory::dims dims =
        s.groups == 1 ? memory::dims{s.out_channels, s.in_channels, s.kernel_height, s.kernel_width}
                      : memory::dims{s.groups, s.out_channels / s.groups, s.in_channels / s.groups,
                                     s.kernel_height, s.kernel_width};
    any_weights = f32_desc(dims, Tag::any);
    plain_weights = f32_desc(dims, s.groups == 1 ? Tag::oihw : Tag::goihw);
  }
};

struct Primitives {
  Forward::primitive_desc forward;
  BackwardData::primitive_desc data;
  BackwardWeights::primitive_desc weights;

  explicit Primitives(const Descriptions& d)
      : forward({dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, d.source,
                 d.any_weights, d.bias, d.target, d.strides, d.dilations, d.pads_begin, d.pads_end},
                own_scratch(), cpu()),
        data({dnnl::algorithm::convolution_direct, d.source, d.any_weights, d.target, d.strides,
              d.dilations, d.pads_begin, d.pads_end},
             own_scratch(), cpu(), forward),
        weights({dnnl::algorithm::convolution_direct, d.source, d.any_weights, d.bias, d.target,
                 d.strides, d.dilations, d.pads_begin, d.pads_end},
                own_scratch(), cpu(), forward) {}
};

void reorder(const memory& from, const memory& to) {
  dnnl::stream stream(cpu());
  auto source = from;
  auto target = to;
  dnnl::reorder(source, target).execute(stream, source, target);
  stream.wait();
}

class Session : public ConvSession {
 public:
  Session(const Primitives& p, const Descriptions& d, const memory& forward_weights,
          const memory& data_weights, const memory& bias)
      : stream_(cpu()),
        forward_(p.forward),
        data_(p.data),
        weights_(p.weights),
        source_(d.source, cpu(), nullptr),
        target_(d.target, cpu(), nullptr),
        source_gradient_(d.source, cpu(), nullptr),
        target_gradient_(d.target, cpu(), nullptr),
        forward_weights_(forward_weights),
        data_weights_(data_weights),
        bias_(bias),
        weight_gradient_(p.weights.diff_weights_desc(), cpu()),
        bias_gradient_(d.bias, cpu()),
        plain_gradient_(d.plain_weights, cpu(), nullptr),
        unpack_(weight_gradient_, plain_gradient_),
        scratch_bytes_(
            std::max({p.forward.scratchpad_desc().get_size(), p.data.scratchpad_desc().get_size(),
                      p.weights.scratchpad_desc().get_size()})),
        scratch_storage_(DType::u8, {static_cast<std::int64_t>(scratch_bytes_)}),
        forward_scratch_(p.forward.scratchpad_desc(), cpu(), scratch_storage_.mutable_raw()),
        data_scratch_(p.data.scratchpad_desc(), cpu(), scratch_storage_.mutable_raw()),
        weights_scratch_(p.weights.scratchpad_desc(), cpu(), scratch_storage_.mutable_raw()) {}

  Status forward(const float* input, float* output) override {
    return guarded("run a convolution", [&]() -> Status {
      source_.set_data_handle(const_cast<float*>(input));
      target_.set_data_handle(output);
      forward_.execute(stream_, {{DNNL_ARG_SRC, source_},
                                 {DNNL_ARG_WEIGHTS, forward_weights_},
                                 {DNNL_ARG_BIAS, bias_},
                                 {DNNL_ARG_DST, target_},
                                 {DNNL_ARG_SCRATCHPAD, forward_scratch_}});
      return {};
    });
  }

  Status backward_data(const float* output_gradient, float* input_gradient) override {
    return guarded("run a convolution's gradient", [&]() -> Status {
      target_gradient_.set_data_handle(const_cast<float*>(output_gradient));
      source_gradient_.set_data_handle(input_gradient);
      data_.execute(stream_, {{DNNL_ARG_DIFF_DST, target_gradient_},
                              {DNNL_ARG_WEIGHTS, data_weights_},
                              {DNNL_ARG_DIFF_SRC, source_gradient_},
                              {DNNL_ARG_SCRATCHPAD, data_scratch_}});
      return {};
    });
  }

  Status backward_weights(const float* input, const float* output_gradient, float* weight_gradient,
                          float* bias_gradient) override {
    return guarded("run a convolution's weight gradient", [&]() -> Status {
      source_.set_data_handle(const_cast<float*>(input));
      target_gradient_.set_data_handle(const_cast<float*>(output_gradient));
      weights_.execute(stream_, {{DNNL_ARG_SRC, source_},
                                 {DNNL_ARG_DIFF_DST, target_gradient_},
                                 {DNNL_ARG_DIFF_WEIGHTS, weight_gradient_},
                                 {DNNL_ARG_DIFF_BIAS, bias_gradient_},
                                 {DNNL_ARG_SCRATCHPAD, weights_scratch_}});
      plain_gradient_.set_data_handle(weight_gradient);
      unpack_.execute(stream_, weight_gradient_, plain_gradient_);
      if (bias_gradient != nullptr) {
        std::memcpy(bias_gradient, bias_gradient_.get_data_handle(),
                    bias_gradient_.get_desc().get_size());
      }
      return {};
    });
  }

 private:
  dnnl::stream stream_;
  Forward forward_;
  BackwardData data_;
  BackwardWeights weights_;
  memory source_, target_, source_gradient_, target_gradient_;
  memory forward_weights_, data_weights_, bias_;
  memory weight_gradient_, bias_gradient_, plain_gradient_;
  dnnl::reorder unpack_;
  std::size_t scratch_bytes_;
  Tensor scratch_storage_;
  memory forward_scratch_, data_scratch_, weights_scratch_;
};

class Conv : public TrainedConv {
 public:
  explicit Conv(const ConvShape& shape)
      : descriptions_(shape),
        primitives_(descriptions_),
        forward_weights_(primitives_.forward.weights_desc(), cpu()),
        data_weights_(primitives_.data.weights_desc(), cpu()),
        bias_(descriptions_.bias, cpu()) {}

  Status set_weights(const float* weights, const float* bias) override {
    return guarded("pack weights", [&]() -> Status {
      const memory plain(descriptions_.plain_weights, cpu(), const_cast<float*>(weights));
      reorder(plain, forward_weights_);
      reorder(plain, data_weights_);
      const auto bytes = descriptions_.bias.get_size();
      if (bias != nullptr) {
        std::memcpy(bias_.get_data_handle(), bias, bytes);
      } else {
        std::memset(bias_.get_data_handle(), 0, bytes);
      }
      return {};
    });
  }

  Result<std::unique_ptr<ConvSession>> session() const override {
    return guarded("prepare a convolution", [&]() -> Result<std::unique_ptr<ConvSession>> {
      return std::make_unique<Session>(primitives_, descriptions_, forward_weights_, data_weights_,
                                       bias_);
    });
  }

 private:
  Descriptions descriptions_;
  Primitives primitives_;
  memory forward_weights_, data_weights_, bias_;
};

}  // namespace

Result<std::unique_ptr<TrainedConv>> TrainedConv::make(const ConvShape& shape) {
  // Single-threaded primitives: sums do not depend on the number of threads.
  const float_engine::onednn::ThreadScope single(1);
  return guarded("prepare a convolution", [&]() -> Result<std::unique_ptr<TrainedConv>> {
    return std::make_unique<Conv>(shape);
  });
}

}  // namespace octet::gradient::onednn

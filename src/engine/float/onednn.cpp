#include "engine/float/onednn.h"

#include <omp.h>

#include "core/tensor.h"
#include "engine/float/onednn_support.h"

namespace octet::float_engine::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

dnnl::primitive_attr attributes(const Fusion& fusion) {
  auto attr = own_scratch();
  dnnl::post_ops ops;
  if (fusion.kind == Fusion::Kind::relu) {
    ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  } else if (fusion.kind == Fusion::Kind::clip) {
    ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_clip, fusion.low, fusion.high);
  }
  attr.set_post_ops(ops);
  return attr;
}

/// A copy of plain weights in the order of `wanted`.
memory reorder_weights(const memory::desc& plain, const float* weights,
                       const memory::desc& wanted) {
  // oneDNN takes a non-const pointer but only reads a reorder's source.
  memory source(plain, cpu(), const_cast<float*>(weights));
  memory target(wanted, cpu());
  dnnl::stream stream(cpu());
  dnnl::reorder(source, target).execute(stream, source, target);
  stream.wait();
  return target;
}

memory copy_bias(const float* bias, std::int64_t count) {
  memory result(f32_desc({count}, Tag::x), cpu());
  auto* values = static_cast<float*>(result.get_data_handle());
  for (std::int64_t i = 0; i < count; ++i) values[i] = bias != nullptr ? bias[i] : 0.0F;
  return result;
}

/// Wraps any forward primitive of one source and one destination.
class ForwardPrimitive : public Primitive {
 public:
  template <class Description>
  ForwardPrimitive(const Description& description, const dnnl::primitive& primitive,
                   const memory& weights, const memory& bias)
      : name_(std::string("onednn ") + description.impl_info_str()),
        primitive_(primitive),
        source_(description.src_desc(), cpu(), nullptr),
        target_(description.dst_desc(), cpu(), nullptr),
        scratch_storage_(DType::u8,
                         {static_cast<std::int64_t>(description.scratchpad_desc().get_size())}),
        stream_(cpu()) {
    const memory scratch(description.scratchpad_desc(), cpu(), scratch_storage_.mutable_raw());
    arguments_ = {{DNNL_ARG_SRC, source_},
                  {DNNL_ARG_DST, target_},
                  {DNNL_ARG_WEIGHTS, weights},
                  {DNNL_ARG_BIAS, bias},
                  {DNNL_ARG_SCRATCHPAD, scratch}};
  }

  Status run(const float* input, float* output) override {
    return guarded("run a primitive", [&]() -> Status {
      source_.set_data_handle(const_cast<float*>(input));
      target_.set_data_handle(output);
      primitive_.execute(stream_, arguments_);
      return {};
    });
  }
  const std::string& name() const override { return name_; }

 private:
  std::string name_;
  dnnl::primitive primitive_;
  memory source_;
  memory target_;
  Tensor scratch_storage_;
  dnnl::stream stream_;
  std::unordered_map<int, memory> arguments_;
};

bool is_reference(const char* implementation) {
  return std::string_view(implementation).find("ref") != std::string_view::npos;
}

using ConvDescription = dnnl::convolution_forward::primitive_desc;

memory::desc plain_conv_weights(const ConvShape& s) {
  if (s.groups == 1) {
    return f32_desc({s.out_channels, s.in_channels, s.kernel_height, s.kernel_width}, Tag::oihw);
  }
  return f32_desc({s.groups, s.out_channels / s.groups, s.in_channels / s.groups, s.kernel_height,
                   s.kernel_width},
                  Tag::goihw);
}

ConvDescription describe_conv(const ConvShape& s, const memory::desc& weights,
                              const dnnl::primitive_attr& attr) {
  const auto source = f32_desc({s.batch, s.in_channels, s.in_height, s.in_width}, Tag::nhwc);
  const auto target = f32_desc({s.batch, s.out_channels, s.out_height, s.out_width}, Tag::nhwc);
  const auto bias = f32_desc({s.out_channels}, Tag::x);
  // oneDNN counts dilation from 0.
  const dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_inference,
                                             dnnl::algorithm::convolution_direct, source, weights,
                                             bias, target, {s.stride_height, s.stride_width},
                                             {s.dilation_height - 1, s.dilation_width - 1},
                                             {s.pad_top, s.pad_left}, {s.pad_bottom, s.pad_right});
  return {desc, attr, cpu()};
}

class ConvKernelImpl : public ConvKernel {
 public:
  ConvKernelImpl(const ConvShape& representative, const float* weights, const float* bias,
                 const Fusion& fusion)
      : attr_(attributes(fusion)), bias_(copy_bias(bias, representative.out_channels)) {
    auto any = plain_conv_weights(representative);
    const auto plain = any;
    any = memory::desc(plain.dims(), memory::data_type::f32, Tag::any);
    const auto description = describe_conv(representative, any, attr_);
    weights_ = reorder_weights(plain, weights, description.weights_desc());
    representative_is_reference_ = is_reference(description.impl_info_str());
  }

  Result<std::unique_ptr<Primitive>> primitive(const ConvShape& shape) const override {
    return guarded("prepare a convolution", [&]() -> Result<std::unique_ptr<Primitive>> {
      auto weights = weights_;
      auto description = describe_with(weights_.get_desc(), shape);
      if (!description ||
          (is_reference(description->impl_info_str()) && !representative_is_reference_)) {
        // The shared order does not suit this shape: it gets a copy in its own.
        const auto any = memory::desc(weights_.get_desc().dims(), memory::data_type::f32, Tag::any);
        description.emplace(describe_conv(shape, any, attr_));
        weights = memory(description->weights_desc(), cpu());
        dnnl::stream stream(cpu());
        dnnl::reorder(weights_, weights).execute(stream, const_cast<memory&>(weights_), weights);
        stream.wait();
      }
      return std::make_unique<ForwardPrimitive>(
          *description, dnnl::convolution_forward(*description), weights, bias_);
    });
  }

 private:
  std::optional<ConvDescription> describe_with(const memory::desc& weights,
                                               const ConvShape& shape) const {
    try {
      return describe_conv(shape, weights, attr_);
    } catch (const dnnl::error&) {
      return std::nullopt;
    }
  }

  dnnl::primitive_attr attr_;
  memory weights_;
  memory bias_;
  bool representative_is_reference_ = false;
};

using MatrixDescription = dnnl::inner_product_forward::primitive_desc;

class MatrixKernelImpl : public MatrixKernel {
 public:
  MatrixKernelImpl(std::int64_t rows, std::int64_t depth, std::int64_t columns,
                   const float* weights, bool transposed, const float* bias, const Fusion& fusion)
      : depth_(depth),
        columns_(columns),
        attr_(attributes(fusion)),
        bias_(copy_bias(bias, columns)) {
    const memory::dims dims{columns, depth};
    const auto plain = f32_desc(dims, transposed ? Tag::ab : Tag::ba);
    const auto description = describe(rows, memory::desc(dims, memory::data_type::f32, Tag::any));
    weights_ = reorder_weights(plain, weights, description.weights_desc());
  }

  Result<std::unique_ptr<Primitive>> primitive(std::int64_t rows) const override {
    return guarded("prepare a matrix product", [&]() -> Result<std::unique_ptr<Primitive>> {
      const auto description = describe(rows, weights_.get_desc());
      return std::make_unique<ForwardPrimitive>(
          description, dnnl::inner_product_forward(description), weights_, bias_);
    });
  }

 private:
  MatrixDescription describe(std::int64_t rows, const memory::desc& weights) const {
    const dnnl::inner_product_forward::desc desc(
        dnnl::prop_kind::forward_inference, f32_desc({rows, depth_}, Tag::ab), weights,
        f32_desc({columns_}, Tag::x), f32_desc({rows, columns_}, Tag::ab));
    return {desc, attr_, cpu()};
  }

  std::int64_t depth_;
  std::int64_t columns_;
  dnnl::primitive_attr attr_;
  memory weights_;
  memory bias_;
};

}  // namespace

Result<std::shared_ptr<const ConvKernel>> ConvKernel::make(const ConvShape& representative,
                                                           const float* weights, const float* bias,
                                                           const Fusion& fusion) {
  return guarded("prepare a convolution", [&]() -> Result<std::shared_ptr<const ConvKernel>> {
    return std::make_shared<ConvKernelImpl>(representative, weights, bias, fusion);
  });
}

Result<std::shared_ptr<const MatrixKernel>> MatrixKernel::make(
    std::int64_t representative_rows, std::int64_t depth, std::int64_t columns,
    const float* weights, bool transposed, const float* bias, const Fusion& fusion) {
  return guarded("prepare a matrix product", [&]() -> Result<std::shared_ptr<const MatrixKernel>> {
    return std::make_shared<MatrixKernelImpl>(representative_rows, depth, columns, weights,
                                              transposed, bias, fusion);
  });
}

Status matrix_product(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                      std::int64_t k, float alpha, const float* a, const float* b, float beta,
                      float* c) {
  if (m == 0 || n == 0) return {};
  const auto status = dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha,
                                 a, std::max<std::int64_t>(transpose_a ? m : k, 1), b,
                                 std::max<std::int64_t>(transpose_b ? k : n, 1), beta, c, n);
  if (status == dnnl_success) return {};
  return internal_error("oneDNN cannot multiply matrices (status {})", static_cast<int>(status));
}

ThreadScope::ThreadScope(int threads) : previous_(omp_get_max_threads()) {
  omp_set_num_threads(threads);
}
ThreadScope::~ThreadScope() { omp_set_num_threads(previous_); }

}  // namespace octet::float_engine::onednn

#pragma once
// An int8 convolution of oneDNN, to compare with.

#include <algorithm>
#include <cstdint>
#include <dnnl.hpp>
#include <string>
#include <unordered_map>

#include "kernels/conv.h"

namespace octet::bench {

/// u8 by s8 to u8 with one scale, in the layouts that oneDNN picks.
class OnednnConv {
 public:
  explicit OnednnConv(const kernels::ConvGeometry& g)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    using dnnl::memory;
    using Type = memory::data_type;
    const auto any = memory::format_tag::any;
    const memory::desc source({g.batch, g.in_channels, g.in_height, g.in_width}, Type::u8, any);
    const memory::desc target({g.batch, g.out_channels, g.out_height, g.out_width}, Type::u8, any);
    const memory::dim per_group_out = g.out_channels / g.groups;
    const memory::dim per_group_in = g.in_channels / g.groups;
    const memory::dims kernel =
        g.groups == 1
            ? memory::dims{per_group_out, per_group_in, g.kernel_height, g.kernel_width}
            : memory::dims{g.groups, per_group_out, per_group_in, g.kernel_height, g.kernel_width};
    const memory::desc filter(kernel, Type::s8, any);
    const memory::desc bias({g.out_channels}, Type::s32, memory::format_tag::x);
    const memory::dims strides{g.stride_height, g.stride_width};
    const memory::dims before{g.pad_top, g.pad_left};
    const memory::dims after{
        (g.out_height - 1) * g.stride_height + g.kernel_height - g.in_height - g.pad_top,
        (g.out_width - 1) * g.stride_width + g.kernel_width - g.in_width - g.pad_left};
    dnnl::primitive_attr attributes;
#if DNNL_VERSION_MAJOR < 3
    attributes.set_output_scales(0, {1e-3F});
    const dnnl::convolution_forward::desc description(dnnl::prop_kind::forward_inference,
                                                      dnnl::algorithm::convolution_direct, source,
                                                      filter, bias, target, strides, before, after);
    const dnnl::convolution_forward::primitive_desc chosen(description, attributes, engine_);
#else
    attributes.set_scales_mask(DNNL_ARG_DST, 0);
    const dnnl::convolution_forward::primitive_desc chosen(
        engine_, dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, source,
        filter, bias, target, strides, before, after, attributes);
    dnnl::memory scale({{1}, Type::f32, memory::format_tag::x}, engine_);
    *static_cast<float*>(scale.get_data_handle()) = 1e3F;
    arguments_[DNNL_ARG_ATTR_SCALES | DNNL_ARG_DST] = scale;
#endif
    name_ = chosen.impl_info_str();
    conv_ = dnnl::convolution_forward(chosen);
    arguments_[DNNL_ARG_SRC] = filled(chosen.src_desc(), 77);
    arguments_[DNNL_ARG_WEIGHTS] = filled(chosen.weights_desc(), 3);
    arguments_[DNNL_ARG_BIAS] = filled(bias, 0);
    arguments_[DNNL_ARG_DST] = filled(chosen.dst_desc(), 0);
  }

  void run() {
    conv_.execute(stream_, arguments_);
    stream_.wait();
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  [[nodiscard]] dnnl::memory filled(const dnnl::memory::desc& description, int byte) const {
    dnnl::memory memory(description, engine_);
    auto* bytes = static_cast<std::uint8_t*>(memory.get_data_handle());
    std::fill_n(bytes, description.get_size(), static_cast<std::uint8_t>(byte));
    return memory;
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::convolution_forward conv_;
  std::unordered_map<int, dnnl::memory> arguments_;
  std::string name_;
};

}  // namespace octet::bench

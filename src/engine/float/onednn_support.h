#pragma once
// What the files that call oneDNN share; nobody else includes this.

#include <dnnl.hpp>
#include <string_view>

#include "core/result.h"

namespace octet::float_engine::onednn {

[[nodiscard]] inline const dnnl::engine& cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// Calls fn, turning oneDNN's exceptions into errors.
template <class Fn>
auto guarded(std::string_view what, Fn fn) -> decltype(fn()) {
  try {
    return fn();
  } catch (const dnnl::error& error) {
    return internal_error("oneDNN cannot {}: {} (status {})", what, error.message,
                          static_cast<int>(error.status));
  }
}

[[nodiscard]] inline dnnl::memory::desc f32_desc(const dnnl::memory::dims& dims,
                                                 dnnl::memory::format_tag tag) {
  return {dims, dnnl::memory::data_type::f32, tag};
}

/// Memory for intermediate results is the caller's.
[[nodiscard]] inline dnnl::primitive_attr own_scratch() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

}  // namespace octet::float_engine::onednn

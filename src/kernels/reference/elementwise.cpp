#include "kernels/elementwise.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "arithmetic/quantize.h"
#include "arithmetic/requantize.h"
#include "kernels/copy.h"
#include "kernels/litert_elementwise.h"
#include "kernels/openvino.h"
#include "kernels/reference/binary_rows.h"
#include "kernels/x86/x86_elementwise.h"

namespace octet::kernels {
namespace {

#if defined(__x86_64__)
/// The vector kernels of this CPU, nullptr where the loops below have to do.
const ElementwiseKernels* fast(const CodeParams& output) {
  return output.low <= output.high ? x86_elementwise_kernels(default_isa()) : nullptr;
}
#endif

/// One pair of codes to one code; the constants are worked out once.
class Add {
 public:
  explicit Add(const BinaryParams& p)
      : constants_(onnx_add(p.a.scale, p.a.zero_point, p.b.scale, p.b.zero_point, p.output.scale,
                            p.output.zero_point)),
        low_(p.output.low),
        high_(p.output.high) {}
  std::int32_t operator()(std::int32_t a, std::int32_t b) const {
    return add_onnx(constants_, a, b, low_, high_);
  }

 private:
  OnnxAdd constants_;
  std::int32_t low_;
  std::int32_t high_;
};

/// Dequantize, operate in f32, quantize.
template <class Op>
class OnFloats {
 public:
  explicit OnFloats(const BinaryParams& params) : p_(params) {}
  std::int32_t operator()(std::int32_t a, std::int32_t b) const {
    const float x = dequantize_value(a, p_.a.scale, p_.a.zero_point);
    const float y = dequantize_value(b, p_.b.scale, p_.b.zero_point);
    return quantize_narrow(Op{}(x, y), p_.output.scale, p_.output.zero_point, p_.output.low,
                           p_.output.high);
  }

 private:
  BinaryParams p_;
};

template <class Op>
void binary_row(const Op& op, const std::uint8_t* a, std::int64_t a_step, const std::uint8_t* b,
                std::int64_t b_step, std::uint8_t* output, std::int64_t count) {
  // A copy, so that stores to `output` cannot be taken to change it.
  const Op op_copy = op;
  for (std::int64_t i = 0; i < count; ++i) {
    output[i] = static_cast<std::uint8_t>(op_copy(a[i * a_step], b[i * b_step]));
  }
}

#if defined(__x86_64__)
/// A row whose operands run densely or are one repeated code; the repeated one is spread out first.
/// False where the vector kernel does not apply.
bool vector_row(const ElementwiseKernels* vector, const BinaryParams& params, const std::uint8_t* a,
                std::int64_t a_step, const std::uint8_t* b, std::int64_t b_step,
                std::uint8_t* output, std::int64_t count) {
  const bool steps_fit = (a_step == 1 || a_step == 0) && (b_step == 1 || b_step == 0);
  if (vector == nullptr || !steps_fit || a_step + b_step == 0) return false;
  if (a_step == 1 && b_step == 1) {
    vector->binary_row(params, a, b, output, count);
    return true;
  }
  constexpr std::int64_t chunk = 256;
  std::uint8_t repeated[chunk];
  std::fill_n(repeated, std::min(chunk, count), a_step == 0 ? *a : *b);
  for (std::int64_t i = 0; i < count; i += chunk) {
    vector->binary_row(params, a_step == 0 ? repeated : a + i, b_step == 0 ? repeated : b + i,
                       output + i, std::min(chunk, count - i));
  }
  return true;
}
#endif

#if defined(__x86_64__)
/// Short rows of which one operand is the same for all rows of a block, as the factors of channels
/// are for all pixels: that one is written down several times, so that many rows are one. False
/// where rows are otherwise.
bool repeating_rows(const ElementwiseKernels* vector, const BinaryParams& params,
                    const BinaryGeometry& g, const std::uint8_t* a, const std::uint8_t* b,
                    std::uint8_t* output, std::int64_t first_row, std::int64_t last_row) {
  constexpr std::int64_t room = 2048;
  const std::int64_t length = g.extent[3];
  const bool repeats_a = g.a_stride[2] == 0 && g.b_stride[2] == length;
  const bool repeats_b = g.b_stride[2] == 0 && g.a_stride[2] == length;
  if (vector == nullptr || repeats_a == repeats_b || g.a_stride[3] != 1 || g.b_stride[3] != 1 ||
      length < 1 || 2 * length > room) {
    return false;
  }
  std::uint8_t repeated[room];
  const std::int64_t most = room / length;
  for (std::int64_t row = first_row; row < last_row;) {
    const std::int64_t block_end = (row / g.extent[2] + 1) * g.extent[2];
    const std::int64_t end = std::min(block_end, last_row);
    for_each_row(g, a, b, output, row, row + 1,
                 [&](const std::uint8_t* pa, const std::uint8_t* pb, std::uint8_t* out) {
                   const std::int64_t copies = std::min(most, end - row);
                   const std::uint8_t* same = repeats_a ? pa : pb;
                   for (std::int64_t i = 0; i < copies; ++i) {
                     std::copy_n(same, length, repeated + i * length);
                   }
                   for (std::int64_t done = 0; done < end - row; done += copies) {
                     const std::int64_t count = std::min(copies, end - row - done) * length;
                     const std::int64_t at = done * length;
                     vector->binary_row(params, repeats_a ? repeated : pa + at,
                                        repeats_b ? repeated : pb + at, out + at, count);
                   }
                 });
    row = end;
  }
  return true;
}
#endif

template <class Op>
void binary_rows(const BinaryParams& params, const BinaryGeometry& g, const std::uint8_t* a,
                 const std::uint8_t* b, std::uint8_t* output, std::int64_t first_row,
                 std::int64_t last_row) {
#if defined(__x86_64__)
  const auto* vector = fast(params.output);
  if (repeating_rows(vector, params, g, a, b, output, first_row, last_row)) return;
#endif
  const Op op(params);
  const auto run_row = [&](const std::uint8_t* pa, const std::uint8_t* pb, std::uint8_t* out) {
#if defined(__x86_64__)
    if (vector_row(vector, params, pa, g.a_stride[3], pb, g.b_stride[3], out, g.extent[3])) return;
#endif
    if (g.a_stride[3] == 1 && g.b_stride[3] == 1) {
      binary_row(op, pa, 1, pb, 1, out, g.extent[3]);
    } else {
      binary_row(op, pa, g.a_stride[3], pb, g.b_stride[3], out, g.extent[3]);
    }
  };
  for_each_row(g, a, b, output, first_row, last_row, run_row);
}

/// Rule openvino: Add by its own kernel, the others as float operators between dequantize and
/// quantize.
class OpenvinoRow {
 public:
  explicit OpenvinoRow(const BinaryParams& params)
      : p_(params), line_(openvino::quantize_line(p_.output.scale, p_.output.zero_point)) {
    const CodeParams& moved = p_.moves_b ? p_.b : p_.a;
    const CodeParams& kept = p_.moves_b ? p_.a : p_.b;
    sum_.sum = openvino::sum(kept.scale, kept.zero_point, moved.scale, moved.zero_point,
                             openvino::limits(p_.output.scale, p_.output.zero_point));
    sum_.own_code = p_.own_code;
    sum_.low = p_.output.low;
    sum_.high = p_.output.high;
  }

  void run(const std::uint8_t* a, std::int64_t a_step, const std::uint8_t* b, std::int64_t b_step,
           std::uint8_t* output, std::int64_t count) const {
    if (p_.op == BinaryOp::add) {
      if (p_.moves_b) return openvino::add_codes(sum_, b, b_step, a, a_step, output, count);
      return openvino::add_codes(sum_, a, a_step, b, b_step, output, count);
    }
    for (std::int64_t i = 0; i < count; ++i) {
      const float x = dequantize_value(a[i * a_step], p_.a.scale, p_.a.zero_point);
      const float y = dequantize_value(b[i * b_step], p_.b.scale, p_.b.zero_point);
      const float real = p_.op == BinaryOp::subtract   ? x - y
                         : p_.op == BinaryOp::multiply ? x * y
                                                       : x / y;
      output[i] =
          static_cast<std::uint8_t>(openvino::quantize(real, line_, p_.output.low, p_.output.high));
    }
  }

 private:
  BinaryParams p_;
  openvino::Line line_;
  openvino::SumParams sum_;
};

}  // namespace

void binary(const BinaryParams& params, const BinaryGeometry& geometry, const std::uint8_t* a,
            const std::uint8_t* b, std::uint8_t* output, std::int64_t first_row,
            std::int64_t last_row) {
  if (is_litert(params.output.rule) && params.op != BinaryOp::divide) {
    return litert::binary(params, geometry, a, b, output, first_row, last_row);
  }
  if (params.output.rule == Rule::openvino) {
    const OpenvinoRow row(params);
    return for_each_row(geometry, a, b, output, first_row, last_row,
                        [&](const std::uint8_t* pa, const std::uint8_t* pb, std::uint8_t* out) {
                          row.run(pa, geometry.a_stride[3], pb, geometry.b_stride[3], out,
                                  geometry.extent[3]);
                        });
  }
  switch (params.op) {
    case BinaryOp::add:
      return binary_rows<Add>(params, geometry, a, b, output, first_row, last_row);
    case BinaryOp::subtract:
      return binary_rows<OnFloats<std::minus<float>>>(params, geometry, a, b, output, first_row,
                                                      last_row);
    case BinaryOp::multiply:
      return binary_rows<OnFloats<std::multiplies<float>>>(params, geometry, a, b, output,
                                                           first_row, last_row);
    case BinaryOp::divide:
      return binary_rows<OnFloats<std::divides<float>>>(params, geometry, a, b, output, first_row,
                                                        last_row);
    case BinaryOp::squared_difference:
    case BinaryOp::prelu: return;  // only by rules tflite and xnnpack
  }
}

void lookup(const LookupTable& table, const std::uint8_t* input, std::uint8_t* output,
            std::int64_t count) {
#if defined(__x86_64__)
  const auto* vector = x86_elementwise_kernels(default_isa());
  if (vector != nullptr && vector->lookup != nullptr) {
    return vector->lookup(table, input, output, count);
  }
#endif
  for (std::int64_t i = 0; i < count; ++i) output[i] = table[input[i]];
}

void quantize_codes(const CodeParams& params, const float* input, std::uint8_t* output,
                    std::int64_t count) {
  if (is_litert(params.rule)) return litert::quantize_codes(params, input, output, count);
  if (params.rule == Rule::openvino) {
    const auto line = openvino::quantize_line(params.scale, params.zero_point);
    return openvino::quantize_codes({line, params.low, params.high}, input, output, count);
  }
#if defined(__x86_64__)
  if (const auto* vector = fast(params)) return vector->quantize(params, input, output, count);
#endif
  const CodeParams p = params;
  for (std::int64_t i = 0; i < count; ++i) {
    output[i] =
        static_cast<std::uint8_t>(quantize_narrow(input[i], p.scale, p.zero_point, p.low, p.high));
  }
}

void quantize_planes(const CodeParams& params, const float* input, std::int64_t plane_stride,
                     std::int64_t channels, std::int64_t pixels, std::uint8_t* output) {
  constexpr std::int64_t block = 512;
  std::uint8_t planes[max_planes * block];
  for (std::int64_t first = 0; first < pixels; first += block) {
    const std::int64_t count = std::min(block, pixels - first);
    for (std::int64_t c = 0; c < channels; ++c) {
      quantize_codes(params, input + c * plane_stride + first, planes + c * block, count);
    }
    interleave_planes(planes, block, channels, count, output + first * channels);
  }
}

void dequantize_codes(const CodeParams& params, const std::uint8_t* input, float* output,
                      std::int64_t count) {
#if defined(__x86_64__)
  if (const auto* vector = fast(params)) return vector->dequantize(params, input, output, count);
#endif
  for (std::int64_t i = 0; i < count; ++i) {
    output[i] = dequantize_value(input[i], params.scale, params.zero_point);
  }
}

Range value_range(const float* values, std::int64_t count) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  Range range{infinity, -infinity};
  std::int64_t first = 0;
#if defined(__x86_64__)
  if (const auto* vector = x86_elementwise_kernels(default_isa())) {
    first = count / 32 * 32;
    range = vector->range(values, first);
  }
#endif
  for (std::int64_t i = first; i < count; ++i) {
    if (values[i] < range.minimum) range.minimum = values[i];
    if (values[i] > range.maximum) range.maximum = values[i];
  }
  return range.minimum <= range.maximum ? range : Range{};
}

}  // namespace octet::kernels

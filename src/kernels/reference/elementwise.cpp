#include "kernels/elementwise.h"

#include <functional>

#include "arithmetic/quantize.h"
#include "arithmetic/requantize.h"
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

template <class Op>
void binary_rows(const BinaryParams& params, const BinaryGeometry& g, const std::uint8_t* a,
                 const std::uint8_t* b, std::uint8_t* output, std::int64_t first_row,
                 std::int64_t last_row) {
#if defined(__x86_64__)
  const auto* vector = fast(params.output);
#endif
  const Op op(params);
  for (std::int64_t row = first_row; row < last_row; ++row) {
    const std::int64_t i2 = row % g.extent[2];
    const std::int64_t i1 = row / g.extent[2] % g.extent[1];
    const std::int64_t i0 = row / (g.extent[2] * g.extent[1]);
    const std::uint8_t* pa = a + i0 * g.a_stride[0] + i1 * g.a_stride[1] + i2 * g.a_stride[2];
    const std::uint8_t* pb = b + i0 * g.b_stride[0] + i1 * g.b_stride[1] + i2 * g.b_stride[2];
    std::uint8_t* out = output + row * g.extent[3];
    if (g.a_stride[3] == 1 && g.b_stride[3] == 1) {
#if defined(__x86_64__)
      if (vector != nullptr) {
        vector->binary_row(params, pa, pb, out, g.extent[3]);
        continue;
      }
#endif
      binary_row(op, pa, 1, pb, 1, out, g.extent[3]);
    } else {
      binary_row(op, pa, g.a_stride[3], pb, g.b_stride[3], out, g.extent[3]);
    }
  }
}

}  // namespace

void binary(const BinaryParams& params, const BinaryGeometry& geometry, const std::uint8_t* a,
            const std::uint8_t* b, std::uint8_t* output, std::int64_t first_row,
            std::int64_t last_row) {
  switch (params.op) {
    case BinaryOp::add:
      return binary_rows<Add>(params, geometry, a, b, output, first_row, last_row);
    case BinaryOp::subtract:
      return binary_rows<OnFloats<std::minus<float>>>(params, geometry, a, b, output, first_row,
                                                      last_row);
    case BinaryOp::multiply:
      return binary_rows<OnFloats<std::multiplies<float>>>(params, geometry, a, b, output,
                                                           first_row, last_row);
  }
}

void lookup(const LookupTable& table, const std::uint8_t* input, std::uint8_t* output,
            std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) output[i] = table[input[i]];
}

void quantize_codes(const CodeParams& params, const float* input, std::uint8_t* output,
                    std::int64_t count) {
#if defined(__x86_64__)
  if (const auto* vector = fast(params)) return vector->quantize(params, input, output, count);
#endif
  const CodeParams p = params;
  for (std::int64_t i = 0; i < count; ++i) {
    output[i] =
        static_cast<std::uint8_t>(quantize_narrow(input[i], p.scale, p.zero_point, p.low, p.high));
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

}  // namespace octet::kernels

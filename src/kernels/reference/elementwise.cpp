#include "kernels/elementwise.h"

#include "arithmetic/quantize.h"
#include "kernels/x86/x86_elementwise.h"

namespace octet::kernels {
namespace {

#if defined(__x86_64__)
/// The vector kernels of this CPU, nullptr where the loops below have to do.
const ElementwiseKernels* fast(const CodeParams& output) {
  return output.low <= output.high ? x86_elementwise_kernels(default_isa()) : nullptr;
}
#endif

struct Add {
  float operator()(float a, float b) const { return a + b; }
};
struct Subtract {
  float operator()(float a, float b) const { return a - b; }
};
struct Multiply {
  float operator()(float a, float b) const { return a * b; }
};

template <class Op>
void binary_row(const BinaryParams& params, const std::uint8_t* a, std::int64_t a_step,
                const std::uint8_t* b, std::int64_t b_step, std::uint8_t* output,
                std::int64_t count) {
  // Copies, so that stores to `output` cannot be taken to change them.
  const CodeParams pa = params.a;
  const CodeParams pb = params.b;
  const CodeParams po = params.output;
  for (std::int64_t i = 0; i < count; ++i) {
    const float x = dequantize_value(a[i * a_step], pa.scale, pa.zero_point);
    const float y = dequantize_value(b[i * b_step], pb.scale, pb.zero_point);
    output[i] = static_cast<std::uint8_t>(
        quantize_narrow(Op{}(x, y), po.scale, po.zero_point, po.low, po.high));
  }
}

template <class Op>
void binary_rows(const BinaryParams& params, const BinaryGeometry& g, const std::uint8_t* a,
                 const std::uint8_t* b, std::uint8_t* output, std::int64_t first_row,
                 std::int64_t last_row) {
#if defined(__x86_64__)
  const auto* vector = fast(params.output);
#endif
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
      binary_row<Op>(params, pa, 1, pb, 1, out, g.extent[3]);
    } else {
      binary_row<Op>(params, pa, g.a_stride[3], pb, g.b_stride[3], out, g.extent[3]);
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
      return binary_rows<Subtract>(params, geometry, a, b, output, first_row, last_row);
    case BinaryOp::multiply:
      return binary_rows<Multiply>(params, geometry, a, b, output, first_row, last_row);
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

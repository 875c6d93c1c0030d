// Quantized operators on 8-bit codes with exact int32 sums: DynamicQuantizeLinear, MatMulInteger,
// QLinearMatMul. The convolutions are in integer_conv.cpp.

#include <algorithm>
#include <array>

#include "arithmetic/dynamic.h"
#include "arithmetic/quantize.h"
#include "arithmetic/requantize.h"
#include "engine/float/broadcast.h"
#include "engine/float/integer_product.h"
#include "engine/float/ops.h"

namespace octet::float_engine {
namespace {

Outputs dynamic_quantize(Inputs inputs) {
  const Tensor& x = inputs[0]->tensor;
  OCTET_TRY(require_f32(x, "its input"));
  float minimum = 0;
  float maximum = 0;
  for (const float value : x.values<float>()) {
    minimum = std::min(minimum, value);
    maximum = std::max(maximum, value);
  }
  const DynamicParams params = dynamic_params(minimum, maximum);
  OCTET_ASSIGN(Tensor out, new_tensor(DType::u8, x.shape()));
  auto* codes = out.mutable_data<std::uint8_t>();
  for (std::int64_t i = 0; i < x.size(); ++i) {
    codes[i] = static_cast<std::uint8_t>(
        quantize_value(x.data<float>()[i], params.scale, params.zero_point, 0, 255));
  }
  std::vector<Activation> outputs{{std::move(out), false}};
  outputs.push_back({Tensor::from<float>({params.scale}, {}), false});
  outputs.push_back(
      {Tensor::from<std::uint8_t>({static_cast<std::uint8_t>(params.zero_point)}, {}), false});
  return outputs;
}

MadeOp make_dynamic_quantize(const OpSource& source) {
  return make_function(source, InputOrder::plain, dynamic_quantize);
}

/// The two operands of a matrix product as differences to their zero points.
struct Operands {
  Tensor a, b;  ///< i16
  BroadcastPlan batches;
  Shape out_shape;
  std::int64_t m = 1, n = 1, k = 1;
};

/// What one parameter (a scale or zero point) says of a row or column: one for all, or one each.
Status check_parameter(const Tensor& tensor, std::int64_t extent, std::string_view what) {
  if (tensor.size() == 1 || (tensor.rank() >= 1 && tensor.size() == extent)) return {};
  return bad_input("{} of shape {} does not fit an extent of {}", what, to_string(tensor.shape()),
                   extent);
}

Result<Operands> operands(const Tensor& a, const Tensor* a_zero, const Tensor& b,
                          const Tensor* b_zero) {
  if (a.rank() == 0 || b.rank() == 0) return bad_input("a scalar has no matrix product");
  Operands result;
  Shape left = a.shape();
  Shape right = b.shape();
  if (a.rank() == 1) left.insert(left.begin(), 1);
  if (b.rank() == 1) right.push_back(1);
  result.m = left[left.size() - 2];
  result.k = left.back();
  result.n = right.back();
  if (right[right.size() - 2] != result.k) {
    return bad_input("{} and {} do not multiply", to_string(a.shape()), to_string(b.shape()));
  }
  OCTET_ASSIGN(result.batches, BroadcastPlan::make(Shape(left.begin(), left.end() - 2),
                                                   Shape(right.begin(), right.end() - 2)));
  result.out_shape = result.batches.shape();
  if (a.rank() > 1) result.out_shape.push_back(result.m);
  if (b.rank() > 1) result.out_shape.push_back(result.n);
  if (a_zero != nullptr) OCTET_TRY(check_parameter(*a_zero, result.m, "A's zero point"));
  if (b_zero != nullptr) OCTET_TRY(check_parameter(*b_zero, result.n, "B's zero point"));
  OCTET_ASSIGN(result.a, centered(a, a_zero, {result.m, result.k}));
  OCTET_ASSIGN(result.b, centered(b, b_zero, {result.n, 1}));
  return result;
}

/// Calls fn(sums, output offset) with the m x n sums of each product of the batch.
template <class Fn>
Status for_each_product(const Operands& o, Fn fn) {
  OCTET_ASSIGN(Tensor sums, new_tensor(DType::i32, {o.m, o.n}));
  if (sums.size() == 0) return {};
  auto* const out = sums.mutable_data<std::int32_t>();
  o.batches.for_each_run([&](std::int64_t ia, int a_step, std::int64_t ib, int b_step,
                             std::int64_t io, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      integer_product(o.a.data<std::int16_t>() + (ia + i * a_step) * o.m * o.k,
                      o.b.data<std::int16_t>() + (ib + i * b_step) * o.k * o.n, o.m, o.n, o.k, out);
      fn(out, (io + i) * o.m * o.n);
    }
  });
  return {};
}

const Tensor* optional_tensor(Inputs inputs, std::size_t i) {
  return i < inputs.size() && inputs[i] != nullptr ? &inputs[i]->tensor : nullptr;
}

MadeOp make_matmul_integer(const OpSource& source) {
  return make_function(source, InputOrder::plain, [](Inputs inputs) -> Outputs {
    OCTET_ASSIGN(const auto o, operands(inputs[0]->tensor, optional_tensor(inputs, 2),
                                        inputs[1]->tensor, optional_tensor(inputs, 3)));
    OCTET_ASSIGN(Tensor out, new_tensor(DType::i32, o.out_shape));
    auto* const to = out.mutable_data<std::int32_t>();
    OCTET_TRY(for_each_product(o, [&](const std::int32_t* sums, std::int64_t offset) {
      std::copy_n(sums, o.m * o.n, to + offset);
    }));
    return one_output(std::move(out));
  });
}

Outputs qlinear_matmul(Inputs inputs) {
  const Tensor& a_scale = inputs[1]->tensor;
  const Tensor& b_scale = inputs[4]->tensor;
  OCTET_ASSIGN(const auto o, operands(inputs[0]->tensor, &inputs[2]->tensor, inputs[3]->tensor,
                                      &inputs[5]->tensor));
  OCTET_TRY(check_scale(a_scale, "A's scale"));
  OCTET_TRY(check_scale(b_scale, "B's scale"));
  OCTET_TRY(check_parameter(a_scale, o.m, "A's scale"));
  OCTET_TRY(check_parameter(b_scale, o.n, "B's scale"));
  OCTET_ASSIGN(const auto target, requantization_target(inputs[6]->tensor, inputs[7]->tensor));
  OCTET_ASSIGN(Tensor out, new_tensor(inputs[7]->tensor.dtype(), o.out_shape));
  auto* const to = out.mutable_data<std::uint8_t>();
  const auto of = [](const Tensor& t, std::int64_t i) {
    return t.data<float>()[t.size() == 1 ? 0 : i];
  };
  OCTET_TRY(for_each_product(o, [&](const std::int32_t* sums, std::int64_t offset) {
    for (std::int64_t i = 0; i < o.m * o.n; ++i) {
      const float multiplier =
          onnx_multiplier(of(a_scale, i / o.n), of(b_scale, i % o.n), target.scale);
      to[offset + i] = static_cast<std::uint8_t>(
          requantize_onnx(sums[i], multiplier, target.zero_point, target.low, target.high));
    }
  }));
  return one_output(std::move(out));
}

MadeOp make_qlinear_matmul(const OpSource& source) {
  return make_function(source, InputOrder::plain, qlinear_matmul);
}

constexpr auto entries = std::to_array<OpEntry>({
    {"DynamicQuantizeLinear", 1, 3, make_dynamic_quantize},
    {"MatMulInteger", 2, 1, make_matmul_integer},
    {"QLinearMatMul", 8, 1, make_qlinear_matmul},
    {"ConvInteger", 2, 1, make_conv_integer},
    {"QLinearConv", 8, 1, make_qlinear_conv},
});

}  // namespace

std::span<const OpEntry> integer_entries() { return entries; }

}  // namespace octet::float_engine

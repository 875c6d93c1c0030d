#include "kernels/litert_elementwise.h"

#include <algorithm>

#include "arithmetic/litert_unary.h"
#include "kernels/litert.h"
#include "kernels/reference/binary_rows.h"
#include "kernels/x86/x86_litert_elementwise.h"

namespace octet::kernels::litert {
namespace {

/// Elements handled together, so that their sums stay on the stack.
constexpr std::int64_t block = 256;

/// One operator's rows: blocks of int32 sums, then one requantization for all, where there are
/// vectors for both.
class BinaryRow {
 public:
  explicit BinaryRow(const BinaryParams& params)
      : p_(octet::litert::binary(params.output.rule, operation(params.op), affine(params.a),
                                 affine(params.b), affine(params.output))),
        low_(params.output.low),
        high_(params.output.high) {
#if defined(__x86_64__)
    if (low_ <= high_) vectors_ = x86_elementwise_vectors(default_isa());
    if (vectors_ == nullptr) return;
    if (p_.form == BinaryForm::fixed_sum) tabulate();
    const Channel channel{p_.floating, p_.factor, 1};
    scale_ = make_requantization(
        p_.form == BinaryForm::floating_product ? Scaling::floating : Scaling::twice_rounded,
        {&channel, 1});
    scale_.zero_point = params.output.zero_point;
    scale_.low = low_;
    scale_.high = high_;
#endif
  }

  void run(const std::uint8_t* a, std::int64_t a_step, const std::uint8_t* b, std::int64_t b_step,
           std::uint8_t* output, std::int64_t count) const {
#if defined(__x86_64__)
    const bool vector_form = p_.form == BinaryForm::ratio_sum || p_.form == BinaryForm::fixed_sum ||
                             p_.form == BinaryForm::fixed_product ||
                             p_.form == BinaryForm::floating_product;
    if (vectors_ != nullptr && vector_form) {
      return run_vectors(a, a_step, b, b_step, output, count);
    }
#endif
    for (std::int64_t i = 0; i < count; ++i) {
      output[i] = static_cast<std::uint8_t>(code(p_, a[i * a_step], b[i * b_step], low_, high_));
    }
  }

 private:
#if defined(__x86_64__)
  void tabulate() {
    for (std::int32_t q = 0; q < 256; ++q) {
      const auto at = static_cast<std::size_t>(q);
      a_units_[at] = common_units(q - p_.a.zero_point, p_.left, p_.a_factor);
      b_units_[at] = common_units(q - p_.b.zero_point, p_.left, p_.b_factor);
      if (p_.subtracts) b_units_[at] = -b_units_[at];
    }
  }

  /// `count` codes side by side: the operand itself, or what `memory` then holds.
  static const std::uint8_t* dense(const std::uint8_t* from, std::int64_t step, std::int64_t count,
                                   std::uint8_t* memory) {
    if (step == 1) return from;
    for (std::int64_t i = 0; i < count; ++i) memory[i] = from[i * step];
    return memory;
  }

  void run_vectors(const std::uint8_t* a, std::int64_t a_step, const std::uint8_t* b,
                   std::int64_t b_step, std::uint8_t* output, std::int64_t count) const {
    std::uint8_t a_memory[block], b_memory[block];
    std::int32_t sums[block];
    for (std::int64_t i = 0; i < count; i += block) {
      const std::int64_t length = std::min(block, count - i);
      const auto* x = dense(a + i * a_step, a_step, length, a_memory);
      const auto* y = dense(b + i * b_step, b_step, length, b_memory);
      if (p_.form == BinaryForm::ratio_sum) {
        vectors_->ratio_sums(p_, low_, high_, x, y, output + i, length);
        continue;
      }
      if (p_.form == BinaryForm::fixed_sum) {
        vectors_->unit_sums(a_units_.data(), b_units_.data(), x, y, sums, length);
      } else {
        vectors_->products(p_, x, y, sums, length);
      }
      requantize(scale_, sums, output + i, length, default_isa());
    }
  }

  const ElementwiseVectors* vectors_ = nullptr;
  Requantization scale_;
  std::array<std::int32_t, 256> a_units_{};
  std::array<std::int32_t, 256> b_units_{};
#endif
  Binary p_;
  std::uint8_t low_;
  std::uint8_t high_;
};

}  // namespace

Operation operation(BinaryOp op) {
  switch (op) {
    case BinaryOp::add: return Operation::add;
    case BinaryOp::subtract: return Operation::subtract;
    case BinaryOp::squared_difference: return Operation::squared_difference;
    case BinaryOp::prelu: return Operation::prelu;
    case BinaryOp::multiply:
    case BinaryOp::divide: break;
  }
  return Operation::multiply;
}

void binary(const BinaryParams& params, const BinaryGeometry& geometry, const std::uint8_t* a,
            const std::uint8_t* b, std::uint8_t* output, std::int64_t first_row,
            std::int64_t last_row) {
  const BinaryRow row(params);
  for_each_row(geometry, a, b, output, first_row, last_row,
               [&](const std::uint8_t* pa, const std::uint8_t* pb, std::uint8_t* out) {
                 row.run(pa, geometry.a_stride[3], pb, geometry.b_stride[3], out,
                         geometry.extent[3]);
               });
}

void quantize_codes(const CodeParams& params, const float* input, std::uint8_t* output,
                    std::int64_t count) {
#if defined(__x86_64__)
  if (const auto* vectors = x86_elementwise_vectors(default_isa());
      vectors != nullptr && params.low <= params.high) {
    return vectors->quantize(params, input, output, count);
  }
#endif
  const CodeParams p = params;
  for (std::int64_t i = 0; i < count; ++i) {
    output[i] = static_cast<std::uint8_t>(
        octet::litert::quantize(p.rule, input[i], affine(p), p.low, p.high));
  }
}

}  // namespace octet::kernels::litert

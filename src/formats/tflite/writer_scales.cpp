// Scales with which LiteRT 2.3 does not load an operator on codes, or aborts: measured by models of
// one operator (tests/parity/litert_limits.py). What it loads and only computes otherwise is not
// refused: docs/tflite.md.

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/tflite/lowering.h"

namespace octet::tflite {
namespace {

constexpr double layer_limit = 0x1p8;    // XNNPACK refuses the model
constexpr double sum_limit = 0x1p19;     // ADD of 8 bits aborts
constexpr double sum16_limit = 0x1p14;   // ADD of 16 bits aborts
constexpr double swish_limit = 0x1p7;    // HARD_SWISH: a factor of 16 bits
constexpr double least_score = 0x1p-26;  // (LOG_)SOFTMAX of 8 bits: its kernel aborts there
constexpr double most_steps = 0x1p31;    // fused bounds are int32 steps of the output

double largest_scale(const DraftTensor& tensor) {
  if (!tensor.params) return 0;
  const auto& scales = tensor.params->scale;
  return static_cast<double>(*std::max_element(scales.begin(), scales.end()));
}

double fused_bound(Activation activation) {
  if (activation == Activation::RELU6) return 6;
  return activation == Activation::RELU_N1_TO_1 ? 1 : 0;
}

/// Which input is the image or the rows of an operator that has weights; nullopt for others.
std::optional<std::size_t> layer_input(Op code) {
  if (code == Op::TRANSPOSE_CONV) return 2;
  const bool layer =
      code == Op::CONV_2D || code == Op::DEPTHWISE_CONV_2D || code == Op::FULLY_CONNECTED;
  return layer ? std::optional<std::size_t>(0) : std::nullopt;
}

template <class... Args>
tl::unexpected<Error> not_loaded(Op code, fmt::format_string<Args...> format, Args&&... args) {
  return bad_input(
      "LiteRT does not load this {}: {}; quantize the float model for target tflite, which raises "
      "such scales",
      wire::EnumNameBuiltinOperator(code), fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

Status Lowering::check_scales(const DraftOperator& op, Activation fused) const {
  const auto& output = draft_.tensor(op.outputs[0]);
  const auto scale = [&](std::size_t slot) {
    return largest_scale(draft_.tensor(op.inputs[slot]));
  };
  const double step = largest_scale(output);
  if (step == 0) return {};
  const bool bytes = output.dtype == DType::i8 || output.dtype == DType::u8;
  if (step < static_cast<double>(std::numeric_limits<float>::min())) {
    return not_loaded(op.code, "the scale of its output is {:.3g}, less than 2^-126", step);
  }
  const auto keep_below = [&](double unit, double limit, const char* what) -> Status {
    if (unit < limit * step) return {};
    return not_loaded(op.code, "{} is {:.4g} output scales, and must be less than {:.0f}", what,
                      unit / step, limit);
  };
  if (const auto slot = layer_input(op.code); slot && bytes && model_.plan.rule != Rule::tflite) {
    OCTET_TRY(keep_below(scale(*slot) * scale(1), layer_limit, "input scale * weight scale"));
  }
  if (op.code == Op::ADD) {
    OCTET_TRY(keep_below(std::max(scale(0), scale(1)), bytes ? sum_limit : sum16_limit,
                         "an operand's scale"));
  }
  if (op.code == Op::HARD_SWISH) OCTET_TRY(keep_below(scale(0), swish_limit, "the input's scale"));
  const bool exponential = op.code == Op::SOFTMAX || op.code == Op::LOG_SOFTMAX;
  if (exponential && bytes && scale(0) <= least_score) {
    return not_loaded(op.code, "the scale of its input is {:.3g}, and must be more than 2^-26",
                      scale(0));
  }
  if (fused_bound(fused) >= most_steps * step) {
    return not_loaded(op.code,
                      "its activation's bound {} is more than 2^31 output scales of {:.3g}",
                      fused_bound(fused), step);
  }
  return {};
}

}  // namespace octet::tflite

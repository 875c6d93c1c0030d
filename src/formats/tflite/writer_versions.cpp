#include <algorithm>
#include <array>

#include "formats/tflite/writer_draft.h"

namespace octet::tflite {
namespace {

using Op = wire::BuiltinOperator;

/// Versions that follow from the type of the first data operand alone; 1 for other types.
struct TypeVersions {
  Op code;
  std::int32_t i8 = 1;
  std::int32_t i16 = 1;
  std::int32_t boolean = 1;
};

constexpr auto type_versions = std::to_array<TypeVersions>({
    {Op::MAX_POOL_2D, 2, 3},
    {Op::AVERAGE_POOL_2D, 2, 3},
    {Op::TILE, 3, 3},
    {Op::TANH, 2, 3},
    {Op::LOGISTIC, 2, 3},
    {Op::EQUAL, 2, 4},
    {Op::NOT_EQUAL, 2, 2},
    {Op::LEAKY_RELU, 1, 2},
    {Op::CONCATENATION, 2, 3},
    {Op::SOFTMAX, 2, 3},
    {Op::MEAN, 2, 3},
    {Op::MIRROR_PAD, 2, 3},
    {Op::REDUCE_MAX, 2, 3},
    {Op::REDUCE_MIN, 2, 3},
    {Op::RELU6, 2, 3},
    {Op::RELU, 2, 3},
    {Op::ARG_MAX, 2, 2, 3},
    {Op::ARG_MIN, 2, 2, 3},
    {Op::LESS, 2, 3},
    {Op::GREATER_EQUAL, 2, 3},
    {Op::SPACE_TO_DEPTH, 2, 2},
    {Op::DEPTH_TO_SPACE, 2, 2},
    {Op::SPLIT_V, 2, 2},
    {Op::SUM, 2, 2},
    {Op::LOG_SOFTMAX, 2, 2},
    {Op::GREATER, 2, 2},
    {Op::LESS_EQUAL, 2, 2},
    {Op::TOPK_V2, 2, 3},
    {Op::EXP, 2, 2},
    {Op::LOG, 2, 2},
    {Op::SQRT, 2, 2},
    {Op::REDUCE_PROD, 2, 2},
    {Op::BATCH_MATMUL, 2, 3},
    {Op::GATHER, 2, 4, 3},
    {Op::FLOOR_MOD, 2, 2},
    {Op::GELU, 2, 2},
});

/// The operator with the types and ranks that versions depend on.
class Versioner {
 public:
  Versioner(const Draft& draft, const DraftOperator& op) : draft_(draft), op_(op) {}

  std::int32_t version() const {
    switch (op_.code) {
      case Op::CONV_2D: return conv();
      case Op::DEPTHWISE_CONV_2D: return depthwise_conv();
      case Op::FULLY_CONNECTED: return fully_connected();
      case Op::BATCH_MATMUL: return batch_matmul();
      case Op::TRANSPOSE_CONV: return transpose_conv();
      case Op::TRANSPOSE: return transpose();
      case Op::ADD: return add();
      case Op::SUB: return sub();
      case Op::MUL: return mul();
      case Op::DIV: return is_wide_broadcast() ? 2 : 1;
      case Op::MINIMUM:
      case Op::MAXIMUM: return type(0) == DType::i16 ? 4 : is_wide_broadcast() ? 3 : by_i8(0);
      case Op::PAD:
      case Op::PADV2: return rank(0) > 4 ? 4 : type(0) == DType::i16 ? 3 : by_i8(0);
      case Op::SLICE:
        return type(0) == DType::u32 ? 6 : rank(0) > 4 ? 5 : type(0) == DType::i16 ? 4 : by_i8(0);
      case Op::STRIDED_SLICE: return rank(0) > 4 ? 4 : type(0) == DType::boolean ? 3 : by_i8(0);
      case Op::SPLIT: return type(1) == DType::i16 ? 4 : type(1) == DType::i32 ? 3 : by_i8(1);
      case Op::QUANTIZE: return output_type() == DType::i16 ? 2 : 1;
      case Op::DEQUANTIZE: return dequantize();
      case Op::CAST: return std::max(cast(type(0)), cast(output_type()));
      case Op::ABS: return type(0) == DType::i32 ? 5 : type(0) == DType::i16 ? 3 : by_8_bits(0);
      case Op::RANGE: return type(0) == DType::i64 ? 2 : 1;
      case Op::BROADCAST_TO: return type(0) == DType::i8 || type(0) == DType::i16 ? 3 : 2;
      case Op::RESIZE_BILINEAR: return resize_bilinear();
      case Op::RESIZE_NEAREST_NEIGHBOR: return resize_nearest();
      default: return by_table();
    }
  }

 private:
  [[nodiscard]] const DraftTensor* input(std::size_t i) const {
    if (i >= op_.inputs.size() || op_.inputs[i] == TensorId::none) return nullptr;
    return &draft_.tensor(op_.inputs[i]);
  }
  [[nodiscard]] DType type(std::size_t i) const {
    return input(i) == nullptr ? DType::undefined : input(i)->dtype;
  }
  [[nodiscard]] DType output_type() const { return draft_.tensor(op_.outputs[0]).dtype; }
  [[nodiscard]] std::size_t rank(std::size_t i) const {
    return input(i) == nullptr ? 0 : input(i)->shape.size();
  }
  [[nodiscard]] bool per_channel(std::size_t i) const {
    return input(i) != nullptr && input(i)->params && input(i)->params->count() > 1;
  }
  [[nodiscard]] float scale(const DraftTensor& tensor) const {
    return tensor.params ? tensor.params->scale[0] : 0.0F;
  }
  [[nodiscard]] bool is_hybrid() const { return type(0) == DType::f32 && type(1) == DType::i8; }
  [[nodiscard]] bool is_wide_broadcast() const {
    return input(1) != nullptr && input(0)->shape != input(1)->shape &&
           std::max(rank(0), rank(1)) > 4;
  }
  [[nodiscard]] std::int32_t by_i8(std::size_t i) const { return type(i) == DType::i8 ? 2 : 1; }
  [[nodiscard]] std::int32_t by_8_bits(std::size_t i) const {
    return type(i) == DType::i8 || type(i) == DType::u8 ? 2 : 1;
  }

  [[nodiscard]] std::int32_t conv() const {
    if (input(1)->shape[3] != input(0)->shape[3]) return 6;
    if (type(0) == DType::i16) return 4;
    if (type(1) == DType::i4) return 7;
    if (is_hybrid()) return per_channel(1) ? 5 : 2;
    return type(1) == DType::i8 ? 3 : 1;
  }

  [[nodiscard]] std::int32_t depthwise_conv() const {
    if (type(0) == DType::i16) return 5;
    if (type(1) == DType::i4) return 7;
    if (is_hybrid()) return per_channel(1) ? 6 : 4;
    if (type(1) == DType::i8) return 3;
    const auto* options = op_.options.AsDepthwiseConv2DOptions();
    return options->dilation_w_factor != 1 || options->dilation_h_factor != 1 ? 2 : 1;
  }

  [[nodiscard]] std::int32_t fully_connected() const {
    const auto* options = op_.options.AsFullyConnectedOptions();
    if (is_hybrid() && per_channel(1)) return 12;
    if (type(0) == DType::i16) return 7;
    if (type(1) == DType::i4) return 10;
    if (is_hybrid() && options->asymmetric_quantize_inputs) return 9;
    if (op_.inputs.size() == 2) return 6;
    if (options->keep_num_dims) return 5;
    if (is_hybrid()) return 3;
    return type(1) == DType::i8 ? 4 : 1;
  }

  [[nodiscard]] std::int32_t batch_matmul() const {
    const bool asymmetric = op_.options.AsBatchMatMulOptions()->asymmetric_quantize_inputs;
    return is_hybrid() && asymmetric ? 4 : by_table();
  }

  [[nodiscard]] std::int32_t transpose_conv() const {
    const auto* options = op_.options.AsTransposeConvOptions();
    if (options->fused_activation_function != wire::ActivationFunctionType::NONE) return 4;
    return op_.inputs.size() == 4 ? 3 : by_i8(1);
  }

  [[nodiscard]] std::int32_t transpose() const {
    if (rank(0) > 5) return 6;
    if (type(0) == DType::i16) return 5;
    if (rank(0) > 4) return 4;
    return type(0) == DType::boolean ? 3 : by_i8(0);
  }

  [[nodiscard]] std::int32_t add() const {
    if (type(0) == DType::i64) return 4;
    return type(0) == DType::i16 ? 3 : by_i8(0);
  }

  [[nodiscard]] std::int32_t sub() const {
    if (type(0) == DType::i16) return 5;
    if (type(0) == DType::i64) return 4;
    return is_wide_broadcast() ? 3 : by_i8(0);
  }

  [[nodiscard]] std::int32_t mul() const {
    if (type(0) == DType::i64) return 5;
    if (type(0) == DType::i16) return 4;
    const auto& output = draft_.tensor(op_.outputs[0]);
    if (output.params && scale(*input(0)) * scale(*input(1)) / scale(output) >= 1.0F) return 3;
    return by_i8(0);
  }

  [[nodiscard]] std::int32_t dequantize() const {
    if (type(0) == DType::i4) return 6;
    if (type(0) == DType::i16 || type(0) == DType::f16) return 3;
    return type(0) == DType::i8 && per_channel(0) ? 5 : by_i8(0);
  }

  [[nodiscard]] static std::int32_t cast(DType type) {
    switch (type) {
      case DType::bf16: return 7;
      case DType::f64:
      case DType::f16: return 5;
      case DType::u16: return 4;
      case DType::i8: return 3;
      case DType::u32: return 2;
      default: return 1;
    }
  }

  [[nodiscard]] std::int32_t resize_bilinear() const {
    if (type(0) == DType::i16) return 4;
    return op_.options.AsResizeBilinearOptions()->half_pixel_centers ? 3 : by_i8(0);
  }

  [[nodiscard]] std::int32_t resize_nearest() const {
    if (type(0) == DType::i16) return 4;
    const auto* options = op_.options.AsResizeNearestNeighborOptions();
    return options->half_pixel_centers || options->align_corners ? 3 : by_i8(0);
  }

  [[nodiscard]] std::int32_t by_table() const {
    for (const auto& row : type_versions) {
      if (row.code != op_.code) continue;
      if (type(0) == DType::i8) return row.i8;
      if (type(0) == DType::i16) return row.i16;
      if (type(0) == DType::boolean) return row.boolean;
      // The two that came with unsigned codes in their second version.
      const bool late = row.code == Op::RELU || row.code == Op::GELU;
      return late && type(0) == DType::u8 ? row.i8 : 1;
    }
    return 1;
  }

  const Draft& draft_;
  const DraftOperator& op_;
};

}  // namespace

std::int32_t operator_version(const Draft& draft, const DraftOperator& op) {
  return Versioner(draft, op).version();
}

}  // namespace octet::tflite

// Types that LiteRT's kernels take of tensors without quantization. Measured with LiteRT 2.3.0, by
// the delegate and by the reference kernels; with others it fails, aborts or computes other
// numbers.

#include <algorithm>
#include <array>

#include "formats/tflite/lowering.h"

namespace octet::tflite {
namespace {

using Types = std::uint32_t;

template <class... Type>
constexpr Types types(Type... type) {
  return ((Types{1} << static_cast<unsigned>(type)) | ...);
}

constexpr Types real = types(DType::f32);
constexpr Types numbers = types(DType::f32, DType::i32, DType::i64);
constexpr Types bytes = types(DType::i8, DType::u8);
constexpr Types words = types(DType::i16);
constexpr Types boolean = types(DType::boolean);

struct TypeRow {
  Op code;
  Types taken;
  std::size_t slot = 0;  ///< the input that counts
};

constexpr auto type_rows = std::to_array<TypeRow>({
    {Op::ADD, numbers | words},
    {Op::SUB, numbers},
    {Op::MUL, numbers | words | types(DType::u32)},
    {Op::DIV, real | types(DType::i32)},
    {Op::POW, real | types(DType::i32)},
    {Op::FLOOR_MOD, numbers | words | types(DType::i8)},
    {Op::MAXIMUM, numbers | bytes | words},
    {Op::MINIMUM, numbers | bytes | words},
    {Op::EQUAL, numbers | boolean | words},
    {Op::GREATER, numbers | words},
    {Op::GREATER_EQUAL, numbers | words},
    {Op::LESS, numbers | words},
    {Op::LESS_EQUAL, numbers | words},
    {Op::LOGICAL_AND, boolean},
    {Op::LOGICAL_OR, boolean},
    {Op::LOGICAL_NOT, boolean},
    {Op::ABS, real | words | types(DType::i32)},
    {Op::NEG, numbers | words | types(DType::i8)},
    {Op::SIGN, real | types(DType::i32, DType::f64)},
    {Op::RELU, real},
    {Op::RELU6, real},
    {Op::RELU_N1_TO_1, real},
    {Op::RELU_0_TO_1, real},
    {Op::LEAKY_RELU, real},
    {Op::PRELU, real},
    {Op::FLOOR, real},
    {Op::CEIL, real},
    {Op::ROUND, real},
    {Op::EXP, real},
    {Op::LOG, real},
    {Op::SQRT, real},
    {Op::SIN, real},
    {Op::COS, real},
    {Op::TANH, real},
    {Op::LOGISTIC, real},
    {Op::ELU, real},
    {Op::GELU, real},
    {Op::HARD_SWISH, real},
    {Op::SOFTMAX, real},
    {Op::LOG_SOFTMAX, real},
    {Op::SUM, numbers},
    {Op::MEAN, numbers},
    {Op::REDUCE_MAX, numbers | bytes | words},
    {Op::REDUCE_MIN, numbers | bytes | words},
    {Op::REDUCE_PROD, numbers | bytes | words},
    {Op::CUMSUM, numbers},
    {Op::RANGE, numbers},
    {Op::ARG_MAX, real | bytes | boolean | types(DType::i32)},
    {Op::ARG_MIN, real | bytes | boolean | types(DType::i32)},
    {Op::TOPK_V2, numbers | bytes | words},
    {Op::CONCATENATION, numbers | bytes | words | boolean | types(DType::u32, DType::f16)},
    {Op::PAD, numbers | bytes | words | boolean | types(DType::f16)},
    {Op::PADV2, numbers | bytes | words | boolean | types(DType::f16)},
    {Op::GATHER, numbers | bytes | words | boolean | types(DType::f16)},
    {Op::SPLIT, numbers | bytes | words, 1},
    {Op::SPLIT_V, numbers | bytes | words},
    {Op::RESIZE_BILINEAR, real | bytes | words},
    {Op::RESIZE_NEAREST_NEIGHBOR,
     real | bytes | words | boolean | types(DType::u16, DType::i32, DType::u32, DType::f16)},
    {Op::MAX_POOL_2D, real | bytes | words},
    {Op::AVERAGE_POOL_2D, real},
    {Op::DEPTH_TO_SPACE, numbers | bytes},
    {Op::SPACE_TO_DEPTH, numbers | bytes},
    {Op::CONV_2D, real},
    {Op::DEPTHWISE_CONV_2D, real},
    {Op::TRANSPOSE_CONV, real, 2},
    {Op::FULLY_CONNECTED, real},
    {Op::BATCH_MATMUL, real},
});

bool compares_or_computes(Op code) {
  constexpr Op two[] = {Op::ADD,     Op::SUB,           Op::MUL,     Op::DIV,
                        Op::POW,     Op::MAXIMUM,       Op::MINIMUM, Op::EQUAL,
                        Op::GREATER, Op::GREATER_EQUAL, Op::LESS,    Op::LESS_EQUAL};
  return std::find(std::begin(two), std::end(two), code) != std::end(two);
}

}  // namespace

Status Lowering::check_types(const DraftOperator& op) const {
  const auto row = std::find_if(type_rows.begin(), type_rows.end(),
                                [&](const TypeRow& entry) { return entry.code == op.code; });
  if (row == type_rows.end()) return {};
  const auto& tensor = draft_.tensor(op.inputs[row->slot]);
  if (!tensor.params && (row->taken & types(tensor.dtype)) == 0) {
    return refused("LiteRT has no {} of {}", wire::EnumNameBuiltinOperator(op.code),
                   name(tensor.dtype));
  }
  const auto& second = draft_.tensor(op.inputs.size() > 1 ? op.inputs[1] : op.inputs[0]);
  if (compares_or_computes(op.code) && second.dtype != tensor.dtype) {
    return refused("LiteRT has no {} of {} and {}", wire::EnumNameBuiltinOperator(op.code),
                   name(tensor.dtype), name(second.dtype));
  }
  return {};
}

}  // namespace octet::tflite

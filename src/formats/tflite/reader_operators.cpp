#include "formats/tflite/reader_operators.h"

#include <algorithm>

#include "formats/tflite/reader_options.h"

namespace octet::tflite {
namespace {

using Code = wire::BuiltinOperator;

enum class Layout : std::uint8_t {
  file,     ///< needs the file's order
  image,    ///< input 0 and the output are images
  image2,   ///< input 2 and the output are images
  follows,  ///< all activations of rank 4 are in one order
  keeps,    ///< the same when input and output have the same axes
};

struct Entry {
  Code code;
  Status (*read)(Translator&, const FileOperator&);
  Layout layout;
  int min_inputs;
  int max_inputs;   ///< -1: any
  int outputs = 1;  ///< -1: any
};

constexpr auto entries = std::to_array<Entry>({
    {Code::ADD, read_binary, Layout::follows, 2, 2},
    {Code::AVERAGE_POOL_2D, read_average_pool, Layout::image, 1, 1},
    {Code::CONCATENATION, read_concatenation, Layout::follows, 1, -1},
    {Code::CONV_2D, read_conv, Layout::image, 2, 3},
    {Code::DEPTHWISE_CONV_2D, read_depthwise_conv, Layout::image, 2, 3},
    {Code::DEPTH_TO_SPACE, read_depth_to_space, Layout::image, 1, 1},
    {Code::DEQUANTIZE, read_dequantize, Layout::follows, 1, 1},
    {Code::FLOOR, read_unary, Layout::follows, 1, 1},
    {Code::FULLY_CONNECTED, read_fully_connected, Layout::file, 2, 3},
    {Code::LOGISTIC, read_unary, Layout::follows, 1, 1},
    {Code::MAX_POOL_2D, read_max_pool, Layout::image, 1, 1},
    {Code::MUL, read_binary, Layout::follows, 2, 2},
    {Code::RELU, read_unary, Layout::follows, 1, 1},
    {Code::RELU_N1_TO_1, read_bounded_relu, Layout::follows, 1, 1},
    {Code::RELU6, read_bounded_relu, Layout::follows, 1, 1},
    {Code::RESHAPE, read_reshape, Layout::file, 1, 2},
    {Code::RESIZE_BILINEAR, read_resize_bilinear, Layout::image, 2, 2},
    {Code::SOFTMAX, read_softmax, Layout::file, 1, 1},
    {Code::SPACE_TO_DEPTH, read_space_to_depth, Layout::image, 1, 1},
    {Code::TANH, read_unary, Layout::follows, 1, 1},
    {Code::PAD, read_pad, Layout::follows, 2, 2},
    {Code::GATHER, read_gather, Layout::file, 2, 2},
    {Code::TRANSPOSE, read_transpose, Layout::file, 2, 2},
    {Code::MEAN, read_reduce, Layout::keeps, 2, 2},
    {Code::SUB, read_binary, Layout::follows, 2, 2},
    {Code::DIV, read_binary, Layout::follows, 2, 2},
    {Code::SQUEEZE, read_squeeze, Layout::file, 1, 1},
    {Code::STRIDED_SLICE, read_strided_slice, Layout::keeps, 4, 4},
    {Code::EXP, read_unary, Layout::follows, 1, 1},
    {Code::TOPK_V2, read_top_k, Layout::file, 2, 2, 2},
    {Code::SPLIT, read_split, Layout::follows, 2, 2, -1},
    {Code::LOG_SOFTMAX, read_log_softmax, Layout::file, 1, 1},
    {Code::CAST, read_cast, Layout::follows, 1, 1},
    {Code::PRELU, read_binary, Layout::follows, 2, 2},
    {Code::MAXIMUM, read_binary, Layout::follows, 2, 2},
    {Code::ARG_MAX, read_arg, Layout::file, 2, 2},
    {Code::MINIMUM, read_binary, Layout::follows, 2, 2},
    {Code::LESS, read_binary, Layout::follows, 2, 2},
    {Code::NEG, read_unary, Layout::follows, 1, 1},
    {Code::PADV2, read_pad, Layout::follows, 3, 3},
    {Code::GREATER, read_binary, Layout::follows, 2, 2},
    {Code::GREATER_EQUAL, read_binary, Layout::follows, 2, 2},
    {Code::LESS_EQUAL, read_binary, Layout::follows, 2, 2},
    {Code::SLICE, read_slice, Layout::follows, 3, 3},
    {Code::SIN, read_unary, Layout::follows, 1, 1},
    {Code::TRANSPOSE_CONV, read_transpose_conv, Layout::image2, 3, 4},
    {Code::EXPAND_DIMS, read_expand_dims, Layout::file, 2, 2},
    {Code::EQUAL, read_binary, Layout::follows, 2, 2},
    {Code::LOG, read_unary, Layout::follows, 1, 1},
    {Code::SUM, read_reduce, Layout::keeps, 2, 2},
    {Code::SQRT, read_unary, Layout::follows, 1, 1},
    {Code::RSQRT, read_rsqrt, Layout::follows, 1, 1},
    {Code::SHAPE, read_shape_of, Layout::file, 1, 1},
    {Code::POW, read_binary, Layout::follows, 2, 2},
    {Code::ARG_MIN, read_arg, Layout::file, 2, 2},
    {Code::REDUCE_PROD, read_reduce, Layout::keeps, 2, 2},
    {Code::REDUCE_MAX, read_reduce, Layout::keeps, 2, 2},
    {Code::PACK, read_pack, Layout::file, 1, -1},
    {Code::LOGICAL_OR, read_binary, Layout::follows, 2, 2},
    {Code::LOGICAL_AND, read_binary, Layout::follows, 2, 2},
    {Code::LOGICAL_NOT, read_unary, Layout::follows, 1, 1},
    {Code::UNPACK, read_unpack, Layout::file, 1, 1, -1},
    {Code::REDUCE_MIN, read_reduce, Layout::keeps, 2, 2},
    {Code::SQUARE, read_square, Layout::follows, 1, 1},
    {Code::RESIZE_NEAREST_NEIGHBOR, read_resize_nearest, Layout::image, 2, 2},
    {Code::LEAKY_RELU, read_leaky_relu, Layout::follows, 1, 1},
    {Code::SQUARED_DIFFERENCE, read_squared_difference, Layout::follows, 2, 2},
    {Code::MIRROR_PAD, read_mirror_pad, Layout::follows, 2, 2},
    {Code::ABS, read_unary, Layout::follows, 1, 1},
    {Code::SPLIT_V, read_split_v, Layout::follows, 3, 3, -1},
    {Code::CEIL, read_unary, Layout::follows, 1, 1},
    {Code::COS, read_unary, Layout::follows, 1, 1},
    {Code::ELU, read_unary, Layout::follows, 1, 1},
    {Code::QUANTIZE, read_quantize, Layout::follows, 1, 1},
    {Code::ROUND, read_unary, Layout::follows, 1, 1},
    {Code::HARD_SWISH, read_unary, Layout::follows, 1, 1},
    {Code::BATCH_MATMUL, read_batch_matmul, Layout::file, 2, 2},
    {Code::GELU, read_gelu, Layout::follows, 1, 1},
    {Code::SIGN, read_unary, Layout::follows, 1, 1},
});

const Entry* find_entry(Code code) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.code == code; });
  return found == entries.end() ? nullptr : &*found;
}

/// Input and output have the same axes: reductions that keep them, slices that add and remove none.
bool keeps_axes(const FileOperator& op) {
  if (op.code != Code::STRIDED_SLICE) {
    const auto* options = find_options<wire::ReducerOptions>(op);
    return options != nullptr && options->keep_dims();
  }
  const auto* options = find_options<wire::StridedSliceOptions>(op);
  return options != nullptr && options->new_axis_mask() == 0 && options->shrink_axis_mask() == 0;
}

}  // namespace

Status check_known(Code code) {
  if (find_entry(code) == nullptr) return bad_input("octet does not know this operator");
  return {};
}

Status check_arity(const FileOperator& op) {
  const auto& entry = *find_entry(op.code);
  const auto inputs = static_cast<int>(op.inputs.size());
  const auto outputs = static_cast<int>(op.outputs.size());
  if (inputs < entry.min_inputs || (entry.max_inputs >= 0 && inputs > entry.max_inputs)) {
    return bad_input("it has {} inputs", inputs);
  }
  for (int i = 0; i < (entry.max_inputs < 0 ? inputs : entry.min_inputs); ++i) {
    if (op.inputs[static_cast<std::size_t>(i)] < 0) return bad_input("it lacks input {}", i);
  }
  if (outputs < 1 || (entry.outputs >= 0 && outputs != entry.outputs)) {
    return bad_input("it has {} outputs", outputs);
  }
  return {};
}

OperatorLayout layout_of(const FileModel& model, const FileOperator& op) {
  switch (find_entry(op.code)->layout) {
    case Layout::file: return {};
    case Layout::image: return {0, false};
    case Layout::image2: return {2, false};
    // An output of another rank makes the operands of rank 4 part of something larger.
    case Layout::follows: return {-1, model.tensor(op.outputs[0]).rank() == 4};
    case Layout::keeps: return {-1, keeps_axes(op)};
  }
  return {};
}

Status translate(Translator& to, const FileOperator& op) {
  return find_entry(op.code)->read(to, op);
}

}  // namespace octet::tflite

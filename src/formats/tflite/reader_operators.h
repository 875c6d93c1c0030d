#pragma once
// The operators of the format that octet reads: one entry and one function for each.

#include "formats/tflite/translator.h"

namespace octet::tflite {

/// How an operator takes part in the order of axes.
struct OperatorLayout {
  int image_input = -1;  ///< this input and the first output are images
  bool follows = false;  ///< all activations of rank 4 are in one order, whichever
};

/// Fails on operators without an entry.
[[nodiscard]] Status check_known(wire::BuiltinOperator code);
/// Numbers of inputs and outputs.
[[nodiscard]] Status check_arity(const FileOperator& op);
[[nodiscard]] OperatorLayout layout_of(const FileModel& model, const FileOperator& op);
[[nodiscard]] Status translate(Translator& to, const FileOperator& op);

// Each adds the nodes of one operator. Errors do not name the operator.
// reader_spatial.cpp
[[nodiscard]] Status read_conv(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_depthwise_conv(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_transpose_conv(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_average_pool(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_max_pool(Translator& to, const FileOperator& op);
// reader_resample.cpp
[[nodiscard]] Status read_resize_bilinear(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_resize_nearest(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_depth_to_space(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_space_to_depth(Translator& to, const FileOperator& op);
// reader_product.cpp
[[nodiscard]] Status read_fully_connected(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_batch_matmul(Translator& to, const FileOperator& op);
// reader_elementwise.cpp
[[nodiscard]] Status read_unary(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_binary(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_squared_difference(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_rsqrt(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_square(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_bounded_relu(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_leaky_relu(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_gelu(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_softmax(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_log_softmax(Translator& to, const FileOperator& op);
// reader_shape.cpp
[[nodiscard]] Status read_reshape(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_squeeze(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_expand_dims(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_transpose(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_pack(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_unpack(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_shape_of(Translator& to, const FileOperator& op);
// reader_pieces.cpp
[[nodiscard]] Status read_concatenation(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_split(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_split_v(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_slice(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_strided_slice(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_pad(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_mirror_pad(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_gather(Translator& to, const FileOperator& op);
// reader_reduce.cpp
[[nodiscard]] Status read_reduce(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_arg(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_top_k(Translator& to, const FileOperator& op);
// reader_types.cpp
[[nodiscard]] Status read_cast(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_quantize(Translator& to, const FileOperator& op);
[[nodiscard]] Status read_dequantize(Translator& to, const FileOperator& op);

}  // namespace octet::tflite

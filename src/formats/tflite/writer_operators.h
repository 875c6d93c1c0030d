#pragma once
// What each operator becomes, by family. All take a job whose `coded` has been decided, and make
// every output of the node that somebody reads.

#include "formats/tflite/lowering.h"

namespace octet::tflite {

// writer_spatial.cpp, writer_pool.cpp, writer_resize.cpp
[[nodiscard]] Status lower_conv(Lowering& l, const Job& job);
[[nodiscard]] Status lower_conv_transpose(Lowering& l, const Job& job);
[[nodiscard]] Status lower_max_pool(Lowering& l, const Job& job);
[[nodiscard]] Status lower_average_pool(Lowering& l, const Job& job);
[[nodiscard]] Status lower_global_pool(Lowering& l, const Job& job);
[[nodiscard]] Status lower_depth_space(Lowering& l, const Job& job);
[[nodiscard]] Status lower_resize(Lowering& l, const Job& job);

// writer_matrix.cpp
[[nodiscard]] Status lower_gemm(Lowering& l, const Job& job);
[[nodiscard]] Status lower_matmul(Lowering& l, const Job& job);

// writer_elementwise.cpp
[[nodiscard]] Status lower_unary(Lowering& l, const Job& job);
[[nodiscard]] Status lower_binary(Lowering& l, const Job& job);
[[nodiscard]] Status lower_table(Lowering& l, const Job& job);
[[nodiscard]] Status lower_clip(Lowering& l, const Job& job);
[[nodiscard]] Status lower_prelu(Lowering& l, const Job& job);
[[nodiscard]] Status lower_cast(Lowering& l, const Job& job);
[[nodiscard]] Status lower_identity(Lowering& l, const Job& job);
[[nodiscard]] Status lower_dropout(Lowering& l, const Job& job);
[[nodiscard]] Status lower_where(Lowering& l, const Job& job);
[[nodiscard]] Status lower_extremes(Lowering& l, const Job& job);

// writer_compose.cpp: operators that take several
[[nodiscard]] Status lower_swish(Lowering& l, const Job& job);
[[nodiscard]] Status lower_hard_sigmoid(Lowering& l, const Job& job);
[[nodiscard]] Status lower_reciprocal(Lowering& l, const Job& job);
[[nodiscard]] Status lower_softplus(Lowering& l, const Job& job);
[[nodiscard]] Status lower_mish(Lowering& l, const Job& job);
[[nodiscard]] Status lower_softsign(Lowering& l, const Job& job);
[[nodiscard]] Status lower_elu(Lowering& l, const Job& job);
[[nodiscard]] Status lower_batch_norm(Lowering& l, const Job& job);
[[nodiscard]] Status lower_layer_norm(Lowering& l, const Job& job);
[[nodiscard]] Status lower_instance_norm(Lowering& l, const Job& job);
[[nodiscard]] Status lower_group_norm(Lowering& l, const Job& job);

// writer_view.cpp
[[nodiscard]] Status lower_transpose(Lowering& l, const Job& job);
[[nodiscard]] Status lower_reshape(Lowering& l, const Job& job);
[[nodiscard]] Status lower_squeeze(Lowering& l, const Job& job);
[[nodiscard]] Status lower_unsqueeze(Lowering& l, const Job& job);

// writer_pieces.cpp
[[nodiscard]] Status lower_concat(Lowering& l, const Job& job);
[[nodiscard]] Status lower_split(Lowering& l, const Job& job);
[[nodiscard]] Status lower_slice(Lowering& l, const Job& job);
[[nodiscard]] Status lower_pad(Lowering& l, const Job& job);
[[nodiscard]] Status lower_gather(Lowering& l, const Job& job);

// writer_generate.cpp
[[nodiscard]] Status lower_expand(Lowering& l, const Job& job);
[[nodiscard]] Status lower_tile(Lowering& l, const Job& job);
[[nodiscard]] Status lower_range(Lowering& l, const Job& job);
[[nodiscard]] Status lower_fill(Lowering& l, const Job& job);

// writer_reduce.cpp
[[nodiscard]] Status lower_reduce(Lowering& l, const Job& job);
[[nodiscard]] Status lower_softmax(Lowering& l, const Job& job);
[[nodiscard]] Status lower_arg(Lowering& l, const Job& job);
[[nodiscard]] Status lower_top_k(Lowering& l, const Job& job);
[[nodiscard]] Status lower_cumsum(Lowering& l, const Job& job);

/// The first input as it is held, and in which codes: for operators that pass codes on.
struct Moved {
  TensorId tensor = TensorId::none;
  std::optional<Coding> coding;
  AxisOrder order;
  Shape shape;  ///< of the value, in the graph's order
};
/// In `order`, or as it is held where that is nullptr. Codes of `taken` types stay codes.
[[nodiscard]] Result<Moved> moved_input(Lowering& l, const Job& job, CodesTaken taken,
                                        const AxisOrder* order = nullptr);

/// PAD (or PADV2 with the lowest value for a MaxPool) of stored axes; pads as [begin, end] pairs.
[[nodiscard]] TensorId emit_pad(Lowering& l, TensorId from,
                                const std::vector<std::pair<std::int64_t, std::int64_t>>& pads,
                                bool with_lowest);

/// Stored axes of the graph's axes, in stored order.
[[nodiscard]] std::vector<std::int64_t> stored_axes(const AxisOrder& order,
                                                    std::span<const std::int64_t> axes);

}  // namespace octet::tflite

#pragma once
// Small things that the functions of several operators share.

#include "formats/tflite/translator.h"

namespace octet::tflite {

/// The options of an operator, nullptr where the file has none or another operator's.
template <class Options>
[[nodiscard]] const Options* find_options(const FileOperator& op) {
  return op.wire->builtin_options_as<Options>();
}

/// The same where an operator means nothing without them.
template <class Options>
[[nodiscard]] Result<const Options*> options_of(const FileOperator& op) {
  const auto* options = find_options<Options>(op);
  if (options == nullptr) return bad_input("it lacks its options");
  return options;
}

/// Floats times integer weights that no DEQUANTIZE stands before: quantized at run time.
[[nodiscard]] bool is_hybrid(const Translator& to, const FileOperator& op, std::size_t input,
                             std::size_t weight);

/// Translator::finish, and for a hybrid product the quantization at run time of the node's first
/// input.
[[nodiscard]] Status finish_with_weights(Translator& to, const FileOperator& op, Node node,
                                         Order order, wire::ActivationFunctionType activation,
                                         bool hybrid);

/// Finishes a node whose output `slot` is int64 in ONNX and of the tensor's type in the file: with
/// a Cast where they differ.
[[nodiscard]] Status finish_as_int64(Translator& to, const FileOperator& op, Node node,
                                     std::size_t slot);

/// Axes of an operator on a tensor of this rank, from 0 on, each once, in order.
[[nodiscard]] Result<std::vector<std::int64_t>> sorted_axes(std::vector<std::int64_t> axes,
                                                            std::size_t rank);

/// Axes of the file's order in `order`, in order.
[[nodiscard]] std::vector<std::int64_t> axes_in(Order order, std::vector<std::int64_t> axes);

/// Entries for the axes of the file's order, one each, put in `order`.
[[nodiscard]] std::vector<std::int64_t> entries_in(Order order,
                                                   const std::vector<std::int64_t>& entries);

/// The form of an operator's input that removing these axes turns into the file's order.
[[nodiscard]] Order order_without(const Translator& to, int tensor,
                                  const std::vector<std::int64_t>& removed);

}  // namespace octet::tflite

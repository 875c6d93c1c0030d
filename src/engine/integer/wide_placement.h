#pragma once
// Which nodes LiteRT runs on 16-bit codes without accumulating, by rules tflite and xnnpack.

#include "engine/integer/placement.h"

namespace octet {

enum class WideKind : std::uint8_t {
  binary,      ///< Add, Sub (with the integer attribute pot_scale_int16 of files), Mul
  average,     ///< AveragePool
  mean,        ///< GlobalAveragePool, ReduceMean
  rescale,     ///< Relu, Clip
  leaky_relu,  ///< LeakyRelu
  sigmoid,     ///< Sigmoid, Tanh
  table,       ///< Exp, Gelu
  softmax,     ///< Softmax
  resample,    ///< Resize to linear interpolation
  move,        ///< elements, or the larger or smaller of some, in new places
};

/// By the operator's name, its attributes and its inputs' quantization; nullopt for what is none.
[[nodiscard]] std::optional<WideKind> wide_kind(const QuantizedGraph& model, NodeId node);

/// The same with its outputs' quantization.
[[nodiscard]] bool is_wide_node(const QuantizedGraph& model, NodeId node);

/// Inputs that are values and not, say, axes or indices.
[[nodiscard]] std::size_t wide_inputs(const Node& node);

}  // namespace octet

#pragma once
// BatchNormalization around quantized layers.
//
// A convolution whose weights have one symmetric scale per output channel gives the same codes
// whether the factor of a BatchNormalization behind it is folded into the scales or not:
//
//   gamma_c * (conv(x, s_c * q_c) - mean_c) / sigma_c + beta_c
//     = conv(x, (gamma_c / sigma_c * s_c) * q_c) + (beta_c - gamma_c * mean_c / sigma_c)
//
// So a network is trained normalized, and folded without loss at the end. One that arrives folded
// gets its normalization back: it begins as the identity, and once the mean m_c and the standard
// deviation d_c of conv(x, s_c * q_c) are known, weights and their scales are divided by d_c,
// gamma_c = d_c and beta_c = m_c + bias_c.

#include "engine/gradient/normalization_gradient.h"
#include "training/fake_quant.h"

namespace octet {

/// Puts a BatchNormalization that changes nothing in inference mode behind each Conv of two
/// dimensions that has a bias and weights with symmetric scales per output channel, neither shared;
/// it takes the bias over. `trained` was made of `model`.
void insert_batch_norm(const QuantizedGraph& model, FakeQuantGraph& trained);

/// Lets the inserted nodes normalize by what they see, in place. `seen`: moments of the inputs of
/// BatchNormalization nodes, by node. Adds those of `graph`'s constants that change.
void normalize(const Graph& graph, std::span<const NormalizedLayer> layers,
               const std::map<NodeId, gradient::BatchMoments>& seen,
               std::map<ValueId, Tensor>& parameters);

/// Replaces the parameters of normalized layers by weights, scales and biases of the model. The
/// codes stay: weights become the numbers that they stand for.
void fold_batch_norm(const QuantizedGraph& model, const FakeQuantGraph& trained,
                     std::map<ValueId, Tensor>& parameters);

}  // namespace octet

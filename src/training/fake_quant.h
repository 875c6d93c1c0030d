#pragma once
// A quantized model as a graph to train: FakeQuant nodes stand where the plan quantizes a value, so
// that forward and backward pass see what the integer model will compute.

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "graph/plan.h"

namespace octet {

/// How scales are trained: not at all, by LSQ, by LSQ+ (zero points of activations, too), or by
/// PACT (scales of activations alone).
enum class ScaleMethod : std::uint8_t { fixed, lsq, lsq_plus, pact };
[[nodiscard]] std::optional<ScaleMethod> scale_method_from_name(std::string_view text);

/// One scale (or one per channel) of the plan as a constant of the training graph.
struct TrainedScale {
  ValueId constant = ValueId::none;  ///< f32, as many elements as there are scales
  ValueId offset = ValueId::none;    ///< the zero point as one f32 number, where it is trained
  bool trained = true;
  std::vector<ValueId> values;  ///< whose quantization has these scales
  std::vector<Use> uses;        ///< and overrides
  bool weight = false;
};

/// A layer whose output is normalized while it is trained, see training/batch_norm.h.
struct NormalizedLayer {
  NodeId normalization = NodeId::none;  ///< of the training graph
  ValueId weight = ValueId::none;       ///< ids of the model
  ValueId bias = ValueId::none;
  ValueId scale = ValueId::none;  ///< of the weight, as TrainedScale::constant
  ValueId gamma = ValueId::none;  ///< inputs of the BatchNormalization
  ValueId beta = ValueId::none;
  ValueId mean = ValueId::none;
  ValueId variance = ValueId::none;
};

struct FakeQuantGraph {
  Graph graph;  ///< value ids of the model stay valid
  ScaleMethod method = ScaleMethod::lsq;
  std::vector<TrainedScale> scales;
  std::vector<NormalizedLayer> normalized;
  /// By value that training added: that of the model which has its shape.
  std::map<ValueId, ValueId> like;
};

/// Inserts FakeQuant (domain "octet", engine/gradient/fake_quant_gradient.cpp) behind every value
/// that the plan quantizes statically to at most 16 bits. Values that only move codes on (pooling,
/// reshape, ... with equal params) share the scale of what they move. Biases, which have 32 bits,
/// stay as they are. gradient_scale is LSQ's 1 / sqrt(elements * largest code) (Esser et al. 2020,
/// section 2.2), elements counted per sample for activations and per channel for weights.
[[nodiscard]] Result<FakeQuantGraph> insert_fake_quant(const QuantizedGraph& model,
                                                       ScaleMethod method = ScaleMethod::lsq);

/// Puts trained numbers into the model: scales become Origin::learned, weights are rounded anew,
/// biases get the scales that follow and are rounded anew. `parameters` holds f32 constants of the
/// model and of `trained` by id.
[[nodiscard]] Status adopt_parameters(QuantizedGraph& model, const FakeQuantGraph& trained,
                                      std::map<ValueId, Tensor> parameters);

}  // namespace octet

#pragma once
// A graph ready for training: which of its constants are trained, where its scores are, and a tape
// for each size of micro-batch.

#include <map>
#include <memory>
#include <mutex>

#include "engine/gradient/tape.h"
#include "training/fake_quant.h"

namespace octet {

using gradient::Parameters;

/// What is trained of a constant.
enum class ParameterRole : std::uint8_t {
  weight,  ///< decays
  plain,   ///< biases, factors of normalizations: does not decay
  scale,   ///< of a quantization: does not decay, stays positive
  clip,    ///< scale that PACT trains: decays, stays positive
};

class Network {
 public:
  /// `shape_graph`: the graph that shapes are inferred from; `trained` was made of it, perhaps
  /// with FakeQuant nodes, whose scales are trained, too. Both have inputs with the batch first.
  /// `sample`: shapes of the inputs of one sample, which all others have, too; may be empty where
  /// the graph states them.
  [[nodiscard]] static Result<Network> make(Graph shape_graph, FakeQuantGraph trained,
                                            const std::vector<Shape>& sample = {});

  [[nodiscard]] const std::map<ValueId, ParameterRole>& roles() const { return roles_; }
  [[nodiscard]] Parameters initial_parameters() const;
  [[nodiscard]] const Graph& graph() const { return graph_; }
  /// What the loss sees: the first output, or what its final Softmax reads.
  [[nodiscard]] ValueId scores() const { return scores_; }
  /// Of each input: first extent dynamic_dim, the others static.
  [[nodiscard]] const std::vector<Shape>& input_shapes() const { return input_shapes_; }
  [[nodiscard]] bool has_batch_norm() const { return has_batch_norm_; }
  [[nodiscard]] const std::vector<NormalizedLayer>& normalized() const { return normalized_; }

  /// A tape for micro-batches of `samples`.
  [[nodiscard]] Result<std::unique_ptr<gradient::Tape>> tape(
      std::int64_t samples, gradient::Mode mode = gradient::Mode::training,
      bool recompute = false) const;

 private:
  Graph shape_graph_;
  Graph graph_;
  std::map<ValueId, ParameterRole> roles_;
  ValueId scores_ = ValueId::none;
  std::vector<Shape> input_shapes_;
  bool has_batch_norm_ = false;
  std::vector<NormalizedLayer> normalized_;
  std::map<ValueId, ValueId> like_;  ///< FakeQuantGraph::like
};

/// The graph whose first output is the scores of `graph`: without a final Softmax.
[[nodiscard]] Graph scoring_graph(Graph graph);

/// Numbers that training changes.
[[nodiscard]] std::int64_t parameter_count(const Graph& graph);

/// Random weights by the rule of He et al. 2015 for all Conv, Gemm and MatMul, biases 0, factors of
/// normalizations 1; depends on `seed` and the order of the nodes.
[[nodiscard]] Status initialize(Graph& graph, std::uint64_t seed);

}  // namespace octet

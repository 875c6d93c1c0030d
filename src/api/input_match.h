#pragma once
// Feeding two models the same samples.

#include <span>
#include <vector>

#include "graph/graph.h"

namespace octet {

/// Which input of one model is which of another: by name, else by position. Images turn their axes
/// where one model takes [N,C,H,W] and the other [N,H,W,C].
class InputMatch {
 public:
  /// Fails when the models have not the same number of inputs.
  [[nodiscard]] static Result<InputMatch> make(const Graph& first, const Graph& second);

  /// What the second model is fed where the first one is fed `inputs`.
  [[nodiscard]] std::vector<Tensor> second_inputs(std::span<const Tensor> inputs) const;
  /// Position in the first model of an input of the second.
  [[nodiscard]] std::size_t in_first(std::size_t second) const { return matches_[second].from; }
  [[nodiscard]] bool turned(std::size_t second) const { return !matches_[second].perm.empty(); }

 private:
  struct Match {
    std::size_t from = 0;
    std::vector<std::int64_t> perm;  ///< of the first model's axes; empty: as they are
  };
  std::vector<Match> matches_;
};

}  // namespace octet

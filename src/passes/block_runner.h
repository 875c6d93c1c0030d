#pragma once
// A block on samples, with parameters that change: errors at its exit, and how they depend on the
// parameters.

#include <memory>
#include <vector>

#include "passes/block_graph.h"

namespace octet {

/// By sample, each with 1 along the first axis, in f32 as the graph states them.
struct BlockSamples {
  std::vector<Tensor> inputs;   ///< at the entry, from the quantized model before it
  std::vector<Tensor> targets;  ///< at the exit, from the float model
};

/// All sums are the same for any number of threads.
class BlockRunner {
 public:
  /// `samples` outlives this. Fails where the block cannot be differentiated.
  [[nodiscard]] static Result<BlockRunner> make(const BlockGraph& block,
                                                const BlockSamples& samples,
                                                const std::vector<ValueId>& trained);

  [[nodiscard]] Status update(const gradient::Parameters& parameters) {
    return tape_->update(parameters);
  }

  /// Sum of the squared errors at the exit, by sample.
  [[nodiscard]] Result<std::vector<double>> errors();
  /// Gradient of the sum over `chosen` of these.
  [[nodiscard]] Result<gradient::Parameters> gradients(const std::vector<std::size_t>& chosen);
  /// Diagonal of the second derivative of that, but for the curvature of the block itself
  /// (Gauss-Newton): 2 sum |d exit / d parameter|^2. An estimate, the squares of gradients of the
  /// exit times random signs (Hutchinson 1990), whose spread is sqrt(2 / micro-batches) of it.
  [[nodiscard]] Result<gradient::Parameters> curvatures(const std::vector<std::size_t>& chosen);

 private:
  BlockRunner(std::unique_ptr<gradient::Tape> tape, const BlockSamples& samples);

  enum class Sum : std::uint8_t { gradients, squares };
  [[nodiscard]] Result<gradient::Parameters> sum(const std::vector<std::size_t>& chosen, Sum what);
  [[nodiscard]] Result<std::vector<float>> part(int worker, std::span<const std::size_t> chosen,
                                                std::uint64_t number, Sum what);
  [[nodiscard]] Result<gradient::TapeSession*> session(int worker);
  [[nodiscard]] Result<Tensor> forward(int worker, std::span<const std::size_t> chosen);

  std::unique_ptr<gradient::Tape> tape_;
  const BlockSamples* samples_;
  std::vector<std::unique_ptr<gradient::TapeSession>> sessions_;  ///< by worker
};

}  // namespace octet

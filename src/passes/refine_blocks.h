#pragma once
// Learned rounding, block by block: after its layers have been rounded one by one.

#include <map>

#include "passes/blocks.h"
#include "passes/passes.h"
#include "passes/round_block.h"
#include "passes/sample_store.h"

namespace octet {

class BlockRefiner {
 public:
  /// `samples`: how many the store has. What is passed by reference outlives this.
  BlockRefiner(PassContext& context, const Graph& float_graph, const SampleStore& store,
               std::int64_t samples)
      : context_(context), float_graph_(float_graph), store_(store), samples_(samples) {}

  /// Finds the blocks of those of `layers`, which are to be rounded, that have less than 8 bits.
  [[nodiscard]] Status find(const std::vector<NodeId>& layers);

  /// Rounds the block whose last layer this is, if there is one, by the error at its exit.
  [[nodiscard]] Status layer_done(NodeId layer);
  /// Notes how many blocks have changed, and which could not be differentiated.
  void report() const;

 private:
  [[nodiscard]] Status refine(const Block& block);
  [[nodiscard]] Result<std::vector<Tensor>> inputs(const Block& block, std::int64_t stride) const;
  [[nodiscard]] Result<std::vector<Tensor>> targets(const Block& block, std::int64_t stride) const;
  [[nodiscard]] Result<std::vector<Tensor>> sweep(const Program& program, ValueId value,
                                                  const Quantization* quantization,
                                                  std::int64_t stride) const;
  [[nodiscard]] Result<BlockSamples> samples_of(const Block& block) const;
  [[nodiscard]] std::vector<BlockLayer> layers_of(const Block& block) const;
  void take(const Block& block, const std::vector<BlockLayer>& layers, BlockRounding rounding);

  PassContext& context_;
  const Graph& float_graph_;
  const SampleStore& store_;
  std::int64_t samples_;
  std::map<NodeId, Block> blocks_;  ///< by last layer
  int refined_ = 0;
  std::int64_t moved_ = 0;  ///< codes
  double fall_ = 0;         ///< of the error, as a share, summed over blocks that were refined
  std::vector<std::string> left_;  ///< exits of blocks that could not be differentiated, and why
};

}  // namespace octet

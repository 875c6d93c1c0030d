#pragma once
// Weight codes of all layers of a block by the error at its exit: block reconstruction (BRECQ: Li
// et al. 2021, "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction",
// section 3.2).
//
// Each weight has two codes to choose from: the one at hand, and its neighbour on the side of
// w / scale (so the two neighbours of w / scale where the code at hand is one of them). With g the
// gradient of the error E, the sum of squares at the exit, and d its second derivative, moving a
// weight by s changes E by about
//
//   g s + d s^2 / 2
//
// and moving a bias, by s = -g / d, by -g^2 / (2 d). The moves that promise most, one for each
// output channel, are made together, up to twice as many as last time, and undone where E did not
// fall; then fewer are tried.

#include <vector>

#include "passes/block_runner.h"
#include "passes/round_row.h"
#include "passes/weight_view.h"

namespace octet {

/// A layer whose codes and bias are decided; ids are those of the block's graph.
struct BlockLayer {
  NodeId node = NodeId::none;
  WeightView view;
  ValueId weight = ValueId::none;  ///< read by the layer alone
  ValueId bias = ValueId::none;    ///< likewise, by output channel; none: stays without one
  Tensor float_weight;             ///< f32
  Tensor codes;                    ///< i8, at hand
  std::vector<float> scale;        ///< by output channel, or one
  CodeLimits limits;
};

struct BlockRounding {
  std::vector<Tensor> codes;   ///< by layer
  std::vector<Tensor> biases;  ///< by layer; empty where there is none
  double error_before = 0;     ///< sum of squares at the exit over all samples
  double error = 0;            ///< likewise; less, unless nothing was moved
  std::int64_t moved = 0;      ///< codes that are others than those at hand
};

/// One sample in five is held back: moves are chosen by the others and kept where the error of
/// those held back falls, too. The same numbers for any number of threads. Fails where the block
/// cannot be differentiated.
[[nodiscard]] Result<BlockRounding> round_block(const BlockGraph& block,
                                                const std::vector<BlockLayer>& layers,
                                                const BlockSamples& samples);

}  // namespace octet

#pragma once
// A Conv, ConvTranspose, Gemm or MatMul with constant weights as one convolution kernel. A
// ConvTranspose is a convolution with flipped weights over an input spread out by its strides.

#include "engine/integer/step.h"
#include "engine/integer/transposed_phases.h"

namespace octet::integer {

/// What the kernel computes for one shape of the input.
struct LayerGeometry {
  kernels::ConvGeometry conv;
  Shape output;           ///< logical
  bool spread = false;    ///< the input has to be spread out first
  int stride_height = 1;  ///< of the spreading
  int stride_width = 1;
  std::int64_t macs = 0;
  double nanoseconds = 0;  ///< of one thread, estimated
  Phases phases;           ///< how run() does without spreading; may be empty
};

/// The rows that a call can be cut into. A matrix is one row of pixels: its parts are made of
/// those.
struct LayerRows {
  kernels::ConvGeometry conv;
  std::int64_t count = 0;
  std::int64_t elements = 0;  ///< outputs of one row
};
[[nodiscard]] LayerRows layer_rows(const LayerGeometry& geometry);

/// A result as a kernel wrote it: [N,1,L,C] of a logical [N,C,L], or an image, or a matrix.
[[nodiscard]] Activation finished(Tensor result, bool image);

class LayerKernel {
 public:
  LayerKernel(const Graph& graph, NodeId node, const AccumulateLayer& layer);

  /// Packs weights and bias; the rest of `params` is the caller's. `whole`: run() will be called
  /// rather than its parts.
  void prepare(const AccumulateLayer& layer, kernels::ConvParams params, const Shape& typical_input,
               kernels::Isa isa, bool whole = false);

  /// `input` is [N,C,L], the same as an image [N,C,1,L], [N,C,H,W] or a matrix. Errors do not name
  /// the node.
  [[nodiscard]] Result<LayerGeometry> geometry(const Shape& input) const;

  /// Bytes of scratch for `threads` concurrent parts of one call.
  [[nodiscard]] std::size_t scratch_bytes(const LayerGeometry& geometry, int threads) const;
  void run(const LayerGeometry& geometry, const std::uint8_t* input, void* output,
           std::byte* scratch, int threads,
           const std::optional<kernels::InputParams>& input_params) const;

  // The same in parts.

  /// The input as run_rows reads it: itself, or spread out into `scratch`.
  [[nodiscard]] const std::uint8_t* prepared(
      const LayerGeometry& geometry, const std::uint8_t* input, std::byte* scratch,
      const std::optional<kernels::InputParams>& input_params) const;
  [[nodiscard]] static std::size_t prepared_bytes(const LayerGeometry& geometry);
  /// Bytes of scratch of one run_rows, whole cache lines.
  [[nodiscard]] std::size_t row_scratch_bytes(const LayerGeometry& geometry) const;
  void run_rows(const LayerRows& rows, const kernels::ConvCall& call) const {
    conv_->run(rows.conv, call);
  }

  [[nodiscard]] std::string name() const {
    return std::string(phases_ != nullptr ? phases_->name() : conv_->name());
  }
  /// Of 8-bit weights and a bias and a multiplier for each output channel.
  [[nodiscard]] std::int64_t constant_bytes() const {
    return element_count(weight_shape_) + 8 * output_channels_;
  }

 private:
  /// Without its cost.
  [[nodiscard]] Result<LayerGeometry> extents(const Shape& input) const;
  [[nodiscard]] bool by_phases(const LayerGeometry& geometry) const {
    return phases_ != nullptr && !geometry.phases.empty();
  }
  /// Where threads share a layer by output channels, the channels of the smallest part; else 0,
  /// and they share its rows. By channels every thread reads all codes, but only its part of the
  /// weights, which then stay in its cache from run to run.
  [[nodiscard]] std::int64_t channels_to_split(const LayerGeometry& geometry, const LayerRows& rows,
                                               int threads) const;
  [[nodiscard]] Result<LayerGeometry> image_geometry(const Shape& input) const;
  [[nodiscard]] Result<LayerGeometry> transposed_geometry(const Shape& input) const;
  [[nodiscard]] Result<LayerGeometry> matrix_geometry(const Shape& input) const;

  Node description_;
  Shape weight_shape_;
  std::int64_t output_channels_;
  std::uint8_t input_zero_point_ = 128;
  std::unique_ptr<kernels::Conv> conv_;
  std::unique_ptr<PhaseKernels> phases_;
};

}  // namespace octet::integer

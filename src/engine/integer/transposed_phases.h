#pragma once
// A ConvTranspose with strides, as convolutions without: output pixels whose positions are the same
// modulo the strides see the same taps of the kernel, side by side over the input. Spreading the
// input out instead multiplies mostly zero points.

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "graph/spatial.h"
#include "kernels/conv.h"

namespace octet::integer {

/// Output rows first_row + i * stride_height and columns first_column + j * stride_width, row i and
/// column j of a convolution. A phase may have no rows.
struct Phase {
  kernels::ConvGeometry conv;
  int first_row = 0, first_column = 0;
  /// The kernel's taps, from the last on: kernel_row - i * stride_height.
  int kernel_row = 0, kernel_column = 0;
};

struct Phases {
  std::vector<Phase> all;  ///< by position modulo the strides, as long as the shape's kernel is one
  int stride_height = 1, stride_width = 1;
  int out_height = 0, out_width = 0;
  [[nodiscard]] bool empty() const { return all.empty(); }
  /// Rows of all images and phases.
  [[nodiscard]] std::int64_t rows() const;
  [[nodiscard]] std::int64_t macs() const;
};

/// `image` has the input's batch, extents and channels, and the output's. Empty where a convolution
/// would have no tap or negative padding, for dilated kernels, and without strides.
[[nodiscard]] Phases transposed_phases(const SpatialGeometry& spatial,
                                       const kernels::ConvGeometry& image);

class PhaseKernels {
 public:
  /// `params.weights` are [out_channels][kernel_height][kernel_width][inputs of a group], turned
  /// round; `kernel_width` and `kernel_height` are those of the ConvTranspose.
  PhaseKernels(kernels::ConvParams params, const Phases& phases, int kernel_height,
               int kernel_width, kernels::Isa isa);

  /// Of the first phase's kernel.
  [[nodiscard]] std::string_view name() const { return kernels_.front()->name(); }

  /// Bytes of scratch of one run_rows, whole cache lines.
  [[nodiscard]] std::size_t scratch_bytes(const Phases& phases) const;
  /// Rows [first, last) of phases.rows(). `call` has input, output, scratch and input_params.
  void run_rows(const Phases& phases, const kernels::ConvCall& call, std::int64_t first,
                std::int64_t last) const;

 private:
  void run_phase(std::size_t phase, const Phases& phases, const kernels::ConvCall& call,
                 std::int64_t first, std::int64_t last) const;

  std::vector<std::unique_ptr<kernels::Conv>> kernels_;
  std::int64_t element_bytes_;
};

}  // namespace octet::integer

#pragma once
// The only door to oneDNN (written for 2.6; 3.x has another interface). Single precision, forward.
//
// A kernel holds its weights in the order that oneDNN prefers for one representative shape, made
// once and shared; a primitive is compiled for one input shape, uses those weights and belongs to
// one session. Primitives take the number of threads that OpenMP gives on the calling thread when
// they are made.

#include <cstdint>
#include <memory>
#include <string>

#include "core/result.h"
#include "engine/float/ops.h"

namespace octet::float_engine::onednn {

/// A 2-D convolution on channels-last data.
struct ConvShape {
  std::int64_t batch = 1, in_channels = 1, in_height = 1, in_width = 1;
  std::int64_t out_channels = 1, out_height = 1, out_width = 1;
  std::int64_t groups = 1;
  std::int64_t kernel_height = 1, kernel_width = 1;
  std::int64_t stride_height = 1, stride_width = 1;
  std::int64_t dilation_height = 1, dilation_width = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  friend bool operator==(const ConvShape&, const ConvShape&) = default;
};

/// One compiled convolution or matrix product with its scratch memory. Not thread-safe.
class Primitive {
 public:
  Primitive() = default;
  Primitive(const Primitive&) = delete;
  Primitive& operator=(const Primitive&) = delete;
  virtual ~Primitive() = default;
  [[nodiscard]] virtual Status run(const float* input, float* output) = 0;
  /// oneDNN's name of the implementation.
  [[nodiscard]] virtual const std::string& name() const = 0;
};

class ConvKernel {
 public:
  ConvKernel() = default;
  ConvKernel(const ConvKernel&) = delete;
  ConvKernel& operator=(const ConvKernel&) = delete;
  virtual ~ConvKernel() = default;

  /// `weights` [out_channels, in_channels / groups, kernel_height, kernel_width]; `bias` may be
  /// nullptr. Both are copied.
  [[nodiscard]] static Result<std::shared_ptr<const ConvKernel>> make(
      const ConvShape& representative, const float* weights, const float* bias,
      const Fusion& fusion);
  /// Only batch and spatial extents may differ from the representative shape.
  [[nodiscard]] virtual Result<std::unique_ptr<Primitive>> primitive(
      const ConvShape& shape) const = 0;
};

/// output[rows, columns] = input[rows, depth] * weights + bias.
class MatrixKernel {
 public:
  MatrixKernel() = default;
  MatrixKernel(const MatrixKernel&) = delete;
  MatrixKernel& operator=(const MatrixKernel&) = delete;
  virtual ~MatrixKernel() = default;

  /// `weights` [columns, depth] when `transposed`, else [depth, columns]; `bias` [columns] or
  /// nullptr. Both are copied.
  [[nodiscard]] static Result<std::shared_ptr<const MatrixKernel>> make(
      std::int64_t representative_rows, std::int64_t depth, std::int64_t columns,
      const float* weights, bool transposed, const float* bias, const Fusion& fusion);
  [[nodiscard]] virtual Result<std::unique_ptr<Primitive>> primitive(std::int64_t rows) const = 0;
};

/// c[m,n] = alpha * op(a) * op(b) + beta * c, row-major and dense; op(a) is [m,k], op(b) is [k,n].
[[nodiscard]] Status matrix_product(bool transpose_a, bool transpose_b, std::int64_t m,
                                    std::int64_t n, std::int64_t k, float alpha, const float* a,
                                    const float* b, float beta, float* c);

/// While it lives, oneDNN uses at most `threads` threads for calls from this thread.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int previous_;
};

}  // namespace octet::float_engine::onednn

#pragma once
// oneDNN's training primitives (written for 2.6; 3.x has another interface): a convolution with its
// two gradients, single precision, channels-last data, single-threaded.

#include <memory>

#include "core/result.h"
#include "engine/float/onednn.h"

namespace octet::gradient::onednn {

using float_engine::onednn::ConvShape;

/// Scratch memory and handles of one session.
class ConvSession {
 public:
  ConvSession() = default;
  ConvSession(const ConvSession&) = delete;
  ConvSession& operator=(const ConvSession&) = delete;
  virtual ~ConvSession() = default;

  virtual Status forward(const float* input, float* output) = 0;
  /// Overwrites input_gradient.
  virtual Status backward_data(const float* output_gradient, float* input_gradient) = 0;
  /// Overwrites both; `weight_gradient` row-major, `bias_gradient` may be nullptr.
  virtual Status backward_weights(const float* input, const float* output_gradient,
                                  float* weight_gradient, float* bias_gradient) = 0;
};

/// A convolution of one shape. The packed weights are shared by all sessions.
class TrainedConv {
 public:
  TrainedConv() = default;
  TrainedConv(const TrainedConv&) = delete;
  TrainedConv& operator=(const TrainedConv&) = delete;
  virtual ~TrainedConv() = default;

  [[nodiscard]] static Result<std::unique_ptr<TrainedConv>> make(const ConvShape& shape);
  /// `weights` [out_channels, in_channels / groups, kernel_height, kernel_width] row-major; `bias`
  /// may be nullptr. Both are copied; no session may run meanwhile.
  virtual Status set_weights(const float* weights, const float* bias) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<ConvSession>> session() const = 0;
};

}  // namespace octet::gradient::onednn

#pragma once
// Losses of one micro-batch and their gradients with respect to the scores.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/tensor.h"

namespace octet {

enum class LossKind : std::uint8_t { cross_entropy, mse };

struct LossOptions {
  LossKind kind = LossKind::cross_entropy;
  float label_smoothing = 0;  ///< share of the target that all classes have alike
  /// Weight of distillation from a teacher's scores (Hinton et al. 2015): the loss is
  /// (1 - w) * own + w * T^2 * KL(teacher at T || student at T).
  float distillation = 0;
  float temperature = 1;
};

/// What a class score is trained towards, one row of probabilities for each sample.
struct ClassTargets {
  std::vector<std::int32_t> labels;
  std::vector<std::int32_t> other_labels;  ///< of mixup; empty without
  std::vector<float> share;                ///< of `labels`, 1 without mixup
};

struct LossResult {
  double sum = 0;   ///< over the samples
  Tensor gradient;  ///< of sum * weight, shaped like the scores
};

/// Cross-entropy of [samples, classes] scores; with distillation `teacher` has the same shape.
/// `targets.labels` empty: distillation alone. `weight`: what the gradient is multiplied by.
[[nodiscard]] LossResult class_loss(const LossOptions& options, const Tensor& scores,
                                    const ClassTargets& targets, const Tensor* teacher,
                                    float weight);

/// Rows of [samples, classes] scores whose largest is the label's.
[[nodiscard]] std::int64_t count_correct(const Tensor& scores,
                                         std::span<const std::int32_t> labels);

/// Mean squared difference from `target`, per sample.
[[nodiscard]] LossResult squared_loss(const Tensor& outputs, const Tensor& target, float weight);

}  // namespace octet

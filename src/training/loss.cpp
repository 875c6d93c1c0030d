#include "training/loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace octet {
namespace {

/// probabilities = softmax(scores / temperature); returns log(sum(exp)) with the largest score.
void softmax(std::span<const float> scores, double temperature, std::vector<double>& probabilities,
             std::vector<double>& logarithms) {
  const double most = static_cast<double>(*std::max_element(scores.begin(), scores.end()));
  double sum = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    logarithms[i] = (static_cast<double>(scores[i]) - most) / temperature;
    probabilities[i] = std::exp(logarithms[i]);
    sum += probabilities[i];
  }
  const double log_sum = std::log(sum);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    probabilities[i] /= sum;
    logarithms[i] -= log_sum;
  }
}

/// The row's target distribution: smoothed labels, of two images with mixup.
void set_target(const LossOptions& options, const ClassTargets& targets, std::size_t row,
                std::vector<double>& target) {
  const auto smoothing = static_cast<double>(options.label_smoothing);
  std::fill(target.begin(), target.end(), smoothing / static_cast<double>(target.size()));
  const double share = targets.share.empty() ? 1 : static_cast<double>(targets.share[row]);
  target[static_cast<std::size_t>(targets.labels[row])] += (1 - smoothing) * share;
  if (targets.other_labels.empty()) return;
  target[static_cast<std::size_t>(targets.other_labels[row])] += (1 - smoothing) * (1 - share);
}

}  // namespace

LossResult class_loss(const LossOptions& options, const Tensor& scores, const ClassTargets& targets,
                      const Tensor* teacher, float weight) {
  const auto classes = static_cast<std::size_t>(scores.dim(scores.rank() - 1));
  const auto rows = static_cast<std::size_t>(scores.size()) / classes;
  LossResult result;
  result.gradient = Tensor(DType::f32, scores.shape());
  const bool labelled = !targets.labels.empty();
  const double taught = teacher == nullptr ? 0
                        : labelled         ? static_cast<double>(options.distillation)
                                           : 1;
  const auto temperature = static_cast<double>(options.temperature);
  std::vector<double> p(classes), log_p(classes), target(classes), q(classes), log_q(classes);
  for (std::size_t r = 0; r < rows; ++r) {
    const auto row = scores.values<float>().subspan(r * classes, classes);
    float* gradient = result.gradient.mutable_data<float>() + r * classes;
    std::vector<double> slope(classes, 0.0);
    if (labelled && taught < 1) {
      softmax(row, 1, p, log_p);
      set_target(options, targets, r, target);
      for (std::size_t i = 0; i < classes; ++i) {
        result.sum -= (1 - taught) * target[i] * log_p[i];
        slope[i] += (1 - taught) * (p[i] - target[i]);
      }
    }
    if (taught > 0) {
      softmax(row, temperature, p, log_p);
      softmax(teacher->values<float>().subspan(r * classes, classes), temperature, q, log_q);
      for (std::size_t i = 0; i < classes; ++i) {
        if (q[i] > 0) {
          result.sum += taught * temperature * temperature * q[i] * (log_q[i] - log_p[i]);
        }
        slope[i] += taught * temperature * (p[i] - q[i]);
      }
    }
    for (std::size_t i = 0; i < classes; ++i) {
      gradient[i] = static_cast<float>(slope[i] * static_cast<double>(weight));
    }
  }
  return result;
}

std::int64_t count_correct(const Tensor& scores, std::span<const std::int32_t> labels) {
  const auto classes = static_cast<std::size_t>(scores.dim(scores.rank() - 1));
  std::int64_t correct = 0;
  for (std::size_t r = 0; r < labels.size(); ++r) {
    const auto row = scores.values<float>().subspan(r * classes, classes);
    correct += std::max_element(row.begin(), row.end()) - row.begin() == labels[r] ? 1 : 0;
  }
  return correct;
}

LossResult squared_loss(const Tensor& outputs, const Tensor& target, float weight) {
  LossResult result;
  result.gradient = Tensor(DType::f32, outputs.shape());
  const double elements = static_cast<double>(outputs.size()) / static_cast<double>(outputs.dim(0));
  for (std::int64_t i = 0; i < outputs.size(); ++i) {
    const double error = static_cast<double>(outputs.data<float>()[i]) -
                         static_cast<double>(target.data<float>()[i]);
    result.sum += error * error / elements;
    result.gradient.mutable_data<float>()[i] =
        static_cast<float>(2 * error / elements * static_cast<double>(weight));
  }
  return result;
}

}  // namespace octet

#include "optim/optimizer.h"

#include <array>
#include <cmath>

namespace octet::optim {
namespace {

constexpr std::array names = {std::pair{OptimizerKind::sgd, std::string_view("sgd")},
                              std::pair{OptimizerKind::adam, std::string_view("adam")},
                              std::pair{OptimizerKind::adamw, std::string_view("adamw")}};

void sgd(const OptimizerOptions& options, float rate, float decay, std::span<const float> gradient,
         std::vector<float>& velocity, std::span<float> parameter) {
  const float momentum = options.momentum;
  for (std::size_t i = 0; i < parameter.size(); ++i) {
    const float g = gradient[i] + decay * parameter[i];
    velocity[i] = momentum * velocity[i] + g;
    parameter[i] -= rate * (options.nesterov ? g + momentum * velocity[i] : velocity[i]);
  }
}

void adam(const OptimizerOptions& options, std::int64_t step, float rate, float decay,
          std::span<const float> gradient, Moments& moments, std::span<float> parameter) {
  const bool apart = options.kind == OptimizerKind::adamw;
  // Both means start at 0: the correction for that is folded into rate and epsilon (section 2 of
  // the paper).
  const auto steps = static_cast<double>(step);
  const double first = 1 - std::pow(static_cast<double>(options.beta1), steps);
  const double second = std::sqrt(1 - std::pow(static_cast<double>(options.beta2), steps));
  const auto corrected = static_cast<float>(static_cast<double>(rate) * second / first);
  const auto epsilon = static_cast<float>(static_cast<double>(options.epsilon) * second);
  for (std::size_t i = 0; i < parameter.size(); ++i) {
    if (apart) parameter[i] -= rate * decay * parameter[i];
    const float g = apart ? gradient[i] : gradient[i] + decay * parameter[i];
    float& mean = moments.first[i];
    float& square = moments.second[i];
    mean = options.beta1 * mean + (1 - options.beta1) * g;
    square = options.beta2 * square + (1 - options.beta2) * (g * g);
    parameter[i] -= corrected * mean / (std::sqrt(square) + epsilon);
  }
}

}  // namespace

std::string_view name(OptimizerKind kind) {
  for (const auto& [known, text] : names) {
    if (known == kind) return text;
  }
  return "sgd";
}

std::optional<OptimizerKind> optimizer_from_name(std::string_view text) {
  for (const auto& [known, name] : names) {
    if (name == text) return known;
  }
  return std::nullopt;
}

void update(const OptimizerOptions& options, std::int64_t step, float rate, float decay,
            std::span<const float> gradient, Moments& moments, std::span<float> parameter) {
  moments.first.resize(parameter.size(), 0.0F);
  if (options.kind == OptimizerKind::sgd) {
    sgd(options, rate, decay, gradient, moments.first, parameter);
    return;
  }
  moments.second.resize(parameter.size(), 0.0F);
  adam(options, step, rate, decay, gradient, moments, parameter);
}

}  // namespace octet::optim

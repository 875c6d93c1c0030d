#pragma once
// Optimizers: SGD with (Nesterov) momentum, Adam, AdamW. Each parameter is updated on its own, so
// that the result does not depend on threads.
//
//   sgd    g += decay * p;  v = momentum * v + g;  p -= rate * (nesterov ? g + momentum * v : v)
//          (Sutskever et al. 2013, as PyTorch states it)
//   adam   g += decay * p;  m, v: means of g and g^2;  p -= rate * m' / (sqrt(v') + epsilon)
//          (Kingma and Ba 2015)
//   adamw  p -= rate * decay * p, then adam without decay (Loshchilov and Hutter 2019)

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace octet::optim {

enum class OptimizerKind : std::uint8_t { sgd, adam, adamw };

[[nodiscard]] std::string_view name(OptimizerKind kind);
[[nodiscard]] std::optional<OptimizerKind> optimizer_from_name(std::string_view name);

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::sgd;
  float momentum = 0.9F;
  bool nesterov = true;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
};

/// What an optimizer remembers of one parameter tensor.
struct Moments {
  std::vector<float> first;   ///< velocity, or the mean of gradients
  std::vector<float> second;  ///< mean of their squares; empty for sgd
};

/// One step of one tensor. `step` counts from 1. `moments` is made by the first step.
void update(const OptimizerOptions& options, std::int64_t step, float rate, float decay,
            std::span<const float> gradient, Moments& moments, std::span<float> parameter);

}  // namespace octet::optim

#include "optim/adam.h"

#include <cmath>

namespace octet::optim {
namespace {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define OCTET_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define OCTET_CLONES
#endif

OCTET_CLONES void update(std::size_t count, const float* __restrict gradient, float beta1,
                         float beta2, float rate, float epsilon, float* __restrict mean,
                         float* __restrict square, float* __restrict parameters) {
  for (std::size_t i = 0; i < count; ++i) {
    const float g = gradient[i];
    mean[i] = beta1 * mean[i] + (1 - beta1) * g;
    square[i] = beta2 * square[i] + (1 - beta2) * (g * g);
    parameters[i] -= rate * mean[i] / (std::sqrt(square[i]) + epsilon);
  }
}

}  // namespace

Adam::Adam(std::size_t parameters, const AdamOptions& options)
    : options_(options), mean_(parameters, 0.0F), square_(parameters, 0.0F) {}

void Adam::step(std::span<float> parameters, std::span<const float> gradient) {
  ++steps_;
  // Both means start at 0: with the correction folded into rate and epsilon (section 2 of the
  // paper) the loop over the parameters needs no division by it.
  const auto steps = static_cast<double>(steps_);
  const double first = 1 - std::pow(static_cast<double>(options_.beta1), steps);
  const double second = std::sqrt(1 - std::pow(static_cast<double>(options_.beta2), steps));
  const auto rate =
      static_cast<float>(static_cast<double>(options_.learning_rate) * second / first);
  const auto epsilon = static_cast<float>(static_cast<double>(options_.epsilon) * second);
  update(mean_.size(), gradient.data(), options_.beta1, options_.beta2, rate, epsilon,
         mean_.data(), square_.data(), parameters.data());
}

}  // namespace octet::optim

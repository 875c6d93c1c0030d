#pragma once
// Adam (Kingma and Ba 2015, algorithm 1).

#include <cstdint>
#include <span>
#include <vector>

namespace octet::optim {

struct AdamOptions {
  float learning_rate = 1e-3F;
  float beta1 = 0.9F;    ///< decay of the mean of gradients
  float beta2 = 0.999F;  ///< decay of the mean of their squares
  float epsilon = 1e-8F;
};

/// State for a fixed number of parameters. Each is updated on its own: the same bits however the
/// parameters are shared out between several optimizers.
class Adam {
 public:
  explicit Adam(std::size_t parameters, const AdamOptions& options = {});

  /// One step against the gradient; both have as many elements as there are parameters.
  void step(std::span<float> parameters, std::span<const float> gradient);

  void set_learning_rate(float rate) { options_.learning_rate = rate; }
  [[nodiscard]] std::int64_t steps() const { return steps_; }

 private:
  AdamOptions options_;
  std::int64_t steps_ = 0;
  std::vector<float> mean_;
  std::vector<float> square_;
};

}  // namespace octet::optim

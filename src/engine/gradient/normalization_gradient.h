#pragma once
// What training asks of BatchNormalization beyond its gradient.

#include <cstdint>
#include <vector>

#include "engine/gradient/gradient_op.h"

namespace octet::gradient {

/// Mean and variance per channel over the micro-batches seen since they were last taken.
struct BatchMoments {
  std::int64_t batches = 0;
  std::vector<double> mean;      ///< sums over micro-batches
  std::vector<double> variance;  ///< sums of unbiased variances
};

/// State of a BatchNormalization in a session, as make_state() of its op gives it.
class BatchNormState : public OpState {
 public:
  std::vector<float> mean, deviation_reciprocal;  ///< of the last micro-batch
  BatchMoments moments;
};

}  // namespace octet::gradient

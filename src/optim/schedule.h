#pragma once
// Schedules: a number that changes over the course of an optimization.

#include <algorithm>
#include <cmath>
#include <numbers>

namespace octet::optim {

/// From `start` to `end` along half a cosine; `progress` runs from 0 to 1 and is limited to that.
[[nodiscard]] inline double cosine(double start, double end, double progress) {
  const double p = std::clamp(progress, 0.0, 1.0);
  return end + (start - end) * (1 + std::cos(std::numbers::pi * p)) / 2;
}

/// Along a straight line.
[[nodiscard]] inline double linear(double start, double end, double progress) {
  return start + (end - start) * std::clamp(progress, 0.0, 1.0);
}

}  // namespace octet::optim

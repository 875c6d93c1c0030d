#include "passes/round_row.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "arithmetic/round.h"
#include "passes/vector_sums.h"

namespace octet {
namespace {

/// Rounds of descend(); each changes less than the one before.
constexpr int most_descents = 20;
/// Least gain of a move, relative to what its weight contributes: keeps rounding errors of the
/// gradient from moving codes back and forth.
constexpr float least_gain = 1e-5F;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

std::int8_t code_of(double value, float scale, const CodeLimits& limits) {
  const double code = round_half_even(value / static_cast<double>(scale));
  return static_cast<std::int8_t>(
      saturate(code, static_cast<double>(limits.low), static_cast<double>(limits.high)));
}

std::vector<float> weights_of(const RoundedRow& rounded) {
  std::vector<float> weights;
  weights.reserve(rounded.codes.size());
  for (const auto code : rounded.codes) {
    weights.push_back(rounded.scale * static_cast<float>(code));
  }
  return weights;
}

/// Lower triangle L of a = L L' in place; fails where a is not positive definite.
Status factor(std::vector<double>& a, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    double* row = a.data() + i * n;
    for (std::int64_t j = 0; j <= i; ++j) {
      const double* other = a.data() + j * n;
      const double rest = row[j] - sums::dot(row, other, j);
      if (i != j) {
        row[j] = rest / other[j];
      } else if (rest > 0) {
        row[i] = std::sqrt(rest);
      } else {
        return internal_error("moments of the inputs are not positive definite");
      }
    }
    std::fill(row + i + 1, row + n, 0.0);
  }
  return {};
}

}  // namespace

Result<RowRounder> RowRounder::make(std::vector<float> moments, std::int64_t inputs,
                                    const Damping& damping) {
  RowRounder rounder;
  rounder.inputs_ = inputs;
  double trace = 0;
  for (std::int64_t i = 0; i < inputs; ++i) {
    trace += static_cast<double>(moments[at(i * inputs + i)]);
  }
  // Inputs that never vary leave the weights where they are.
  rounder.held_outputs_ = damping.outputs;
  rounder.held_weights_ = trace > 0 ? damping.weights * trace / static_cast<double>(inputs) : 1.0;
  for (auto& moment : moments) moment *= static_cast<float>(1 + damping.outputs);
  for (std::int64_t i = 0; i < inputs; ++i) {
    moments[at(i * inputs + i)] += static_cast<float>(rounder.held_weights_);
  }
  rounder.order_.resize(at(inputs));
  std::iota(rounder.order_.begin(), rounder.order_.end(), 0);
  std::stable_sort(rounder.order_.begin(), rounder.order_.end(),
                   [&](std::int64_t a, std::int64_t b) {
                     return moments[at(a * inputs + a)] < moments[at(b * inputs + b)];
                   });
  rounder.lower_.resize(at(inputs * inputs));
  for (std::int64_t i = 0; i < inputs; ++i) {
    for (std::int64_t j = 0; j < inputs; ++j) {
      rounder.lower_[at(i * inputs + j)] =
          static_cast<double>(moments[at(rounder.order_[at(i)] * inputs + rounder.order_[at(j)])]);
    }
  }
  OCTET_TRY(factor(rounder.lower_, inputs));
  rounder.upper_.resize(at(inputs * inputs));
  for (std::int64_t i = 0; i < inputs; ++i) {
    for (std::int64_t j = 0; j < inputs; ++j) {
      rounder.upper_[at(j * inputs + i)] = static_cast<float>(rounder.lower_[at(i * inputs + j)]);
    }
  }
  rounder.moments_ = std::move(moments);
  return rounder;
}

std::vector<float> RowRounder::moments_times(std::span<const float> v) const {
  std::vector<float> product(at(inputs_), 0.0F);
  for (std::int64_t k = 0; k < inputs_; ++k) {
    if (v[at(k)] == 0) continue;
    sums::add_scaled(moments_.data() + k * inputs_, v[at(k)], inputs_, product.data());
  }
  return product;
}

RowTarget RowRounder::target(std::span<const float> weights, std::span<const float> products,
                             float least_scale) const {
  RowTarget row{weights, moments_times(weights), least_scale};
  const double share = held_outputs_ / (1 + held_outputs_);
  for (std::size_t k = 0; k < row.damped.size(); ++k) {
    const double held = held_weights_ * static_cast<double>(weights[k]);
    const double outputs = share * (static_cast<double>(row.damped[k]) - held);
    row.damped[k] = static_cast<float>(static_cast<double>(products[k]) + outputs + held);
  }
  return row;
}

double RowRounder::damped_error(const RowTarget& row, const RoundedRow& rounded) const {
  const auto v = weights_of(rounded);
  const auto product = moments_times(v);
  double error = 0;
  for (std::size_t k = 0; k < v.size(); ++k) {
    error += static_cast<double>(v[k]) *
             (static_cast<double>(product[k]) - 2 * static_cast<double>(row.damped[k]));
  }
  return error;
}

RoundedRow RowRounder::nearest(const RowTarget& row, float scale, const CodeLimits& limits) const {
  RoundedRow rounded;
  rounded.scale = scale;
  for (const float w : row.weights) {
    rounded.codes.push_back(code_of(static_cast<double>(w), scale, limits));
  }
  rounded.error = damped_error(row, rounded);
  return rounded;
}

/// L^-1 of the damped products, in the order of the factor.
std::vector<double> RowRounder::factored_target(const RowTarget& row) const {
  std::vector<double> c(at(inputs_));
  for (std::int64_t k = 0; k < inputs_; ++k) {
    const auto r = static_cast<double>(row.damped[at(order_[at(k)])]);
    const double* lower = lower_.data() + k * inputs_;
    c[at(k)] = (r - sums::dot(lower, c.data(), k)) / lower[k];
  }
  return c;
}

/// |L'v - c|^2 one component after the other, from the last, which has one unknown.
RoundedRow RowRounder::successive(std::span<const double> factored, float scale,
                                  const CodeLimits& limits) const {
  RoundedRow rounded;
  rounded.scale = scale;
  rounded.codes.resize(at(inputs_));
  std::vector<float> v(at(inputs_));
  double squares = 0;
  double constant = 0;
  for (std::int64_t k = inputs_; k-- > 0;) {
    const float* row = upper_.data() + k * inputs_;
    const double known =
        static_cast<double>(sums::dot(row + k + 1, v.data() + k + 1, inputs_ - k - 1));
    const double pivot = static_cast<double>(row[k]);
    const double rest = factored[at(k)] - known;
    const auto code = code_of(rest / pivot, scale, limits);
    rounded.codes[at(order_[at(k)])] = code;
    v[at(k)] = scale * static_cast<float>(code);
    const double off = rest - pivot * static_cast<double>(v[at(k)]);
    squares += off * off;
    constant += factored[at(k)] * factored[at(k)];
  }
  rounded.error = squares - constant;
  return rounded;
}

RoundedRow RowRounder::successive(const RowTarget& row, float scale,
                                  const CodeLimits& limits) const {
  return successive(factored_target(row), scale, limits);
}

RoundedRow RowRounder::search_scale(const RowTarget& row, float scale, const CodeLimits& limits,
                                    std::span<const double> shares) const {
  const auto factored = factored_target(row);
  RoundedRow best;
  for (const double share : shares) {
    const auto candidate =
        std::max(static_cast<float>(static_cast<double>(scale) * share), row.least_scale);
    auto rounded = successive(factored, candidate, limits);
    if (best.codes.empty() || rounded.error < best.error) best = std::move(rounded);
  }
  return best;
}

void RowRounder::descend(const RowTarget& row, const CodeLimits& limits,
                         RoundedRow& rounded) const {
  const float scale = rounded.scale;
  for (int round = 0; round < most_descents; ++round) {
    // Half the gradient, exact again in each round.
    auto gradient = moments_times(weights_of(rounded));
    for (std::size_t k = 0; k < gradient.size(); ++k) gradient[k] -= row.damped[k];
    int moves = 0;
    for (std::int64_t k = 0; k < inputs_; ++k) {
      const float* moments = moments_.data() + k * inputs_;
      const float curvature = moments[k];
      const auto code = rounded.codes[at(k)];
      const float v = scale * static_cast<float>(code);
      const auto wanted =
          code_of(static_cast<double>(v - gradient[at(k)] / curvature), scale, limits);
      if (wanted == code) continue;
      const float step = scale * static_cast<float>(wanted - code);
      const float change = step * (2 * gradient[at(k)] + step * curvature);
      if (change > -least_gain * step * step * curvature) continue;
      rounded.codes[at(k)] = wanted;
      sums::add_scaled(moments, step, inputs_, gradient.data());
      ++moves;
    }
    if (moves == 0) break;
  }
  rounded.error = damped_error(row, rounded);
}

void RowRounder::fit_scale(const RowTarget& row, RoundedRow& rounded) const {
  const auto product = moments_times(weights_of(rounded));
  double wanted = 0;
  double given = 0;
  for (std::size_t k = 0; k < product.size(); ++k) {
    const auto code = static_cast<double>(rounded.codes[k]);
    wanted += code * static_cast<double>(row.damped[k]);
    given += code * static_cast<double>(product[k]);
  }
  if (!(given > 0) || !(wanted > 0)) return;
  RoundedRow fitted = rounded;
  fitted.scale = static_cast<float>(static_cast<double>(rounded.scale) * wanted / given);
  if (!(fitted.scale >= row.least_scale) || !std::isfinite(fitted.scale)) return;
  fitted.error = damped_error(row, fitted);
  if (fitted.error < rounded.error) rounded = std::move(fitted);
}

}  // namespace octet

#include "analysis/exact_sum.h"

#include <cmath>
#include <limits>

namespace octet {
namespace {

constexpr std::int64_t limb_mask = 0xFFFFFFFF;
/// Each addition moves a limb by less than 2^33, so that it stays within 2^63 between carries.
constexpr std::uint32_t additions_between_carries = std::uint32_t{1} << 28;

}  // namespace

void ExactSum::add(double term) {
  if (!std::isfinite(term)) {
    not_finite_ = true;
    return;
  }
  if (term == 0) return;
  int exponent = 0;
  const double fraction = std::frexp(std::abs(term), &exponent);
  // |term| = mantissa * 2^(exponent - 53); for subnormals the low bits of mantissa are zero, and
  // shifting them out keeps the position at or above the lowest limb.
  auto mantissa = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
  int position = exponent - 53 - lowest_exponent;
  if (position < 0) {
    mantissa >>= -position;
    position = 0;
  }
  const auto limb = static_cast<std::size_t>(position / 32);
  const int shift = position % 32;
  const std::uint64_t low = (mantissa & 0xFFFFFFFFU) << shift;
  const std::uint64_t high = (mantissa >> 32) << shift;
  const std::int64_t sign = term < 0 ? -1 : 1;
  limbs_[limb] += sign * static_cast<std::int64_t>(low & 0xFFFFFFFFU);
  limbs_[limb + 1] += sign * static_cast<std::int64_t>((low >> 32) + (high & 0xFFFFFFFFU));
  limbs_[limb + 2] += sign * static_cast<std::int64_t>(high >> 32);
  if (++pending_ == additions_between_carries) carry();
}

void ExactSum::merge(const ExactSum& other) {
  carry();
  ExactSum added = other;
  added.carry();
  for (std::size_t i = 0; i < limb_count; ++i) limbs_[i] += added.limbs_[i];
  carry();
  not_finite_ = not_finite_ || other.not_finite_;
}

void ExactSum::carry() {
  // Limbs end in [0, 2^32); the last one keeps the sign.
  for (std::size_t i = 0; i + 1 < limb_count; ++i) {
    limbs_[i + 1] += limbs_[i] >> 32;
    limbs_[i] &= limb_mask;
  }
  pending_ = 0;
}

double ExactSum::value() const {
  if (not_finite_) return std::numeric_limits<double>::quiet_NaN();
  ExactSum canonical = *this;
  canonical.carry();
  const double sign = canonical.limbs_.back() < 0 ? -1 : 1;
  if (sign < 0) {
    for (auto& limb : canonical.limbs_) limb = -limb;
    canonical.carry();
  }
  double sum = 0;
  for (std::size_t i = limb_count; i-- > 0;) {
    const auto limb = static_cast<double>(canonical.limbs_[i]);
    sum += std::ldexp(limb, 32 * static_cast<int>(i) + lowest_exponent);
  }
  return sign * sum;
}

}  // namespace octet

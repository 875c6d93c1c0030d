#pragma once
// A sum of doubles without rounding.

#include <array>
#include <cstddef>
#include <cstdint>

namespace octet {

/// Adds doubles in fixed point over their whole range, so that the sum depends neither on the order
/// of its terms nor on how they were split between sums that are merged later. A NaN or an infinity
/// makes the sum NaN.
class ExactSum {
 public:
  void add(double term);
  void merge(const ExactSum& other);
  /// The sum as a double, within one unit in the last place; the same for equal sums.
  [[nodiscard]] double value() const;

 private:
  /// Limb i counts multiples of 2^(32 i - 1088): from below the smallest subnormal (2^-1074) to
  /// 2^96 times the largest double.
  static constexpr std::size_t limb_count = 69;
  static constexpr int lowest_exponent = -1088;

  void carry();

  std::array<std::int64_t, limb_count> limbs_{};
  std::uint32_t pending_ = 0;  ///< additions since the last carry
  bool not_finite_ = false;
};

}  // namespace octet

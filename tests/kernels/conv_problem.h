#pragma once
// Random convolutions with sizes around the edges of tiles, and a loop that gives their codes,
// written apart from every kernel.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "kernels/conv.h"

namespace octet::kernels::testing {

inline constexpr std::size_t guard = 64;

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int in(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  float real(float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(engine_);
  }
  template <class T>
  T of(std::initializer_list<T> choices) {
    return choices.begin()[in(0, static_cast<int>(choices.size()) - 1)];
  }

 private:
  std::mt19937 engine_;
};

enum class Values { random, extreme };
/// large: below 1, with biases at the ends of their range.
enum class Multipliers { real, ties, large, wild };

struct Problem {
  ConvParams params;
  std::vector<std::uint8_t> input;  ///< with `guard` bytes of rubbish behind it
};

inline std::size_t count(std::int64_t n) { return static_cast<std::size_t>(n); }

/// Fills weights, bias, multipliers, zero points, limits and input for `geometry`.
Problem make_problem(const ConvGeometry& geometry, Random& random, Values values,
                     Multipliers multipliers);

/// The contract's wrap modulo 2^32.
std::int32_t wrapped(std::int64_t exact);

/// Exact sums for an input whose zero point is `zero_point`.
std::vector<std::int64_t> naive_sums(const Problem& problem, int zero_point);

std::vector<std::uint8_t> naive(const Problem& problem);

std::string describe(const ConvGeometry& geometry);

/// Output extents that follow from padding behind the image; false if there are none.
bool fit_outputs(ConvGeometry& geometry, int pad_bottom, int pad_right);

}  // namespace octet::kernels::testing

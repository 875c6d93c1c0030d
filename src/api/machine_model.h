#pragma once
// What single operators take on this machine, in float and in integers: a roofline for each kind of
// operator, with the cost of running an operator at all.

#include <array>
#include <cstdint>
#include <vector>

#include "core/result.h"

namespace octet {

/// Kinds of operator whose kernels reach different shares of the machine's peak.
enum class CostKind : std::uint8_t {
  first,        ///< Conv of at most 4 channels
  dense,        ///< Conv of a kernel larger than 1 x 1
  pointwise,    ///< Conv of 1 x 1
  depthwise,    ///< Conv of a group for each channel
  matrix,       ///< Gemm, MatMul
  elementwise,  ///< Add, Mul, ... of two values
  pooling,      ///< averages and maxima
  function,     ///< of one value
  softmax,
};
inline constexpr std::size_t cost_kinds = 9;

/// time = overhead + work / rate in ms; work counts multiply-accumulates, or elements read where
/// the operator multiplies nothing.
struct CostLine {
  double overhead_ms = 0;
  double rate = 1;
  [[nodiscard]] double ms(double work) const { return overhead_ms + work / rate; }
};

/// Sums of an array of some bytes, read again and again.
struct Bandwidth {
  double bytes = 0;
  double bytes_per_ms = 0;
};

struct MachineModel {
  std::array<CostLine, cost_kinds> floats;
  std::array<CostLine, cost_kinds> integers;
  double float_peak = 0;  ///< multiply-accumulates a ms of a large product (api/peak.h)
  double integer_peak = 0;
  /// From what the innermost caches hold to what none does, smallest first.
  std::vector<Bandwidth> memory;
  /// Of the smallest array that is no smaller than `bytes`, else of the largest; 0: not known.
  [[nodiscard]] double bytes_per_ms(double bytes) const;
};

/// Measures both engines on two sizes of each kind with `threads` threads: below a second.
[[nodiscard]] Result<MachineModel> measure_machine(int threads);

/// Time of an operator: its line, or what memory allows for the bytes of weights and activations,
/// which the operators before have left in a cache that holds them.
[[nodiscard]] double predicted_ms(const MachineModel& machine, const CostLine& line, double work,
                                  double bytes);

}  // namespace octet

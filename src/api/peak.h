#pragma once
// What the machine reaches at best, to judge layers by.

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/result.h"

namespace octet {

/// Multiply-accumulates per millisecond of a large matrix product (512 x 512 by 512 x 512) on the
/// engines' own kernels: the best of several runs, so that what else the machine does counts
/// little.
struct PeakRates {
  double float_macs = 0;    ///< f32, float engine
  double integer_macs = 0;  ///< u8 by s8, integer engine
};

[[nodiscard]] Result<PeakRates> measure_peaks(int threads);

/// Share of the peak for the kind of arithmetic that `kernel` does; nullopt where a layer
/// multiplies nothing or took no time that could be measured.
[[nodiscard]] std::optional<double> peak_share(const PeakRates& peaks, std::string_view kernel,
                                               std::int64_t macs, double milliseconds);

}  // namespace octet

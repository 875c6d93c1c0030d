#pragma once
// What the machine reaches at best, to judge layers by.

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "core/result.h"
#include "kernels/conv.h"

namespace octet {

/// Multiply-accumulates per millisecond of a large matrix product (512 x 512 by 512 x 512) on the
/// engines' own kernels: the best of several runs, so that what else the machine does counts
/// little.
struct PeakRates {
  double float_macs = 0;    ///< f32, float engine
  double integer_macs = 0;  ///< u8 by s8, integer engine
};

[[nodiscard]] Result<PeakRates> measure_peaks(int threads);

/// What `threads` threads multiply at most by registers alone, in multiply-accumulates per
/// millisecond (kernels/dot_peak.h).
struct DotPeaks {
  double floats = 0;
  std::map<kernels::Isa, double> codes;  ///< u8 by s8; what this CPU has
};

[[nodiscard]] DotPeaks measure_dot_peaks(int threads);

/// Share of the peak of the instruction that `kernel` multiplies by; nullopt where a layer
/// multiplies nothing or took no time that could be measured.
[[nodiscard]] std::optional<double> peak_share(const DotPeaks& peaks, std::string_view kernel,
                                               std::int64_t macs, double milliseconds);

}  // namespace octet

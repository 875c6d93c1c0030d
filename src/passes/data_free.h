#pragma once
// What calibration would see, derived from the statistics that BatchNormalization keeps.

#include "passes/pipeline.h"

namespace octet {

/// What an input of the graph holds: by channel (or one for all), the lowest and highest value.
struct InputRange {
  std::vector<double> lowest;
  std::vector<double> highest;
};

/// Statistics and profiles without data (Nagel et al. 2019, section 4.3). A channel behind a
/// BatchNormalization is taken to be normal with mean beta and standard deviation |gamma|; Relu and
/// Clip cut it off, Add adds moments, a Conv or Gemm without BatchNormalization behind it gives
/// W E[x] + b and sum W^2 var(x), pooling and reshaping keep what they read. Normal ranges end at
/// mean +- `range_deviations` standard deviations. The first Conv or Gemm without statistics before
/// and behind it is an error that names it, as is an operator that cannot be followed.
[[nodiscard]] QuantizeSources data_free_sources(std::vector<InputRange> inputs,
                                                ObserverKind observer);

}  // namespace octet

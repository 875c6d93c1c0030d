#include <cmath>

#include "calibration/range_search.h"
#include "calibration/statistics.h"

namespace octet {
namespace {

Result<ClipRange> range_of(const ValueStatistics& seen, ObserverKind observer,
                           const QuantScheme& scheme) {
  const Histogram& histogram = seen.histogram;
  const ClipRange whole{static_cast<double>(histogram.minimum()),
                        static_cast<double>(histogram.maximum())};
  if (observer == ObserverKind::minmax) return whole;
  if (observer == ObserverKind::moving_average) {
    return ClipRange{seen.average_minimum, seen.average_maximum};
  }
  if (!histogram.has_counts()) {
    return bad_input("the statistics have no histogram, which observer {} needs", name(observer));
  }
  // Constant values leave nothing to search for.
  if (whole.minimum == whole.maximum) return whole;
  switch (observer) {
    case ObserverKind::percentile: return percentile_range(histogram, scheme);
    case ObserverKind::mse: return mse_range(histogram, scheme);
    case ObserverKind::entropy: return entropy_range(histogram, scheme);
    default: return whole;
  }
}

}  // namespace

Result<QuantParams> params_from_statistics(const ValueStatistics& seen, ObserverKind observer,
                                           const QuantScheme& scheme) {
  const Histogram& histogram = seen.histogram;
  if (histogram.non_finite() > 0) {
    return bad_input("{} of its values are NaN or infinite", histogram.non_finite());
  }
  if (histogram.total() == 0) return bad_input("no values were seen");
  OCTET_ASSIGN(const auto range, range_of(seen, observer, scheme));
  if (!std::isfinite(range.minimum) || !std::isfinite(range.maximum)) {
    return bad_input("its range is not finite");
  }
  const auto params = params_from_range(range.minimum, range.maximum, scheme);
  if (!std::isfinite(params.scale[0])) {
    return bad_input("its range [{}, {}] is too wide for a scale", range.minimum, range.maximum);
  }
  return params;
}

}  // namespace octet

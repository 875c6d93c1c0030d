#include "arithmetic/params.h"

#include <algorithm>
#include <cmath>

#include "arithmetic/round.h"

namespace octet {

QuantParams params_from_range(double minimum, double maximum, const QuantScheme& scheme) {
  const double low = std::min(minimum, 0.0);
  // Values that were never seen to be anything but 0 have no unit of their own. A tiny one would be
  // beyond what runtimes multiply by, and would saturate whatever comes later.
  const double high = low == 0 && maximum <= 0 ? 1.0 : std::max(maximum, 0.0);
  const auto qmin = static_cast<double>(scheme.qmin());
  const auto qmax = static_cast<double>(scheme.qmax());
  if (scheme.symmetry == Symmetry::symmetric) {
    const auto scale = static_cast<float>(std::max(-low, high) / qmax);
    return {{std::max(scale, scale_floor)}, {0}, -1};
  }
  const float scale = std::max(static_cast<float>((high - low) / (qmax - qmin)), scale_floor);
  const double zero_point = round_half_even(qmin - low / static_cast<double>(scale));
  return {{scale}, {static_cast<std::int32_t>(std::clamp(zero_point, qmin, qmax))}, -1};
}

double range_minimum(const QuantParams& params, const QuantScheme& scheme, std::size_t channel) {
  return static_cast<double>(params.scale[channel]) *
         static_cast<double>(scheme.qmin() - params.zero_point[channel]);
}

double range_maximum(const QuantParams& params, const QuantScheme& scheme, std::size_t channel) {
  return static_cast<double>(params.scale[channel]) *
         static_cast<double>(scheme.qmax() - params.zero_point[channel]);
}

Status validate(const QuantParams& params, const QuantScheme& scheme) {
  if (params.scale.empty() || params.scale.size() != params.zero_point.size()) {
    return bad_input("{} scales but {} zero points", params.scale.size(), params.zero_point.size());
  }
  if (!params.per_channel() && params.scale.size() != 1) {
    return bad_input("{} scales without an axis", params.scale.size());
  }
  for (std::size_t i = 0; i < params.scale.size(); ++i) {
    if (!std::isfinite(params.scale[i]) || params.scale[i] <= 0.0F) {
      return bad_input("scale {} is {}", i, params.scale[i]);
    }
    if (params.zero_point[i] < scheme.qmin() || params.zero_point[i] > scheme.qmax()) {
      return bad_input("zero point {} is {}, outside the codes of {} bits", i, params.zero_point[i],
                       scheme.bits);
    }
  }
  return {};
}

}  // namespace octet

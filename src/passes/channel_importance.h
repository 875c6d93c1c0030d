#pragma once
// How much noise on a channel matters to a network's outputs.

#include <map>
#include <vector>

#include "calibration/channel_profile.h"
#include "graph/graph.h"

namespace octet {

/// By value: for each channel (axis 1) the noise that reaches the outputs for each unit of noise on
/// the channel: the sum of the squared derivatives of the outputs, in the mean over data, if errors
/// of different channels are independent. A Conv or Gemm passes on sum_o importance_o * sum_taps
/// W[o,i]^2; Relu and Clip the share of the elements that they let through (of `profiles`, 1 where
/// nothing is known); sums pass everything on; an operator that octet cannot follow gives all
/// channels of its inputs the mean of its output. Values without known channels are left out.
[[nodiscard]] Result<std::map<ValueId, std::vector<double>>> channel_importance(
    const Graph& graph, const ChannelProfiles& profiles);

/// Extent of axis 1 of a value of at least rank 2, 0 when it is not known.
[[nodiscard]] std::int64_t channels_of(const Graph& graph, ValueId id);

}  // namespace octet

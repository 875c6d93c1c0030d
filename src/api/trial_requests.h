#pragma once
// From what a search plans to the requests that carry it out.

#include "octet/train.h"
#include "octet/tune.h"
#include "tuning/search.h"

namespace octet {

/// What the request leaves open.
[[nodiscard]] Result<SearchSpace> search_space(const TuneRequest& request);

/// `output`: where the model goes; its folder and name are in no trial's key.
[[nodiscard]] QuantizeRequest quantize_request(const TuneRequest& request, const TrialPlan& plan,
                                               const std::string& output);
/// `samples`: how many the training data hold.
[[nodiscard]] TrainRequest train_request(const TuneRequest& request, const TrialPlan& plan,
                                         std::int64_t samples, const std::string& output);

/// The command that makes the trial's model.
[[nodiscard]] std::string trial_command(const TuneRequest& request, const TrialPlan& plan,
                                        std::int64_t samples, const std::string& output);

}  // namespace octet

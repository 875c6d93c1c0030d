#include "engine/float/broadcast.h"

#include <algorithm>

namespace octet::float_engine {
namespace {

/// Steps of an operand along the result's dimensions; 0 where it is repeated.
std::vector<std::int64_t> steps_along(const Shape& operand, const Shape& result) {
  const auto strides = row_major_strides(operand);
  std::vector<std::int64_t> steps(result.size(), 0);
  const std::size_t missing = result.size() - operand.size();
  for (std::size_t i = 0; i < operand.size(); ++i) {
    if (operand[i] != 1) steps[missing + i] = strides[i];
  }
  return steps;
}

}  // namespace

Result<BroadcastPlan> BroadcastPlan::make(const Shape& a, const Shape& b) {
  BroadcastPlan plan;
  OCTET_ASSIGN(plan.shape_, broadcast_shapes(a, b));
  const auto a_steps = steps_along(a, plan.shape_);
  const auto b_steps = steps_along(b, plan.shape_);
  // Built innermost first, then reversed.
  for (std::size_t d = plan.shape_.size(); d-- > 0;) {
    const auto dim = plan.shape_[d];
    if (dim == 1) continue;
    if (!plan.dims_.empty() && a_steps[d] == plan.a_steps_.back() * plan.dims_.back() &&
        b_steps[d] == plan.b_steps_.back() * plan.dims_.back()) {
      plan.dims_.back() *= dim;
      continue;
    }
    plan.dims_.push_back(dim);
    plan.a_steps_.push_back(a_steps[d]);
    plan.b_steps_.push_back(b_steps[d]);
  }
  if (plan.dims_.empty()) {
    plan.dims_ = {1};
    plan.a_steps_ = plan.b_steps_ = {1};
  }
  std::reverse(plan.dims_.begin(), plan.dims_.end());
  std::reverse(plan.a_steps_.begin(), plan.a_steps_.end());
  std::reverse(plan.b_steps_.begin(), plan.b_steps_.end());
  return plan;
}

}  // namespace octet::float_engine

#pragma once
// Walks two operands under numpy broadcasting, both in the same order in memory.

#include <cstdint>
#include <vector>

#include "core/result.h"
#include "core/shape.h"

namespace octet::float_engine {

/// Dimensions of the result with neighbours merged where both operands allow it, and the elements
/// that each operand steps (0: repeated). The innermost steps are 0 or 1.
class BroadcastPlan {
 public:
  [[nodiscard]] static Result<BroadcastPlan> make(const Shape& a, const Shape& b);

  [[nodiscard]] const Shape& shape() const { return shape_; }

  /// Calls fn(a_offset, a_step, b_offset, b_step, out_offset, count) for each innermost run.
  template <class Fn>
  void for_each_run(Fn fn) const {
    if (element_count(shape_) == 0) return;
    const std::size_t inner = dims_.size() - 1;
    std::vector<std::int64_t> index(inner, 0);
    std::int64_t a = 0;
    std::int64_t b = 0;
    std::int64_t out = 0;
    const auto advance = [&] {
      for (std::size_t d = inner; d-- > 0;) {
        a += a_steps_[d];
        b += b_steps_[d];
        if (++index[d] < dims_[d]) return true;
        a -= a_steps_[d] * dims_[d];
        b -= b_steps_[d] * dims_[d];
        index[d] = 0;
      }
      return false;
    };
    do {
      fn(a, static_cast<int>(a_steps_[inner]), b, static_cast<int>(b_steps_[inner]), out,
         dims_[inner]);
      out += dims_[inner];
    } while (advance());
  }

 private:
  Shape shape_;
  std::vector<std::int64_t> dims_, a_steps_, b_steps_;
};

}  // namespace octet::float_engine

#pragma once
// The two operands of an elementwise operator, brought into one order and broadcast.

#include "engine/float/broadcast.h"
#include "engine/float/ops.h"

namespace octet::float_engine {

struct Operands {
  Tensor a;
  Tensor b;
  BroadcastPlan plan;
  bool channels_last = false;  ///< plan and tensors are then in the order [N,H,W,C]

  /// The operator's output, computed in the plan's order and shape.
  [[nodiscard]] Outputs finish(Tensor out) const;
};

/// Channels-last survives when both operands are f32 and the result has rank 4, and only if
/// `keep_order`.
[[nodiscard]] Result<Operands> broadcast_operands(const Activation& a, const Activation& b,
                                                  bool keep_order);

/// Fails unless the types are equal.
[[nodiscard]] Status require_equal_types(const Tensor& a, const Tensor& b);

/// out = fn(a, b) element by element.
template <class A, class B, class Out, class Fn>
void map_operands(const Operands& operands, Tensor& out, Fn fn) {
  const A* a = operands.a.data<A>();
  const B* b = operands.b.data<B>();
  Out* to = out.mutable_data<Out>();
  operands.plan.for_each_run([&](std::int64_t ia, int a_step, std::int64_t ib, int b_step,
                                 std::int64_t io, std::int64_t n) {
    const A* x = a + ia;
    const B* y = b + ib;
    Out* z = to + io;
    // Steps that the compiler knows, so that it can vectorise.
    if (a_step == 1 && b_step == 1) {
      for (std::int64_t i = 0; i < n; ++i) z[i] = fn(x[i], y[i]);
    } else if (a_step == 1) {
      const B second = *y;
      for (std::int64_t i = 0; i < n; ++i) z[i] = fn(x[i], second);
    } else {
      const A first = *x;
      for (std::int64_t i = 0; i < n; ++i) z[i] = fn(first, y[i * b_step]);
    }
  });
}

}  // namespace octet::float_engine

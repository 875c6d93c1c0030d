#pragma once
#include "engine/integer/lowering.h"

namespace octet::integer {

/// Takes out the steps whose outputs nobody reads: shape arithmetic, mostly, whose result the
/// session has inferred. Those of Step::only_for_taps stay.
void remove_unread_steps(Lowered& program);

}  // namespace octet::integer

#pragma once
// Chains of elementwise steps that are a function of one value, x * sigmoid(x) for example, become
// one table: 256 codes decide it all.

#include "engine/integer/lowering.h"

namespace octet::integer {

/// The codes stay what they are. Steps that nobody reads any more become Step::only_for_taps.
void fuse_tables(Lowered& program);

}  // namespace octet::integer

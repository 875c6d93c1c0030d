#include "passes/simplify.h"

#include <array>

#include "core/progress.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"
#include "graph/widen.h"
#include "passes/pipeline.h"

namespace octet {
namespace {

using Rewrite = Result<int> (*)(Graph&);

/// A chain of n foldable nodes can need n rounds; a rewrite that finds work forever is a bug.
constexpr int round_limit = 10000;

Result<int> run_once(Graph& graph) {
  // Patterns are looked for before arithmetic on constants goes into the layers around them.
  constexpr std::array<Rewrite, 14> rewrites{
      simplification::fold_constants,   simplification::remove_identities,
      simplification::split_sums,       simplification::fold_min_max,
      simplification::fold_activations, simplification::fuse_gates,
      simplification::fuse_layer_norm,  simplification::fuse_softmax,
      simplification::fold_powers,      simplification::fuse_global_pool,
      simplification::fold_affine,      simplification::fold_pad,
      simplification::fold_reshapes,    simplification::push_transposes};
  int changes = 0;
  for (const auto rewrite : rewrites) {
    OCTET_TRY(check_cancel());
    OCTET_ASSIGN(const int found, rewrite(graph));
    if (found == 0) continue;
    changes += found;
    graph.remove_dead_nodes();
    OCTET_TRY(infer_shapes(graph));
  }
  return changes;
}

Status run_to_fixed_point(Graph& graph) {
  for (int round = 0; round < round_limit; ++round) {
    OCTET_ASSIGN(const int changes, run_once(graph));
    if (changes == 0) return {};
  }
  return internal_error("the rewrites of simplify do not come to an end");
}

void drop_unread_constants(Graph& graph) {
  const auto uses = graph.uses();
  for (std::size_t i = 0; i < graph.value_slots(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (uses[i].empty() && !graph.is_output(id)) graph.value(id).constant.reset();
  }
}

}  // namespace

Status simplify(Graph& graph) {
  OCTET_TRY(verify(graph));
  graph.remove_dead_nodes();
  OCTET_TRY(infer_shapes(graph));
  OCTET_TRY(widen_halves(graph));
  OCTET_TRY(run_to_fixed_point(graph));
  OCTET_ASSIGN(const int lone, simplification::fold_lone_batch_norm(graph));
  if (lone > 0) {
    OCTET_TRY(infer_shapes(graph));
    OCTET_TRY(run_to_fixed_point(graph));
  }
  drop_unread_constants(graph);
  return verify(graph);
}

}  // namespace octet

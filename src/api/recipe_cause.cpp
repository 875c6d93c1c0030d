#include "api/recipe_cause.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/engine_choice.h"

namespace octet {
namespace {

std::string score_text(const RecipeScore& score) {
  std::string text = score.name + ":";
  if (score.top1) text += fmt::format(" top-1 {:.1f} %", 100 * *score.top1);
  if (score.loss) text += fmt::format(" loss {:.3f}", *score.loss);
  if (score.batch_norm_distance) {
    text += fmt::format(" distance from BatchNormalization's statistics {:.3f}",
                        *score.batch_norm_distance);
  }
  if (!score.loss && score.information) {
    text += fmt::format(" information {:.3f} nats", *score.information);
  }
  return text;
}

}  // namespace

std::optional<Recipe> stored_recipe(const Graph& graph) {
  const auto it = graph.metadata.find(recipe_key);
  if (it == graph.metadata.end()) return std::nullopt;
  auto recipe = parse_recipe(it->second);
  if (!recipe) return std::nullopt;
  return *recipe;
}

std::optional<Cause> recipe_cause(const RecipeProbe& probe, const Recipe& given,
                                  const std::optional<Recipe>& stored) {
  Cause cause{"recipe", "", "", {}, {}, {}};
  if (!probe.given_is_best()) {
    cause.text = "these data are fed by a recipe that the float model was not trained with";
    cause.evidence = {score_text(probe.given), score_text(probe.best),
                      "the better recipe: " + to_json(probe.best.recipe)};
    if (probe.given.top1) cause.float_top1_gain = *probe.best.top1 - *probe.given.top1;
    return cause;
  }
  if (!stored || *stored == given) return std::nullopt;
  cause.text = "the model was calibrated by another recipe than these data are fed by";
  cause.evidence = {"calibration: " + to_json(*stored), "these data: " + to_json(given),
                    score_text(probe.given)};
  const auto found =
      std::find_if(probe.others.begin(), probe.others.end(),
                   [](const RecipeScore& score) { return score.name == stored_recipe_name; });
  if (found == probe.others.end()) return cause;
  cause.evidence.push_back(score_text(*found));
  if (found->top1 && probe.given.top1) cause.float_top1_gain = *probe.given.top1 - *found->top1;
  return cause;
}

}  // namespace octet

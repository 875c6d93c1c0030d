#pragma once
// A recipe that the float model likes better, as a cause.

#include <optional>

#include "analysis/recipe_probe.h"
#include "octet/diagnose.h"

namespace octet {

/// The score of the quantized model's own recipe is known by this name.
inline constexpr const char* stored_recipe_name = "stored in the quantized model";

/// The recipe that a model carries; nullopt for none.
[[nodiscard]] std::optional<Recipe> stored_recipe(const Graph& graph);

/// Another recipe than `given`, that of the data, is better, or `stored`, by which the model was
/// calibrated, is another and worse. Without advice.
[[nodiscard]] std::optional<Cause> recipe_cause(const RecipeProbe& probe, const Recipe& given,
                                                const std::optional<Recipe>& stored);

}  // namespace octet

#pragma once
// Whether a float model would rather be fed by another recipe.

#include <optional>
#include <string>
#include <vector>

#include "calibration/channel_profile.h"
#include "data/recipe.h"

namespace octet {

/// What the float model makes of samples that are fed by a recipe.
struct RecipeScore {
  std::string name;  ///< "[-1, 1], BGR"
  Recipe recipe;
  std::optional<double> loss;  ///< mean cross-entropy with labels, nats
  std::optional<double> top1;
  /// Mean over channels of ((mean - beta) / gamma)^2 + ln^2(std / |gamma|) behind the first layer
  /// that BatchNormalization followed: what was trained there against what is measured.
  std::optional<double> batch_norm_distance;
  /// H(mean p) - mean H(p) of the class probabilities p, nats: large when samples are told apart,
  /// and each surely (Bridle, Heading and MacKay 1991, "Unsupervised classifiers, mutual
  /// information and 'phantom targets'").
  std::optional<double> information;
};

struct RecipeProbe {
  std::int64_t samples = 0;
  RecipeScore given;
  RecipeScore best;  ///< `given`, unless another is better by more than chance
  std::vector<RecipeScore> others;
  std::string measure;  ///< by which it is the best: "loss", "batch_norm", "information"
  [[nodiscard]] bool given_is_best() const { return best.name == given.name; }
};

struct NamedRecipe {
  std::string name;
  Recipe recipe;
};

/// Recipes that differ from `given` in channel order and the usual scales alone: pixels 0..255,
/// 0..1, -1..1, normalised as on ImageNet (RGB), as on CIFAR-10, means subtracted (BGR). Grey
/// images: the same without channels, and as on MNIST.
[[nodiscard]] std::vector<NamedRecipe> usual_recipes(const Recipe& given);

/// The samples are images made by `given`; other recipes are tried by changing the input by
/// channel. Judged by the loss where `labels` (by data set index, label_offset not added) fit the
/// outputs, else by BatchNormalization's statistics where the graph still has them
/// (Value::moments), else by `information`. `graph` is simplified and has one image input. nullopt
/// where nothing can be judged.
[[nodiscard]] Result<std::optional<RecipeProbe>> probe_recipes(
    const Graph& graph, const Recipe& given, const std::vector<NamedRecipe>& others,
    const SampleSource& samples, std::int64_t limit, const std::vector<std::int32_t>& labels);

}  // namespace octet

#include "analysis/recipe_probe.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "analysis/metrics.h"
#include "core/parallel.h"
#include "engine/float/float_program.h"
#include "engine/worker_sessions.h"
#include "graph/image_layout.h"

namespace octet {
namespace {

constexpr std::size_t colors = 3;

/// Of color k (0 red, 1 green, 2 blue): input = slope * pixel + offset in the plane `plane`.
struct ColorLine {
  double slope = 1;
  double offset = 0;
  std::size_t plane = 0;
};

ColorLine line_of(const Recipe& recipe, std::size_t color) {
  const std::size_t plane = recipe.color == ColorOrder::bgr ? colors - 1 - color : color;
  const auto of = [&](const std::vector<float>& all, double fallback) {
    if (all.empty()) return fallback;
    return static_cast<double>(all[all.size() == 1 ? 0 : std::min(plane, all.size() - 1)]);
  };
  const double deviation = of(recipe.std, 1);
  return {recipe.scale / deviation, -of(recipe.mean, 0) / deviation,
          recipe.color == ColorOrder::gray ? 0 : plane};
}

/// The input as `to` would have made it, from what `from` has made.
Tensor refed(const Tensor& input, const Recipe& from, const Recipe& to, int channel_axis) {
  const std::size_t channels =
      channel_axis < 0 ? 1 : static_cast<std::size_t>(input.dim(channel_axis));
  std::int64_t inner = 1;
  for (int d = channel_axis + 1; channel_axis >= 0 && d < input.rank(); ++d) inner *= input.dim(d);
  Tensor out(input.dtype(), input.shape());
  const float* x = input.data<float>();
  float* y = out.mutable_data<float>();
  const std::size_t used = channels == colors ? colors : 1;
  std::array<ColorLine, colors> old_lines;
  std::array<ColorLine, colors> new_lines;
  for (std::size_t k = 0; k < used; ++k) {
    const auto a = line_of(from, k);
    const auto b = line_of(to, k);
    new_lines[b.plane] = {b.slope, b.offset, a.plane};
    old_lines[b.plane] = a;
  }
  for (std::int64_t i = 0; i < input.size(); ++i) {
    const auto plane = used == 1 ? 0 : static_cast<std::size_t>(i / inner) % channels;
    const auto& a = old_lines[plane];
    const auto& b = new_lines[plane];
    const auto shift =
        used == 1 ? std::int64_t{0}
                  : (static_cast<std::int64_t>(b.plane) - static_cast<std::int64_t>(plane)) * inner;
    const double pixel = (static_cast<double>(x[i + shift]) - a.offset) / a.slope;
    y[i] = static_cast<float>(pixel * b.slope + b.offset);
  }
  return out;
}

/// What one sample gives under one recipe.
struct Outcome {
  std::vector<double> probabilities;
  double loss = -1;
  bool hit = false;
  ChannelSums sums;
};

double entropy(const std::vector<double>& p) {
  double sum = 0;
  for (const double x : p) sum -= x > 0 ? x * std::log(x) : 0;
  return sum;
}

void score_outputs(const std::vector<const Outcome*>& outcomes, RecipeScore& score) {
  double loss = 0;
  double hits = 0;
  double entropies = 0;
  bool labelled = true;
  std::vector<double> mean;
  for (const auto* outcome : outcomes) {
    labelled = labelled && outcome->loss >= 0;
    loss += outcome->loss;
    hits += outcome->hit ? 1 : 0;
    entropies += entropy(outcome->probabilities);
    mean.resize(std::max(mean.size(), outcome->probabilities.size()), 0);
    for (std::size_t c = 0; c < outcome->probabilities.size(); ++c) {
      mean[c] += outcome->probabilities[c];
    }
  }
  const auto count = static_cast<double>(outcomes.size());
  for (auto& p : mean) p /= count;
  if (mean.size() > 1) score.information = entropy(mean) - entropies / count;
  if (!labelled) return;
  score.loss = loss / count;
  score.top1 = hits / count;
}

void score_moments(const std::vector<const Outcome*>& outcomes, const ChannelMoments& moments,
                   RecipeScore& score) {
  std::vector<ChannelSums> sums;
  for (const auto* outcome : outcomes) sums.push_back(outcome->sums);
  const auto profile = to_profile(sums);
  double distance = 0;
  std::size_t counted = 0;
  for (std::size_t c = 0; c < profile.channels() && c < moments.mean.size(); ++c) {
    const auto gamma = static_cast<double>(std::abs(moments.stddev[c]));
    if (gamma < 1e-3 || profile.variance[c] <= 0) continue;
    const double shift = (profile.mean[c] - static_cast<double>(moments.mean[c])) / gamma;
    const double spread = std::log(std::sqrt(profile.variance[c]) / gamma);
    distance += shift * shift + spread * spread;
    ++counted;
  }
  if (counted > 0) score.batch_norm_distance = distance / static_cast<double>(counted);
}

/// Whether losses fell from one recipe to another by more than chance (a paired test), and by
/// enough to matter.
bool better_loss(const std::vector<const Outcome*>& from, const std::vector<const Outcome*>& to) {
  constexpr double least_certainty = 3;
  constexpr double least_share = 0.2;
  constexpr double least_loss = 0.05;
  const auto count = static_cast<double>(from.size());
  double sum = 0;
  double gain = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    sum += from[i]->loss / count;
    gain += (from[i]->loss - to[i]->loss) / count;
  }
  if (gain < least_loss || gain < least_share * sum) return false;
  double squares = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    squares += std::pow(from[i]->loss - to[i]->loss - gain, 2);
  }
  return gain > least_certainty * std::sqrt(squares / std::max(count - 1, 1.0) / count);
}

class Prober {
 public:
  Prober(const Graph& graph, const Recipe& given, const std::vector<NamedRecipe>& others,
         const std::vector<std::int32_t>& labels)
      : graph_(graph), labels_(labels) {
    recipes_.push_back({"as given", given});
    recipes_.insert(recipes_.end(), others.begin(), others.end());
  }

  Result<std::optional<RecipeProbe>> run(const SampleSource& samples, std::int64_t limit) {
    if (!prepare()) return std::optional<RecipeProbe>();
    std::vector<ValueId> taps;
    if (tapped_ != ValueId::none) taps.push_back(tapped_);
    OCTET_ASSIGN(const auto program, compile_float(graph_, taps));
    WorkerSessions sessions(*program);
    outcomes_.resize(static_cast<std::size_t>(std::max(thread_count(), 1)));
    OCTET_ASSIGN(const auto count,
                 samples(graph_, limit, [&](int worker, const Batch& batch) -> Status {
                   OCTET_ASSIGN(auto* session, sessions.get(worker));
                   return visit(worker, batch, *session);
                 }));
    if (count == 0) return std::optional<RecipeProbe>();
    return std::optional<RecipeProbe>(judge(count));
  }

 private:
  bool prepare() {
    if (graph_.inputs.size() != 1 || graph_.outputs.empty()) return false;
    const auto input = graph_.inputs.front();
    const auto& value = graph_.value(input);
    if (value.dtype != DType::f32 || !value.shape) return false;
    if (value.shape->size() == 4) {
      channel_axis_ = image_axis_order(graph_, input) == AxisOrder::channels_last ? 3 : 1;
    }
    const auto order = graph_.topological_order();
    for (std::size_t i = 0; order && i < order->size() && tapped_ == ValueId::none; ++i) {
      const auto output = graph_.node((*order)[i]).output();
      if (output != ValueId::none && graph_.value(output).moments) tapped_ = output;
    }
    return true;
  }

  Status visit(int worker, const Batch& batch, Session& session) {
    auto& of_sample = outcomes_[static_cast<std::size_t>(worker)][batch.first];
    for (const auto& candidate : recipes_) {
      Outcome outcome;
      const std::vector<Tensor> inputs = {
          refed(batch.inputs[0], recipes_.front().recipe, candidate.recipe, channel_axis_)};
      TapRequest taps;
      if (tapped_ != ValueId::none) taps.values = {tapped_};
      taps.tap = [&](const TapView& view) { outcome.sums = channel_sums(view, 0, 0); };
      OCTET_ASSIGN(const auto outputs, session.run(inputs, &taps));
      const auto& scores = outputs.front();
      if (scores.dtype() != DType::f32) return {};
      const auto values = scores.values<float>();
      outcome.probabilities = class_probabilities(values);
      const auto index = batch.indices.empty() ? batch.first : batch.indices.front();
      if (static_cast<std::size_t>(index) < labels_.size()) {
        const auto label = labels_[static_cast<std::size_t>(index)] + candidate.recipe.label_offset;
        if (label >= 0 && static_cast<std::size_t>(label) < values.size()) {
          const auto at = static_cast<std::size_t>(label);
          outcome.loss = -std::log(outcome.probabilities[at]);
          outcome.hit = arg_max(values) == at;
        }
      }
      of_sample.push_back(std::move(outcome));
    }
    return {};
  }

  RecipeProbe judge(std::int64_t count) {
    std::map<std::int64_t, const std::vector<Outcome>*> ordered;
    for (const auto& worker : outcomes_) {
      for (const auto& [first, outcomes] : worker) ordered[first] = &outcomes;
    }
    std::vector<std::vector<const Outcome*>> by_recipe(recipes_.size());
    for (const auto& [first, outcomes] : ordered) {
      for (std::size_t i = 0; i < outcomes->size(); ++i) by_recipe[i].push_back(&(*outcomes)[i]);
    }
    RecipeProbe probe;
    probe.samples = count;
    for (std::size_t i = 0; i < recipes_.size(); ++i) {
      RecipeScore score{recipes_[i].name, recipes_[i].recipe, {}, {}, {}, {}};
      score_outputs(by_recipe[i], score);
      if (tapped_ != ValueId::none) {
        score_moments(by_recipe[i], *graph_.value(tapped_).moments, score);
      }
      if (i == 0) probe.given = score;
      if (i > 0) probe.others.push_back(score);
    }
    choose(by_recipe, probe);
    return probe;
  }

  static void choose(const std::vector<std::vector<const Outcome*>>& by_recipe,
                     RecipeProbe& probe) {
    constexpr double least_drop = 0.5;  // of the distance to BatchNormalization's moments
    constexpr double least_distance = 0.05;
    constexpr double least_information = 1.25;
    probe.best = probe.given;
    for (std::size_t i = 0; i < probe.others.size(); ++i) {
      const auto& other = probe.others[i];
      if (probe.given.loss) {
        probe.measure = "loss";
        const bool better = better_loss(by_recipe[0], by_recipe[i + 1]);
        if (better && other.loss && *other.loss < *probe.best.loss) probe.best = other;
      } else if (probe.given.batch_norm_distance) {
        probe.measure = "batch_norm";
        const bool better =
            other.batch_norm_distance && *probe.given.batch_norm_distance > least_distance &&
            *other.batch_norm_distance < least_drop * *probe.given.batch_norm_distance;
        if (better && *other.batch_norm_distance < *probe.best.batch_norm_distance) {
          probe.best = other;
        }
      } else if (probe.given.information && other.information) {
        probe.measure = "information";
        const bool better = *other.information > least_information * *probe.given.information;
        if (better && *other.information > *probe.best.information) probe.best = other;
      }
    }
  }

  const Graph& graph_;
  const std::vector<std::int32_t>& labels_;
  std::vector<NamedRecipe> recipes_;
  int channel_axis_ = -1;
  ValueId tapped_ = ValueId::none;
  std::vector<std::map<std::int64_t, std::vector<Outcome>>> outcomes_;  ///< by worker and batch
};

}  // namespace

std::vector<NamedRecipe> usual_recipes(const Recipe& given) {
  struct Scaling {
    const char* name;
    double scale;
    std::vector<float> mean;
    std::vector<float> std;
  };
  constexpr double unit = 1.0 / 255;
  const bool gray = given.color == ColorOrder::gray;
  std::vector<Scaling> scalings = {
      {"0..255", 1, {}, {}}, {"0..1", unit, {}, {}}, {"-1..1", 2 * unit, {1}, {}}};
  if (gray) {
    scalings.push_back({"normalised as MNIST", unit, {0.1307F}, {0.3081F}});
  } else {
    scalings.push_back(
        {"normalised as ImageNet", unit, {0.485F, 0.456F, 0.406F}, {0.229F, 0.224F, 0.225F}});
    scalings.push_back(
        {"normalised as CIFAR-10", unit, {0.4914F, 0.4822F, 0.4465F}, {0.247F, 0.2435F, 0.2616F}});
    scalings.push_back({"means subtracted", 1, {123.68F, 116.779F, 103.939F}, {}});
  }
  scalings.push_back({"as given", given.scale, given.mean, given.std});
  if (given.color == ColorOrder::bgr) {
    auto& own = scalings.back();
    if (own.mean.size() == colors) std::reverse(own.mean.begin(), own.mean.end());
    if (own.std.size() == colors) std::reverse(own.std.begin(), own.std.end());
  }
  std::vector<NamedRecipe> recipes;
  const auto add = [&](const Scaling& scaling, ColorOrder order, const char* suffix) {
    Recipe recipe = given;
    recipe.color = order;
    recipe.scale = scaling.scale;
    recipe.mean = scaling.mean;
    recipe.std = scaling.std;
    if (order == ColorOrder::bgr && recipe.mean.size() == colors) {
      std::reverse(recipe.mean.begin(), recipe.mean.end());
    }
    if (order == ColorOrder::bgr && recipe.std.size() == colors) {
      std::reverse(recipe.std.begin(), recipe.std.end());
    }
    if (!(recipe == given)) recipes.push_back({std::string(scaling.name) + suffix, recipe});
  };
  for (const auto& scaling : scalings) {
    if (gray) {
      add(scaling, ColorOrder::gray, "");
      continue;
    }
    add(scaling, ColorOrder::rgb, ", RGB");
    add(scaling, ColorOrder::bgr, ", BGR");
  }
  return recipes;
}

Result<std::optional<RecipeProbe>> probe_recipes(const Graph& graph, const Recipe& given,
                                                 const std::vector<NamedRecipe>& others,
                                                 const SampleSource& samples, std::int64_t limit,
                                                 const std::vector<std::int32_t>& labels) {
  return Prober(graph, given, others, labels).run(samples, limit);
}

}  // namespace octet

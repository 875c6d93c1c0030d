#include "tuning/search.h"

#include <gtest/gtest.h>

#include <functional>
#include <tuple>

namespace octet {
namespace {

/// A model of which a formula says what each plan gives.
class Formula final : public TrialRunner {
 public:
  using Rule = std::function<TrialResult(const TrialPlan&)>;
  explicit Formula(Rule rule) : rule_(std::move(rule)) {}

  Result<std::optional<TrialResult>> run(const TrialPlan& plan) override {
    plans.push_back(plan);
    if (plan.observer == failing) return std::optional<TrialResult>();
    return std::optional(rule_(plan));
  }
  Result<std::vector<LayerEffect>> layers(const TrialPlan&) override {
    std::vector<LayerEffect> effects;
    for (int i = 0; i < 8; ++i) {
      LayerEffect effect;
      effect.node = std::string(1, static_cast<char>('a' + i));
      effect.input = effect.node + "_in";
      effect.float_gain = 8 - i;
      effect.narrow_loss = 8 - i;
      effect.weights = 100;
      effect.macs = 10;
      effects.push_back(effect);
    }
    return effects;
  }

  [[nodiscard]] std::string steps() const {
    std::string text;
    for (const auto& plan : plans) text += std::string(name(plan.step)) + " ";
    return text;
  }

  std::vector<TrialPlan> plans;
  std::string failing;

 private:
  Rule rule_;
};

SearchSpace space() {
  SearchSpace space;
  space.observers = {"mse", "minmax"};
  space.levels = {"none", "fast", "best"};
  return space;
}

/// Drop 8 with nothing done, less with each step; layers in float take 1 each.
TrialResult model(const TrialPlan& plan) {
  TrialResult result;
  result.drop = 8;
  if (plan.observer == "minmax") result.drop += 1;
  if (plan.optimize == "fast") result.drop = 6;
  if (plan.optimize == "best") result.drop = plan.round_weights ? 4 : 5;
  result.drop -= static_cast<double>(plan.keep_float.size());
  if (plan.train) result.drop = -1;
  result.error = result.drop / 10;
  result.bytes = 1000 + 300 * plan.keep_float.size() - 50 * plan.narrow.size();
  return result;
}

TEST(Search, StopsAtTheCheapestStepThatReaches) {
  for (const auto& [target, last, trials] :
       {std::tuple(8.0, TuneStep::none, 1U), std::tuple(6.0, TuneStep::fast, 3U),
        std::tuple(5.0, TuneStep::best, 4U), std::tuple(4.0, TuneStep::best, 5U)}) {
    Formula formula(model);
    const auto outcome = search(space(), {target, {}, {}}, formula);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->reached);
    EXPECT_EQ(formula.plans.back().step, last) << target;
    EXPECT_EQ(formula.plans.size(), trials) << formula.steps();
  }
}

TEST(Search, LeavesAsFewLayersInFloatAsItTakes) {
  Formula formula(model);
  const auto outcome = search(space(), {2.0, {}, {}}, formula);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->reached);
  EXPECT_EQ(outcome->layers.size(), 8U);
  std::size_t fewest = 100;
  for (const auto& plan : formula.plans) {
    if (model(plan).drop <= 2.0) fewest = std::min(fewest, plan.keep_float.size());
  }
  EXPECT_EQ(fewest, 2U) << formula.steps();
}

TEST(Search, TrainsLast) {
  Formula formula(model);
  const auto reached = search(space(), {-1.0, {}, {}}, formula);
  ASSERT_TRUE(reached);
  EXPECT_TRUE(reached->reached);
  EXPECT_EQ(formula.plans.back().step, TuneStep::training);

  Formula missed(model);
  const auto outcome = search(space(), {-2.0, {}, {}}, missed);
  ASSERT_TRUE(outcome);
  EXPECT_FALSE(outcome->reached);
  EXPECT_EQ(missed.steps(), formula.steps()) << "all steps were tried";
}

TEST(Search, GoesOnWhenATrialFails) {
  Formula formula(model);
  formula.failing = "mse";
  const auto outcome = search(space(), {5.0, {}, {}}, formula);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->reached);
  EXPECT_EQ(formula.plans.back().observer, "minmax");
}

TEST(Search, NarrowsWeightsUntilTheFileFits) {
  Formula formula(model);
  const auto outcome = search(space(), {5.0, 900, {}}, formula);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->reached);
  const auto& last = formula.plans.back();
  EXPECT_EQ(last.narrow, (std::vector<std::string>{"h", "g"})) << "those that lose least";
  EXPECT_EQ(last.optimize, "best");
  EXPECT_TRUE(last.keep_float.empty());
}

TEST(Search, EndsWhereNothingFits) {
  Formula formula(model);
  const auto outcome = search(space(), {100.0, 10, {}}, formula);
  ASSERT_TRUE(outcome);
  EXPECT_FALSE(outcome->reached);
  EXPECT_EQ(formula.steps(), "none mixed ");
  EXPECT_EQ(formula.plans.back().narrow.size(), 8U);
}

/// With no bytes to spare layers get 16-bit activations.
TEST(Search, WidensActivationsWhereBytesAreShort) {
  auto wide = space();
  wide.wide_values = true;
  Formula formula([](const TrialPlan& plan) {
    auto result = model(plan);
    result.drop -= static_cast<double>(plan.wide.size()) / 2;
    result.error = result.drop / 10;
    return result;
  });
  const auto outcome = search(wide, {3.0, 1000, {}}, formula);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->reached);
  EXPECT_EQ(formula.plans.back().wide, (std::vector<std::string>{"a_in", "a"}));
}

TEST(Search, KeepsToWhatIsFixed) {
  SearchSpace fixed = space();
  fixed.observers = {"entropy"};
  fixed.levels = {"fast"};
  fixed.round_weights = false;
  fixed.training = false;
  Formula formula(model);
  ASSERT_TRUE(search(fixed, {-100.0, {}, {}}, formula));
  for (const auto& plan : formula.plans) {
    EXPECT_EQ(plan.observer, "entropy");
    EXPECT_EQ(plan.optimize, "fast");
    EXPECT_FALSE(plan.train);
  }
}

TEST(Search, ExploresBothDirections) {
  Formula formula(model);
  ASSERT_TRUE(explore(space(), formula));
  std::size_t narrow = 0;
  std::size_t floating = 0;
  for (const auto& plan : formula.plans) {
    EXPECT_EQ(plan.step, TuneStep::pareto);
    narrow = std::max(narrow, plan.narrow.size());
    floating = std::max(floating, plan.keep_float.size());
  }
  EXPECT_EQ(narrow, 8U);
  EXPECT_EQ(floating, 4U) << "half of the multiply-accumulates";
}

TEST(Trial, TheBestKeepsTheBudgetFirst) {
  const Goal goal{1, 100, {}};
  const auto trial = [](double drop, std::uint64_t bytes) {
    TrialResult result;
    result.drop = drop;
    result.bytes = bytes;
    return result;
  };
  EXPECT_TRUE(better(goal, trial(9, 100), trial(0, 101)));
  EXPECT_TRUE(better(goal, trial(9, 101), trial(0, 102))) << "none keeps it: the smallest";
  EXPECT_TRUE(better(goal, trial(2, 100), trial(3, 50)));
  EXPECT_TRUE(better(goal, trial(0.9, 50), trial(0.1, 60))) << "both reach it: the smaller";
}

}  // namespace
}  // namespace octet

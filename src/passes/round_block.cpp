#include "passes/round_block.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "arithmetic/round.h"

namespace octet {
namespace {

using gradient::Parameters;

constexpr std::size_t held_back_every = 5;
/// Gradients that are computed, and after how many the second derivative is anew.
constexpr int most_rounds = 32;
constexpr int curvature_rounds = 8;
/// By what the number of moves is divided where the error did not fall.
constexpr std::size_t backoff = 4;
/// Moves that alone do not lower the error, one after the other, before a round is given up.
constexpr int most_failures = 8;

bool held_back(std::size_t sample) { return sample % held_back_every == held_back_every - 1; }

/// Sums of squared errors.
struct Errors {
  double learned = 0;
  double held_back = 0;

  [[nodiscard]] double all() const { return learned + held_back; }
  [[nodiscard]] bool below(const Errors& other) const {
    return learned < other.learned && held_back < other.held_back;
  }
};

Result<Errors> errors_of(BlockRunner& runner) {
  OCTET_ASSIGN(const auto by_sample, runner.errors());
  Errors errors;
  for (std::size_t i = 0; i < by_sample.size(); ++i) {
    (held_back(i) ? errors.held_back : errors.learned) += by_sample[i];
  }
  return errors;
}

/// What one layer is made of at the moment.
struct Numbers {
  Tensor codes;
  Tensor bias;  ///< empty without one

  [[nodiscard]] std::span<std::int8_t> mutable_codes() {
    return {codes.mutable_data<std::int8_t>(), static_cast<std::size_t>(codes.size())};
  }
};

struct Move {
  double change = 0;  ///< of the error, expected
  std::size_t layer = 0;
  std::size_t element = 0;
  std::size_t output = 0;  ///< channel of the layer
  bool bias = false;
  float by = 0;  ///< steps of a code, or what is added to a bias

  [[nodiscard]] auto place() const { return std::tuple(layer, bias, element); }
  [[nodiscard]] auto row() const { return std::pair(layer, output); }
};

/// Fixed of one layer.
struct Choices {
  std::vector<float> scale;            ///< by weight
  std::vector<std::size_t> output;     ///< channel, by weight
  std::vector<std::int8_t> neighbour;  ///< by weight: -1 or 1 from the code at hand, 0 for none
};

Choices choices_of(const BlockLayer& layer) {
  Choices choices;
  const auto count = static_cast<std::size_t>(layer.codes.size());
  choices.scale.resize(count);
  choices.output.resize(count);
  choices.neighbour.resize(count);
  for_each_weight(layer.view, [&](std::size_t output, std::size_t, std::size_t i) {
    const float scale = layer.scale[layer.scale.size() == 1 ? 0 : output];
    const float wanted =
        saturate(layer.float_weight.data<float>()[i] / scale, static_cast<float>(layer.limits.low),
                 static_cast<float>(layer.limits.high));
    const auto code = static_cast<float>(layer.codes.data<std::int8_t>()[i]);
    choices.scale[i] = scale;
    choices.output[i] = output;
    choices.neighbour[i] =
        static_cast<std::int8_t>((wanted > code ? 1 : 0) - (wanted < code ? 1 : 0));
  });
  return choices;
}

class Descent {
 public:
  Descent(const BlockGraph& block, const std::vector<BlockLayer>& layers, std::size_t samples)
      : layers_(layers) {
    for (const auto& layer : layers) {
      const Tensor* bias = block.graph().constant(layer.bias);
      numbers_.push_back({layer.codes, bias == nullptr ? Tensor() : *bias});
      choices_.push_back(choices_of(layer));
    }
    for (std::size_t i = 0; i < samples; ++i) {
      if (!held_back(i)) learned_.push_back(i);
    }
  }

  [[nodiscard]] std::vector<ValueId> trained() const {
    std::vector<ValueId> ids;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      ids.push_back(layers_[i].weight);
      if (!numbers_[i].bias.empty()) ids.push_back(layers_[i].bias);
    }
    return ids;
  }

  Result<BlockRounding> run(BlockRunner& runner) {
    OCTET_TRY(runner.update(parameters(numbers_)));
    OCTET_ASSIGN(errors_, errors_of(runner));
    BlockRounding rounding;
    rounding.error_before = errors_.all();
    std::size_t count = 8;
    for (int round = 0; round < most_rounds && count > 0; ++round) {
      if (round % curvature_rounds == 0) {
        OCTET_ASSIGN(curvatures_, runner.curvatures(learned_));
      }
      OCTET_ASSIGN(const auto gradients, runner.gradients(learned_));
      OCTET_ASSIGN(count, make_some(runner, best_moves(gradients), 2 * count));
    }
    rounding.error = errors_.all();
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const auto before = layers_[i].codes.values<std::int8_t>();
      const auto after = numbers_[i].codes.values<std::int8_t>();
      for (std::size_t k = 0; k < before.size(); ++k) {
        rounding.moved += before[k] != after[k] ? 1 : 0;
      }
      rounding.codes.push_back(std::move(numbers_[i].codes));
      rounding.biases.push_back(std::move(numbers_[i].bias));
    }
    return rounding;
  }

 private:
  [[nodiscard]] Parameters parameters(const std::vector<Numbers>& numbers) const {
    Parameters parameters;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      Tensor weights(DType::f32, numbers[i].codes.shape());
      const auto codes = numbers[i].codes.values<std::int8_t>();
      for (std::size_t k = 0; k < codes.size(); ++k) {
        weights.mutable_data<float>()[k] = choices_[i].scale[k] * static_cast<float>(codes[k]);
      }
      parameters[layers_[i].weight] = std::move(weights);
      if (!numbers[i].bias.empty()) parameters[layers_[i].bias] = numbers[i].bias;
    }
    return parameters;
  }

  /// Of each output channel the one that lowers the error most, best first: those of one channel
  /// have the same effect.
  [[nodiscard]] std::vector<Move> best_moves(const Parameters& gradients) const {
    std::vector<Move> moves;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      add_codes(gradients.at(layers_[i].weight).values<float>(),
                curvatures_.at(layers_[i].weight).values<float>(), i, moves);
      if (numbers_[i].bias.empty()) continue;
      add_biases(gradients.at(layers_[i].bias).values<float>(),
                 curvatures_.at(layers_[i].bias).values<float>(), i, moves);
    }
    std::stable_sort(moves.begin(), moves.end(),
                     [](const Move& a, const Move& b) { return a.change < b.change; });
    std::set<std::pair<std::size_t, std::size_t>> rows;
    std::erase_if(moves, [&](const Move& move) {
      return failed_.contains(move.place()) || !rows.insert(move.row()).second;
    });
    return moves;
  }

  void add_codes(std::span<const float> gradient, std::span<const float> curvature,
                 std::size_t layer, std::vector<Move>& moves) const {
    const auto first = layers_[layer].codes.values<std::int8_t>();
    const auto codes = numbers_[layer].codes.values<std::int8_t>();
    for (std::size_t k = 0; k < codes.size(); ++k) {
      const int neighbour = choices_[layer].neighbour[k];
      const auto by = static_cast<float>(codes[k] == first[k] ? neighbour : -neighbour);
      const float step = by * choices_[layer].scale[k];
      const float change = step * (gradient[k] + step * curvature[k] / 2);
      if (!(change < 0)) continue;
      moves.push_back(
          {static_cast<double>(change), layer, k, choices_[layer].output[k], false, by});
    }
  }

  void add_biases(std::span<const float> gradient, std::span<const float> curvature,
                  std::size_t layer, std::vector<Move>& moves) const {
    for (std::size_t k = 0; k < gradient.size(); ++k) {
      if (!(curvature[k] > 0)) continue;
      const float by = -gradient[k] / curvature[k];
      const double change = static_cast<double>(gradient[k] * by) / 2;
      if (change < 0) moves.push_back({change, layer, k, k, true, by});
    }
  }

  /// Makes the first `count` moves, or fewer; how many. 0: the error did not fall.
  Result<std::size_t> make_some(BlockRunner& runner, std::vector<Move> moves, std::size_t count) {
    int failures = 0;
    while (!moves.empty() && failures < most_failures) {
      count = std::clamp<std::size_t>(count, 1, moves.size());
      OCTET_ASSIGN(const bool fell, make_all(runner, std::span(moves).first(count)));
      if (fell) return count;
      if (count == 1) {
        failed_.insert(moves[0].place());
        moves.erase(moves.begin());
        ++failures;
      }
      count /= backoff;
    }
    return 0;
  }

  /// Unless the error does not fall.
  Result<bool> make_all(BlockRunner& runner, std::span<const Move> moves) {
    auto trial = numbers_;
    for (const auto& move : moves) make(move, trial[move.layer]);
    OCTET_TRY(runner.update(parameters(trial)));
    OCTET_ASSIGN(const auto errors, errors_of(runner));
    if (!errors.below(errors_)) {
      OCTET_TRY(runner.update(parameters(numbers_)));
      return false;
    }
    numbers_ = std::move(trial);
    errors_ = errors;
    return true;
  }

  static void make(const Move& move, Numbers& numbers) {
    if (move.bias) {
      numbers.bias.mutable_data<float>()[move.element] += move.by;
    } else {
      auto& code = numbers.mutable_codes()[move.element];
      code = static_cast<std::int8_t>(code + static_cast<int>(move.by));
    }
  }

  const std::vector<BlockLayer>& layers_;
  std::vector<Choices> choices_;
  std::vector<Numbers> numbers_;
  std::set<std::tuple<std::size_t, bool, std::size_t>> failed_;  ///< Move::place
  std::vector<std::size_t> learned_;                             ///< samples that are not held back
  Parameters curvatures_;
  Errors errors_;
};

}  // namespace

Result<BlockRounding> round_block(const BlockGraph& block, const std::vector<BlockLayer>& layers,
                                  const BlockSamples& samples) {
  Descent descent(block, layers, samples.inputs.size());
  OCTET_ASSIGN(auto runner, BlockRunner::make(block, samples, descent.trained()));
  return descent.run(runner);
}

}  // namespace octet

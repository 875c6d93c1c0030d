#include "passes/scale_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/parallel.h"
#include "core/progress.h"
#include "engine/float/vector_clones.h"

namespace octet {
namespace {

constexpr int steps = 30;
constexpr double first_step = 0.25;
/// Rounds over all classes that make ranges equal.
constexpr int start_sweeps = 3;
/// What a layer's noise is at least, so that logarithms exist.
constexpr double smallest_noise = 1e-300;

/// Share of the largest magnitude below which a weight does not count in the p-norm; larger powers
/// of it would be denormal.
constexpr float smallest_ratio(int squarings) { return squarings <= 4 ? 0.02F : 0.3F; }

/// powers[i] = (weights[i] * row * columns[i])^(2^squarings); returns the largest base.
OCTET_VECTOR_CLONES float row_powers(const float* __restrict weights, float row,
                                     const float* __restrict columns, std::int64_t count,
                                     int squarings, float floor_ratio, float* __restrict powers) {
  constexpr std::int64_t lanes = 16;
  float largest[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (std::int64_t l = 0; l < lanes; ++l) {
      const float value = weights[i + l] * row * columns[i + l];
      largest[l] = value > largest[l] ? value : largest[l];
      powers[i + l] = value > floor_ratio ? value : floor_ratio;
    }
  }
  for (; i < count; ++i) {
    const float value = weights[i] * row * columns[i];
    largest[0] = value > largest[0] ? value : largest[0];
    powers[i] = value > floor_ratio ? value : floor_ratio;
  }
  for (int s = 0; s < squarings; ++s) {
    for (i = 0; i < count; ++i) powers[i] *= powers[i];
  }
  return *std::max_element(largest, largest + lanes);
}

OCTET_VECTOR_CLONES float row_sum(const float* values, std::int64_t count) {
  constexpr std::int64_t lanes = 16;
  float sums[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (std::int64_t l = 0; l < lanes; ++l) sums[l] += values[i + l];
  }
  for (; i < count; ++i) sums[0] += values[i];
  float sum = 0;
  for (const float lane : sums) sum += lane;
  return sum;
}

OCTET_VECTOR_CLONES void add_row(const float* __restrict values, std::int64_t count,
                                 float* __restrict sums) {
  for (std::int64_t i = 0; i < count; ++i) sums[i] += values[i];
}

using LogScales = std::vector<std::vector<double>>;

/// A term of the sum: its logarithm and the gradient of that by the log scales of two classes.
struct Term {
  double log_noise = 0;
  std::vector<double> by_output;
  std::vector<double> by_input;
};

/// Scratch of a layer and the scale at which its powers were in range last.
struct LayerState {
  std::vector<float> powers;
  std::vector<float> columns;
  std::vector<float> column_sums;
  std::vector<double> row_shares;
  double log_reference = 0;  ///< log of the largest scaled weight at the last visit
  bool known = false;        ///< there was one
};

double log_scale(const LogScales& scales, int of_class, std::int64_t channel) {
  return of_class < 0
             ? 0.0
             : scales[static_cast<std::size_t>(of_class)][static_cast<std::size_t>(channel)];
}

/// One step for the whole tensor: log of (step^2 / 12 * taps * sum_g [sum_o] [sum_i]).
class TensorTerm {
 public:
  TensorTerm(const NoisyLayer& layer, const LogScales& scales, int squarings, LayerState& state)
      : layer_(layer), scales_(scales), squarings_(squarings), state_(state) {}

  Term run() {
    const double log_step = smooth_largest();
    Term term;
    term.by_output.assign(static_cast<std::size_t>(layer_.groups * layer_.outputs), 0);
    term.by_input.assign(static_cast<std::size_t>(layer_.groups * layer_.inputs), 0);
    const double rest = noise(term);
    for (std::size_t o = 0; o < term.by_output.size(); ++o) {
      term.by_output[o] += 2 * state_.row_shares[o];
    }
    for (std::size_t i = 0; i < term.by_input.size(); ++i) {
      term.by_input[i] -= 2 * static_cast<double>(state_.column_sums[i]) / total_;
    }
    term.log_noise = 2 * (log_step - std::log(layer_.levels)) +
                     std::log(rest * layer_.taps / 12 + smallest_noise);
    return term;
  }

 private:
  /// Log of the p-norm of the scaled weights; shares of rows and columns in its p-th power. Powers
  /// are taken relative to the largest weight of the last visit: a step moves it by little.
  double smooth_largest() {
    const auto channels = static_cast<std::size_t>(layer_.groups * layer_.inputs);
    double widest = -1e30;
    for (std::size_t i = 0; i < channels; ++i) {
      widest = std::max(widest, -log_scale(scales_, layer_.in, static_cast<std::int64_t>(i)));
    }
    state_.columns.resize(channels);
    for (std::size_t i = 0; i < channels; ++i) {
      state_.columns[i] = static_cast<float>(
          std::exp(-log_scale(scales_, layer_.in, static_cast<std::int64_t>(i)) - widest));
    }
    state_.powers.resize(static_cast<std::size_t>(layer_.inputs));
    if (!state_.known) {
      state_.log_reference = 0;
      state_.log_reference = sum_powers(widest, 0);
      state_.known = true;
    }
    const double reference = state_.log_reference;
    state_.log_reference = sum_powers(widest, squarings_);
    return reference + std::log(total_) / static_cast<double>(1 << squarings_);
  }

  /// Fills row_shares, column_sums and total_; returns the log of the largest scaled weight.
  double sum_powers(double widest, int squarings) {
    const auto inputs = layer_.inputs;
    state_.column_sums.assign(state_.columns.size(), 0);
    state_.row_shares.assign(static_cast<std::size_t>(layer_.groups * layer_.outputs), 0);
    total_ = 0;
    float largest = 0;
    const float floor_ratio = squarings == 0 ? 0.0F : smallest_ratio(squarings);
    for (std::int64_t o = 0; o < layer_.groups * layer_.outputs; ++o) {
      const auto first = o / layer_.outputs * inputs;
      const auto row = static_cast<float>(
          std::exp(log_scale(scales_, layer_.out, o) + widest - state_.log_reference));
      largest = std::max(largest, row_powers(layer_.magnitude.data() + o * inputs, row,
                                             state_.columns.data() + first, inputs, squarings,
                                             floor_ratio, state_.powers.data()));
      const double sum = static_cast<double>(row_sum(state_.powers.data(), inputs));
      add_row(state_.powers.data(), inputs, state_.column_sums.data() + first);
      state_.row_shares[static_cast<std::size_t>(o)] = sum;
      total_ += sum;
    }
    for (auto& share : state_.row_shares) share /= total_;
    return state_.log_reference + std::log(static_cast<double>(largest));
  }

  double noise(Term& term) const {
    double all = 0;
    for (std::int64_t g = 0; g < layer_.groups; ++g) {
      double out = 0;
      double in = 0;
      for (std::int64_t k = 0; k < layer_.outputs; ++k) {
        const auto o = g * layer_.outputs + k;
        out += of_output(o);
      }
      for (std::int64_t k = 0; k < layer_.inputs; ++k) {
        in += of_input(g * layer_.inputs + k);
      }
      for (std::int64_t k = 0; k < layer_.outputs; ++k) {
        const auto o = g * layer_.outputs + k;
        term.by_output[static_cast<std::size_t>(o)] = -2 * of_output(o) * in;
      }
      for (std::int64_t k = 0; k < layer_.inputs; ++k) {
        const auto i = g * layer_.inputs + k;
        term.by_input[static_cast<std::size_t>(i)] = 2 * of_input(i) * out;
      }
      all += out * in;
    }
    const double scale = 1 / (all + smallest_noise);
    for (auto& value : term.by_output) value *= scale;
    for (auto& value : term.by_input) value *= scale;
    return all;
  }
  [[nodiscard]] double of_output(std::int64_t o) const {
    return layer_.importance[static_cast<std::size_t>(o)] *
           std::exp(-2 * log_scale(scales_, layer_.out, o));
  }
  [[nodiscard]] double of_input(std::int64_t i) const {
    return layer_.variance[static_cast<std::size_t>(i)] *
           std::exp(2 * log_scale(scales_, layer_.in, i));
  }

  const NoisyLayer& layer_;
  const LogScales& scales_;
  int squarings_;
  LayerState& state_;
  double total_ = 0;
};

/// A step for each output channel, whose own scale then does not matter.
Term channel_term(const NoisyLayer& layer, const LogScales& scales, int squarings,
                  LayerState& state) {
  Term term;
  const auto inputs = layer.inputs;
  term.by_input.assign(static_cast<std::size_t>(layer.groups * inputs), 0);
  if (layer.in < 0) return term;
  const double exponent = static_cast<double>(1 << squarings);
  state.powers.resize(static_cast<std::size_t>(inputs));
  state.columns.resize(static_cast<std::size_t>(inputs));
  double all = 0;
  std::vector<double> noise_of_input(static_cast<std::size_t>(inputs));
  for (std::int64_t g = 0; g < layer.groups; ++g) {
    double widest = -1e30;
    double in = 0;
    for (std::int64_t k = 0; k < inputs; ++k) {
      const double scale = log_scale(scales, layer.in, g * inputs + k);
      widest = std::max(widest, -scale);
      auto& noise = noise_of_input[static_cast<std::size_t>(k)];
      noise = layer.variance[static_cast<std::size_t>(g * inputs + k)] * std::exp(2 * scale);
      in += noise;
    }
    for (std::int64_t k = 0; k < inputs; ++k) {
      state.columns[static_cast<std::size_t>(k)] =
          static_cast<float>(std::exp(-log_scale(scales, layer.in, g * inputs + k) - widest));
    }
    double of_group = 0;
    for (std::int64_t k = 0; k < layer.outputs; ++k) {
      const auto o = g * layer.outputs + k;
      const float* weights = layer.magnitude.data() + o * inputs;
      const float base =
          row_powers(weights, 1.0F, state.columns.data(), inputs, 0, 0.0F, state.powers.data());
      if (base <= 0) continue;
      (void)row_powers(weights, 1 / base, state.columns.data(), inputs, squarings,
                       smallest_ratio(squarings), state.powers.data());
      const double sum = static_cast<double>(row_sum(state.powers.data(), inputs));
      const double log_step =
          std::log(static_cast<double>(base)) + widest + std::log(sum) / exponent;
      const double noise =
          layer.importance[static_cast<std::size_t>(o)] * std::exp(2 * log_step) * in;
      of_group += noise;
      const double share = 2 * noise / sum;
      for (std::int64_t i = 0; i < inputs; ++i) {
        term.by_input[static_cast<std::size_t>(g * inputs + i)] -=
            share * static_cast<double>(state.powers[static_cast<std::size_t>(i)]);
      }
    }
    for (std::int64_t i = 0; i < inputs && in > 0; ++i) {
      term.by_input[static_cast<std::size_t>(g * inputs + i)] +=
          2 * of_group * noise_of_input[static_cast<std::size_t>(i)] / in;
    }
    all += of_group;
  }
  const double scale = 1 / (all + smallest_noise);
  for (auto& value : term.by_input) value *= scale;
  term.log_noise = std::log(all * layer.taps / 12 + smallest_noise) - 2 * std::log(layer.levels);
  return term;
}

Term value_term(const NoisyValue& value, const LogScales& scales, int squarings) {
  const double exponent = static_cast<double>(1 << squarings);
  const auto& log_scales = scales[static_cast<std::size_t>(value.scale_class)];
  const auto count = value.magnitude.size();
  Term term;
  term.by_output.assign(count, 0);
  double largest = smallest_noise;
  std::vector<double> sizes(count);
  for (std::size_t i = 0; i < count; ++i) {
    sizes[i] = value.magnitude[i] * std::exp(log_scales[i]);
    largest = std::max(largest, sizes[i]);
  }
  double total = 0;
  double noise = 0;
  std::vector<double> noises(count);
  for (std::size_t i = 0; i < count; ++i) {
    sizes[i] = std::pow(sizes[i] / largest, exponent);
    total += sizes[i];
    noises[i] = value.importance[i] * std::exp(-2 * log_scales[i]);
    noise += noises[i];
  }
  for (std::size_t i = 0; i < count; ++i) {
    term.by_output[i] =
        (total > 0 ? 2 * sizes[i] / total : 0.0) - (noise > 0 ? 2 * noises[i] / noise : 0.0);
  }
  term.log_noise = 2 * (std::log(largest) + std::log(std::max(total, 1e-30)) / exponent -
                        std::log(value.levels)) +
                   std::log(noise / 12 + smallest_noise);
  return term;
}

class Search {
 public:
  explicit Search(const ScaleProblem& problem) : problem_(problem), states_(problem.layers.size()) {
    for (const auto& one : problem.classes) {
      scales_.emplace_back(one.lowest.size(), 0.0);
      first_.emplace_back(one.lowest.size(), 0.0);
      second_.emplace_back(one.lowest.size(), 0.0);
    }
    // The largest layers first, so that threads end together.
    const auto layers = problem.layers.size();
    order_.resize(layers + problem.values.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    const auto size = [&](std::size_t i) {
      return i < layers ? problem.layers[i].magnitude.size() : std::size_t{0};
    };
    std::stable_sort(order_.begin(), order_.end(),
                     [&](std::size_t a, std::size_t b) { return size(a) > size(b); });
  }

  Result<ScaleSolution> run() {
    ScaleSolution solution;
    solution.noise_before = std::exp(total_noise(evaluate(exact_squarings)));
    start(solution.noise_before);
    for (int step = 0; step < steps; ++step) {
      OCTET_TRY(check_cancel());
      move(step);
    }
    solution.noise_after = std::exp(total_noise(evaluate(exact_squarings)));
    solution.log_scales = std::move(scales_);
    return solution;
  }

 private:
  static constexpr int exact_squarings = 6;
  static constexpr int smooth_squarings = 4;

  /// Starts from equal ranges of the channels of neighbouring layers, found in turns (Nagel et al.
  /// 2019, equation 11), where that is better than no scales at all.
  void start(double noise_of_ones) {
    const auto ones = scales_;
    for (int sweep = 0; sweep < start_sweeps; ++sweep) {
      for (std::size_t k = 0; k < scales_.size(); ++k) equalize_ranges(static_cast<int>(k));
    }
    if (std::exp(total_noise(evaluate(exact_squarings))) < noise_of_ones) return;
    scales_ = ones;
    for (auto& state : states_) state.known = false;
  }

  void equalize_ranges(int k) {
    auto& scales = scales_[static_cast<std::size_t>(k)];
    const auto& bounds = problem_.classes[static_cast<std::size_t>(k)];
    std::vector<float> made(scales.size(), 0.0F);
    std::vector<float> read(scales.size(), 0.0F);
    for (const auto& layer : problem_.layers) {
      if (layer.out == k) widen_rows(layer, made);
      if (layer.in == k) widen_columns(layer, read);
    }
    for (std::size_t c = 0; c < scales.size(); ++c) {
      if (made[c] <= 0 || read[c] <= 0) continue;
      const double wanted =
          (std::log(static_cast<double>(read[c])) - std::log(static_cast<double>(made[c]))) / 2;
      scales[c] = std::clamp(wanted, bounds.lowest[c], bounds.highest[c]);
    }
  }

  /// Largest weight of each row, with the columns scaled as they are now.
  void widen_rows(const NoisyLayer& layer, std::vector<float>& largest) const {
    std::vector<float> columns(static_cast<std::size_t>(layer.groups * layer.inputs));
    for (std::size_t i = 0; i < columns.size(); ++i) {
      columns[i] =
          static_cast<float>(std::exp(-log_scale(scales_, layer.in, static_cast<std::int64_t>(i))));
    }
    for (std::int64_t o = 0; o < layer.groups * layer.outputs; ++o) {
      auto& row = largest[static_cast<std::size_t>(o)];
      const float* weights = layer.magnitude.data() + o * layer.inputs;
      const float* factors = columns.data() + o / layer.outputs * layer.inputs;
      for (std::int64_t i = 0; i < layer.inputs; ++i) row = std::max(row, weights[i] * factors[i]);
    }
  }

  /// Largest weight of each column, with the rows scaled as they are now.
  void widen_columns(const NoisyLayer& layer, std::vector<float>& largest) const {
    for (std::int64_t o = 0; o < layer.groups * layer.outputs; ++o) {
      const auto factor = static_cast<float>(std::exp(log_scale(scales_, layer.out, o)));
      const float* weights = layer.magnitude.data() + o * layer.inputs;
      float* columns = largest.data() + o / layer.outputs * layer.inputs;
      for (std::int64_t i = 0; i < layer.inputs; ++i) {
        columns[i] = std::max(columns[i], weights[i] * factor);
      }
    }
  }

  std::vector<Term> evaluate(int squarings) {
    const auto layers = problem_.layers.size();
    std::vector<Term> terms(layers + problem_.values.size());
    parallel_for(static_cast<std::int64_t>(terms.size()), [&](std::int64_t at) {
      const auto i = order_[static_cast<std::size_t>(at)];
      if (i >= layers) {
        terms[i] = value_term(problem_.values[i - layers], scales_, squarings);
      } else if (problem_.layers[i].per_channel) {
        terms[i] = channel_term(problem_.layers[i], scales_, squarings, states_[i]);
      } else {
        terms[i] = TensorTerm(problem_.layers[i], scales_, squarings, states_[i]).run();
      }
    });
    return terms;
  }

  /// Log of the sum of all noises.
  static double total_noise(const std::vector<Term>& terms) {
    double largest = -1e30;
    for (const auto& term : terms) largest = std::max(largest, term.log_noise);
    double sum = 0;
    for (const auto& term : terms) sum += std::exp(term.log_noise - largest);
    return largest + std::log(sum);
  }

  void add(std::vector<std::vector<double>>& gradient, int of_class, double share,
           const std::vector<double>& by_channel) const {
    if (of_class < 0 || by_channel.empty()) return;
    auto& target = gradient[static_cast<std::size_t>(of_class)];
    for (std::size_t c = 0; c < target.size(); ++c) target[c] += share * by_channel[c];
  }

  std::vector<std::vector<double>> gradient(const std::vector<Term>& terms) const {
    std::vector<std::vector<double>> sums;
    for (const auto& one : scales_) sums.emplace_back(one.size(), 0.0);
    const double total = total_noise(terms);
    const auto layers = problem_.layers.size();
    for (std::size_t i = 0; i < terms.size(); ++i) {
      const double share = std::exp(terms[i].log_noise - total);
      if (i < layers) {
        add(sums, problem_.layers[i].out, share, terms[i].by_output);
        add(sums, problem_.layers[i].in, share, terms[i].by_input);
      } else {
        add(sums, problem_.values[i - layers].scale_class, share, terms[i].by_output);
      }
    }
    return sums;
  }

  /// One step of Adam (Kingma and Ba 2015) with a cosine schedule, back into the bounds.
  void move(int step) {
    const auto sums = gradient(evaluate(step < steps * 2 / 3 ? smooth_squarings : exact_squarings));
    constexpr double keep_first = 0.9;
    constexpr double keep_second = 0.99;
    const double progress = static_cast<double>(step) / steps;
    const double rate = first_step * 0.5 * (1 + std::cos(3.14159265358979 * progress));
    const double first_share = 1 - std::pow(keep_first, step + 1);
    const double second_share = 1 - std::pow(keep_second, step + 1);
    for (std::size_t k = 0; k < scales_.size(); ++k) {
      const auto& bounds = problem_.classes[k];
      const double count = static_cast<double>(scales_[k].size());
      for (std::size_t c = 0; c < scales_[k].size(); ++c) {
        const double slope = sums[k][c] * count;
        first_[k][c] = keep_first * first_[k][c] + (1 - keep_first) * slope;
        second_[k][c] = keep_second * second_[k][c] + (1 - keep_second) * slope * slope;
        const double size = std::sqrt(second_[k][c] / second_share) + 1e-8;
        scales_[k][c] = std::clamp(scales_[k][c] - rate * first_[k][c] / first_share / size,
                                   bounds.lowest[c], bounds.highest[c]);
      }
    }
  }

  const ScaleProblem& problem_;
  std::vector<LayerState> states_;
  std::vector<std::size_t> order_;  ///< of terms
  LogScales scales_;
  std::vector<std::vector<double>> first_, second_;  ///< moments of the gradient
};

}  // namespace

Result<ScaleSolution> search_scales(const ScaleProblem& problem) { return Search(problem).run(); }

}  // namespace octet

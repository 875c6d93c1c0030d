#include "passes/round_layer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

#include "arithmetic/params.h"
#include "arithmetic/round.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "engine/float/onednn.h"

namespace octet {
namespace {

using float_engine::onednn::matrix_product;
using float_engine::onednn::ThreadScope;

/// Rows to a partial sum, and partial sums that are in memory at once. Fixed, so that no sum
/// depends on the number of threads.
constexpr std::int64_t chunk_rows = 1024;
constexpr std::int64_t chunks_at_once = 4;
/// Chosen on ResNet-20 and MobileNetV1: with nothing for the outputs, or with that alone, the
/// models end farther from the float ones (docs/algorithms.md).
constexpr Damping damping{1.0, 0.02};
/// Alternations of codes and scale.
constexpr int scale_rounds = 3;
/// How often a layer is rounded again for what its activation cuts off.
constexpr int saturation_rounds = 1;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Shares of the largest magnitude that a range may have: with few codes cutting off pays.
std::vector<double> scale_shares(const CodeLimits& limits) {
  const bool coarse = limits.high <= 15;
  const int count = coarse ? 24 : 6;
  const double least = coarse ? 0.4 : 0.9;
  std::vector<double> shares;
  for (int i = 0; i < count; ++i) shares.push_back(1 - (1 - least) * i / (count - 1));
  return shares;
}

/// One group's rows, and their moments.
struct GroupData {
  std::span<float> inputs;   ///< [rows][length]
  std::span<float> outputs;  ///< [rows][channels]
  std::int64_t rows = 0;
  std::int64_t length = 0;
  std::int64_t channels = 0;
  std::vector<double> input_means;
  std::vector<double> output_means;
  std::vector<float> moments;   ///< [length][length]
  std::vector<float> products;  ///< [channels][length]
};

std::vector<double> take_out_means(std::span<float> values, std::int64_t rows,
                                   std::int64_t columns) {
  std::vector<double> means(at(columns), 0);
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* row = values.data() + r * columns;
    for (std::int64_t c = 0; c < columns; ++c) means[at(c)] += static_cast<double>(row[c]);
  }
  for (auto& mean : means) mean /= static_cast<double>(rows);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = values.data() + r * columns;
    for (std::int64_t c = 0; c < columns; ++c) row[c] -= static_cast<float>(means[at(c)]);
  }
  return means;
}

/// a'b / rows, [a_columns][b_columns], in sums of chunk_rows.
Result<std::vector<float>> cross_moments(const float* a, std::int64_t a_columns, const float* b,
                                         std::int64_t b_columns, std::int64_t rows) {
  const auto size = a_columns * b_columns;
  std::vector<double> total(at(size), 0);
  std::vector<std::vector<float>> partial(at(chunks_at_once));
  for (std::int64_t first = 0; first < rows; first += chunk_rows * chunks_at_once) {
    const auto chunks = std::min(chunks_at_once, (rows - first + chunk_rows - 1) / chunk_rows);
    OCTET_TRY(parallel_try(chunks, [&](int, std::int64_t i) {
      const ThreadScope single(1);
      const auto begin = first + i * chunk_rows;
      partial[at(i)].resize(at(size));
      return matrix_product(true, false, a_columns, b_columns, std::min(chunk_rows, rows - begin),
                            1.0F, a + begin * a_columns, b + begin * b_columns, 0.0F,
                            partial[at(i)].data());
    }));
    for (std::int64_t i = 0; i < chunks; ++i) {
      for (std::size_t k = 0; k < total.size(); ++k) {
        total[k] += static_cast<double>(partial[at(i)][k]);
      }
    }
    OCTET_TRY(check_cancel());
  }
  std::vector<float> moments(at(size));
  for (std::size_t k = 0; k < moments.size(); ++k) {
    moments[k] = static_cast<float>(total[k] / static_cast<double>(rows));
  }
  return moments;
}

Status find_moments(GroupData& data, bool free_bias) {
  if (free_bias) {
    data.input_means = take_out_means(data.inputs, data.rows, data.length);
    data.output_means = take_out_means(data.outputs, data.rows, data.channels);
  }
  OCTET_ASSIGN(data.moments, cross_moments(data.inputs.data(), data.length, data.inputs.data(),
                                           data.length, data.rows));
  OCTET_ASSIGN(data.products, cross_moments(data.outputs.data(), data.channels, data.inputs.data(),
                                            data.length, data.rows));
  return {};
}

/// The rows of one group, and what they become.
class GroupRounder {
 public:
  GroupRounder(const LayerProblem& problem, const GroupData& data, const RowRounder& rounder,
               std::int64_t group)
      : problem_(problem), data_(data), rounder_(rounder), group_(group) {
    const float* weight = problem.weight->data<float>();
    const auto& view = problem.view;
    weights_.resize(at(view.outputs * data.length));
    for (std::int64_t o = 0; o < view.outputs; ++o) {
      for (std::int64_t k = 0; k < data.length; ++k) {
        weights_[at(o * data.length + k)] = weight[view.at(group, o, k / view.taps, k % view.taps)];
      }
    }
  }

  [[nodiscard]] RowTarget target(std::int64_t o) const {
    const auto length = at(data_.length);
    return rounder_.target(std::span(weights_).subspan(at(o) * length, length),
                           std::span(data_.products).subspan(at(o) * length, length),
                           of_row(problem_.least_scale, o));
  }

  /// A scale for each row.
  std::vector<RoundedRow> with_own_scales() const {
    const auto shares = scale_shares(problem_.limits);
    std::vector<RoundedRow> rows(at(problem_.view.outputs));
    parallel_for(problem_.view.outputs, [&](std::int64_t o) {
      const auto row = target(o);
      const float scale = scale_of(o);
      auto rounded = rounder_.search_scale(row, scale, problem_.limits, shares);
      rounder_.descend(row, problem_.limits, rounded);
      for (int i = 0; i < scale_rounds; ++i) {
        rounder_.fit_scale(row, rounded);
        rounder_.descend(row, problem_.limits, rounded);
      }
      rows[at(o)] = std::move(rounded);
    });
    return rows;
  }

  std::vector<RoundedRow> with_scale(float scale, bool thorough) const {
    std::vector<RoundedRow> rows(at(problem_.view.outputs));
    parallel_for(problem_.view.outputs, [&](std::int64_t o) {
      const auto row = target(o);
      auto rounded = rounder_.successive(row, scale, problem_.limits);
      if (thorough) rounder_.descend(row, problem_.limits, rounded);
      rows[at(o)] = std::move(rounded);
    });
    return rows;
  }

  std::vector<RoundedRow> nearest() const {
    std::vector<RoundedRow> rows;
    for (std::int64_t o = 0; o < problem_.view.outputs; ++o) {
      rows.push_back(rounder_.nearest(target(o), scale_of(o), problem_.limits));
    }
    return rows;
  }

 private:
  [[nodiscard]] float of_row(std::span<const float> scales, std::int64_t o) const {
    return scales[scales.size() == 1 ? 0 : at(group_ * problem_.view.outputs + o)];
  }
  [[nodiscard]] float scale_of(std::int64_t o) const { return of_row(problem_.scale, o); }

  const LayerProblem& problem_;
  const GroupData& data_;
  const RowRounder& rounder_;
  std::int64_t group_;
  std::vector<float> weights_;
};

void store(const LayerProblem& problem, const GroupData& data, std::int64_t group,
           const std::vector<RoundedRow>& rows, LayerRounding& result) {
  const auto& view = problem.view;
  auto* codes = result.codes.mutable_data<std::int8_t>();
  for (std::int64_t o = 0; o < view.outputs; ++o) {
    const auto& row = rows[at(o)];
    const auto channel = at(group * view.outputs + o);
    if (result.scale.size() > 1) result.scale[channel] = row.scale;
    double shift = 0;
    for (std::int64_t k = 0; k < data.length; ++k) {
      codes[view.at(group, o, k / view.taps, k % view.taps)] = row.codes[at(k)];
      if (!problem.free_bias) continue;
      shift += static_cast<double>(row.scale) * static_cast<double>(row.codes[at(k)]) *
               data.input_means[at(k)];
    }
    if (problem.free_bias) {
      result.bias[channel] = static_cast<float>(data.output_means[at(o)] - shift);
    }
  }
}

GroupData group_data(const LayerProblem& problem, LayerSamples& samples, std::int64_t group) {
  GroupData data;
  data.rows = samples.rows;
  data.length = problem.view.inputs * problem.view.taps;
  data.channels = problem.view.outputs;
  data.inputs = std::span(samples.inputs)
                    .subspan(at(group * data.rows * data.length), at(data.rows * data.length));
  data.outputs = std::span(samples.outputs)
                     .subspan(at(group * data.rows * data.channels), at(data.rows * data.channels));
  return data;
}

/// One scale for all groups and rows: the share with the least error of the whole layer.
Result<float> shared_scale(const std::vector<GroupRounder>& groups, const LayerProblem& problem) {
  float best = problem.scale[0];
  double least = 0;
  bool found = false;
  for (const double share : scale_shares(problem.limits)) {
    const auto scale = std::max(static_cast<float>(static_cast<double>(problem.scale[0]) * share),
                                problem.least_scale[0]);
    double error = 0;
    for (const auto& group : groups) {
      for (const auto& row : group.with_scale(scale, false)) error += row.error;
    }
    if (!found || error < least) best = scale;
    least = found ? std::min(least, error) : error;
    found = true;
    OCTET_TRY(check_cancel());
  }
  return best;
}

struct Roundings {
  LayerRounding found;
  LayerRounding nearest;
};

LayerRounding empty_rounding(const LayerProblem& problem) {
  LayerRounding rounding;
  rounding.codes = Tensor(DType::i8, problem.weight->shape());
  rounding.scale.assign(problem.scale.begin(), problem.scale.end());
  if (problem.free_bias) rounding.bias.resize(at(problem.view.output_channels()));
  return rounding;
}

/// By the error before the activation. Takes the samples apart.
Result<Roundings> round_rows(const LayerProblem& problem, LayerSamples samples) {
  const auto& view = problem.view;
  Roundings result{empty_rounding(problem), empty_rounding(problem)};
  std::vector<GroupData> data(at(view.groups));
  std::vector<std::optional<RowRounder>> rounders(at(view.groups));
  OCTET_TRY(parallel_try(view.groups, [&](int, std::int64_t g) -> Status {
    data[at(g)] = group_data(problem, samples, g);
    OCTET_TRY(find_moments(data[at(g)], problem.free_bias));
    OCTET_ASSIGN(rounders[at(g)],
                 RowRounder::make(data[at(g)].moments, data[at(g)].length, damping));
    return {};
  }));
  std::vector<GroupRounder> groups;
  for (std::int64_t g = 0; g < view.groups; ++g) {
    groups.emplace_back(problem, data[at(g)], *rounders[at(g)], g);
  }
  const bool own_scales = problem.scale.size() > 1;
  if (!own_scales) {
    OCTET_ASSIGN(result.found.scale[0], shared_scale(groups, problem));
  }
  const float scale = result.found.scale[0];
  parallel_for(view.groups, [&](std::int64_t g) {
    const auto& group = groups[at(g)];
    store(problem, data[at(g)], g,
          own_scales ? group.with_own_scales() : group.with_scale(scale, true), result.found);
    store(problem, data[at(g)], g, group.nearest(), result.nearest);
  });
  return result;
}

/// The weights of a group as they are with a rounding, [outputs][length].
std::vector<float> group_weights(const LayerProblem& problem, const LayerRounding& rounding,
                                 std::int64_t group) {
  const auto& view = problem.view;
  const auto* codes = rounding.codes.data<std::int8_t>();
  std::vector<float> weights;
  for (std::int64_t o = 0; o < view.outputs; ++o) {
    const float scale =
        rounding.scale[rounding.scale.size() == 1 ? 0 : at(group * view.outputs + o)];
    for (std::int64_t k = 0; k < view.inputs * view.taps; ++k) {
      weights.push_back(scale *
                        static_cast<float>(codes[view.at(group, o, k / view.taps, k % view.taps)]));
    }
  }
  return weights;
}

/// Some rows of a group: what the layer gives, and where that stands among the samples' outputs.
struct Given {
  std::int64_t group;
  std::size_t first;
  std::vector<float> values;  ///< [rows][outputs]
};

/// Calls visit(chunk number, given) for all rows, from several threads, in fixed chunks.
template <class Visitor>
Status visit_given(const LayerProblem& problem, const LayerRounding& rounding,
                   const LayerSamples& samples, const Visitor& visit) {
  const auto& view = problem.view;
  const auto length = view.inputs * view.taps;
  const auto chunks = (samples.rows + chunk_rows - 1) / chunk_rows;
  std::vector<std::vector<float>> weights;
  for (std::int64_t g = 0; g < view.groups; ++g) {
    weights.push_back(group_weights(problem, rounding, g));
  }
  OCTET_TRY(parallel_try(view.groups * chunks, [&](int, std::int64_t i) -> Status {
    const ThreadScope single(1);
    const auto group = i / chunks;
    const auto first = group * samples.rows + i % chunks * chunk_rows;
    const auto rows = std::min(chunk_rows, (group + 1) * samples.rows - first);
    Given given{group, at(first * view.outputs), std::vector<float>(at(rows * view.outputs))};
    OCTET_TRY(matrix_product(false, true, rows, view.outputs, length, 1.0F,
                             samples.inputs.data() + first * length, weights[at(group)].data(),
                             0.0F, given.values.data()));
    for (std::size_t j = 0; j < given.values.size() && !rounding.bias.empty(); ++j) {
      given.values[j] += rounding.bias[at(group * view.outputs) + j % at(view.outputs)];
    }
    visit(at(i), given);
    return {};
  }));
  return check_cancel();
}

float addend_at(const LayerSamples& samples, std::size_t i) {
  return samples.addends.empty() ? 0.0F : samples.addends[i];
}

/// Mean square error behind the activation, by output channel.
Result<std::vector<double>> errors_behind(const LayerProblem& problem,
                                          const LayerRounding& rounding,
                                          const LayerSamples& samples) {
  const auto& view = problem.view;
  const auto channels = at(view.outputs);
  const auto chunks = (samples.rows + chunk_rows - 1) / chunk_rows;
  std::vector<std::vector<double>> partial(at(view.groups * chunks));
  OCTET_TRY(visit_given(problem, rounding, samples, [&](std::size_t chunk, const Given& given) {
    partial[chunk].assign(channels, 0.0);
    for (std::size_t j = 0; j < given.values.size(); ++j) {
      const float addend = addend_at(samples, given.first + j);
      const float wanted = samples.outputs[given.first + j] + addend;
      const auto error =
          static_cast<double>(saturate(given.values[j] + addend, problem.low, problem.high)) -
          static_cast<double>(saturate(wanted, problem.low, problem.high));
      partial[chunk][j % channels] += error * error / static_cast<double>(samples.rows);
    }
  }));
  std::vector<double> errors(at(view.output_channels()), 0.0);
  for (std::size_t chunk = 0; chunk < partial.size(); ++chunk) {
    const auto group = chunk / at(chunks);
    for (std::size_t c = 0; c < channels; ++c) errors[group * channels + c] += partial[chunk][c];
  }
  return errors;
}

/// Outputs that are as good behind the activation as the samples' and nearest to what is given.
Result<std::vector<float>> reachable_outputs(const LayerProblem& problem,
                                             const LayerRounding& rounding,
                                             const LayerSamples& samples) {
  std::vector<float> outputs = samples.outputs;
  OCTET_TRY(visit_given(problem, rounding, samples, [&](std::size_t, const Given& given) {
    for (std::size_t j = 0; j < given.values.size(); ++j) {
      const float addend = addend_at(samples, given.first + j);
      float& output = outputs[given.first + j];
      const float wanted = output + addend;
      const float sum = given.values[j] + addend;
      if (wanted <= problem.low) output = std::min(sum, problem.low) - addend;
      if (wanted >= problem.high) output = std::max(sum, problem.high) - addend;
    }
  }));
  return outputs;
}

/// Nearest codes where they err less: for each channel, or for all where they share a scale.
void take_better(const LayerProblem& problem, const LayerRounding& nearest,
                 const std::vector<double>& nearest_errors, const std::vector<double>& errors,
                 LayerRounding& found) {
  const auto& view = problem.view;
  found.error = std::accumulate(errors.begin(), errors.end(), 0.0);
  found.nearest_error = std::accumulate(nearest_errors.begin(), nearest_errors.end(), 0.0);
  if (found.scale.size() == 1 && found.error > found.nearest_error) {
    const double error = found.nearest_error;
    found = nearest;
    found.error = found.nearest_error = error;
  }
  if (found.scale.size() == 1) return;
  auto* codes = found.codes.mutable_data<std::int8_t>();
  for (std::size_t c = 0; c < errors.size(); ++c) {
    if (errors[c] <= nearest_errors[c]) continue;
    found.error += nearest_errors[c] - errors[c];
    found.scale[c] = nearest.scale[c];
    if (problem.free_bias) found.bias[c] = nearest.bias[c];
    const auto channel = static_cast<std::int64_t>(c);
    for (std::int64_t k = 0; k < view.inputs * view.taps; ++k) {
      const auto i =
          view.at(channel / view.outputs, channel % view.outputs, k / view.taps, k % view.taps);
      codes[i] = nearest.codes.data<std::int8_t>()[i];
    }
  }
}

}  // namespace

Result<LayerRounding> round_layer(const LayerProblem& problem, const LayerSamples& samples) {
  OCTET_ASSIGN(auto roundings, round_rows(problem, samples));
  auto& found = roundings.found;
  const bool saturates = std::isfinite(problem.low) || std::isfinite(problem.high);
  for (int i = 0; i < saturation_rounds && saturates && problem.free_bias; ++i) {
    auto again = samples;
    OCTET_ASSIGN(again.outputs, reachable_outputs(problem, found, samples));
    OCTET_ASSIGN(auto next, round_rows(problem, std::move(again)));
    found = std::move(next.found);
  }
  OCTET_ASSIGN(const auto errors, errors_behind(problem, found, samples));
  OCTET_ASSIGN(const auto nearest_errors, errors_behind(problem, roundings.nearest, samples));
  take_better(problem, roundings.nearest, nearest_errors, errors, found);
  return found;
}

}  // namespace octet

#include "passes/learn_rows.h"

#include <algorithm>
#include <cmath>

#include "arithmetic/round.h"
#include "core/parallel.h"
#include "engine/float/onednn.h"

namespace octet {
namespace {

/// Channels that are learned together. Fixed, so that nothing depends on the number of threads.
constexpr std::int64_t block_channels = 16;
/// How near to its ends a weight may start: where h is 0 or 1 there is no gradient.
constexpr float least_start = 0.05F;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Channels [first, first + count) of a group.
class Block {
 public:
  Block(const LayerProblem& problem, const CenteredRows& rows, std::int64_t first,
        std::int64_t count)
      : problem_(problem), rows_(rows), first_(first), count_(count) {
    sums_ = columns(rows.outputs);
    addends_ = columns(rows.addends);
    for (std::int64_t c = first; c < first + count; ++c) {
      const bool centered = !rows.output_means.empty();
      offset_.push_back(centered ? static_cast<float>(rows.output_means[at(c)]) : 0.0F);
    }
  }

  Status run(const RowChoice& choice, std::vector<RoundedRow>& best, double& nearest_error,
             double& error) const {
    const auto of_block = [&](const std::vector<RoundedRow>& all) {
      return std::vector<RoundedRow>(all.begin() + first_, all.begin() + first_ + count_);
    };
    auto chosen = of_block(choice.found);
    OCTET_ASSIGN(auto errors, errors_of(chosen));
    const auto nearest = of_block(choice.nearest);
    OCTET_ASSIGN(const auto nearest_errors, errors_of(nearest));
    take_better(nearest, nearest_errors, chosen, errors);
    if (problem_.learn != nullptr) {
      auto learned = chosen;
      OCTET_TRY(learn(choice, errors, learned));
      OCTET_ASSIGN(const auto learned_errors, errors_of(learned));
      take_better(learned, learned_errors, chosen, errors);
    }
    for (std::int64_t c = 0; c < count_; ++c) {
      best[at(first_ + c)] = std::move(chosen[at(c)]);
      nearest_error += nearest_errors[at(c)];
      error += errors[at(c)];
    }
    return {};
  }

 private:
  [[nodiscard]] std::vector<float> columns(std::span<const float> values) const {
    std::vector<float> part;
    if (values.empty()) return part;
    part.reserve(at(rows_.inputs.rows * count_));
    for (std::int64_t r = 0; r < rows_.inputs.rows; ++r) {
      const auto begin = values.begin() + r * rows_.channels + first_;
      part.insert(part.end(), begin, begin + count_);
    }
    return part;
  }

  static void take_better(const std::vector<RoundedRow>& other, const std::vector<double>& others,
                          std::vector<RoundedRow>& chosen, std::vector<double>& errors) {
    for (std::size_t c = 0; c < chosen.size(); ++c) {
      if (!(others[c] < errors[c])) continue;
      chosen[c] = other[c];
      errors[c] = others[c];
    }
  }

  [[nodiscard]] SoftRounding soft(const std::vector<RoundedRow>& rows) const {
    SoftRounding soft;
    soft.channels = count_;
    soft.offset = offset_;
    soft.low = problem_.low;
    soft.high = problem_.high;
    soft.code_low = static_cast<float>(problem_.limits.low);
    soft.code_high = static_cast<float>(problem_.limits.high);
    for (const auto& row : rows) soft.scale.push_back(row.scale);
    return soft;
  }

  [[nodiscard]] Result<std::vector<double>> errors_of(const std::vector<RoundedRow>& rows) const {
    std::vector<float> codes;
    for (const auto& row : rows) codes.insert(codes.end(), row.codes.begin(), row.codes.end());
    return activation_errors(soft(rows), rows_.inputs, {sums_, addends_, 1}, codes);
  }

  /// Each code may stay or move by one towards the continuous weight.
  Status learn(const RowChoice& choice, const std::vector<double>& errors,
               std::vector<RoundedRow>& rows) const {
    auto learned = soft(rows);
    double power = 0;
    for (const double error : errors) power += error;
    if (!(power > 0)) return {};
    for (std::int64_t c = 0; c < count_; ++c) {
      const auto& row = rows[at(c)];
      const auto& continuous = choice.continuous[at(first_ + c)];
      for (std::size_t k = 0; k < row.codes.size(); ++k) {
        const auto code = static_cast<float>(row.codes[k]);
        const float wanted = continuous[k] / row.scale;
        const float base = wanted > code ? code : code - 1;
        learned.base.push_back(base);
        learned.v.push_back(inverse_rectified_sigmoid(
            saturate(wanted - base, least_start, 1 - least_start)));
      }
    }
    auto options = *problem_.learn;
    options.seed += static_cast<std::uint64_t>(first_);
    OCTET_TRY(learn_rounding(learned, rows_.inputs, {sums_, addends_, power}, options));
    std::size_t i = 0;
    for (auto& row : rows) {
      for (auto& code : row.codes) {
        const float up = rectified_sigmoid(learned.v[i]) >= 0.5F ? 1.0F : 0.0F;
        code = static_cast<std::int8_t>(
            saturate(learned.base[i] + up, learned.code_low, learned.code_high));
        ++i;
      }
    }
    return {};
  }

  const LayerProblem& problem_;
  const CenteredRows& rows_;
  std::int64_t first_;
  std::int64_t count_;
  std::vector<float> sums_, addends_, offset_;
};

}  // namespace

Result<ChosenRows> choose_rows(const LayerProblem& problem, const CenteredRows& rows,
                               RowChoice choice) {
  ChosenRows chosen;
  chosen.rows.resize(at(rows.channels));
  const auto blocks = (rows.channels + block_channels - 1) / block_channels;
  std::vector<double> nearest_errors(at(blocks), 0);
  std::vector<double> errors(at(blocks), 0);
  std::vector<Status> states(at(blocks));
  parallel_for(blocks, [&](std::int64_t b) {
    const float_engine::onednn::ThreadScope single(1);
    const auto first = b * block_channels;
    const Block block(problem, rows, first, std::min(block_channels, rows.channels - first));
    states[at(b)] = block.run(choice, chosen.rows, nearest_errors[at(b)], errors[at(b)]);
  });
  for (std::int64_t b = 0; b < blocks; ++b) {
    OCTET_TRY(states[at(b)]);
    chosen.nearest_error += nearest_errors[at(b)];
    chosen.error += errors[at(b)];
  }
  return chosen;
}

}  // namespace octet

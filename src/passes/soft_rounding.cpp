#include "passes/soft_rounding.h"

#include <algorithm>
#include <cmath>

#include "core/progress.h"
#include "engine/float/onednn.h"
#include "engine/float/vector_math.h"
#include "optim/adam.h"
#include "optim/schedule.h"

namespace octet {
namespace {

using float_engine::onednn::matrix_product;
namespace math = float_engine::math;

// zeta and gamma of the paper: the sigmoid is stretched to reach 0 and 1.
constexpr float stretch = 1.2F;
constexpr float below = -0.1F;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

struct CodeRangeF {
  float low, high;
};

/// w(v) for weights of one scale.
OCTET_VECTOR_CLONES void soft_weights(const float* v, const float* base, float scale,
                                      CodeRangeF codes, std::int64_t count, float* weights) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float h = math::limit(stretch * math::sigmoid(v[i]) + below, 0.0F, 1.0F);
    weights[i] = scale * math::limit(base[i] + h, codes.low, codes.high);
  }
}

/// Turns gradients by w into gradients by v.
OCTET_VECTOR_CLONES void chain(const float* v, const float* base, float scale, CodeRangeF codes,
                               std::int64_t count, float* gradient) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float s = math::sigmoid(v[i]);
    const float h = stretch * s + below;
    const float code = base[i] + h;
    const float slope = scale * stretch * s * (1.0F - s);
    const bool moves = (h > 0.0F) & (h < 1.0F) & (code > codes.low) & (code < codes.high);
    gradient[i] *= math::select(moves, slope, 0.0F);
  }
}

/// Adds strength * (1 - |2h - 1|^beta) to the gradient by v; gives the terms themselves.
OCTET_VECTOR_CLONES void regularize(const float* v, float strength, float beta, std::int64_t count,
                                    float* gradient, float* terms) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float s = math::sigmoid(v[i]);
    const float raw = stretch * s + below;
    const float h = math::limit(raw, 0.0F, 1.0F);
    const float side = 2.0F * h - 1.0F;
    const float far = math::limit(math::magnitude(side), 1e-6F, 1.0F);
    // |2h - 1|^(beta - 1)
    const float power = math::exponential((beta - 1.0F) * math::logarithm(far));
    const bool moves = (raw > 0.0F) & (raw < 1.0F);
    const float slope = math::select(moves, 2.0F * stretch * s * (1.0F - s), 0.0F);
    gradient[i] -= strength * beta * __builtin_copysignf(power, side) * slope;
    terms[i] = 1.0F - power * far;
  }
}

/// Errors behind the activation, in place of the sums; gives half their squares' gradient.
OCTET_VECTOR_CLONES void activation_differences(float* sums, const float* wanted,
                                                const float* shift, float low, float high,
                                                std::int64_t count, float* gradient) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float z = sums[i] + shift[i];
    const float difference =
        math::limit(z, low, high) - math::limit(wanted[i] + shift[i], low, high);
    sums[i] = difference;
    gradient[i] = math::select((z > low) & (z < high), difference, 0.0F);
  }
}

/// offset + addend of some rows.
std::vector<float> shifts(const SoftRounding& soft, std::int64_t rows,
                          std::span<const float> addends) {
  std::vector<float> all(at(rows * soft.channels));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < soft.channels; ++c) {
      const auto i = at(r * soft.channels + c);
      all[i] = soft.offset[at(c)] + (addends.empty() ? 0.0F : addends[i]);
    }
  }
  return all;
}

std::vector<float> weights_of(const SoftRounding& soft, std::int64_t length) {
  std::vector<float> weights(soft.v.size());
  for (std::int64_t c = 0; c < soft.channels; ++c) {
    soft_weights(soft.v.data() + c * length, soft.base.data() + c * length, soft.scale[at(c)],
                 {soft.code_low, soft.code_high}, length, weights.data() + c * length);
  }
  return weights;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {}
  /// Below `limit`.
  std::int64_t next(std::int64_t limit) {
    // A linear congruential generator's upper bits (Knuth's MMIX).
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::int64_t>((state_ >> 33) % static_cast<std::uint64_t>(limit));
  }

 private:
  std::uint64_t state_;
};

/// Rows drawn at random, next to each other.
struct BatchOfRows {
  std::vector<float> inputs, sums, addends;

  void draw(Random& random, std::int64_t count, const RoundingRows& rows,
            const RoundingTargets& targets, std::int64_t channels) {
    inputs.resize(at(count * rows.length));
    sums.resize(at(count * channels));
    addends.resize(targets.addends.empty() ? 0 : at(count * channels));
    for (std::int64_t i = 0; i < count; ++i) {
      const auto row = random.next(rows.rows);
      std::copy_n(rows.inputs.data() + row * rows.length, rows.length,
                  inputs.data() + i * rows.length);
      std::copy_n(targets.sums.data() + row * channels, channels, sums.data() + i * channels);
      if (addends.empty()) continue;
      std::copy_n(targets.addends.data() + row * channels, channels,
                  addends.data() + i * channels);
    }
  }
};

}  // namespace

float rectified_sigmoid(float v) {
  return math::limit(stretch * math::sigmoid(v) + below, 0.0F, 1.0F);
}

float inverse_rectified_sigmoid(float h) { return -std::log(stretch / (h - below) - 1.0F); }

Result<RoundingLoss> rounding_loss(const SoftRounding& soft, const RoundingRows& rows,
                                   const RoundingTargets& targets, double strength, double beta) {
  const auto count = rows.rows * soft.channels;
  const auto weights = weights_of(soft, rows.length);
  std::vector<float> sums(at(count));
  OCTET_TRY(matrix_product(false, true, rows.rows, soft.channels, rows.length, 1.0F,
                           rows.inputs.data(), weights.data(), 0.0F, sums.data()));
  std::vector<float> errors(at(count));
  const auto shift = shifts(soft, rows.rows, targets.addends);
  activation_differences(sums.data(), targets.sums.data(), shift.data(), soft.low, soft.high,
                         count, errors.data());
  RoundingLoss loss;
  const double scale = 1 / (static_cast<double>(rows.rows) * targets.power);
  for (const float difference : sums) {
    loss.reconstruction +=
        static_cast<double>(difference) * static_cast<double>(difference) * scale;
  }
  loss.gradient.resize(soft.v.size());
  OCTET_TRY(matrix_product(true, false, soft.channels, rows.length, rows.rows,
                           static_cast<float>(2 * scale), errors.data(), rows.inputs.data(), 0.0F,
                           loss.gradient.data()));
  for (std::int64_t c = 0; c < soft.channels; ++c) {
    chain(soft.v.data() + c * rows.length, soft.base.data() + c * rows.length, soft.scale[at(c)],
          {soft.code_low, soft.code_high}, rows.length, loss.gradient.data() + c * rows.length);
  }
  if (strength <= 0) return loss;
  std::vector<float> terms(soft.v.size());
  const double each = strength / static_cast<double>(soft.v.size());
  regularize(soft.v.data(), static_cast<float>(each), static_cast<float>(beta),
             static_cast<std::int64_t>(soft.v.size()), loss.gradient.data(), terms.data());
  for (const float term : terms) loss.regularizer += static_cast<double>(term) * each;
  return loss;
}

Status learn_rounding(SoftRounding& soft, const RoundingRows& rows, const RoundingTargets& targets,
                      const LearnOptions& options) {
  optim::Adam adam(soft.v.size(), {.learning_rate = options.learning_rate});
  Random random(options.seed);
  BatchOfRows batch;
  const auto count = std::min(options.batch, rows.rows);
  for (int i = 0; i < options.iterations; ++i) {
    if (i % 64 == 0) OCTET_TRY(check_cancel());
    batch.draw(random, count, rows, targets, soft.channels);
    const double progress = static_cast<double>(i) / options.iterations;
    const bool warm = progress < options.warm_up;
    const double beta = optim::cosine(options.beta_start, options.beta_end,
                                      (progress - options.warm_up) / (1 - options.warm_up));
    OCTET_ASSIGN(const auto loss,
                 rounding_loss(soft, {count, rows.length, batch.inputs},
                               {batch.sums, batch.addends, targets.power},
                               warm ? 0.0 : options.strength, beta));
    adam.step(soft.v, loss.gradient);
  }
  return {};
}

Result<std::vector<double>> activation_errors(const SoftRounding& soft, const RoundingRows& rows,
                                              const RoundingTargets& targets,
                                              std::span<const float> codes) {
  std::vector<float> weights(codes.begin(), codes.end());
  for (std::int64_t c = 0; c < soft.channels; ++c) {
    for (std::int64_t k = 0; k < rows.length; ++k) {
      weights[at(c * rows.length + k)] *= soft.scale[at(c)];
    }
  }
  std::vector<double> errors(at(soft.channels), 0);
  constexpr std::int64_t part = 1024;
  for (std::int64_t first = 0; first < rows.rows; first += part) {
    const auto count = std::min(part, rows.rows - first);
    std::vector<float> sums(at(count * soft.channels));
    std::vector<float> unused(sums.size());
    OCTET_TRY(matrix_product(false, true, count, soft.channels, rows.length, 1.0F,
                             rows.inputs.data() + first * rows.length, weights.data(), 0.0F,
                             sums.data()));
    const auto begin = at(first * soft.channels);
    const auto addends =
        targets.addends.empty() ? targets.addends : targets.addends.subspan(begin, sums.size());
    const auto shift = shifts(soft, count, addends);
    activation_differences(sums.data(), targets.sums.data() + begin, shift.data(), soft.low,
                           soft.high, count * soft.channels, unused.data());
    for (std::int64_t r = 0; r < count; ++r) {
      for (std::int64_t c = 0; c < soft.channels; ++c) {
        const double e = static_cast<double>(sums[at(r * soft.channels + c)]);
        errors[at(c)] += e * e / static_cast<double>(rows.rows);
      }
    }
  }
  return errors;
}

}  // namespace octet

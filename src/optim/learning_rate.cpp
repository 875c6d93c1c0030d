#include "optim/learning_rate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace octet::optim {
namespace {

constexpr std::array names = {std::pair{ScheduleKind::constant, std::string_view("constant")},
                              std::pair{ScheduleKind::step, std::string_view("step")},
                              std::pair{ScheduleKind::cosine, std::string_view("cosine")},
                              std::pair{ScheduleKind::onecycle, std::string_view("onecycle")}};

/// From `start` to `end` along half a cosine.
double half_cosine(double start, double end, double progress) {
  return end +
         (start - end) * (1 + std::cos(std::numbers::pi * std::clamp(progress, 0.0, 1.0))) / 2;
}

double one_cycle(double progress) {
  constexpr double rising = 0.3;
  constexpr double start = 1.0 / 25;
  constexpr double end = 1e-4;
  if (progress < rising) return half_cosine(start, 1, progress / rising);
  return half_cosine(1, end, (progress - rising) / (1 - rising));
}

}  // namespace

std::string_view name(ScheduleKind kind) {
  for (const auto& [known, text] : names) {
    if (known == kind) return text;
  }
  return "constant";
}

std::optional<ScheduleKind> schedule_from_name(std::string_view text) {
  for (const auto& [known, name] : names) {
    if (name == text) return known;
  }
  return std::nullopt;
}

double Schedule::at(std::int64_t step) const {
  if (step < warmup) return rate * static_cast<double>(step + 1) / static_cast<double>(warmup + 1);
  const auto length = static_cast<double>(std::max<std::int64_t>(steps - warmup, 1));
  const double progress = static_cast<double>(step - warmup) / length;
  switch (kind) {
    case ScheduleKind::constant: return rate;
    case ScheduleKind::step:
      return progress < 0.5 ? rate : progress < 0.75 ? rate / 10 : rate / 100;
    case ScheduleKind::cosine: return half_cosine(rate, 0, progress);
    case ScheduleKind::onecycle: return rate * one_cycle(progress);
  }
  return rate;
}

}  // namespace octet::optim

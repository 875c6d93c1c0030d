#pragma once
// Learning rate over the course of a training.

#include <cstdint>
#include <optional>
#include <string_view>

namespace octet::optim {

enum class ScheduleKind : std::uint8_t {
  constant,
  step,      ///< divided by 10 after 1/2 and after 3/4 of the steps
  cosine,    ///< along half a cosine to 0 (Loshchilov and Hutter 2017)
  onecycle,  ///< up from 1/25 for the first 3/10, then down to 1/10,000, by cosines (Smith 2018)
};

[[nodiscard]] std::string_view name(ScheduleKind kind);
[[nodiscard]] std::optional<ScheduleKind> schedule_from_name(std::string_view name);

struct Schedule {
  ScheduleKind kind = ScheduleKind::cosine;
  double rate = 0.01;  ///< the highest
  std::int64_t steps = 1;
  std::int64_t warmup = 0;  ///< first steps, over which it rises to its value along a line

  /// Rate of step `step`, which counts from 0.
  [[nodiscard]] double at(std::int64_t step) const;
};

}  // namespace octet::optim

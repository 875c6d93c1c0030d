#include "engine/integer/unread_steps.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

}  // namespace

void remove_unread_steps(Lowered& program) {
  std::vector<bool> read(program.buffers.size(), false);
  for (const int buffer : program.outputs) read[at(buffer)] = true;
  std::vector<bool> keep(program.steps.size(), false);
  for (std::size_t i = program.steps.size(); i-- > 0;) {
    for (const int buffer : program.steps[i]->outputs) {
      if (buffer >= 0 && read[at(buffer)]) keep[i] = true;
    }
    if (program.steps[i]->only_for_taps) keep[i] = true;
    if (!keep[i]) continue;
    for (const int buffer : program.steps[i]->inputs) {
      if (buffer >= 0) read[at(buffer)] = true;
    }
  }
  std::vector<int> new_index(program.steps.size(), -1);
  std::vector<StepPointer> kept;
  for (std::size_t i = 0; i < keep.size(); ++i) {
    if (!keep[i]) continue;
    new_index[i] = static_cast<int>(kept.size());
    kept.push_back(std::move(program.steps[i]));
  }
  program.steps = std::move(kept);
  std::vector<TapPoint> taps;
  for (auto tap : program.taps) {
    if (tap.step >= 0) {
      tap.step = new_index[at(tap.step)];
      if (tap.step < 0) continue;
    }
    taps.push_back(tap);
  }
  program.taps = std::move(taps);
}

}  // namespace octet::integer

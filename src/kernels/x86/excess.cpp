#include "kernels/x86/excess.h"

#include <algorithm>
#include <cstddef>

namespace octet::kernels {
namespace {

constexpr int lanes = 8;
constexpr int depth = 4;
constexpr int window_inputs = 16;

std::size_t size_of(int n) { return static_cast<std::size_t>(n); }

struct Excess {
  int input;
  int lane;
  int value;
};

/// 255 * 128 is within 16 bits, 255 * 129 is not. Weights of different signs never add up to more.
int excess_of_pair(int first, int second) {
  return first + second - std::clamp(first + second, -128, 128);
}

/// The excess of one segment in order of input.
std::vector<Excess> take_excess(std::span<std::int8_t> weights, const SplitShape& shape,
                                int segment, int vector) {
  std::vector<Excess> taken;
  for (int step = 0; step < shape.steps; ++step) {
    const std::size_t row =
        (size_of(segment) * size_of(shape.steps) + size_of(step)) * size_of(shape.vectors) +
        size_of(vector);
    for (int d = 0; d < depth; d += 2) {
      for (int lane = 0; lane < lanes; ++lane) {
        std::int8_t* pair = &weights[(row * lanes + size_of(lane)) * depth + size_of(d)];
        const int value = excess_of_pair(pair[0], pair[1]);
        if (value == 0) continue;
        pair[0] = static_cast<std::int8_t>(pair[0] - value);
        taken.push_back({step * depth + d, lane, value});
      }
    }
  }
  return taken;
}

/// False where the lane has no slot left.
bool add_to(ExcessWindow& window, const Excess& excess) {
  for (int slot = 2 * excess.lane; slot < 2 * excess.lane + 2; ++slot) {
    if (window.excess[slot] != 0) continue;
    window.offsets[slot] = static_cast<std::uint8_t>(excess.input - window.input);
    window.excess[slot] = static_cast<std::int8_t>(excess.value);
    return true;
  }
  return false;
}

}  // namespace

void split_weights(std::span<std::int8_t> weights, const SplitShape& shape, int vector,
                   std::vector<ExcessWindow>& windows) {
  std::vector<Excess> rest;
  for (int segment = 0; segment < shape.segments; ++segment) {
    auto excess = take_excess(weights, shape, segment, vector);
    for (auto first = excess.begin(); first != excess.end();) {
      ExcessWindow window{segment, first->input};
      rest.clear();
      for (; first != excess.end() && first->input < window.input + window_inputs; ++first) {
        if (!add_to(window, *first)) rest.push_back(*first);
      }
      // The next window begins with what found no slot in this one.
      first = std::copy_backward(rest.begin(), rest.end(), first);
      windows.push_back(window);
    }
  }
}

}  // namespace octet::kernels

#include "data/selection.h"

#include <map>
#include <numeric>

namespace octet {
namespace {

/// SplitMix64 (Steele, Lea, Flood 2014). Own code, because the standard library's distributions and
/// shuffle differ between implementations, and a seed must mean the same draw everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  /// Uniform in [0, bound), without bias.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t reject_below = (0 - bound) % bound;
    std::uint64_t value = next();
    while (value < reject_below) value = next();
    return value % bound;
  }

 private:
  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

/// Puts a random choice of `count` items first (the first steps of Fisher-Yates).
template <class T>
void draw(std::vector<T>& items, std::size_t count, Random& random) {
  for (std::size_t i = 0; i < count; ++i) {
    std::swap(items[i], items[i + static_cast<std::size_t>(random.below(items.size() - i))]);
  }
}

/// How many of each class, as even as their sizes allow; which classes give one more is drawn.
std::vector<std::size_t> quotas(const std::vector<std::size_t>& sizes, std::size_t count,
                                Random& random) {
  std::vector<std::size_t> quota(sizes.size(), 0);
  while (count > 0) {
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (quota[i] < sizes[i]) open.push_back(i);
    }
    const std::size_t share = count / open.size();
    if (share == 0) {
      draw(open, count, random);
      for (std::size_t i = 0; i < count; ++i) ++quota[open[i]];
      return quota;
    }
    for (const auto i : open) {
      const auto taken = std::min(share, sizes[i] - quota[i]);
      quota[i] += taken;
      count -= taken;
    }
  }
  return quota;
}

}  // namespace

std::vector<std::int64_t> select_samples(const Dataset& dataset, std::int64_t count,
                                         std::uint64_t seed) {
  const auto size = dataset.size();
  if (count <= 0 || count >= size) {
    std::vector<std::int64_t> all(static_cast<std::size_t>(size));
    std::iota(all.begin(), all.end(), std::int64_t{0});
    return all;
  }
  const auto& labels = dataset.labels();
  std::map<std::int32_t, std::vector<std::int64_t>> by_class;
  for (std::int64_t i = 0; i < size; ++i) {
    by_class[labels.empty() ? 0 : labels[static_cast<std::size_t>(i)]].push_back(i);
  }
  std::vector<std::size_t> sizes;
  for (const auto& [label, members] : by_class) sizes.push_back(members.size());
  Random random(seed);
  const auto quota = quotas(sizes, static_cast<std::size_t>(count), random);
  std::vector<std::int64_t> chosen;
  std::size_t at = 0;
  for (auto& [label, members] : by_class) {
    const auto wanted = quota[at++];
    draw(members, wanted, random);
    chosen.insert(chosen.end(), members.begin(),
                  members.begin() + static_cast<std::ptrdiff_t>(wanted));
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace octet

#include "engine/integer/step.h"

#include <algorithm>
#include <numeric>

#include "core/parallel.h"

namespace octet::integer {

kernels::CodeParams code_params(const Quantization& quantization) {
  const auto to_unsigned = [](std::int64_t code) { return static_cast<std::uint8_t>(code + 128); };
  return {quantization.params.scale[0], to_unsigned(quantization.params.zero_point[0]),
          to_unsigned(quantization.scheme.qmin()), to_unsigned(quantization.scheme.qmax())};
}

std::vector<std::size_t> storage_order(const Shape& logical) {
  if (logical.size() == 4) return {0, 2, 3, 1};
  std::vector<std::size_t> order(logical.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

std::vector<std::int64_t> storage_strides(const Shape& logical) {
  const auto order = storage_order(logical);
  std::vector<std::int64_t> strides(logical.size());
  std::int64_t stride = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = stride;
    stride *= logical[order[i]];
  }
  return strides;
}

void split_rows(std::int64_t rows, int threads, std::int64_t work,
                const std::function<void(int, std::int64_t, std::int64_t)>& fn) {
  // Below this, waking another thread costs more than it saves.
  constexpr std::int64_t worth_a_thread = 50000;
  const std::int64_t chunks =
      std::clamp<std::int64_t>(std::min(rows, work / worth_a_thread + 1), 1, threads);
  if (chunks == 1) {
    fn(0, 0, rows);
    return;
  }
  parallel_for(chunks, [&](std::int64_t chunk) {
    fn(static_cast<int>(chunk), rows * chunk / chunks, rows * (chunk + 1) / chunks);
  });
}

}  // namespace octet::integer

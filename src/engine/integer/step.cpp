#include "engine/integer/step.h"

#include <algorithm>
#include <numeric>

#include "core/parallel.h"

namespace octet::integer {

kernels::CodeParams code_params(const Quantization& quantization, Rule rule) {
  const auto to_unsigned = [](std::int64_t code) { return static_cast<std::uint8_t>(code + 128); };
  return {quantization.params.scale[0],
          to_unsigned(quantization.params.zero_point[0]),
          to_unsigned(quantization.scheme.qmin()),
          to_unsigned(quantization.scheme.qmax()),
          rule,
          quantization.storage == DType::u8};
}

std::vector<std::size_t> storage_order(const StoredShape& stored) {
  const std::size_t rank = stored.shape.size();
  if (rank == 4 && stored.channels_last) return {0, 2, 3, 1};
  std::vector<std::size_t> order(rank);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

std::vector<std::int64_t> storage_strides(const StoredShape& stored) {
  const auto order = storage_order(stored);
  std::vector<std::int64_t> strides(order.size());
  std::int64_t stride = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = stride;
    stride *= stored.shape[order[i]];
  }
  return strides;
}

bool is_plain(const StoredShape& stored) {
  const Shape& shape = stored.shape;
  return shape.size() != 4 || !stored.channels_last || shape[1] == 1 || shape[2] * shape[3] == 1;
}

namespace {
// What a thread must have to do. Handing work to a thread of a team that is awake costs less than
// a microsecond, but the codes that it reads and writes then move between the caches of cores. With
// half of this, models of small layers run slower on two threads than on one.
constexpr double worth_a_thread = 3000;
}  // namespace

bool pays_to_split(double nanoseconds, int threads) {
  return threads > 1 && nanoseconds >= 2 * worth_a_thread;
}

void split_rows(std::int64_t rows, int threads, double nanoseconds,
                FunctionRef<void(int, std::int64_t, std::int64_t)> fn) {
  const auto wanted = std::min<double>(nanoseconds / worth_a_thread, threads);
  const std::int64_t chunks = std::clamp<std::int64_t>(static_cast<std::int64_t>(wanted), 1,
                                                       std::max<std::int64_t>(rows, 1));
  if (chunks == 1) {
    fn(0, 0, rows);
    return;
  }
  parallel_for(chunks, [&](std::int64_t chunk) {
    fn(static_cast<int>(chunk), rows * chunk / chunks, rows * (chunk + 1) / chunks);
  });
}

void split_blocks(std::int64_t rows, std::int64_t block, int threads, double nanoseconds,
                  FunctionRef<void(int, std::int64_t, std::int64_t)> fn) {
  split_rows(rows, threads, nanoseconds, [&](int chunk, std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; row += block) {
      fn(chunk, row, std::min(row + block, last));
    }
  });
}

}  // namespace octet::integer

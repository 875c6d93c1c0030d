#include "engine/integer/product_batch.h"

namespace octet::integer {
namespace {

/// Strides of the leading dimensions of `operand` under those of `output`, 0 where it repeats.
std::vector<std::int64_t> batch_strides(const Shape& operand, const Shape& output) {
  auto strides = row_major_strides(operand);
  for (std::size_t d = 0; d < strides.size(); ++d) {
    if (operand[d] == 1) strides[d] = 0;
  }
  strides.insert(strides.begin(), output.size() - operand.size(), 0);
  return strides;
}

}  // namespace

Result<ProductBatch> make_product_batch(const Shape& a, const Shape& b) {
  if (a.size() < 2 || b.size() < 2 || a.back() != b[b.size() - 2]) {
    return bad_input("cannot multiply {} and {}", to_string(a), to_string(b));
  }
  const Shape a_batch(a.begin(), a.end() - 2);
  const Shape b_batch(b.begin(), b.end() - 2);
  OCTET_ASSIGN(const auto leading, broadcast_shapes(a_batch, b_batch));
  ProductBatch batch;
  batch.output = leading;
  batch.output.push_back(a[a.size() - 2]);
  batch.output.push_back(b.back());
  OCTET_TRY(checked_element_count(batch.output));
  batch.shape = {a[a.size() - 2], a.back(), b.back()};
  const auto a_strides = batch_strides(a, batch.output);
  const auto b_strides = batch_strides(b, batch.output);
  const auto plain = row_major_strides(leading);
  const std::int64_t count = element_count(leading);
  if (element_count(b_batch) == 1 && element_count(a_batch) == count) {
    // One matrix b: the rows of all a are rows of one matrix.
    batch.shape.rows *= count;
    if (count > 0) batch.offsets = {{0, 0}};
    return batch;
  }
  // Each is kept below; a file that asks for more is damaged.
  constexpr std::int64_t most = std::int64_t{1} << 24;
  if (count > most) return bad_input("{} products are too many", count);
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = i;
    std::pair<std::int64_t, std::int64_t> offsets{0, 0};
    for (std::size_t d = 0; d < leading.size(); ++d) {
      const std::int64_t position = rest / plain[d];
      rest %= plain[d];
      offsets.first += position * a_strides[d];
      offsets.second += position * b_strides[d];
    }
    batch.offsets.push_back(offsets);
  }
  return batch;
}

}  // namespace octet::integer

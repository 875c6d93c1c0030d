#include "analysis/value_errors.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "arithmetic/quantize.h"
#include "core/parallel.h"

namespace octet {

namespace {

std::size_t channels_of(const Tensor& tensor) {
  return tensor.rank() < 2 ? 1 : static_cast<std::size_t>(tensor.dim(1));
}

}  // namespace

double ValueErrors::sqnr_db() const {
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

double ValueErrors::channel_ratio() const { return largest_over_median(channel_range); }

double largest_over_median(std::vector<float> ranges) {
  if (ranges.size() < 2) return 1;
  std::sort(ranges.begin(), ranges.end());
  const auto median = static_cast<double>(ranges[ranges.size() / 2]);
  return median > 0 ? static_cast<double>(ranges.back()) / median : 1;
}

std::vector<float> ranges_along(const Tensor& tensor, int axis) {
  const auto& shape = tensor.shape();
  std::vector<float> ranges(static_cast<std::size_t>(tensor.dim(axis)), 0);
  std::int64_t inner = 1;
  for (std::size_t d = static_cast<std::size_t>(axis) + 1; d < shape.size(); ++d) inner *= shape[d];
  const auto values = tensor.values<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto& range =
        ranges[static_cast<std::size_t>(static_cast<std::int64_t>(i) / inner) % ranges.size()];
    range = std::max(range, std::abs(values[i]));
  }
  return ranges;
}

ValueErrorCollector::ValueErrorCollector(const QuantizedGraph& model) {
  for (const auto& [id, q] : model.plan.values) {
    const bool plain = !model.graph.value(id).is_constant() && !is_dynamic(q);
    if (plain && q.params.count() == 1) values_[id] = q;
  }
  for (const auto id : model.graph.outputs) values_.try_emplace(id, std::nullopt);
  by_worker_.resize(static_cast<std::size_t>(std::max(thread_count(), 1)));
}

Status ValueErrorCollector::visit(int worker, const Batch& batch, const BaseValues& values) {
  auto& samples = by_worker_[static_cast<std::size_t>(worker)][batch.first];
  for (const auto& [id, q] : values_) {
    const Tensor x = to_plain(values.floating[index(id)]).tensor;
    const Tensor y = to_plain(values.quantized[index(id)]).tensor;
    if (x.dtype() != DType::f32 || y.dtype() != DType::f32 || x.size() != y.size()) continue;
    Sample sample = between(x, y);
    sample.value = id;
    sample.index = batch.indices.empty() ? batch.first : batch.indices.front();
    if (q) add_own_error(x, *q, sample);
    samples.push_back(std::move(sample));
  }
  return {};
}

ValueErrorCollector::Sample ValueErrorCollector::between(const Tensor& x, const Tensor& y) {
  Sample sample;
  const auto channels = channels_of(x);
  sample.error.assign(channels, 0);
  sample.range.assign(channels, 0);
  sample.count = x.size();
  std::int64_t inner = 1;
  for (int d = 2; d < x.rank(); ++d) inner *= x.dim(d);
  const auto* a = x.data<float>();
  const auto* b = y.data<float>();
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const auto channel = static_cast<std::size_t>(i / inner) % channels;
    const double difference = static_cast<double>(b[i]) - static_cast<double>(a[i]);
    sample.signal += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    sample.noise += difference * difference;
    sample.error[channel] += difference;
    sample.range[channel] = std::max(sample.range[channel], std::abs(a[i]));
  }
  return sample;
}

void ValueErrorCollector::add_own_error(const Tensor& x, const Quantization& q, Sample& sample) {
  const float scale = q.params.scale[0];
  const auto low = static_cast<float>(range_minimum(q.params, q.scheme)) - scale / 2;
  const auto high = static_cast<float>(range_maximum(q.params, q.scheme)) + scale / 2;
  const auto zero_point = q.params.zero_point[0];
  const auto qmin = static_cast<std::int32_t>(q.scheme.qmin());
  const auto qmax = static_cast<std::int32_t>(q.scheme.qmax());
  for (const float value : x.values<float>()) {
    const auto code = quantize_value(value, scale, zero_point, qmin, qmax);
    const double own =
        static_cast<double>(dequantize_value(code, scale, zero_point)) - static_cast<double>(value);
    const bool outside = value < low || value > high;
    (outside ? sample.clipping : sample.rounding) += own * own;
    sample.outside += outside ? 1 : 0;
  }
}

std::map<ValueId, ValueErrors> ValueErrorCollector::errors() const {
  std::map<std::int64_t, const std::vector<Sample>*> batches;
  for (const auto& worker : by_worker_) {
    for (const auto& [first, samples] : worker) batches[first] = &samples;
  }
  std::map<ValueId, ValueErrors> out;
  std::map<ValueId, std::vector<double>> shifts;
  std::map<ValueId, double> counts;
  for (const auto& [first, samples] : batches) {
    for (const auto& sample : *samples) {
      auto& sum = out[sample.value];
      sum.signal += sample.signal;
      sum.noise += sample.noise;
      sum.clipping += sample.clipping;
      sum.rounding += sample.rounding;
      sum.outside += static_cast<double>(sample.outside);
      sum.outside_by_sample.push_back(static_cast<double>(sample.outside) /
                                      static_cast<double>(std::max<std::int64_t>(sample.count, 1)));
      sum.samples.push_back(sample.index);
      counts[sample.value] += static_cast<double>(sample.count);
      auto& shift = shifts[sample.value];
      shift.resize(std::max(shift.size(), sample.error.size()), 0);
      sum.channel_range.resize(shift.size(), 0);
      for (std::size_t c = 0; c < sample.error.size(); ++c) {
        shift[c] += sample.error[c];
        sum.channel_range[c] = std::max(sum.channel_range[c], sample.range[c]);
      }
    }
  }
  for (auto& [id, sum] : out) {
    const double count = std::max(counts[id], 1.0);
    const double of_channel =
        count / static_cast<double>(std::max<std::size_t>(shifts[id].size(), 1));
    for (const double shift : shifts[id]) sum.mean_shift += shift * shift / of_channel;
    sum.outside /= count;
  }
  return out;
}

}  // namespace octet

#include "analysis/output_comparison.h"

#include <algorithm>
#include <optional>

namespace octet {
namespace {

std::string output_name(const Graph& graph, std::size_t i) {
  return graph.value(graph.outputs[i]).name;
}

std::string first_dim_name(const Graph& graph, ValueId id) {
  const auto& value = graph.value(id);
  return value.dim_names.empty() ? std::string() : value.dim_names.front();
}

/// The outputs as f32; nullopt for types that are no numbers.
std::optional<Tensor> numbers(const Tensor& tensor) {
  auto converted = to_f32(tensor);
  if (!converted) return std::nullopt;
  return std::move(*converted);
}

}  // namespace

std::vector<OutputPair> pair_outputs(const Graph& first, const Graph& second) {
  std::vector<OutputPair> pairs;
  std::vector<bool> taken(second.outputs.size(), false);
  std::vector<bool> named(first.outputs.size(), false);
  for (std::size_t i = 0; i < first.outputs.size(); ++i) {
    for (std::size_t k = 0; k < second.outputs.size(); ++k) {
      if (taken[k] || output_name(first, i) != output_name(second, k)) continue;
      taken[k] = named[i] = true;
      pairs.push_back({output_name(first, i), i, k});
      break;
    }
  }
  for (std::size_t i = 0; i < std::min(named.size(), taken.size()); ++i) {
    if (!named[i] && !taken[i]) pairs.push_back({output_name(first, i), i, i});
  }
  std::sort(pairs.begin(), pairs.end(),
            [](const OutputPair& a, const OutputPair& b) { return a.first < b.first; });
  return pairs;
}

bool outputs_follow_batch(const Graph& graph) {
  if (graph.inputs.empty()) return false;
  const auto batch = first_dim_name(graph, graph.inputs.front());
  return std::all_of(graph.outputs.begin(), graph.outputs.end(), [&](ValueId id) {
    const auto& shape = graph.value(id).shape;
    if (!shape || shape->empty() || shape->front() != dynamic_dim) return false;
    const auto named = first_dim_name(graph, id);
    return batch.empty() || named.empty() || named == batch;
  });
}

bool has_samples(const Tensor& output, std::int64_t samples) {
  return samples == 1 || (output.rank() > 0 && output.dim(0) % samples == 0);
}

SampleOutput sample_output(const Tensor& output, std::int64_t samples, std::int64_t i) {
  const auto width = output.size() / samples;
  SampleOutput out;
  out.values = {output.data<float>() + i * width, static_cast<std::size_t>(width)};
  out.shape = {1};
  if (output.rank() == 0) return out;
  const auto rows = output.dim(0) / samples;
  if (rows != 1) out.shape.push_back(rows);
  out.shape.insert(out.shape.end(), output.shape().begin() + 1, output.shape().end());
  return out;
}

OutputComparison::OutputComparison(const std::vector<OutputPair>& pairs) : pairs_(pairs) {
  for (const auto& pair : pairs_) outputs_.push_back({pair.name, true, {}});
  has_agreement_ = !pairs_.empty();
}

void OutputComparison::add(std::span<const Tensor> first, std::span<const Tensor> second,
                           std::int64_t samples) {
  std::vector<std::optional<Tensor>> a(pairs_.size());
  std::vector<std::optional<Tensor>> b(pairs_.size());
  std::int64_t units = samples;
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const auto& x = first[pairs_[i].first];
    const auto& y = second[pairs_[i].second];
    a[i] = numbers(x);
    b[i] = numbers(y);
    if (a[i] && b[i] && x.shape() == y.shape()) {
      if (!has_samples(x, samples)) units = 1;
      continue;
    }
    a[i].reset();
    outputs_[i].comparable = false;
    obstacle_ =
        fmt::format("output {} is {} {} in one model and {} {} in the other", pairs_[i].name,
                    name(x.dtype()), to_string(x.shape()), name(y.dtype()), to_string(y.shape()));
  }
  if (!pairs_.empty()) {
    const bool classes = !is_float(first[pairs_[0].first].dtype());
    if (a[0]) add_agreement(*a[0], *b[0], classes, units);
    has_agreement_ = has_agreement_ && a[0].has_value();
  }
  for (std::int64_t unit = 0; unit < units; ++unit) {
    SampleError all;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      if (!a[i]) continue;
      const auto error = SampleError::between(sample_output(*a[i], units, unit).values,
                                              sample_output(*b[i], units, unit).values);
      outputs_[i].errors.add(error);
      all += error;
    }
    total_.add(all);
  }
}

void OutputComparison::add_agreement(const Tensor& first, const Tensor& second, bool classes,
                                     std::int64_t units) {
  for (std::int64_t unit = 0; unit < units && has_agreement_; ++unit) {
    const auto x = sample_output(first, units, unit);
    const auto y = sample_output(second, units, unit);
    if (classes) {
      agreement_.add_classes(x.values, y.values);
      continue;
    }
    const auto layout = score_layout(x.shape);
    has_agreement_ = layout.classes > 1;
    if (has_agreement_) {
      agreement_.add(x.values, y.values, layout);
    } else if (obstacle_.empty()) {
      obstacle_ = fmt::format("output {} has shape {}, which holds no class scores", pairs_[0].name,
                              to_string(first.shape()));
    }
  }
}

void OutputComparison::merge(const OutputComparison& other) {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    outputs_[i].comparable = outputs_[i].comparable && other.outputs_[i].comparable;
    outputs_[i].errors.merge(other.outputs_[i].errors);
  }
  total_.merge(other.total_);
  agreement_.merge(other.agreement_);
  has_agreement_ = has_agreement_ && other.has_agreement_;
  if (obstacle_.empty()) obstacle_ = other.obstacle_;
}

bool OutputComparison::any_comparable() const {
  return std::any_of(outputs_.begin(), outputs_.end(),
                     [](const Output& output) { return output.comparable; });
}

const AgreementSums* OutputComparison::agreement() const {
  return has_agreement_ ? &agreement_ : nullptr;
}

}  // namespace octet

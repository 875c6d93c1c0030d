#include "api/sample_by_sample.h"

#include <algorithm>
#include <cstring>

#include "core/progress.h"

namespace octet {
namespace {

/// Whether `given` is `wanted` but for the first extent, which `wanted` fixes at 1.
bool holds_samples(const Shape& wanted, const Shape& given) {
  if (wanted.empty() || wanted.front() != 1 || wanted.size() != given.size()) return false;
  for (std::size_t i = 1; i < wanted.size(); ++i) {
    if (wanted[i] != dynamic_dim && wanted[i] != given[i]) return false;
  }
  return true;
}

Tensor sample(const Tensor& all, std::int64_t index) {
  Shape shape = all.shape();
  shape.front() = 1;
  Tensor one(all.dtype(), shape);
  const auto bytes = one.bytes();
  std::memcpy(one.mutable_raw(), all.raw() + static_cast<std::size_t>(index) * bytes, bytes);
  return one;
}

Result<Tensor> room_for(const Tensor& first, std::int64_t samples) {
  if (first.rank() == 0 || first.dim(0) != 1) {
    return bad_input("an output of shape {} cannot hold {} samples; give them one by one",
                     to_string(first.shape()), samples);
  }
  Shape shape = first.shape();
  shape.front() = samples;
  return Tensor::create(first.dtype(), shape);
}

}  // namespace

std::int64_t sample_count(const Graph& graph, std::span<const Tensor> inputs) {
  std::int64_t samples = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto& wanted = graph.value(graph.inputs[i]).shape;
    if (!wanted || !holds_samples(*wanted, inputs[i].shape())) return 1;
    if (samples != 0 && inputs[i].dim(0) != samples) return 1;
    samples = inputs[i].dim(0);
  }
  return std::max<std::int64_t>(samples, 1);
}

Result<std::vector<Tensor>> run_samples(Session& session, std::span<const Tensor> inputs,
                                        std::int64_t samples) {
  std::vector<Tensor> all;
  for (std::int64_t index = 0; index < samples; ++index) {
    OCTET_TRY(check_cancel());
    std::vector<Tensor> one;
    for (const auto& input : inputs) one.push_back(sample(input, index));
    OCTET_ASSIGN(const auto outputs, session.run(one));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (index == 0) {
        OCTET_ASSIGN(auto room, room_for(outputs[i], samples));
        all.push_back(std::move(room));
      }
      const auto bytes = outputs[i].bytes();
      if (bytes * static_cast<std::size_t>(samples) != all[i].bytes()) {
        return bad_input("the shape of an output changes from sample to sample");
      }
      std::memcpy(all[i].mutable_raw() + static_cast<std::size_t>(index) * bytes, outputs[i].raw(),
                  bytes);
    }
  }
  return all;
}

}  // namespace octet

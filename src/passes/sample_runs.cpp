#include "passes/sample_runs.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <numeric>

#include "core/parallel.h"
#include "core/progress.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "engine/worker_sessions.h"
#include "octet/runtime.h"

namespace octet {
namespace {

void leave_out_softmax(Graph& graph) {
  const auto producers = graph.producers();
  for (auto& output : graph.outputs) {
    const auto producer = producers[index(output)];
    if (producer == NodeId::none || !graph.node(producer).is("Softmax")) continue;
    output = graph.node(producer).input(0);
  }
  graph.remove_dead_nodes();
}

struct Sums {
  double error = 0;
  double reference = 0;
};

Sums compare(const std::vector<Tensor>& reference, const std::vector<Tensor>& outputs) {
  Sums sums;
  for (std::size_t k = 0; k < std::min(reference.size(), outputs.size()); ++k) {
    const auto& r = reference[k];
    const auto& m = outputs[k];
    if (r.dtype() != DType::f32 || m.dtype() != DType::f32 || r.size() != m.size()) continue;
    for (std::int64_t i = 0; i < r.size(); ++i) {
      const auto wanted = static_cast<double>(r.data<float>()[i]);
      const double difference = static_cast<double>(m.data<float>()[i]) - wanted;
      sums.error += difference * difference;
      sums.reference += wanted * wanted;
    }
  }
  return sums;
}

}  // namespace

Result<Samples> read_samples(const SampleSource& source, const Graph& graph, std::int64_t limit) {
  std::mutex mutex;
  Samples samples(static_cast<std::size_t>(limit));
  OCTET_TRY(source(graph, limit, [&](int, const Batch& batch) -> Status {
    const std::lock_guard lock(mutex);
    samples[static_cast<std::size_t>(batch.first)] = batch.inputs;
    return {};
  }));
  std::erase_if(samples, [](const auto& inputs) { return inputs.empty(); });
  return samples;
}

Status run_samples(
    const Program& program, const Samples& samples,
    const std::function<const TapRequest*(int worker)>& taps,
    const std::function<void(std::size_t sample, const std::vector<Tensor>& outputs)>& done) {
  WorkerSessions sessions(program);
  return parallel_try(
      static_cast<std::int64_t>(samples.size()), [&](int worker, std::int64_t i) -> Status {
        const auto at = static_cast<std::size_t>(i);
        OCTET_TRY(check_cancel());
        OCTET_ASSIGN(auto* session, sessions.get(worker));
        OCTET_ASSIGN(const auto outputs, session->run(samples[at], taps ? taps(worker) : nullptr));
        if (done) done(at, outputs);
        return {};
      });
}

bool fell_surely(const std::vector<double>& before, const std::vector<double>& after) {
  constexpr double least_gain = 0.05;
  constexpr double least_certainty = 3;
  const auto count = static_cast<double>(before.size());
  double sum = 0;
  double gain = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    sum += before[i];
    gain += before[i] - after[i];
  }
  if (!(gain > least_gain * sum)) return false;
  double squares = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    squares += std::pow(before[i] - after[i] - gain / count, 2);
  }
  const double deviation = std::sqrt(squares / std::max(count - 1, 1.0) / count);
  return gain / count > least_certainty * deviation;
}

Result<OutputDistance> OutputDistance::against(const Graph& original, const Samples& samples) {
  OutputDistance error(samples);
  Graph graph = original;
  leave_out_softmax(graph);
  OCTET_ASSIGN(const auto program, compile_float(graph));
  error.reference_.resize(samples.size());
  OCTET_TRY(run_samples(*program, samples, {},
                        [&](std::size_t sample, const std::vector<Tensor>& outputs) {
                          error.reference_[sample] = outputs;
                        }));
  return error;
}

Result<std::vector<double>> OutputDistance::by_sample(QuantizedGraph model) const {
  leave_out_softmax(model.graph);
  OCTET_ASSIGN(const auto program, compile_integer(model));
  std::vector<Sums> sums(samples_.size());
  OCTET_TRY(run_samples(*program, samples_, {},
                        [&](std::size_t sample, const std::vector<Tensor>& outputs) {
                          sums[sample] = compare(reference_[sample], outputs);
                        }));
  double reference = 0;
  for (const auto& one : sums) reference += one.reference;
  std::vector<double> errors;
  for (const auto& one : sums) {
    errors.push_back(reference > 0 ? one.error / reference : one.error);
  }
  return errors;
}

Result<double> OutputDistance::of(QuantizedGraph model) const {
  OCTET_ASSIGN(const auto errors, by_sample(std::move(model)));
  return std::accumulate(errors.begin(), errors.end(), 0.0);
}

}  // namespace octet

#include "api/latency.h"

#include <algorithm>

#include "api/clock.h"
#include "core/progress.h"

namespace octet {
namespace {

double milliseconds_since(Clock::time_point start) { return 1e3 * seconds_since(start); }

/// The value below which `share` of the sorted times lie.
double quantile(const std::vector<double>& sorted, double share) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(share * last + 0.5)];
}

void add_layer_times(const std::vector<Session::StepTime>& steps, BenchSummary& out) {
  if (out.layers.empty()) out.layers.resize(steps.size());
  for (std::size_t i = 0; i < std::min(steps.size(), out.layers.size()); ++i) {
    auto& layer = out.layers[i];
    const auto& step = steps[i];
    const double best =
        layer.name.empty() ? step.milliseconds : std::min(layer.ms, step.milliseconds);
    layer = {step.node, step.op, step.kernel, best, step.macs, step.bytes, std::nullopt, ""};
  }
}

}  // namespace

Result<BenchSummary> measure_latency(const Program& program, const std::vector<Tensor>& inputs,
                                     const LatencyOptions& options) {
  OCTET_ASSIGN(const auto session, program.session({options.threads}));
  BenchSummary out;
  out.threads = options.threads;
  auto start = Clock::now();
  OCTET_TRY(session->run(inputs));
  out.first_ms = milliseconds_since(start);

  std::vector<double> times;
  const auto begin = Clock::now();
  while (times.size() < 5 || milliseconds_since(begin) < options.seconds * 1e3) {
    OCTET_TRY(check_cancel());
    start = Clock::now();
    OCTET_TRY(session->run(inputs));
    times.push_back(milliseconds_since(start));
  }
  std::sort(times.begin(), times.end());
  out.median_ms = quantile(times, 0.5);
  out.p10_ms = quantile(times, 0.1);
  out.p90_ms = quantile(times, 0.9);
  out.runs = static_cast<std::int64_t>(times.size());
  if (!options.layers) return out;

  session->set_profiling(true);
  for (int i = 0; i < 10; ++i) {
    OCTET_TRY(session->run(inputs));
    add_layer_times(session->step_times(), out);
  }
  return out;
}

}  // namespace octet

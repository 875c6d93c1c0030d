#include "api/latency.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>

#include "core/progress.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

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
    layer = {step.node, step.op, step.kernel, best, step.macs};
  }
}

/// 1 in each element of a mask, so that it leaves nothing out; 0, an index into any table, in those
/// of other integers.
void fill_integers(std::string_view name, Tensor& tensor) {
  if (tensor.size() == 0) return;
  std::byte* raw = tensor.mutable_raw();
  std::memset(raw, 0, tensor.bytes());
  const bool mask = tensor.dtype() == DType::boolean || name.find("mask") != std::string_view::npos;
  if (!mask) return;
  const auto step = tensor.bytes() / static_cast<std::size_t>(tensor.size());
  for (std::size_t i = 0; i < tensor.bytes(); i += step) raw[i] = std::byte{1};  // little-endian
}

}  // namespace

Result<std::vector<Tensor>> random_inputs(const Graph& graph, int batch) {
  std::mt19937 generator(0);
  std::vector<Tensor> inputs;
  for (const auto id : graph.inputs) {
    const auto& value = graph.value(id);
    const bool whole = value.dtype == DType::boolean || is_integer(value.dtype);
    const bool known = value.dtype == DType::f32 || (whole && bits(value.dtype) >= 8);
    if (!known || !value.shape) {
      return bad_input(
          "input {} has type {}; input can be made for f32, integers and bool of known rank",
          value.name, name(value.dtype));
    }
    auto shape = *value.shape;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == dynamic_dim) shape[i] = i == 0 ? batch : 1;
    }
    OCTET_ASSIGN(auto tensor, Tensor::create(value.dtype, shape));
    if (whole) {
      fill_integers(value.name, tensor);
      inputs.push_back(std::move(tensor));
      continue;
    }
    float* x = tensor.mutable_data<float>();
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      x[i] = static_cast<float>(generator()) * 0x1.0p-31F - 1.0F;
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

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

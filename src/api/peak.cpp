#include "api/peak.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "core/parallel.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "kernels/dot_peak.h"

namespace octet {
namespace {

constexpr std::int64_t edge = 512;
constexpr int runs = 10;

Value matrix(const char* name) {
  Value value;
  value.name = name;
  value.dtype = DType::f32;
  value.shape = Shape{edge, edge};
  return value;
}

/// y = MatMul(x, w) with codes for all three.
QuantizedGraph product() {
  QuantizedGraph model;
  auto& graph = model.graph;
  graph.opsets[""] = 21;
  const auto x = graph.add_value(matrix("x"));
  const auto y = graph.add_value(matrix("y"));
  Tensor weights(DType::f32, {edge, edge});
  float* w = weights.mutable_data<float>();
  for (std::int64_t i = 0; i < weights.size(); ++i) w[i] = static_cast<float>(i % 5 - 2) * 0.25F;
  const auto constant = graph.add_constant("w", std::move(weights));
  Node node;
  node.op = "MatMul";
  node.name = "product";
  node.inputs = {x, constant};
  node.outputs = {y};
  graph.add_node(std::move(node));
  graph.inputs = {x};
  graph.outputs = {y};
  const QuantScheme activation;
  QuantScheme weight;
  weight.symmetry = Symmetry::symmetric;
  weight.range = CodeRange::narrow;
  model.plan.values[x] = {activation, {{0.0625F}, {0}, -1}, Origin::observed, DType::u8};
  model.plan.values[y] = {activation, {{4.0F}, {0}, -1}, Origin::observed, DType::u8};
  model.plan.values[constant] = {weight, {{0.25F}, {0}, -1}, Origin::observed, DType::i8};
  return model;
}

/// Shortest time of the step that multiplies.
Result<double> best_rate(const Program& program, int threads) {
  OCTET_ASSIGN(const auto session, program.session({threads}));
  Tensor x(DType::f32, {edge, edge});
  float* values = x.mutable_data<float>();
  for (std::int64_t i = 0; i < x.size(); ++i) values[i] = static_cast<float>(i % 7 - 3) * 0.25F;
  const std::vector<Tensor> inputs = {x};
  session->set_profiling(true);
  double rate = 0;
  for (int i = 0; i < runs; ++i) {
    OCTET_TRY(session->run(inputs));
    for (const auto& step : session->step_times()) {
      if (step.macs == 0 || step.milliseconds <= 0) continue;
      rate = std::max(rate, static_cast<double>(step.macs) / step.milliseconds);
    }
  }
  return rate;
}

}  // namespace

Result<PeakRates> measure_peaks(int threads) {
  const auto model = product();
  OCTET_ASSIGN(const auto floats, compile_float(model.graph));
  OCTET_ASSIGN(const auto integers, compile_integer(model));
  PeakRates peaks;
  OCTET_ASSIGN(peaks.float_macs, best_rate(*floats, threads));
  OCTET_ASSIGN(peaks.integer_macs, best_rate(*integers, threads));
  return peaks;
}

DotPeaks measure_dot_peaks(int threads) {
  constexpr double per_millisecond = 1e6;
  /// All threads at once, as they share the machine when a model runs.
  const auto together = [&](const std::function<double()>& rate) {
    std::vector<double> rates(static_cast<std::size_t>(threads));
    parallel_for(threads, [&](std::int64_t i) { rates[static_cast<std::size_t>(i)] = rate(); });
    return per_millisecond * std::accumulate(rates.begin(), rates.end(), 0.0);
  };
  DotPeaks peaks;
  peaks.floats = together(kernels::float_dot_peak);
  for (const auto isa : kernels::all_isas) {
    if (!kernels::isa_available(isa)) continue;
    peaks.codes[isa] = together([isa] { return kernels::dot_peak(isa); });
  }
  return peaks;
}

std::optional<double> peak_share(const DotPeaks& peaks, std::string_view kernel, std::int64_t macs,
                                 double milliseconds) {
  double peak = peaks.floats;
  if (kernel.starts_with("u8") || kernel.starts_with("s8")) {
    const auto known = peaks.codes.find(kernels::isa_of(kernel));
    peak = known == peaks.codes.end() ? 0 : known->second;
  }
  if (macs <= 0 || milliseconds <= 0 || peak <= 0) return std::nullopt;
  return static_cast<double>(macs) / milliseconds / peak;
}

}  // namespace octet

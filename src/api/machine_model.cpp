#include "api/machine_model.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "api/peak.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

/// One operator of one size.
struct Probe {
  CostKind kind = CostKind::dense;
  const char* op = "Conv";
  Shape input;
  std::int64_t outputs = 0;  ///< channels of a Conv, columns of a Gemm
  std::int64_t kernel = 1;
  std::int64_t groups = 1;
  std::int64_t stride = 1;
};

/// Two sizes of each kind: one where the cost of running an operator shows, one where it does not.
std::vector<Probe> probes() {
  using enum CostKind;
  return {{first, "Conv", {1, 3, 32, 32}, 16, 3, 1, 1},
          {first, "Conv", {1, 3, 224, 224}, 24, 3, 1, 2},
          {dense, "Conv", {1, 16, 8, 8}, 16, 3, 1, 1},
          {dense, "Conv", {1, 32, 32, 32}, 32, 3, 1, 1},
          {pointwise, "Conv", {1, 16, 7, 7}, 32, 1, 1, 1},
          {pointwise, "Conv", {1, 96, 28, 28}, 96, 1, 1, 1},
          {depthwise, "Conv", {1, 64, 7, 7}, 64, 3, 64, 1},
          {depthwise, "Conv", {1, 96, 56, 56}, 96, 3, 96, 1},
          {matrix, "Gemm", {1, 64}, 16, 1, 1, 1},
          {matrix, "Gemm", {1, 1024}, 1000, 1, 1, 1},
          {elementwise, "Add", {1, 16, 7, 7}, 0, 1, 1, 1},
          {elementwise, "Add", {1, 32, 32, 32}, 0, 1, 1, 1},
          {pooling, "GlobalAveragePool", {1, 64, 7, 7}, 0, 1, 1, 1},
          {pooling, "GlobalAveragePool", {1, 128, 28, 28}, 0, 1, 1, 1},
          {function, "Sigmoid", {1, 16, 7, 7}, 0, 1, 1, 1},
          {function, "Sigmoid", {1, 32, 32, 32}, 0, 1, 1, 1},
          {softmax, "Softmax", {1, 10}, 0, 1, 1, 1},
          {softmax, "Softmax", {1, 1000}, 0, 1, 1, 1}};
}

Tensor pattern(const Shape& shape, float scale) {
  Tensor tensor(DType::f32, shape);
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    tensor.mutable_data<float>()[i] = static_cast<float>(i % 7 - 3) * scale;
  }
  return tensor;
}

Quantization codes(float scale, bool weight) {
  QuantScheme scheme;
  if (weight) {
    scheme.symmetry = Symmetry::symmetric;
    scheme.range = CodeRange::narrow;
  }
  return {scheme, {{scale}, {0}, -1}, Origin::observed, weight ? DType::i8 : DType::u8};
}

/// The probe as a quantized model of one node.
QuantizedGraph model_of(const Probe& probe) {
  QuantizedGraph model;
  auto& graph = model.graph;
  graph.opsets[""] = 21;
  const auto value = [&](const char* name) {
    Value made;
    made.name = name;
    made.dtype = DType::f32;
    const auto id = graph.add_value(std::move(made));
    model.plan.values[id] = codes(0.0625F, false);
    return id;
  };
  const auto x = value("x");
  graph.value(x).shape = probe.input;
  Node node;
  node.op = probe.op;
  node.name = "probe";
  node.inputs = {x};
  graph.inputs = {x};
  const auto channels = probe.input[1];
  if (node.op == "Conv" || node.op == "Gemm") {
    const bool conv = node.op == "Conv";
    const Shape shape =
        conv ? Shape{probe.outputs, channels / probe.groups, probe.kernel, probe.kernel}
             : Shape{probe.outputs, channels};
    const auto w = graph.add_constant("w", pattern(shape, 0.25F));
    model.plan.values[w] = codes(0.25F, true);
    node.inputs.push_back(w);
    const auto pad = probe.kernel / 2;
    if (conv) {
      node.attributes["kernel_shape"] = std::vector<std::int64_t>{probe.kernel, probe.kernel};
      node.attributes["pads"] = std::vector<std::int64_t>{pad, pad, pad, pad};
      node.attributes["strides"] = std::vector<std::int64_t>{probe.stride, probe.stride};
      node.attributes["group"] = probe.groups;
    } else {
      node.attributes["transB"] = std::int64_t{1};
    }
  } else if (node.op == "Add") {
    const auto y = value("second");
    graph.value(y).shape = probe.input;
    graph.inputs.push_back(y);
    node.inputs.push_back(y);
  }
  const auto y = value("y");
  node.outputs = {y};
  graph.outputs = {y};
  graph.add_node(std::move(node));
  return model;
}

/// Shortest time of the probe's step over some runs.
Result<double> best_ms(const Program& program, const QuantizedGraph& model, int threads) {
  constexpr int least_runs = 20;
  constexpr double budget_ms = 15;
  OCTET_ASSIGN(const auto session, program.session({threads}));
  std::vector<Tensor> inputs;
  for (const auto id : model.graph.inputs) {
    inputs.push_back(pattern(*model.graph.value(id).shape, 0.25F));
  }
  session->set_profiling(true);
  double best = std::numeric_limits<double>::infinity();
  double total = 0;
  for (int i = 0; i < least_runs || total < budget_ms; ++i) {
    OCTET_TRY(session->run(inputs));
    double own = 0;
    for (const auto& step : session->step_times()) {
      total += step.milliseconds + 1e-3;
      if (step.node == "probe") own += step.milliseconds;
    }
    if (own > 0) best = std::min(best, own);
  }
  return std::isfinite(best) ? best : 0.0;
}

double work_of(const Probe& probe) {
  const auto elements = static_cast<double>(std::accumulate(probe.input.begin(), probe.input.end(),
                                                            std::int64_t{1}, std::multiplies<>()));
  if (probe.outputs == 0) return elements;
  const auto filters = static_cast<double>(probe.outputs) /
                       static_cast<double>(probe.groups * probe.stride * probe.stride);
  return elements * filters * static_cast<double>(probe.kernel * probe.kernel);
}

/// The line through two measurements; its overhead is not negative.
CostLine line_through(double work_a, double ms_a, double work_b, double ms_b) {
  CostLine line;
  const double slope = (ms_b - ms_a) / (work_b - work_a);
  line.rate = slope > 0 ? 1 / slope : work_b / std::max(ms_b, 1e-9);
  line.overhead_ms = std::max(ms_a - work_a / line.rate, 0.0);
  return line;
}

/// The fastest of many pieces of an array that is read from end to end, at least twice: what
/// interrupts some of them does not count.
double measured_bandwidth(std::size_t bytes) {
  constexpr std::size_t largest_piece = std::size_t{1} << 20;
  constexpr std::size_t least_read = std::size_t{16} << 20;
  const std::vector<std::uint64_t> array(bytes / sizeof(std::uint64_t), 1);
  const std::size_t piece = std::min(bytes, largest_piece) / sizeof(std::uint64_t);
  const std::size_t rounds = std::max<std::size_t>(2, least_read / bytes);
  double best = 0;
  std::uint64_t sum = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t at = 0; at + piece <= array.size(); at += piece) {
      const auto start = std::chrono::steady_clock::now();
      const auto* from = array.data() + at;
      sum += std::accumulate(from, from + piece, std::uint64_t{0});
      const std::chrono::duration<double, std::milli> taken =
          std::chrono::steady_clock::now() - start;
      best = std::max(
          best, static_cast<double>(piece * sizeof(std::uint64_t)) / std::max(taken.count(), 1e-6));
    }
  }
  return sum > 0 ? best : 0;
}

std::vector<Bandwidth> measured_memory() {
  std::vector<Bandwidth> memory;
  constexpr std::size_t kilobyte = 1024;
  for (const std::size_t kilobytes : {64U, 256U, 1024U, 4096U, 16384U, 65536U}) {
    const auto bytes = kilobytes * kilobyte;
    memory.push_back({static_cast<double>(bytes), measured_bandwidth(bytes)});
  }
  return memory;
}

}  // namespace

double MachineModel::bytes_per_ms(double bytes) const {
  if (memory.empty()) return 0;
  const auto holds = [bytes](const Bandwidth& b) { return b.bytes >= bytes; };
  const auto found = std::find_if(memory.begin(), memory.end(), holds);
  return found == memory.end() ? memory.back().bytes_per_ms : found->bytes_per_ms;
}

double predicted_ms(const MachineModel& machine, const CostLine& line, double work, double bytes) {
  const double rate = machine.bytes_per_ms(bytes);
  const double memory = rate > 0 ? line.overhead_ms + bytes / rate : 0;
  return std::max(line.ms(work), memory);
}

Result<MachineModel> measure_machine(int threads) {
  MachineModel machine;
  const auto all = probes();
  for (std::size_t i = 0; i + 1 < all.size(); i += 2) {
    std::array<double, 2> work{};
    std::array<double, 2> floats{};
    std::array<double, 2> integers{};
    for (std::size_t k = 0; k < 2; ++k) {
      auto model = model_of(all[i + k]);
      OCTET_TRY(infer_shapes(model.graph));
      OCTET_ASSIGN(const auto f, compile_float(model.graph));
      OCTET_ASSIGN(const auto q, compile_integer(model));
      work[k] = work_of(all[i + k]);
      OCTET_ASSIGN(floats[k], best_ms(*f, model, threads));
      OCTET_ASSIGN(integers[k], best_ms(*q, model, threads));
    }
    const auto kind = static_cast<std::size_t>(all[i].kind);
    machine.floats[kind] = line_through(work[0], floats[0], work[1], floats[1]);
    machine.integers[kind] = line_through(work[0], integers[0], work[1], integers[1]);
  }
  OCTET_ASSIGN(const auto peaks, measure_peaks(threads));
  machine.float_peak = peaks.float_macs;
  machine.integer_peak = peaks.integer_macs;
  machine.memory = measured_memory();
  return machine;
}

}  // namespace octet

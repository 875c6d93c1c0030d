// Convolution kernels, one thread, on layers of ResNet-20 and MobileNetV1: the time of one layer,
// its rate in GOPS (a multiplication and an addition count as two), and the share of what the
// kernel's multiply instruction reaches with registers alone. oneDNN's int8 convolution (u8 by s8
// to u8, the layouts of its choice) beside them, with as many instructions as the CPU has. And what
// it costs to hand an empty loop to two threads.
//   OMP_NUM_THREADS=1 kernels_bench --benchmark_filter=amx
//   kernels_bench --benchmark_filter=loop

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "core/team.h"
#include "kernels/conv.h"
#include "kernels/dot_peak.h"
#include "onednn_conv.h"

namespace {

using namespace octet::kernels;

struct Layer {
  const char* name;
  int size, in, out, kernel, stride, groups;
};

constexpr Layer layers[] = {
    {"resnet20 first 3x3", 32, 3, 16, 3, 1, 1},   {"resnet20 3x3 16@32", 32, 16, 16, 3, 1, 1},
    {"resnet20 3x3 32@16", 16, 32, 32, 3, 1, 1},  {"resnet20 3x3 64@8", 8, 64, 64, 3, 1, 1},
    {"mobilenet first 3x3", 224, 3, 24, 3, 2, 1}, {"dw 24@112", 112, 24, 24, 3, 1, 24},
    {"dw 48@112 s2", 112, 48, 48, 3, 2, 48},      {"dw 96@56", 56, 96, 96, 3, 1, 96},
    {"dw 256@28", 28, 256, 256, 3, 1, 256},       {"dw 384@14", 14, 384, 384, 3, 1, 384},
    {"1x1 24-48@112", 112, 24, 48, 1, 1, 1},      {"1x1 96-96@56", 56, 96, 96, 1, 1, 1},
    {"1x1 256-256@14", 14, 256, 256, 1, 1, 1},    {"1x1 384-384@14", 14, 384, 384, 1, 1, 1},
    {"1x1 768-768@7", 7, 768, 768, 1, 1, 1},      {"3x3 64@56", 56, 64, 64, 3, 1, 1},
    {"fc 768-1000", 1, 768, 1000, 1, 1, 1},
};

/// Like a filter of a trained network: tails longer than those of a normal distribution, the
/// largest weight at the end of the range. (AVX2 has more to do the more pairs of large weights
/// there are.)
void fill_filter(std::mt19937& random, std::int8_t* filter, int size) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(size));
  float largest = 0;
  for (auto& v : values) {
    v = normal(random);
    v *= std::abs(normal(random));
    largest = std::max(largest, std::abs(v));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    filter[i] = static_cast<std::int8_t>(std::lround(values[i] * 127 / largest));
  }
}

ConvParams make_params(const Layer& layer) {
  ConvParams params;
  auto& g = params.geometry;
  g.in_height = g.in_width = layer.size;
  g.in_channels = layer.in;
  g.out_channels = layer.out;
  g.kernel_height = g.kernel_width = layer.kernel;
  g.stride_height = g.stride_width = layer.stride;
  g.pad_top = g.pad_left = layer.kernel / 2;
  g.groups = layer.groups;
  g.out_height = g.out_width = (layer.size - 1) / layer.stride + 1;
  const int filter = layer.kernel * layer.kernel * (layer.in / layer.groups);
  std::mt19937 random(1);
  params.weights.resize(static_cast<std::size_t>(layer.out * filter));
  for (int o = 0; o < layer.out; ++o) {
    fill_filter(random, &params.weights[static_cast<std::size_t>(o * filter)], filter);
  }
  params.bias.assign(static_cast<std::size_t>(layer.out), 100);
  params.multiplier.assign(static_cast<std::size_t>(layer.out), 1e-3F);
  return params;
}

void report(benchmark::State& state, double macs, const std::string& kernel) {
  state.counters["GOPS"] =
      benchmark::Counter(2e-9 * macs, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(kernel);
}

/// `peak` in multiply-accumulates per nanosecond.
void run_layer(benchmark::State& state, const Layer& layer, const ConvKernel& kernel, double peak) {
  const ConvParams params = make_params(layer);
  const auto& g = params.geometry;
  const auto conv = kernel.make(params);
  const auto pixels = std::int64_t{g.out_height} * g.out_width;
  std::vector<std::uint8_t> input(
      static_cast<std::size_t>(g.in_height * g.in_width * g.in_channels) + 64, 77);
  std::vector<std::uint8_t> output(static_cast<std::size_t>(pixels * g.out_channels));
  std::size_t room = conv->scratch_bytes(g) + 64;
  std::vector<std::byte> memory(room);
  void* scratch = memory.data();
  std::align(64, 1, scratch, room);
  for (auto _ : state) {
    conv->run(g, input.data(), output.data(), 0, g.out_height, static_cast<std::byte*>(scratch));
    benchmark::ClobberMemory();
  }
  const double macs = static_cast<double>(pixels) * static_cast<double>(params.weights.size());
  report(state, macs, std::string(conv->name()));
  state.counters["peak"] =
      benchmark::Counter(1e-9 * macs / peak, benchmark::Counter::kIsIterationInvariantRate);
}

void run_onednn(benchmark::State& state, const Layer& layer) {
  const ConvParams params = make_params(layer);
  octet::set_thread_count(1);
  octet::bench::OnednnConv conv(params.geometry);
  for (auto _ : state) conv.run();
  const auto& g = params.geometry;
  report(
      state,
      static_cast<double>(g.out_height * g.out_width) * static_cast<double>(params.weights.size()),
      conv.name());
}

void empty_loops(benchmark::State& state) {
  for (auto _ : state) {
    octet::parallel_for(2, [](std::int64_t i) { benchmark::DoNotOptimize(i); });
  }
}

void loops_by_regions(benchmark::State& state) {
  octet::set_thread_count(2);
  empty_loops(state);
}
BENCHMARK(loops_by_regions);

void loops_by_a_team(benchmark::State& state) {
  octet::set_thread_count(2);
  octet::Team team(2);
  team.gather([&state] { empty_loops(state); });
}
BENCHMARK(loops_by_a_team);

/// The kernel of an instruction set that a layer gets, and for dense 3x3 layers those behind it in
/// the table.
void register_layer(const Layer& layer, Isa isa, double peak) {
  const ConvParams params = make_params(layer);
  bool first = true;
  for (const auto& kernel : conv_kernels()) {
    if (kernel.isa != isa || !kernel.accepts(params)) continue;
    const auto suffix = first ? std::string() : fmt::format("/{}", kernel.name);
    benchmark::RegisterBenchmark(
        fmt::format("{}/{}{}", name(isa), layer.name, suffix).c_str(),
        [&layer, &kernel, peak](benchmark::State& state) { run_layer(state, layer, kernel, peak); })
        ->Unit(benchmark::kMicrosecond);
    if (layer.kernel == 1 || layer.groups > 1) return;
    first = false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const auto isa : all_isas) {
    if (isa == Isa::reference || !isa_available(isa)) continue;
    const double peak = dot_peak(isa);
    for (const auto& layer : layers) register_layer(layer, isa, peak);
  }
  for (const auto& layer : layers) {
    benchmark::RegisterBenchmark(fmt::format("onednn/{}", layer.name).c_str(),
                                 [&layer](benchmark::State& state) { run_onednn(state, layer); })
        ->Unit(benchmark::kMicrosecond);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

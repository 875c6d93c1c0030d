#pragma once
// Small quantized models for the tests of the integer engine and of the simulation.

#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/program.h"
#include "graph/plan.h"

namespace octet::testing {

class ModelBuilder {
 public:
  explicit ModelBuilder(unsigned seed = 1) : random_(seed) {}

  ValueId input(const std::string& name, Shape shape, DType dtype = DType::f32);
  /// Adds a node with one f32 output.
  ValueId node(const std::string& op, std::vector<ValueId> inputs,
               std::map<std::string, Attribute, std::less<>> attributes = {});
  /// A Split with one f32 output for each part.
  std::vector<ValueId> split(ValueId x, std::int64_t axis, std::vector<std::int64_t> parts);
  ValueId constant(const std::string& name, Tensor tensor);
  ValueId ints(const std::string& name, std::vector<std::int64_t> values);

  /// Conv with random weights and bias, quantized for an input that is already in the plan.
  ValueId conv(ValueId x, Shape weight, std::map<std::string, Attribute, std::less<>> attributes,
               Granularity granularity = Granularity::per_channel);
  /// Gemm with transB = 1 and bias.
  ValueId gemm(ValueId x, std::int64_t outputs, std::int64_t inputs);

  /// Quantizes a value to 8 bits over [low, high]; returns it.
  ValueId quantize(ValueId value, double low, double high, int bits = 8);
  ValueId share(ValueId value, ValueId with);
  void output(ValueId value) { model.graph.outputs.push_back(value); }

  Tensor random_tensor(Shape shape, float low, float high);

  QuantizedGraph model;

 private:
  void quantize_weight(ValueId value, int axis, Granularity granularity);
  void quantize_bias(ValueId bias, ValueId x, ValueId weight);

  std::mt19937 random_;
};

/// Of an imported 16-bit value.
Quantization sixteen_bits(float scale);

/// Everything taps saw, in row-major order of the logical shape.
struct Seen {
  Shape shape;
  std::vector<int> codes;
  std::vector<float> values;
};
struct Observed {
  std::vector<Tensor> outputs;
  std::map<std::string, Seen> values;
};

/// Runs once with taps on all values; fails the test on an error.
Observed observe(const Program& program, const Graph& graph, const std::vector<Tensor>& inputs,
                 int threads = 1);

/// Both engines give the same codes (and floats) for every value they show; returns how many values
/// were compared. Each layer's bound must allow it.
int expect_simulation_equals_integer(const QuantizedGraph& model,
                                     const std::vector<Tensor>& inputs);

/// Every instruction set of this machine, on three threads, shows and gives what the reference
/// kernels do.
void expect_any_kernels_give_the_same(const QuantizedGraph& model,
                                      const std::vector<Tensor>& inputs);

}  // namespace octet::testing

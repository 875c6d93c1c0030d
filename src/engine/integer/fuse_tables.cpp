#include "engine/integer/fuse_tables.h"

#include <algorithm>

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

/// What a buffer's codes are of those of `source`, code by code.
struct Origin {
  int source = -1;
  kernels::LookupTable table{};
};

kernels::LookupTable identity() {
  kernels::LookupTable table{};
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<std::uint8_t>(i);
  return table;
}

class TableFusion {
 public:
  explicit TableFusion(Lowered& program) : program_(program) {
    for (std::size_t i = 0; i < program.buffers.size(); ++i) {
      origins_.push_back({static_cast<int>(i), identity()});
    }
    bypassed_.assign(program.buffers.size(), false);
  }

  void run() {
    for (auto& step : program_.steps) visit(step);
    std::vector<bool> read(program_.buffers.size(), false);
    for (const int buffer : program_.outputs) read[at(buffer)] = true;
    for (const auto& step : program_.steps) {
      for (const int buffer : step->inputs) {
        if (buffer >= 0) read[at(buffer)] = true;
      }
    }
    for (auto& step : program_.steps) {
      const int output = step->outputs.size() == 1 ? step->outputs[0] : -1;
      if (output >= 0 && bypassed_[at(output)]) step->only_for_taps = !read[at(output)];
    }
  }

 private:
  void visit(StepPointer& step) {
    if (step->inputs.empty() || step->outputs.size() != 1) return;
    const int output = step->outputs[0];
    if (output < 0 || !program_.buffers[at(output)].coded) return;
    const int source = common_source(*step);
    if (source < 0 || !lie_alike(source, output)) return;
    std::vector<const kernels::LookupTable*> tables;
    for (const int input : step->inputs) tables.push_back(&origins_[at(input)].table);
    const auto table = step->table(tables);
    if (!table) return;
    const bool composed = step->inputs.size() > 1 || step->inputs[0] != source;
    origins_[at(output)] = {source, *table};
    if (!composed) return;
    for (const int input : step->inputs) bypassed_[at(input)] = input != source;
    step = make_lookup_step(step->node, *table, source, output);
  }

  /// The buffer that all inputs are functions of; -1 where there is none.
  [[nodiscard]] int common_source(const Step& step) const {
    int source = -1;
    for (const int input : step.inputs) {
      if (input < 0 || !program_.buffers[at(input)].coded) return -1;
      const int of = origins_[at(input)].source;
      if (program_.buffers[at(of)].is_constant() || (source >= 0 && of != source)) return -1;
      if (!lie_alike(of, input)) return -1;
      source = of;
    }
    return source;
  }

  /// Whether element i of one is element i of the other, in memory.
  [[nodiscard]] bool lie_alike(int a, int b) const {
    const Buffer& x = program_.buffers[at(a)];
    const Buffer& y = program_.buffers[at(b)];
    return x.channels_last == y.channels_last && x.image == y.image;
  }

  Lowered& program_;
  std::vector<Origin> origins_;
  std::vector<bool> bypassed_;  ///< buffers that a reader has done without
};

}  // namespace

void fuse_tables(Lowered& program) { TableFusion(program).run(); }

}  // namespace octet::integer

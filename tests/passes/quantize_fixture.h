#pragma once
// Static quantization of graphs built in code, with ranges instead of data.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "engine/float/float_program.h"
#include "graph/graph_builder.h"
#include "passes/pipeline.h"

namespace octet::testing {

using Ranges = std::map<std::string, std::pair<float, float>>;

/// Min-max statistics: the range given for a value, else [-1, 1].
inline StatisticsSource statistics_of(const Ranges& ranges) {
  return [ranges](const Graph& graph, const std::vector<ValueId>& values) -> Result<Statistics> {
    Statistics statistics;
    statistics.observer = ObserverKind::minmax;
    for (const auto id : values) {
      const std::string& name = graph.value(id).name;
      const auto it = ranges.find(name);
      const auto [low, high] = it == ranges.end() ? std::pair(-1.0F, 1.0F) : it->second;
      statistics.values[name].histogram.observe_range(std::vector<float>{low, high});
    }
    return statistics;
  };
}

/// Min-max statistics and means of what the float graph computes from sample(0) to sample(count -
/// 1).
inline StatisticsSource statistics_over(int count, Tensor (*sample)(int i)) {
  return [count, sample](const Graph& graph,
                         const std::vector<ValueId>& values) -> Result<Statistics> {
    Statistics all;
    all.observer = ObserverKind::minmax;
    OCTET_ASSIGN(const auto program, compile_float(graph, values));
    OCTET_ASSIGN(const auto session, program->session());
    TapRequest taps{values, [&](const TapView& view) {
                      auto& seen = all.values[graph.value(view.value).name];
                      seen.histogram.observe_range(view.values);
                      seen.means.observe(view);
                    }};
    for (int i = 0; i < count; ++i) {
      const std::vector<Tensor> inputs{sample(i)};
      OCTET_TRY(session->run(inputs, &taps));
    }
    return all;
  };
}

/// At most `count` samples, one to a batch, as sample(i) gives them.
inline SampleSource samples_of(int count, std::vector<Tensor> (*sample)(int i)) {
  return [count, sample](const Graph&, std::int64_t limit,
                         const BatchVisitor& visit) -> Result<std::int64_t> {
    for (int i = 0; i < count && i < limit; ++i) {
      Batch batch;
      batch.first = i;
      batch.inputs = sample(i);
      OCTET_TRY(visit(0, batch));
    }
    return std::min<std::int64_t>(count, limit);
  };
}

struct Quantized {
  QuantizedGraph model;
  QuantizeReport report;

  [[nodiscard]] ValueId id(std::string_view value) const { return model.graph.find_value(value); }
  [[nodiscard]] const Quantization* find(std::string_view value) const {
    return model.plan.find(id(value));
  }
  [[nodiscard]] std::string reason(std::string_view node) const {
    for (const auto& entry : report.float_nodes) {
      if (entry.name == node) return entry.reason;
    }
    return "";
  }
  [[nodiscard]] bool noted(std::string_view text) const {
    for (const auto& note : report.notes) {
      if (note.find(text) != std::string::npos) return true;
    }
    return false;
  }
  [[nodiscard]] std::vector<std::string> ops() const {
    std::vector<std::string> ops;
    const auto order = model.graph.topological_order();
    for (const auto node : *order) {
      ops.push_back(model.graph.node(node).op);
    }
    return ops;
  }
};

inline Quantized quantize(const Graph& graph, const Ranges& ranges = {},
                          const QuantizeOptions& options = {}) {
  Quantized out;
  auto model = quantize_static(graph, options, statistics_of(ranges), out.report);
  EXPECT_TRUE(model) << model.error().message;
  if (model) out.model = std::move(*model);
  return out;
}

inline std::string error_of(const Graph& graph, const QuantizeOptions& options = {}) {
  QuantizeReport report;
  const auto model = quantize_static(graph, options, statistics_of({}), report);
  return model ? "" : model.error().message;
}

}  // namespace octet::testing

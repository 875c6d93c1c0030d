// Resize to linear interpolation of codes.

#include <fmt/format.h>

#include "engine/integer/litert_placement.h"
#include "engine/integer/step.h"
#include "kernels/resample.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

class ResampleStep final : public Step {
 public:
  ResampleStep(const Graph& graph, NodeId id, const kernels::CodeParams& params, int input,
               int output)
      : Step(id, {input}, {output}),
        description_(graph.node(id)),
        params_(params),
        form_(litert_resample_form(graph, description_, params.rule, params.stored_unsigned)) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    const Shape& in = shapes[at(inputs[0])].shape;
    const Shape& out = shapes[at(outputs[0])].shape;
    OCTET_TRY(check_litert_resample(in, out));
    kernels::ResampleGeometry g;
    g.in_height = in[2];
    g.in_width = in[3];
    g.channels = in[1];
    g.form = form_;
    g.offset = params_.file_offset();
    g.rows = litert_resample_points(description_, g.form, in[2], out[2]);
    g.columns = litert_resample_points(description_, g.form, in[3], out[3]);
    const std::int64_t rows = out[0] * out[2];
    const double nanoseconds = static_cast<double>(element_count(out)) / per_nanosecond::resampled;
    BoundStep bound;
    bound.nanoseconds = nanoseconds;
    bound.run = [this, g = std::move(g), rows, nanoseconds,
                 threads](RunContext& context) -> Status {
      const auto* from = context.codes[at(inputs[0])];
      auto* to = context.codes[at(outputs[0])];
      split_rows(rows, threads, nanoseconds, [&](int, std::int64_t first, std::int64_t last) {
        kernels::resample(g, from, to, first, last);
      });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return fmt::format("u8_resample_tensor_{}_1", name(params_.rule));
  }

 private:
  Node description_;
  kernels::CodeParams params_;
  litert::Resample form_;
};

}  // namespace

StepPointer make_resample_step(const Graph& graph, NodeId node, const kernels::CodeParams& params,
                               int input, int output) {
  return std::make_unique<ResampleStep>(graph, node, params, input, output);
}

}  // namespace octet::integer

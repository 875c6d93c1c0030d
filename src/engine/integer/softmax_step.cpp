// Softmax and LogSoftmax of codes.

#include <fmt/format.h>

#include "engine/integer/step.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

class SoftmaxStep final : public Step {
 public:
  SoftmaxStep(NodeId id, litert::SoftmaxKind kind, int axis, const kernels::CodeParams& params,
              int input, int output)
      : Step(id, {input}, {output}),
        softmax_(params.rule, kind, params.scale, params.file_offset()),
        kind_(kind),
        axis_(axis),
        rule_(params.rule) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    const StoredShape& in = shapes[at(inputs[0])];
    const auto axis = static_cast<std::size_t>(axis_);
    const std::int64_t count = in.shape[axis];
    const std::int64_t step = storage_strides(in)[axis];
    const std::int64_t rows = count == 0 ? 0 : element_count(in.shape) / count;
    const double nanoseconds = static_cast<double>(rows * count) / per_nanosecond::softmax_codes;
    BoundStep bound;
    bound.nanoseconds = nanoseconds;
    bound.run = [this, count, step, rows, nanoseconds, threads](RunContext& context) -> Status {
      const auto* from = context.codes[at(inputs[0])];
      auto* to = context.codes[at(outputs[0])];
      split_rows(rows, threads, nanoseconds, [&](int, std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row) {
          const std::int64_t start = row / step * step * count + row % step;
          softmax_.row(from + start, to + start, count, step);
        }
      });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return fmt::format("u8_{}_tensor_{}_1",
                       kind_ == litert::SoftmaxKind::softmax ? "softmax" : "logsoftmax",
                       name(rule_));
  }

 private:
  litert::Softmax softmax_;
  litert::SoftmaxKind kind_;
  int axis_;
  Rule rule_;
};

}  // namespace

StepPointer make_softmax_step(NodeId node, litert::SoftmaxKind kind, int axis,
                              const kernels::CodeParams& params, int input, int output) {
  return std::make_unique<SoftmaxStep>(node, kind, axis, params, input, output);
}

}  // namespace octet::integer

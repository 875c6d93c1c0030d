// Add, Sub, Mul and Div of codes.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/integer/step.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

/// An operator of two values with numpy broadcasting, over any number of dimensions and any mix of
/// orders in memory.
class BinaryStep final : public Step {
 public:
  BinaryStep(NodeId id, const kernels::BinaryParams& params, std::vector<int> in, int out)
      : Step(id, std::move(in), {out}), params_(params) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    auto work = plan(shapes[at(inputs[0])], shapes[at(inputs[1])], shapes[at(outputs[0])]);
    const auto& extent = work.geometry.extent;
    const std::int64_t rows = extent[0] * extent[1] * extent[2];
    const double nanoseconds =
        static_cast<double>(rows * extent[3]) / per_nanosecond::binary_elements;
    BoundStep bound;
    bound.nanoseconds = nanoseconds;
    bound.run = [this, work = std::move(work), rows, nanoseconds,
                 threads](RunContext& context) -> Status {
      const auto* a = context.codes[at(inputs[0])];
      const auto* b = context.codes[at(inputs[1])];
      auto* out = context.codes[at(outputs[0])];
      const std::int64_t block = rows * work.geometry.extent[3];
      for (std::int64_t i = 0; i < work.blocks; ++i, out += block) {
        const auto [a_offset, b_offset] = offsets(work, i);
        const auto* from_a = a + a_offset;
        const auto* from_b = b + b_offset;
        split_rows(rows, threads, nanoseconds, [&](int, std::int64_t first, std::int64_t last) {
          kernels::binary(params_, work.geometry, from_a, from_b, out, first, last);
        });
      }
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::optional<kernels::LookupTable> table(
      std::span<const kernels::LookupTable* const> input_tables) const override {
    constexpr kernels::BinaryGeometry pairs{{1, 1, 1, 256}, {0, 0, 0, 1}, {0, 0, 0, 1}};
    kernels::LookupTable result{};
    kernels::binary(params_, pairs, input_tables[0]->data(), input_tables[1]->data(), result.data(),
                    0, 1);
    return result;
  }
  [[nodiscard]] std::string kernel() const override {
    constexpr std::string_view names[] = {"add",    "subtract",           "multiply",
                                          "divide", "squared_difference", "prelu"};
    return fmt::format("u8_{}_tensor_{}_1", names[static_cast<std::size_t>(params_.op)],
                       name(params_.output.rule));
  }

 private:
  /// One dimension of the output in storage order.
  struct Dim {
    std::int64_t extent = 1;
    std::int64_t a = 0;  ///< strides
    std::int64_t b = 0;
  };

  /// The last four dimensions, and those before them.
  struct Work {
    kernels::BinaryGeometry geometry;
    std::vector<Dim> outer;
    std::int64_t blocks = 1;  ///< indices of the outer dimensions
  };

  /// Where both operands begin for one index of the outer dimensions.
  static std::pair<std::int64_t, std::int64_t> offsets(const Work& work, std::int64_t block) {
    std::pair<std::int64_t, std::int64_t> result{0, 0};
    for (auto dim = work.outer.rbegin(); dim != work.outer.rend(); ++dim) {
      result.first += block % dim->extent * dim->a;
      result.second += block % dim->extent * dim->b;
      block /= dim->extent;
    }
    return result;
  }

  static Work plan(const StoredShape& a, const StoredShape& b, const StoredShape& out) {
    const auto strides = [&](const StoredShape& operand) {
      auto result = storage_strides(operand);
      for (std::size_t d = 0; d < result.size(); ++d) {
        if (operand.shape[d] == 1) result[d] = 0;
      }
      result.insert(result.begin(), out.shape.size() - operand.shape.size(), 0);
      return result;
    };
    const auto a_stride = strides(a);
    const auto b_stride = strides(b);
    std::vector<Dim> dims;  // innermost first
    const auto order = storage_order(out);
    for (auto d = order.rbegin(); d != order.rend(); ++d) {
      const Dim dim{out.shape[*d], a_stride[*d], b_stride[*d]};
      if (dim.extent != 1) merge(dims, dim);
    }
    std::reverse(dims.begin(), dims.end());
    dims.insert(dims.begin(), dims.size() < 4 ? 4 - dims.size() : 0, Dim{});
    Work work;
    const std::size_t outer = dims.size() - 4;
    work.outer.assign(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(outer));
    for (const auto& dim : work.outer) work.blocks *= dim.extent;
    for (std::size_t i = 0; i < 4; ++i) {
      work.geometry.extent[i] = dims[outer + i].extent;
      work.geometry.a_stride[i] = dims[outer + i].a;
      work.geometry.b_stride[i] = dims[outer + i].b;
    }
    return work;
  }

  /// Appends a dimension, as part of the one inside it where both operands run through the two
  /// evenly. Rows stay short enough for a call to be split over threads.
  static void merge(std::vector<Dim>& dims, const Dim& outer) {
    constexpr std::int64_t long_row = 4096;
    if (!dims.empty()) {
      Dim& inner = dims.back();
      const bool even = outer.a == inner.a * inner.extent && outer.b == inner.b * inner.extent;
      if (even && inner.extent < long_row) {
        inner.extent *= outer.extent;
        return;
      }
    }
    dims.push_back(outer);
  }

  kernels::BinaryParams params_;
};

}  // namespace

StepPointer make_binary_step(NodeId node, const kernels::BinaryParams& params,
                             std::vector<int> inputs, int output) {
  return std::make_unique<BinaryStep>(node, params, std::move(inputs), output);
}

}  // namespace octet::integer

// MatMul of two values that are both known only at run time.

#include <algorithm>

#include "core/cache_line.h"
#include "engine/float/buffer_pool.h"
#include "engine/integer/product_batch.h"
#include "engine/integer/step.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

class ProductStep final : public Step {
 public:
  ProductStep(NodeId id, const kernels::ProductParams& params, std::vector<int> in, int output,
              kernels::Isa isa)
      : Step(id, std::move(in), {output}), params_(params), isa_(isa) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    OCTET_ASSIGN(auto batch,
                 make_product_batch(shapes[at(inputs[0])].shape, shapes[at(inputs[1])].shape));
    const auto products = static_cast<std::int64_t>(batch.offsets.size());
    const std::size_t scratch = whole_lines(kernels::product_scratch_bytes(batch.shape, isa_));
    BoundStep bound;
    bound.macs = element_count(batch.output) * batch.shape.depth;
    bound.scratch_bytes = scratch * static_cast<std::size_t>(threads);
    bound.nanoseconds =
        static_cast<double>(bound.macs) / per_nanosecond::of(per_nanosecond::product_macs, isa_);
    bound.run = [this, batch = std::move(batch), products, scratch, threads,
                 nanoseconds = bound.nanoseconds](RunContext& context) -> Status {
      OCTET_ASSIGN(auto* output, output_memory(batch, context));
      const auto* a = context.codes[at(inputs[0])];
      const auto* b = context.codes[at(inputs[1])];
      const auto bytes = static_cast<std::int64_t>(kernels::element_bytes(params_.output)) *
                         batch.shape.rows * batch.shape.columns;
      split_rows(products, threads, nanoseconds,
                 [&](int chunk, std::int64_t first, std::int64_t last) {
                   auto* memory = context.scratch + scratch * static_cast<std::size_t>(chunk);
                   for (std::int64_t i = first; i < last; ++i) {
                     const auto [a_offset, b_offset] = batch.offsets[static_cast<std::size_t>(i)];
                     kernels::product(params_, batch.shape, a + a_offset, b + b_offset,
                                      output + i * bytes, memory, isa_);
                   }
                 });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return kernels::product_kernel_name(isa_); }

 private:
  [[nodiscard]] Result<std::byte*> output_memory(const ProductBatch& batch,
                                                 RunContext& context) const {
    if (params_.output == kernels::ConvOutput::codes) {
      return reinterpret_cast<std::byte*>(context.codes[at(outputs[0])]);
    }
    OCTET_ASSIGN(auto tensor, float_engine::new_tensor(DType::f32, batch.output));
    Activation& result = context.floats[at(outputs[0])];
    result = {std::move(tensor), false};
    return result.tensor.mutable_raw();
  }

  kernels::ProductParams params_;
  kernels::Isa isa_;
};

/// Products whose accumulators become codes a block of rows at a time.
class ScaledProductStep final : public Step {
 public:
  ScaledProductStep(NodeId id, const kernels::ProductParams& params,
                    kernels::litert::Requantization scale, std::vector<int> in, int output,
                    kernels::Isa isa)
      : Step(id, std::move(in), {output}), params_(params), scale_(std::move(scale)), isa_(isa) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    OCTET_ASSIGN(auto batch,
                 make_product_batch(shapes[at(inputs[0])].shape, shapes[at(inputs[1])].shape));
    const auto products = static_cast<std::int64_t>(batch.offsets.size());
    kernels::ProductShape block = batch.shape;
    // Fewer rows would cost more for packing b than for the products.
    block.rows = std::min<std::int64_t>(
        block.rows,
        std::max<std::int64_t>((128 * 1024) / (4 * std::max<std::int64_t>(block.columns, 1)), 64));
    const std::size_t scratch = whole_lines(kernels::product_scratch_bytes(block, isa_));
    const std::size_t sums = whole_lines(static_cast<std::size_t>(block.rows * block.columns) * 4);
    BoundStep bound;
    bound.macs = element_count(batch.output) * batch.shape.depth;
    bound.scratch_bytes = (scratch + sums) * static_cast<std::size_t>(threads);
    bound.nanoseconds =
        static_cast<double>(bound.macs) / per_nanosecond::of(per_nanosecond::product_macs, isa_);
    bound.run = [this, batch = std::move(batch), products, block, scratch, sums, threads,
                 nanoseconds = bound.nanoseconds](RunContext& context) -> Status {
      split_rows(
          products, threads, nanoseconds, [&](int chunk, std::int64_t first, std::int64_t last) {
            auto* memory = context.scratch + (scratch + sums) * static_cast<std::size_t>(chunk);
            for (std::int64_t i = first; i < last; ++i) {
              run_product(batch, block, i, context, memory,
                          reinterpret_cast<std::int32_t*>(memory + scratch));
            }
          });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return std::string(kernels::product_kernel_name(isa_)) + " + litert";
  }

 private:
  void run_product(const ProductBatch& batch, kernels::ProductShape block, std::int64_t i,
                   RunContext& context, std::byte* scratch, std::int32_t* sums) const {
    const auto [a_offset, b_offset] = batch.offsets[static_cast<std::size_t>(i)];
    const auto* a = context.codes[at(inputs[0])] + a_offset;
    const auto* b = context.codes[at(inputs[1])] + b_offset;
    auto* output = context.codes[at(outputs[0])] + i * batch.shape.rows * batch.shape.columns;
    const std::int64_t step = block.rows;
    for (std::int64_t row = 0; row < batch.shape.rows; row += step) {
      block.rows = std::min(step, batch.shape.rows - row);
      kernels::product(params_, block, a + row * block.depth, b, sums, scratch, isa_);
      kernels::litert::requantize(scale_, sums, output + row * block.columns,
                                  block.rows * block.columns, isa_);
    }
  }

  kernels::ProductParams params_;
  kernels::litert::Requantization scale_;
  kernels::Isa isa_;
};

}  // namespace

StepPointer make_product_step(NodeId node, const kernels::ProductParams& params,
                              kernels::litert::Requantization scale, std::vector<int> inputs,
                              int output, kernels::Isa isa) {
  return std::make_unique<ScaledProductStep>(node, params, std::move(scale), std::move(inputs),
                                             output, isa);
}

StepPointer make_product_step(NodeId node, const kernels::ProductParams& params,
                              std::vector<int> inputs, int output, kernels::Isa isa) {
  return std::make_unique<ProductStep>(node, params, std::move(inputs), output, isa);
}

}  // namespace octet::integer

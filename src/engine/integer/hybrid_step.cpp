// Dynamic range layers by rules tflite and xnnpack: floats in, floats out.

#include <algorithm>

#include "core/cache_line.h"
#include "engine/float/buffer_pool.h"
#include "engine/integer/float_layer_step.h"
#include "engine/integer/litert_steps.h"

namespace octet::integer {
namespace {

namespace rule = kernels::litert;

/// Sum of the weight codes of each output channel.
std::vector<std::int32_t> weight_sums(const AccumulateLayer& layer) {
  const Tensor& codes = layer.codes;
  const auto axis = static_cast<std::size_t>(layer.output_axis);
  const std::int64_t stride = row_major_strides(codes.shape())[axis];
  std::vector<std::int32_t> sums(static_cast<std::size_t>(layer.output_channels), 0);
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    sums[static_cast<std::size_t>(i / stride % codes.shape()[axis])] +=
        codes.data<std::int8_t>()[i];
  }
  return sums;
}

class HybridStep final : public FloatLayerStep {
 public:
  HybridStep(NodeId id, std::unique_ptr<LayerKernel> kernel, const AccumulateLayer& layer,
             const litert::HybridForm& form, InputOrder order, int input, int output)
      : FloatLayerStep(id, std::move(kernel), order, input, output),
        form_(form),
        scales_(layer.weight_scale),
        bias_(layer.float_bias) {
    if (bias_.empty()) bias_.assign(scales_.size(), 0.0F);
    // Rows are of a matrix or pixels of a 1x1 convolution, whose weights have no groups.
    if (form_.unit == litert::HybridUnit::row) sums_ = weight_sums(layer);
  }

  [[nodiscard]] std::string kernel() const override { return layer().name() + " + hybrid"; }
  [[nodiscard]] std::int64_t constant_bytes() const override { return layer().constant_bytes(); }

 private:
  /// Codes of an input, and the params of its units.
  struct Quantized {
    Tensor codes;
    std::vector<litert::HybridParams> units;
  };

  [[nodiscard]] Result<Tensor> run(const Tensor& values, int threads) const override {
    if (values.dtype() != DType::f32) return bad_input("cannot quantize {}", name(values.dtype()));
    Shape shape = values.shape();
    OCTET_ASSIGN(const auto whole, layer().geometry(shape));
    OCTET_ASSIGN(auto result, float_engine::new_tensor(DType::f32, whole.output));
    if (result.size() == 0) return result;
    OCTET_ASSIGN(const auto quantized, quantize(values, threads));
    const auto* codes = quantized.codes.data<std::uint8_t>();
    auto* output = result.mutable_data<float>();
    if (form_.unit == litert::HybridUnit::row) {
      OCTET_TRY(run_part(whole, codes, quantized.units.data(), true, output, threads));
      return result;
    }
    const auto images = static_cast<std::int64_t>(quantized.units.size());
    shape[0] = 1;
    OCTET_ASSIGN(const auto one, layer().geometry(shape));
    for (std::int64_t n = 0; n < images; ++n) {
      OCTET_TRY(run_part(one, codes + n * element_count(shape), quantized.units.data() + n, false,
                         output + n * (result.size() / images), threads));
    }
    return result;
  }

  [[nodiscard]] Result<Quantized> quantize(const Tensor& values, int threads) const {
    const Shape& shape = values.shape();
    const std::int64_t size = values.size();
    const std::int64_t row = order() == InputOrder::plain ? shape.back() : shape[1];
    const std::int64_t length = form_.unit == litert::HybridUnit::row ? row : size / shape[0];
    Quantized result;
    OCTET_ASSIGN(result.codes, float_engine::new_tensor(DType::u8, shape));
    result.units.resize(static_cast<std::size_t>(size / std::max<std::int64_t>(length, 1)));
    const float* from = values.data<float>();
    auto* to = result.codes.mutable_data<std::uint8_t>();
    split_rows(static_cast<std::int64_t>(result.units.size()), threads,
               static_cast<double>(size) / per_nanosecond::quantized,
               [&](int, std::int64_t first, std::int64_t last) {
                 for (std::int64_t u = first; u < last; ++u) {
                   result.units[static_cast<std::size_t>(u)] =
                       rule::quantize_unit(form_.codes, from + u * length, to + u * length, length);
                 }
               });
    return result;
  }

  /// One image under one unit, or rows (pixels) under their own.
  [[nodiscard]] Status run_part(const LayerGeometry& geometry, const std::uint8_t* codes,
                                const litert::HybridParams* units, bool by_row, float* output,
                                int threads) const {
    // Rows are summed as if their zero points were 0, which is 128 of unsigned codes.
    const auto zero_point = static_cast<std::uint8_t>(128 + (by_row ? 0 : units->zero_point));
    const std::optional<kernels::InputParams> params = kernels::InputParams{zero_point, 1};
    const LayerRows rows = layer_rows(geometry);
    const auto block = std::clamp<std::int64_t>(
        block_bytes / std::max<std::int64_t>(rows.elements * 4, 1), 1, rows.count);
    const std::size_t kernel_bytes = layer().row_scratch_bytes(geometry);
    const std::size_t sum_bytes = static_cast<std::size_t>(block * rows.elements) * 4;
    const std::size_t thread_bytes = kernel_bytes + whole_lines(sum_bytes);
    const std::size_t prepared_bytes = LayerKernel::prepared_bytes(geometry);
    OCTET_ASSIGN(
        auto scratch,
        float_engine::new_tensor(
            DType::u8, {static_cast<std::int64_t>(
                           prepared_bytes + thread_bytes * static_cast<std::size_t>(threads))}));
    const auto* input = layer().prepared(geometry, codes, scratch.mutable_raw(), params);
    std::byte* const memory = scratch.mutable_raw() + prepared_bytes;
    split_blocks(rows.count, block, threads, geometry.nanoseconds,
                 [&](int chunk, std::int64_t first, std::int64_t last) {
                   auto* mine = memory + thread_bytes * static_cast<std::size_t>(chunk);
                   kernels::ConvCall call{input, mine + kernel_bytes, first, last, mine, params};
                   call.output_row = first;
                   layer().run_rows(rows, call);
                   finish(rows, call, units, by_row, output);
                 });
    return {};
  }

  void finish(const LayerRows& rows, const kernels::ConvCall& call,
              const litert::HybridParams* units, bool by_row, float* output) const {
    const auto channels = static_cast<std::int64_t>(scales_.size());
    const auto* sums = static_cast<const std::int32_t*>(call.output);
    const std::int64_t first = call.first_row * rows.elements / channels;
    const std::int64_t pixels = (call.last_row - call.first_row) * rows.elements / channels;
    const rule::HybridRow row{form_.output, channels, scales_.data(), bias_.data(),
                              by_row ? sums_.data() : nullptr};
    float* to = output + first * channels;
    if (!by_row) return rule::finish_hybrid(row, *units, sums, to, pixels);
    for (std::int64_t p = 0; p < pixels; ++p) {
      rule::finish_hybrid(row, units[first + p], sums + p * channels, to + p * channels, 1);
    }
  }

  static constexpr std::int64_t block_bytes = 128 * 1024;

  litert::HybridForm form_;
  std::vector<float> scales_;
  std::vector<float> bias_;
  std::vector<std::int32_t> sums_;  ///< of the weights of each channel; of rows
};

}  // namespace

StepPointer make_hybrid_step(const Graph& graph, NodeId node, const AccumulateLayer& layer,
                             const litert::HybridForm& form, const Shape& typical_input, int input,
                             int output, kernels::Isa isa) {
  kernels::ConvParams params;
  params.output = kernels::ConvOutput::accumulators;
  params.multiplier.assign(layer.bias.size(), 1);
  auto kernel = std::make_unique<LayerKernel>(graph, node, layer);
  kernel->prepare(layer, std::move(params), typical_input, isa);
  return std::make_unique<HybridStep>(node, std::move(kernel), layer, form,
                                      accumulate_order(graph.node(node), layer), input, output);
}

}  // namespace octet::integer

// Accumulating operators on 16-bit codes by rules tflite and xnnpack. A code is 256 * high + low;
// the sums of either byte are those of an 8-bit kernel, exact in int32, and add up in int64.

#include <algorithm>
#include <array>

#include "engine/float/buffer_pool.h"
#include "engine/integer/float_layer_step.h"
#include "engine/integer/litert_steps.h"
#include "engine/integer/product_batch.h"
#include "engine/integer/wide_values.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

std::int64_t whole_lines(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

constexpr std::int64_t block_bytes = 128 * 1024;

/// The bytes of signed 16-bit codes as unsigned codes: high with the zero point 128, low with 0.
struct Bytes {
  std::array<Tensor, 2> parts;
  static constexpr std::array<std::uint8_t, 2> zero_points = {128, 0};
  static constexpr std::array<std::int64_t, 2> weights = {256, 1};
};

Result<Bytes> split_codes(const Tensor& image, const Quantization& quantization) {
  OCTET_ASSIGN(const auto codes, wide_codes(image, quantization));
  Bytes bytes;
  for (auto& part : bytes.parts) {
    OCTET_ASSIGN(part, float_engine::new_tensor(DType::u8, image.shape()));
  }
  const auto* q = codes.data<std::int16_t>();
  auto* high = bytes.parts[0].mutable_data<std::uint8_t>();
  auto* low = bytes.parts[1].mutable_data<std::uint8_t>();
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    high[i] = static_cast<std::uint8_t>((q[i] >> 8) + 128);
    low[i] = static_cast<std::uint8_t>(q[i] & 0xFF);
  }
  return bytes;
}

/// From sums to the f32 that the output's codes stand for.
class WideOutput {
 public:
  WideOutput(const litert::WideForm& form, float input_scale,
             const std::vector<float>& weight_scale, std::vector<std::int64_t> bias,
             float output_scale, const NodePlacement& placement)
      : scaling_(form.scaling),
        bias_(std::move(bias)),
        scale_(output_scale),
        low_(placement.low),
        high_(placement.high) {
    for (const float scale : weight_scale) {
      channels_.push_back(litert::channel(form.product, input_scale, scale, output_scale));
    }
  }

  /// `count` elements of whole rows of channels.
  void finish(const std::int64_t* sums, float* output, std::int64_t count) const {
    const std::size_t channels = channels_.size();
    for (std::int64_t i = 0; i < count; ++i) {
      const std::size_t c = static_cast<std::size_t>(i) % channels;
      // A bias of a hostile file may leave int64: modulo 2^64, as processors add.
      const auto sum = static_cast<std::int64_t>(static_cast<std::uint64_t>(sums[i]) +
                                                 static_cast<std::uint64_t>(bias_[c]));
      const auto code = litert::requantize_wide(scaling_, channels_[c], sum, low_, high_);
      output[i] = dequantize_value(code, scale_, 0);
    }
  }

 private:
  litert::WideScaling scaling_;
  std::vector<litert::Channel> channels_;
  std::vector<std::int64_t> bias_;
  float scale_;
  std::int32_t low_, high_;
};

class WideLayerStep final : public FloatLayerStep {
 public:
  WideLayerStep(NodeId id, std::unique_ptr<LayerKernel> kernel, Quantization input_quantization,
                WideOutput scale, InputOrder order, int input, int output)
      : FloatLayerStep(id, std::move(kernel), order, input, output),
        quantization_(std::move(input_quantization)),
        scale_(std::move(scale)) {}

  [[nodiscard]] std::string kernel() const override { return layer().name() + " + 16x8"; }
  [[nodiscard]] std::int64_t constant_bytes() const override { return layer().constant_bytes(); }

 private:
  [[nodiscard]] Result<Tensor> run(const Tensor& values, int threads) const override {
    OCTET_ASSIGN(const auto bytes, split_codes(values, quantization_));
    OCTET_ASSIGN(const auto geometry, layer().geometry(values.shape()));
    OCTET_ASSIGN(auto result, float_engine::new_tensor(DType::f32, geometry.output));
    if (result.size() == 0) return result;
    const LayerRows rows = layer_rows(geometry);
    const std::int64_t block =
        std::clamp<std::int64_t>(block_bytes / (rows.elements * 8), 1, rows.count);
    const std::int64_t count = block * rows.elements;
    const auto kernel_bytes = static_cast<std::int64_t>(layer().row_scratch_bytes(geometry));
    const auto prepared = static_cast<std::int64_t>(LayerKernel::prepared_bytes(geometry));
    const std::int64_t thread_bytes =
        kernel_bytes + whole_lines(count * 8) + whole_lines(count * 4);
    OCTET_ASSIGN(auto scratch,
                 float_engine::new_tensor(DType::u8, {2 * prepared + thread_bytes * threads}));
    std::array<const std::uint8_t*, 2> inputs_of{};
    for (std::size_t p = 0; p < 2; ++p) {
      inputs_of[p] =
          layer().prepared(geometry, bytes.parts[p].data<std::uint8_t>(),
                           scratch.mutable_raw() + static_cast<std::int64_t>(p) * prepared,
                           kernels::InputParams{Bytes::zero_points[p], 1});
    }
    auto* output = result.mutable_data<float>();
    split_blocks(rows.count, block, threads, 2 * geometry.nanoseconds,
                 [&](int chunk, std::int64_t first, std::int64_t last) {
                   auto* mine = scratch.mutable_raw() + 2 * prepared + thread_bytes * chunk;
                   auto* sums = reinterpret_cast<std::int64_t*>(mine + kernel_bytes);
                   auto* part = reinterpret_cast<std::int32_t*>(mine + kernel_bytes +
                                                                whole_lines(count * 8));
                   const std::int64_t elements = (last - first) * rows.elements;
                   std::fill_n(sums, elements, 0);
                   for (std::size_t p = 0; p < 2; ++p) {
                     kernels::ConvCall call{
                         inputs_of[p], part, first,
                         last,         mine, kernels::InputParams{Bytes::zero_points[p], 1}};
                     call.output_row = first;
                     layer().run_rows(rows, call);
                     for (std::int64_t i = 0; i < elements; ++i)
                       sums[i] += part[i] * Bytes::weights[p];
                   }
                   scale_.finish(sums, output + first * rows.elements, elements);
                 });
    return result;
  }

  Quantization quantization_;
  WideOutput scale_;
};

class WideProductStep final : public Step {
 public:
  WideProductStep(NodeId id, std::array<Quantization, 2> quantizations, WideOutput scale,
                  std::vector<int> in, int output, kernels::Isa isa)
      : Step(id, std::move(in), {output}),
        quantizations_(std::move(quantizations)),
        scale_(std::move(scale)),
        isa_(isa) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& /*shapes*/, int threads) const override {
    BoundStep bound;
    bound.run = [this, threads](RunContext& context) -> Status {
      const Activation a = to_plain(context.floats[at(inputs[0])]);
      const Activation b = to_plain(context.floats[at(inputs[1])]);
      OCTET_ASSIGN(auto result, run(a.tensor, b.tensor, threads));
      context.floats[at(outputs[0])] = {std::move(result), false};
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return std::string(kernels::product_kernel_name(isa_)) + " + 16x16";
  }

 private:
  [[nodiscard]] Result<Tensor> run(const Tensor& a, const Tensor& b, int threads) const {
    OCTET_ASSIGN(const auto batch, make_product_batch(a.shape(), b.shape()));
    // 255 * 255 of each pair of bytes must fit int32.
    constexpr std::int64_t deepest = INT32_MAX / (255 * 255);
    if (batch.shape.depth > deepest) {
      return bad_input("products of {} 16-bit codes are too many", batch.shape.depth);
    }
    OCTET_ASSIGN(const auto left, split_codes(a, quantizations_[0]));
    OCTET_ASSIGN(const auto right, split_codes(b, quantizations_[1]));
    OCTET_ASSIGN(auto result, float_engine::new_tensor(DType::f32, batch.output));
    const std::int64_t count = batch.shape.rows * batch.shape.columns;
    const auto kernel_bytes =
        whole_lines(static_cast<std::int64_t>(kernels::product_scratch_bytes(batch.shape, isa_)));
    const std::int64_t thread_bytes =
        kernel_bytes + whole_lines(count * 8) + whole_lines(count * 4);
    OCTET_ASSIGN(auto scratch, float_engine::new_tensor(DType::u8, {thread_bytes * threads}));
    auto* output = result.mutable_data<float>();
    const auto products = static_cast<std::int64_t>(batch.offsets.size());
    const double nanoseconds = static_cast<double>(result.size() * batch.shape.depth) * 4 /
                               per_nanosecond::of(per_nanosecond::product_macs, isa_);
    split_rows(products, threads, nanoseconds,
               [&](int chunk, std::int64_t first, std::int64_t last) {
                 auto* mine = scratch.mutable_raw() + thread_bytes * chunk;
                 auto* sums = reinterpret_cast<std::int64_t*>(mine + kernel_bytes);
                 auto* part =
                     reinterpret_cast<std::int32_t*>(mine + kernel_bytes + whole_lines(count * 8));
                 for (std::int64_t i = first; i < last; ++i) {
                   add_products(batch, i, left, right, sums, part, mine);
                   scale_.finish(sums, output + i * count, count);
                 }
               });
    return result;
  }

  void add_products(const ProductBatch& batch, std::int64_t i, const Bytes& left,
                    const Bytes& right, std::int64_t* sums, std::int32_t* part,
                    std::byte* scratch) const {
    const auto [a_offset, b_offset] = batch.offsets[static_cast<std::size_t>(i)];
    const std::int64_t count = batch.shape.rows * batch.shape.columns;
    std::fill_n(sums, count, 0);
    kernels::ProductParams params;
    params.output = kernels::ConvOutput::accumulators;
    for (std::size_t p = 0; p < 2; ++p) {
      for (std::size_t q = 0; q < 2; ++q) {
        params.a_zero_point = Bytes::zero_points[p];
        params.b_zero_point = Bytes::zero_points[q];
        kernels::product(params, batch.shape, left.parts[p].data<std::uint8_t>() + a_offset,
                         right.parts[q].data<std::uint8_t>() + b_offset, part, scratch, isa_);
        const std::int64_t weight = Bytes::weights[p] * Bytes::weights[q];
        for (std::int64_t k = 0; k < count; ++k) sums[k] += part[k] * weight;
      }
    }
  }

  std::array<Quantization, 2> quantizations_;
  WideOutput scale_;
  kernels::Isa isa_;
};

}  // namespace

StepPointer make_wide_layer_step(const Graph& graph, NodeId node, const AccumulateLayer& layer,
                                 const NodePlacement& placement, const Quantization& input,
                                 const Quantization& output, const Shape& typical_input,
                                 int input_buffer, int output_buffer, kernels::Isa isa) {
  kernels::ConvParams params;
  params.output = kernels::ConvOutput::accumulators;
  params.multiplier.assign(layer.bias.size(), 1);
  auto kernel = std::make_unique<LayerKernel>(graph, node, layer);
  kernel->prepare(layer, std::move(params), typical_input, isa);
  WideOutput scale(placement.wide, input.params.scale[0], layer.weight_scale, layer.wide_bias,
                   output.params.scale[0], placement);
  return std::make_unique<WideLayerStep>(node, std::move(kernel), input, std::move(scale),
                                         accumulate_order(graph.node(node), layer), input_buffer,
                                         output_buffer);
}

StepPointer make_wide_product_step(NodeId node, const NodePlacement& placement,
                                   const Quantization& a, const Quantization& b,
                                   const Quantization& output, std::vector<int> inputs,
                                   int output_buffer, kernels::Isa isa) {
  WideOutput scale(placement.wide, a.params.scale[0], {b.params.scale[0]}, {0},
                   output.params.scale[0], placement);
  return std::make_unique<WideProductStep>(node, std::array{a, b}, std::move(scale),
                                           std::move(inputs), output_buffer, isa);
}

}  // namespace octet::integer

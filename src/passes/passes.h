#pragma once
// The passes of the pipeline and the state they hand on.

#include <map>
#include <set>

#include "calibration/channel_profile.h"
#include "passes/layer_bits.h"
#include "passes/placement.h"

namespace octet {

/// A constant that dynamic or weight-only quantization stores otherwise.
struct WeightSite {
  Use use;
  int axis = -1;         ///< per-channel scales run along it; -1: one scale
  bool dynamic = false;  ///< the node's input 0 is quantized at run time
};

struct PassContext {
  QuantizedGraph model;
  const QuantizeOptions& options;
  const TargetProfile& target;
  const QuantizeSources& sources;
  QuantizeReport& report;
  Placement placement = {};  ///< from `place` on; indexes the graph as it was then
  /// By value: mean per channel over the calibration data, from `calibrate` on.
  std::map<ValueId, ChannelMeans> means = {};
  /// By Placement::group: the params that its values share, from `calibrate` on.
  std::map<ValueId, Quantization> group_quantizations = {};
  /// By Placement::group: what was seen of its values, where `choose_ranges` asks for it.
  std::map<ValueId, ValueStatistics> group_statistics = {};
  std::vector<WeightSite> sites = {};  ///< from `place_weights` on
  /// Biases of the float function, where `round_weights` or `correct_bias` has changed them.
  std::map<NodeId, Tensor> float_biases = {};
  std::vector<LayerBits> layer_bits = {};  ///< by node slot; from `fit_target` on
  /// Layers whose codes and bias reproduce what the float layer gives on the samples, from
  /// `round_weights` on: there is nothing left to correct.
  std::set<NodeId> rounded = {};

  /// The target's scheme for activations; of at least 8 bits where `bits` does not say fewer.
  [[nodiscard]] QuantScheme activation_scheme(std::optional<int> bits = std::nullopt) const;
  [[nodiscard]] DType activation_storage() const;
  /// Scheme and storage of a value: of more bits where the options ask for it.
  [[nodiscard]] QuantScheme activation_scheme(ValueId value) const;
  [[nodiscard]] DType activation_storage(ValueId value) const;
  /// Whether a layer reads codes of more than 8 bits, which no int32 holds the products of.
  [[nodiscard]] bool reads_wide(NodeId id) const;
  /// The target's scheme for the weights of a layer, with the options' width and granularity.
  [[nodiscard]] QuantScheme weight_scheme(NodeId id) const;
  /// Bits of a layer's weights, see layer_bits().
  [[nodiscard]] int weight_bits(NodeId id) const;
  /// The same for scales along `axis`, -1 for a single one.
  [[nodiscard]] QuantScheme weight_scheme(int axis) const;
  /// Integer Conv, Gemm and MatMul nodes, in id order.
  [[nodiscard]] std::vector<NodeId> accumulate_nodes() const;
  /// Where the bias of an integer Conv, Gemm or MatMul is read; nullopt when it has none.
  [[nodiscard]] std::optional<Use> bias_of(NodeId id) const;
};

namespace passes {

/// Scales channels across layers so that quantization adds less noise; the float function stays.
[[nodiscard]] Status equalize(PassContext& context);
/// Moves what is common to all values of a channel into the biases behind it; the float function
/// stays for values that are not below those seen, or without data below mean - 3 deviations.
[[nodiscard]] Status absorb_bias(PassContext& context);
/// Decides which nodes run in integers.
[[nodiscard]] Status place(PassContext& context);
/// Gets the statistics and gives every source value its params, one set for a group of values that
/// must share: their statistics are merged.
[[nodiscard]] Status calibrate(PassContext& context);
/// Chooses the range of each value among those of the observers, by the error behind its readers.
[[nodiscard]] Status choose_ranges(PassContext& context);
/// Raises scales until the ratios that the target's kernels take hold for every operator, and notes
/// it (TargetProfile::limits). Values that share params keep sharing them.
[[nodiscard]] Status widen_ranges(PassContext& context);
/// Hands params on to values that take them over: outputs of pooling, reshape and Concat, constant
/// inputs of Concat and Gather, and values that an activation limits.
[[nodiscard]] Status share_params(PassContext& context);
/// Params and codes of weights and of constant operands; see make_accumulator_room.
[[nodiscard]] Status quantize_weights(PassContext& context);
/// Chooses weight codes and scales, and biases, by what the layer gives on samples.
[[nodiscard]] Status round_weights(PassContext& context);
/// Moves each bias by the mean error that rounding the weights causes on the calibration data.
[[nodiscard]] Status correct_bias(PassContext& context);
/// Moves each bias by what the quantized layers before it did to the mean of its input.
[[nodiscard]] Status refine_bias(PassContext& context);
/// Bias = input scale * weight scale in int32, in int64 with 16-bit inputs.
[[nodiscard]] Status derive_bias(PassContext& context);
/// Lets float readers of a value that exists as floats read it so: what integer nodes read becomes
/// an override of each of their uses.
[[nodiscard]] Status free_float_readers(PassContext& context);
/// Gemm as dynamic quantization knows it: weights [in, out], and MatMul where there is no bias.
[[nodiscard]] Status plain_products(PassContext& context);
/// Finds the weights that dynamic or weight-only quantization stores otherwise.
[[nodiscard]] Status place_weights(PassContext& context);
/// Params and codes of the weights that were found; dynamic inputs.
[[nodiscard]] Status quantize_sites(PassContext& context);
/// Makes the weights that were found float16 behind a Cast.
[[nodiscard]] Status weights_to_float16(PassContext& context);
/// Writes a Clip on codes that LiteRT has no operator for as Max and Min, or as Identity where the
/// saturation of its output's codes has its effect anyway.
[[nodiscard]] Status state_limits(PassContext& context);
/// Notes which graph inputs and outputs are integers in the file, as the options ask.
[[nodiscard]] Status state_io(PassContext& context);
/// Removes a Relu or Clip whose effect the saturation of its output's codes has anyway.
[[nodiscard]] Status absorb_activations(PassContext& context);

}  // namespace passes

/// Codes of that many bits in memory: i8, or i16.
[[nodiscard]] constexpr DType code_type(const QuantScheme& scheme) {
  return scheme.bits <= 8 ? DType::i8 : DType::i16;
}

/// Whether codes with these params reach no further than [low, high].
[[nodiscard]] bool saturates_within(float low, float high, const Quantization& output);

/// The constant that this use reads, for it alone: a copy when somebody else reads it too.
[[nodiscard]] ValueId own_constant(Graph& graph, const Use& use);

/// Gives input `use.input` params by `scheme` from its largest magnitudes, and codes; a constant
/// that other readers would quantize otherwise is copied.
[[nodiscard]] Status quantize_weight(PassContext& context, const Use& use,
                                     const QuantScheme& scheme);

/// The model as it is now, with codes for its biases: what the engines run.
[[nodiscard]] Result<QuantizedGraph> with_bias_codes(const PassContext& context);

/// Raises the weight scales of a node's output channels, and notes it, where the bias or the worst
/// sum of products and bias would overflow int32 or come within `reserve` of that. Accumulators of
/// 16-bit inputs have 64 bits and need no room; the layers that `round_weights` decided have it.
[[nodiscard]] Status make_accumulator_room(PassContext& context, NodeId id, double reserve);

/// More than corrections add to a bias: half a code of error for a million products and more.
inline constexpr double correction_reserve = 0x1.0p27;

/// By weight scale: the least with which the bias of the node as it is now leaves the accumulators
/// that room. The scale floor where there is no such bias.
[[nodiscard]] std::vector<float> least_weight_scales(const PassContext& context, NodeId id);

/// Whether the accumulators of a node hold the codes and the bias that it has now.
[[nodiscard]] bool accumulators_fit(const PassContext& context, NodeId id);

}  // namespace octet

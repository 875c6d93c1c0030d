#pragma once
// The quantization pipeline: a list of named passes that one can read on a screen.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "calibration/channel_profile.h"
#include "calibration/statistics.h"
#include "graph/plan.h"
#include "passes/target.h"
#include "passes/weight_range.h"

namespace octet {

/// What is quantized, and when.
enum class Method : std::uint8_t {
  static_ranges,  ///< weights and activations; ranges of activations from calibration
  dynamic,        ///< weights, and activations at run time
  weight_only,    ///< weights; they are dequantized before use
};

[[nodiscard]] std::string_view name(Method method);
[[nodiscard]] std::optional<Method> method_from_name(std::string_view name);

/// How a file keeps weights: codes of more than 4 bits are int8 whatever is asked; float16 goes
/// with weight-only models.
enum class WeightType : std::uint8_t { int8, int4, float16 };

/// Behind what learned rounding compares the quantized model with the float one.
enum class RoundingScope : std::uint8_t {
  layer,  ///< each layer, or the sum that it goes into
  block,  ///< and then each block of layers
};

[[nodiscard]] std::string_view name(RoundingScope scope);
[[nodiscard]] std::optional<RoundingScope> rounding_scope_from_name(std::string_view name);

struct QuantizeOptions {
  Method method = Method::static_ranges;
  WeightType weights = WeightType::int8;  ///< float16: weight-only
  DynamicForm dynamic_form = DynamicForm::integer_operators;
  std::string target = "onnxruntime";
  ObserverKind observer = ObserverKind::mse;
  bool choose_ranges = false;  ///< for each value the best observer's range; needs samples
  WeightObserver weight_observer = WeightObserver::minmax;
  std::optional<Granularity> weight_granularity;  ///< default: the target's
  int weight_bits = 8;
  std::optional<int> edge_weight_bits;       ///< of first and last layers; default: weight_bits
  std::optional<int> depthwise_weight_bits;  ///< of depthwise convolutions; default: weight_bits
  bool learn_rounding = false;               ///< needs samples
  RoundingScope rounding_scope = RoundingScope::layer;
  int activation_bits = 8;                  ///< 16: symmetric, where the target has them
  std::optional<DType> activation_storage;  ///< i8 or u8 in the file; default: the target's
  std::optional<DType> io;    ///< i8, u8 or i16: inputs and outputs are such codes in the file
  bool reduce_range = false;  ///< 7-bit weights, for x86 without VNNI
  bool equalize = false;      ///< needs samples or moments
  bool absorb_bias = false;   ///< needs samples or moments
  bool refine_bias = false;   ///< needs samples
  std::vector<std::string> keep_float;  ///< globs over node names
  std::vector<std::string> wide;        ///< values with 16 bits: globs over them and their makers
  std::vector<std::string> narrow;      ///< layers with packed weights of 4 bits: globs over nodes
  std::vector<std::string> skip;        ///< pass names
  std::vector<std::string> dump_after;  ///< pass names; text goes to `dump`
  std::function<void(std::string_view pass, std::string_view text)> dump;
};

/// A node that stays in float, and why.
struct FloatNode {
  std::string name;
  std::string op;
  std::string reason;
};

struct PassTime {
  std::string name;
  double seconds = 0;
};

struct QuantizeReport {
  std::vector<FloatNode> float_nodes;
  double integer_mac_share = 0;    ///< 0..1
  std::vector<std::string> notes;  ///< guards that acted (bias overflow, dead channel, ...)
  std::vector<PassTime> passes;
};

/// Names of all passes in the order they run: those of static quantization, or of the method that
/// the options choose.
[[nodiscard]] std::vector<std::string_view> pass_names();
[[nodiscard]] std::vector<std::string_view> pass_names(const QuantizeOptions& options);

/// Simplifies a float graph the way the pipeline does before it calibrates (fold constants, fold
/// BatchNormalization, remove identities). Value names that survive keep their meaning.
[[nodiscard]] Status simplify(Graph& graph);

/// Rewrites a simplified graph into operators that the options' target has, without changing its
/// function. What `place` and calibration see, and the functions below ask for.
[[nodiscard]] Status fit_target(Graph& simplified, const QuantizeOptions& options);

/// The values calibration must observe so that `options` can be carried out on a simplified graph.
[[nodiscard]] Result<std::vector<ValueId>> values_to_observe(const Graph& simplified,
                                                             const QuantizeOptions& options);

/// Which nodes of a simplified graph would run in integers: fills float_nodes and
/// integer_mac_share.
[[nodiscard]] Status report_placement(const Graph& simplified, const QuantizeOptions& options,
                                      QuantizeReport& report);

/// Supplies the statistics of the requested values of a simplified graph (a sweep, or a file).
using StatisticsSource =
    std::function<Result<Statistics>(const Graph& simplified, const std::vector<ValueId>& values)>;

/// Supplies profiles of channels of a float graph.
using ProfileSource =
    std::function<Result<ChannelProfiles>(const Graph&, const std::vector<ProfileRequest>&)>;

/// Where static quantization gets what it knows of activations. Passes that need a source which is
/// empty do nothing.
struct QuantizeSources {
  StatisticsSource statistics;  ///< never empty
  ProfileSource profiles;
  SampleSource samples;
};

/// Static post-training quantization: runs all passes on a float graph.
[[nodiscard]] Result<QuantizedGraph> quantize_static(Graph graph, const QuantizeOptions& options,
                                                     const QuantizeSources& sources,
                                                     QuantizeReport& report);
[[nodiscard]] Result<QuantizedGraph> quantize_static(Graph graph, const QuantizeOptions& options,
                                                     const StatisticsSource& statistics,
                                                     QuantizeReport& report);

/// Dynamic and weight-only quantization: the passes that need no data.
///
/// dynamic: weights of Conv, Gemm and MatMul become 8-bit codes, per channel unless told otherwise,
/// and their inputs are quantized at run time; embedding tables and the weights of LSTM and GRU
/// become codes, too, and are dequantized where they are used. weight-only: all weights become
/// codes, or float16 (constants that a Cast makes f32 again; values beyond its range stay f32 and
/// are noted). Weights below 1 KB stay float in all of them; report.float_nodes says so.
[[nodiscard]] Result<QuantizedGraph> quantize_without_data(Graph graph,
                                                           const QuantizeOptions& options,
                                                           QuantizeReport& report);

}  // namespace octet

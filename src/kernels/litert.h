#pragma once
// The last step of accumulating operators by rules tflite and xnnpack: int32 accumulators become u8
// codes (signed code + 128) by arithmetic/litert.h.

#include <cstdint>
#include <vector>

#include "arithmetic/hybrid.h"
#include "arithmetic/litert.h"
#include "kernels/conv.h"

namespace octet::kernels::litert {

using namespace octet::litert;

/// Of one layer; only the factors of its scaling are there, one for each output channel. A few
/// channels are repeated (period): vectors then run over several rows.
struct Requantization {
  Scaling scaling = Scaling::floating;
  std::int64_t channels = 0;
  std::int64_t period = 0;  ///< factors that there are: channels, or 16 where channels divides it
  std::vector<float> floating;
  std::vector<std::int32_t> multiplier;  ///< FixedMultiplier::multiplier
  std::vector<std::int32_t> left;        ///< FixedMultiplier::shift where above 0
  std::vector<std::int32_t> right;       ///< -FixedMultiplier::shift where below 0
  std::vector<double> real;
  std::uint8_t zero_point = 128;
  std::uint8_t low = 0;
  std::uint8_t high = 255;
};

/// Of layers with these scales; `weight_scale` has an entry for each output channel.
[[nodiscard]] Requantization make_requantization(const LayerForm& form, float input_scale,
                                                 const std::vector<float>& weight_scale,
                                                 float output_scale);

/// `rows` rows of params.channels accumulators to as many codes, with the fastest form of at most
/// `isa` that this CPU has; all give the same bits.
void requantize(const Requantization& params, const std::int32_t* accumulators,
                std::uint8_t* output, std::int64_t rows, Isa isa);

/// sum += addend, modulo 2^32.
void add_accumulators(const std::int32_t* addend, std::int32_t* sum, std::int64_t count);

/// Codes of `count` values of one unit, and their params.
[[nodiscard]] HybridParams quantize_unit(HybridCodes codes, const float* values,
                                         std::uint8_t* output, std::int64_t count);

/// One row of a hybrid layer's f32 results; `shift`, taken from each accumulator first, is the
/// unit's zero point times `weight_sums` where that is given (nullptr: accumulators are complete).
struct HybridRow {
  HybridOutput form = HybridOutput::scales_first;
  std::int64_t channels = 0;
  const float* weight_scale = nullptr;        ///< [channels]
  const float* bias = nullptr;                ///< [channels]
  const std::int32_t* weight_sums = nullptr;  ///< [channels]
};
/// `pixels` rows of one unit.
void finish_hybrid(const HybridRow& row, const HybridParams& unit, const std::int32_t* accumulators,
                   float* output, std::int64_t pixels);

}  // namespace octet::kernels::litert

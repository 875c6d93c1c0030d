#pragma once
// How a sum of codes becomes the code of their average, by rule. Internal to the pooling kernels.

#include "kernels/pool.h"

namespace octet::kernels {

class AverageRule {
 public:
  AverageRule(Averaging averaging, const CodeParams& input, const CodeParams& output)
      : averaging_(averaging), input_(input), output_(output) {}

  /// What is to be taken from each code before it is summed.
  [[nodiscard]] std::int32_t base() const {
    return is_litert(output_.rule) ? input_.file_offset() : input_.zero_point;
  }

  /// Codes of `length` sums over as many pixels; `count` >= 0.
  void store(const std::int32_t* sums, std::int64_t count, std::uint8_t* output,
             std::int64_t length) const;

 private:
  void store_onnx(const std::int32_t* sums, std::int64_t count, std::uint8_t* output,
                  std::int64_t length) const;
  void store_openvino(const std::int32_t* sums, std::int64_t count, std::uint8_t* output,
                      std::int64_t length) const;
  void store_litert(const std::int32_t* sums, std::int64_t count, std::uint8_t* output,
                    std::int64_t length) const;

  Averaging averaging_;
  CodeParams input_;
  CodeParams output_;
};

}  // namespace octet::kernels

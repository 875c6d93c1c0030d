#pragma once
// Small graphs whose gradients are tested.

#include "engine/float_support.h"
#include "engine/integer_model_builder.h"

namespace octet::testing {

/// A graph under test: its inputs' values and which constants are trained.
struct GradientCase {
  std::string name;
  std::function<void(ModelBuilder&, std::vector<Tensor>& inputs, std::vector<ValueId>& trained)>
      build;
  bool batch_statistics = false;  ///< differs from the float engine, which normalizes otherwise
  double step = 1e-2;
};

inline void PrintTo(const GradientCase& c, std::ostream* out) { *out << c.name; }

/// Adds a trained constant to an input, so that the gradient of what reads the sum is tested.
ValueId movable(ModelBuilder& b, std::vector<Tensor>& inputs, std::vector<ValueId>& trained,
                Shape shape, float low = -1, float high = 1);

/// A trained constant.
ValueId weight(ModelBuilder& b, std::vector<ValueId>& trained, Shape shape, float low = -0.7F,
               float high = 0.7F);

/// Operators with a gradient, and a few small networks.
std::vector<GradientCase> gradient_cases();

}  // namespace octet::testing

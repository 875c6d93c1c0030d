#pragma once
// A .tflite model of a builder as the reader gives it, checked.

#include <gtest/gtest.h>

#include "formats/tflite_builder.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"

namespace octet::testing {

inline QuantizedGraph read(const TfliteBuilder& builder) {
  auto model = parse_tflite(builder.bytes());
  EXPECT_TRUE(model.has_value()) << (model ? "" : model.error().message);
  if (!model) return {};
  const auto inferred = infer_shapes(model->graph);
  EXPECT_TRUE(inferred.has_value()) << (inferred ? "" : inferred.error().message);
  const auto sound = verify(*model);
  EXPECT_TRUE(sound.has_value()) << (sound ? "" : sound.error().message);
  return std::move(*model);
}

}  // namespace octet::testing

#include "kernels/dot_peak.h"

#include <gtest/gtest.h>

namespace octet::kernels {
namespace {

TEST(DotPeak, IsKnownForWhatTheCpuHas) {
  for (const auto isa : all_isas) {
    const bool known = isa != Isa::reference && isa_available(isa);
    EXPECT_EQ(dot_peak(isa) > 0, known) << name(isa);
  }
  EXPECT_EQ(float_dot_peak() > 0, isa_available(Isa::avx2));
}

TEST(ConvTable, AKernelsNameTellsItsInstructionSet) {
  EXPECT_EQ(isa_of("u8s8_conv1x1_perchannel_onnx_32x32__amx"), Isa::amx);
  EXPECT_EQ(isa_of("u8s8_conv_perchannel_onnx_6x16__avx2 + litert"), Isa::avx2);
  EXPECT_EQ(isa_of("float Softmax"), Isa::reference);
}

}  // namespace
}  // namespace octet::kernels

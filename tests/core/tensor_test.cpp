#include "core/tensor.h"

#include <gtest/gtest.h>

namespace octet {
namespace {

TEST(Tensor, CopySharesUntilWritten) {
  Tensor a = Tensor::from<float>({1, 2, 3}, {3});
  Tensor b = a;
  EXPECT_EQ(a.raw(), b.raw());
  b.mutable_data<float>()[0] = 9;
  EXPECT_EQ(a.data<float>()[0], 1);
  EXPECT_EQ(b.data<float>()[0], 9);
}

TEST(Tensor, CreateRefusesAbsurdShapes) {
  EXPECT_FALSE(Tensor::create(DType::f32, {std::int64_t{1} << 60}));
  EXPECT_FALSE(Tensor::create(DType::f32, {1 << 30, 1 << 30, 1 << 30}));
  EXPECT_FALSE(Tensor::create(DType::f32, {2, -3}));
  EXPECT_TRUE(Tensor::create(DType::f32, {0, 5}));
  EXPECT_FALSE(Tensor::create(DType::f32, {std::int64_t{1} << 32, std::int64_t{1} << 32, 0}));
}

TEST(Tensor, FourBitElementsUnpackLowNibbleFirst) {
  Tensor packed(DType::i4, {3});
  packed.mutable_data<std::uint8_t>()[0] = 0x8F;
  packed.mutable_data<std::uint8_t>()[1] = 0x07;
  const auto values = to_int64(packed);
  ASSERT_TRUE(values);
  EXPECT_EQ(*values, (std::vector<std::int64_t>{-1, -8, 7}));
}

TEST(Tensor, HalfPrecisionConverts) {
  Tensor half(DType::f16, {4});
  auto* bits = half.mutable_data<std::uint16_t>();
  bits[0] = 0x3C00;  // 1
  bits[1] = 0xC000;  // -2
  bits[2] = 0x0001;  // smallest subnormal
  bits[3] = 0x7BFF;  // 65504
  const auto values = to_f32(half);
  ASSERT_TRUE(values);
  EXPECT_EQ(values->data<float>()[0], 1.0F);
  EXPECT_EQ(values->data<float>()[1], -2.0F);
  EXPECT_EQ(values->data<float>()[2], 0x1.0p-24F);
  EXPECT_EQ(values->data<float>()[3], 65504.0F);
}

TEST(Shape, BroadcastFollowsNumpy) {
  EXPECT_EQ(*broadcast_shapes({2, 1, 3}, {4, 1}), (Shape{2, 4, 3}));
  EXPECT_EQ(*broadcast_shapes({dynamic_dim, 3}, {1}), (Shape{dynamic_dim, 3}));
  EXPECT_FALSE(broadcast_shapes({2}, {3}));
}

}  // namespace
}  // namespace octet

// Conv, Gemm, MatMul and pooling against direct loops in double precision.

#include "engine/float_support.h"

namespace octet::testing {
namespace {

using Ints = std::vector<std::int64_t>;

struct ConvCase {
  const char* name;
  Shape input;
  Shape weight;
  std::int64_t groups;
  Ints strides, dilations, pads;  // pads: top, left, bottom, right
  bool bias = true;
};

/// out[n,o,y,x] by the definition; rank 3 is height 1.
Tensor naive_conv(const Tensor& x, const Tensor& w, const Tensor* bias, std::int64_t groups,
                  const Ints& s, const Ints& d, const Ints& p) {
  const auto H = x.dim(2), W = x.dim(3), C = x.dim(1), M = w.dim(0), KH = w.dim(2), KW = w.dim(3);
  const auto OH = (H + p[0] + p[2] - (KH - 1) * d[0] - 1) / s[0] + 1;
  const auto OW = (W + p[1] + p[3] - (KW - 1) * d[1] - 1) / s[1] + 1;
  Tensor out(DType::f32, {x.dim(0), M, OH, OW});
  const auto per_group = C / groups;
  float* to = out.mutable_data<float>();
  for (std::int64_t n = 0; n < x.dim(0); ++n)
    for (std::int64_t o = 0; o < M; ++o)
      for (std::int64_t oy = 0; oy < OH; ++oy)
        for (std::int64_t ox = 0; ox < OW; ++ox) {
          double sum = bias != nullptr ? static_cast<double>(bias->data<float>()[o]) : 0.0;
          for (std::int64_t c = 0; c < per_group; ++c)
            for (std::int64_t ky = 0; ky < KH; ++ky)
              for (std::int64_t kx = 0; kx < KW; ++kx) {
                const auto iy = oy * s[0] - p[0] + ky * d[0];
                const auto ix = ox * s[1] - p[1] + kx * d[1];
                if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
                const auto channel = (o / (M / groups)) * per_group + c;
                sum +=
                    static_cast<double>(x.data<float>()[((n * C + channel) * H + iy) * W + ix]) *
                    static_cast<double>(w.data<float>()[((o * per_group + c) * KH + ky) * KW + kx]);
              }
          *to++ = static_cast<float>(sum);
        }
  return out;
}

const ConvCase conv_cases[] = {
    {"1x1", {2, 5, 4, 3}, {7, 5, 1, 1}, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {"1x1 stride 2", {1, 16, 7, 7}, {24, 16, 1, 1}, 1, {2, 2}, {1, 1}, {0, 0, 0, 0}},
    {"3x3 same", {1, 16, 9, 9}, {32, 16, 3, 3}, 1, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {"3x3 first layer", {3, 3, 11, 13}, {8, 3, 3, 3}, 1, {2, 2}, {1, 1}, {0, 0, 1, 1}},
    {"no bias", {1, 6, 5, 5}, {4, 6, 3, 3}, 1, {1, 1}, {1, 1}, {1, 1, 1, 1}, false},
    {"asymmetric pads", {1, 4, 6, 7}, {5, 4, 3, 2}, 1, {1, 2}, {1, 1}, {2, 0, 1, 1}},
    {"dilated", {1, 4, 12, 11}, {6, 4, 3, 3}, 1, {1, 1}, {2, 3}, {2, 3, 2, 3}},
    {"groups 2", {2, 6, 5, 5}, {8, 3, 3, 3}, 2, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {"groups 3 odd", {1, 9, 5, 4}, {6, 3, 1, 3}, 3, {2, 1}, {1, 1}, {0, 1, 0, 1}},
    {"depthwise", {2, 19, 8, 8}, {19, 1, 3, 3}, 19, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {"depthwise stride 2", {1, 32, 9, 9}, {32, 1, 3, 3}, 32, {2, 2}, {1, 1}, {0, 0, 1, 1}},
    {"depthwise 5x5 dilated", {1, 16, 13, 13}, {16, 1, 5, 5}, 16, {1, 1}, {2, 2}, {4, 4, 4, 4}},
    {"depthwise multiplier", {1, 4, 6, 6}, {12, 1, 3, 3}, 4, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {"kernel as large as input", {1, 8, 4, 4}, {3, 8, 4, 4}, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {"one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}},
};

TEST(FloatConv, MatchesDirectLoops) {
  for (const auto& c : conv_cases) {
    const Tensor x = random_tensor(c.input, 1);
    const Tensor w = random_tensor(c.weight, 2);
    const Tensor b = random_tensor({c.weight[0]}, 3);
    std::vector<Tensor> inputs{x, w};
    if (c.bias) inputs.push_back(b);
    const std::map<std::string, Attribute, std::less<>> attributes{
        {"group", c.groups}, {"strides", c.strides}, {"dilations", c.dilations}, {"pads", c.pads}};
    const Tensor expected =
        naive_conv(x, w, c.bias ? &b : nullptr, c.groups, c.strides, c.dilations, c.pads);
    const auto constant = evaluate("Conv", inputs, attributes);
    OCTET_ASSERT_OK(constant);
    expect_near(*constant, expected, 1e-5, c.name);
    // Weights that are not constants, and input that is channels-last already.
    const auto dynamic = run_channels_last("Conv", inputs, attributes);
    OCTET_ASSERT_OK(dynamic);
    expect_near(to_plain(*dynamic).tensor, expected, 1e-5, c.name);
    EXPECT_TRUE(dynamic->channels_last);
  }
}

TEST(FloatConv, AutoPad) {
  const Tensor x = random_tensor({1, 3, 7, 6}, 4);
  const Tensor w = random_tensor({4, 3, 3, 3}, 5);
  // Height 7 stride 2: 4 outputs, 2 rows of padding; width 6: 3 outputs, 1 column.
  const struct {
    const char* mode;
    Ints pads;
  } cases[] = {{"SAME_UPPER", {1, 0, 1, 1}}, {"SAME_LOWER", {1, 1, 1, 0}}, {"VALID", {0, 0, 0, 0}}};
  for (const auto& c : cases) {
    const auto actual =
        evaluate("Conv", {x, w}, {{"strides", Ints{2, 2}}, {"auto_pad", std::string(c.mode)}});
    OCTET_ASSERT_OK(actual);
    expect_near(*actual, naive_conv(x, w, nullptr, 1, {2, 2}, {1, 1}, c.pads), 1e-5, c.mode);
  }
}

TEST(FloatConv, OneDimension) {
  const Tensor x = random_tensor({2, 4, 15}, 6);
  const Tensor w = random_tensor({6, 2, 5}, 7);
  const auto actual = evaluate("Conv", {x, w},
                               {{"group", std::int64_t{2}},
                                {"strides", Ints{2}},
                                {"dilations", Ints{2}},
                                {"pads", Ints{3, 1}}});
  OCTET_ASSERT_OK(actual);
  const Tensor expected = naive_conv(x.reshaped({2, 4, 1, 15}), w.reshaped({6, 2, 1, 5}), nullptr,
                                     2, {1, 2}, {1, 2}, {0, 3, 0, 1});
  expect_near(*actual, expected.reshaped({2, 6, expected.dim(3)}), 1e-5, "conv1d");
}

TEST(FloatConv, RefusesWhatDoesNotFit) {
  const auto message = [](const Result<Tensor>& r) { return r ? "" : r.error().message; };
  const Tensor x = random_tensor({1, 4, 5, 5}, 1);
  EXPECT_NE(message(evaluate("Conv", {x, random_tensor({4, 3, 3, 3}, 2)})).find("the_node"),
            std::string::npos);
  EXPECT_FALSE(evaluate("Conv", {x, random_tensor({4, 4, 9, 9}, 2)}));
  EXPECT_FALSE(evaluate("Conv", {x, random_tensor({4, 4, 3, 3}, 2), random_tensor({5}, 3)}));
  EXPECT_FALSE(evaluate("Conv", {x, random_tensor({4, 4, 1, 1}, 2)}, {{"group", std::int64_t{0}}}));
  EXPECT_FALSE(evaluate("Conv", {random_tensor({1, 2}, 1), random_tensor({1, 2}, 2)}));
}

TEST(FloatGemm, AllAttributesAndBroadcasts) {
  const std::int64_t m = 5, n = 7, k = 11;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const float alpha : {1.0F, 0.5F})
        for (const float beta : {1.0F, -2.0F})
          for (const Shape& c_shape : {Shape{}, Shape{n}, Shape{1, n}, Shape{m, 1}, Shape{m, n}}) {
            const Tensor a = random_tensor(ta ? Shape{k, m} : Shape{m, k}, 1);
            const Tensor b = random_tensor(tb ? Shape{n, k} : Shape{k, n}, 2);
            const Tensor c = random_tensor(c_shape, 3);
            Tensor expected(DType::f32, {m, n});
            for (std::int64_t i = 0; i < m; ++i)
              for (std::int64_t j = 0; j < n; ++j) {
                double sum = 0;
                for (std::int64_t l = 0; l < k; ++l) {
                  sum += static_cast<double>(a.data<float>()[ta ? l * m + i : i * k + l]) *
                         static_cast<double>(b.data<float>()[tb ? j * k + l : l * n + j]);
                }
                const bool by_row = c_shape.size() == 2 && c_shape[0] == m;
                const bool by_column = !c_shape.empty() && c_shape.back() == n;
                const auto ci = (by_row ? i * c_shape[1] : 0) + (by_column ? j : 0);
                expected.mutable_data<float>()[i * n + j] =
                    static_cast<float>(static_cast<double>(alpha) * sum +
                                       static_cast<double>(beta * c.data<float>()[ci]));
              }
            const auto actual = evaluate("Gemm", {a, b, c},
                                         {{"alpha", alpha},
                                          {"beta", beta},
                                          {"transA", std::int64_t{ta}},
                                          {"transB", std::int64_t{tb}}});
            OCTET_ASSERT_OK(actual);
            expect_near(*actual, expected, 1e-5, to_string(c_shape));
          }
  EXPECT_FALSE(evaluate("Gemm", {random_tensor({2, 3}, 1), random_tensor({4, 2}, 1)}));
}

TEST(FloatMatMul, BatchesAndVectors) {
  const struct {
    Shape a, b, out;
  } cases[] = {
      {{3, 4}, {4, 5}, {3, 5}},
      {{2, 3, 4}, {4, 5}, {2, 3, 5}},
      {{2, 3, 4}, {2, 4, 5}, {2, 3, 5}},
      {{2, 1, 3, 4}, {3, 4, 5}, {2, 3, 3, 5}},
      {{4}, {4, 5}, {5}},
      {{3, 4}, {4}, {3}},
      {{4}, {4}, {}},
      {{2, 3, 4}, {4}, {2, 3}},
      {{4}, {2, 4, 5}, {2, 5}},
      {{0, 4}, {4, 5}, {0, 5}},
  };
  for (const auto& c : cases) {
    const Tensor a = random_tensor(c.a, 1);
    const Tensor b = random_tensor(c.b, 2);
    Shape left = c.a, right = c.b;
    if (left.size() == 1) left.insert(left.begin(), 1);
    if (right.size() == 1) right.push_back(1);
    const auto m = left[left.size() - 2], k = left.back(), n = right.back();
    const Shape batch =
        broadcast_shapes(Shape(left.begin(), left.end() - 2), Shape(right.begin(), right.end() - 2))
            .value();
    const auto offset_of = [&](const Shape& shape, std::int64_t flat) {
      // Index of a batch in an operand whose leading dimensions broadcast.
      std::int64_t offset = 0, stride = 1;
      const auto own = shape.size() - 2;
      for (std::size_t d = batch.size(); d-- > 0;) {
        const auto i = flat % batch[d];
        flat /= batch[d];
        if (batch.size() - d > own) continue;
        const auto extent = shape[own - (batch.size() - d)];
        offset += extent == 1 ? 0 : i * stride;
        stride *= extent;
      }
      return offset;
    };
    Tensor expected(DType::f32, c.out);
    for (std::int64_t z = 0; z < element_count(batch); ++z)
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (std::int64_t l = 0; l < k; ++l) {
            sum += static_cast<double>(a.data<float>()[(offset_of(left, z) * m + i) * k + l]) *
                   static_cast<double>(b.data<float>()[(offset_of(right, z) * k + l) * n + j]);
          }
          expected.mutable_data<float>()[(z * m + i) * n + j] = static_cast<float>(sum);
        }
    const auto actual = evaluate("MatMul", {a, b});
    OCTET_ASSERT_OK(actual);
    expect_near(*actual, expected, 1e-5, to_string(c.a) + to_string(c.b));
  }
  EXPECT_FALSE(evaluate("MatMul", {random_tensor({2, 3}, 1), random_tensor({2, 3}, 1)}));
}

struct PoolCase {
  const char* name;
  Shape input;
  Ints kernel, strides, dilations, pads;
  bool ceil = false;
  bool include_pad = false;
};

/// By the definition; a window counts the padding only inside [-pad_begin, extent + pad_end).
Tensor naive_pool(const Tensor& x, const PoolCase& c, bool maximum) {
  const auto H = x.dim(2), W = x.dim(3);
  const auto extent = [&](std::int64_t in, std::size_t i) {
    const auto room = in + c.pads[i] + c.pads[i + 2] - (c.kernel[i] - 1) * c.dilations[i] - 1;
    auto out = (c.ceil ? (room + c.strides[i] - 1) / c.strides[i] : room / c.strides[i]) + 1;
    if (c.ceil && (out - 1) * c.strides[i] >= in + c.pads[i]) --out;
    return out;
  };
  const auto OH = extent(H, 0), OW = extent(W, 1);
  Tensor out(DType::f32, {x.dim(0), x.dim(1), OH, OW});
  float* to = out.mutable_data<float>();
  for (std::int64_t plane = 0; plane < x.dim(0) * x.dim(1); ++plane)
    for (std::int64_t oy = 0; oy < OH; ++oy)
      for (std::int64_t ox = 0; ox < OW; ++ox) {
        double best = -1e30, sum = 0;
        int count = 0, padded = 0;
        for (std::int64_t ky = 0; ky < c.kernel[0]; ++ky)
          for (std::int64_t kx = 0; kx < c.kernel[1]; ++kx) {
            const auto iy = oy * c.strides[0] - c.pads[0] + ky * c.dilations[0];
            const auto ix = ox * c.strides[1] - c.pads[1] + kx * c.dilations[1];
            if (iy < H + c.pads[2] && ix < W + c.pads[3]) ++padded;
            if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
            const auto v = static_cast<double>(x.data<float>()[(plane * H + iy) * W + ix]);
            best = std::max(best, v);
            sum += v;
            ++count;
          }
        *to++ = static_cast<float>(maximum ? best : sum / (c.include_pad ? padded : count));
      }
  return out;
}

TEST(FloatPool, MatchesDirectLoops) {
  const PoolCase cases[] = {
      {"2x2", {2, 3, 6, 6}, {2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}},
      {"3x3 pads", {1, 17, 7, 8}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}},
      {"asymmetric", {1, 4, 7, 5}, {3, 2}, {2, 1}, {1, 1}, {0, 1, 2, 0}},
      {"ceil", {1, 3, 6, 6}, {3, 3}, {2, 2}, {1, 1}, {0, 0, 0, 0}, true},
      {"ceil pads", {1, 3, 7, 6}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, true},
      {"include pad", {1, 5, 6, 7}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false, true},
      {"ceil include pad", {1, 5, 6, 8}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, true, true},
      {"dilated", {1, 4, 9, 9}, {3, 2}, {1, 2}, {2, 3}, {2, 1, 2, 1}},
  };
  for (const auto& c : cases) {
    const Tensor x = random_tensor(c.input, 9);
    std::map<std::string, Attribute, std::less<>> attributes{{"kernel_shape", c.kernel},
                                                             {"strides", c.strides},
                                                             {"dilations", c.dilations},
                                                             {"pads", c.pads},
                                                             {"ceil_mode", std::int64_t{c.ceil}}};
    if (!c.include_pad) {
      const auto maximum = evaluate("MaxPool", {x}, attributes);
      OCTET_ASSERT_OK(maximum);
      expect_near(*maximum, naive_pool(x, c, true), 0, c.name);
    }
    attributes["count_include_pad"] = std::int64_t{c.include_pad};
    const auto average = run_channels_last("AveragePool", {x}, attributes);
    OCTET_ASSERT_OK(average);
    expect_near(to_plain(*average).tensor, naive_pool(x, c, false), 1e-6, c.name);
  }
}

TEST(FloatPool, OneDimension) {
  const Tensor x = counting<float>({1, 2, 5});
  const auto pooled = evaluate("MaxPool", {x}, {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}});
  OCTET_ASSERT_OK(pooled);
  EXPECT_TRUE(identical(*pooled, Tensor::from<float>({1, 3, 6, 8}, {1, 2, 2})));
}

}  // namespace
}  // namespace octet::testing

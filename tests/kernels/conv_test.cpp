// Every case on every row of the kernel table that accepts it.

#include "kernels/conv.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <random>

#include "kernels/conv_case.h"

namespace octet::kernels::testing {
namespace {

constexpr std::uint8_t guard = 0xA5;
constexpr std::size_t guard_bytes = 128;

class Scratch {
 public:
  explicit Scratch(std::size_t bytes)
      : data_(static_cast<std::byte*>(::operator new (bytes + 64, std::align_val_t{64}))) {
    // Kernels must not take scratch memory for zeroed.
    std::memset(data_, 0x5A, bytes + 64);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { ::operator delete (data_, std::align_val_t{64}); }
  std::byte* data() { return data_; }

 private:
  std::byte* data_;
};

/// Runs in row chunks (at the given cuts) with guards around the output.
std::vector<std::uint8_t> run_chunks(const Conv& conv, const ConvGeometry& g,
                                     std::vector<std::uint8_t> input,
                                     std::vector<std::int64_t> cuts) {
  // What lies beyond the input may be read but must not matter.
  input.resize(input.size() + 64, 0xEE);
  const auto count =
      static_cast<std::size_t>(g.batch * g.out_height * g.out_width * std::int64_t{g.out_channels});
  std::vector<std::uint8_t> output(count + 2 * guard_bytes, guard);
  const std::int64_t rows = g.batch * g.out_height;
  cuts.push_back(0);
  cuts.push_back(rows);
  std::sort(cuts.begin(), cuts.end());
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    Scratch scratch(conv.scratch_bytes(g));
    conv.run(g, input.data(), output.data() + guard_bytes, cuts[i], cuts[i + 1], scratch.data());
  }
  for (std::size_t i = 0; i < guard_bytes; ++i) {
    EXPECT_EQ(output[i], guard) << "wrote " << guard_bytes - i << " bytes before the output";
    EXPECT_EQ(output[guard_bytes + count + i], guard) << "wrote " << i << " bytes beyond it";
    if (::testing::Test::HasFailure()) break;
  }
  return {output.begin() + guard_bytes, output.end() - guard_bytes};
}

void expect_equal(const std::vector<std::uint8_t>& got, const std::vector<std::uint8_t>& want,
                  const ConvGeometry& g, const std::string& where) {
  ASSERT_EQ(got.size(), want.size()) << where;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i] == want[i]) continue;
    const auto pixel = static_cast<std::int64_t>(i) / g.out_channels;
    FAIL() << where << ": channel " << static_cast<std::int64_t>(i) % g.out_channels << " of pixel "
           << pixel << " is " << int{got[i]} << ", not " << int{want[i]};
  }
}

class ConvCases : public ::testing::TestWithParam<std::string> {};

TEST_P(ConvCases, EveryKernelEqualsTheOracle) {
  const auto parsed = parse_case(GetParam());
  ASSERT_TRUE(parsed) << "cannot parse: " << GetParam();
  const auto& params = parsed->params;
  const auto& g = params.geometry;
  ASSERT_GT(g.out_height, 0);
  ASSERT_GT(g.out_width, 0);
  const auto want = oracle(params, g, parsed->input);
  // A case that saturates everywhere would show nothing.
  if (params.low < params.high && GetParam().find("extreme") == std::string::npos) {
    EXPECT_NE(*std::min_element(want.begin(), want.end()),
              *std::max_element(want.begin(), want.end()));
  }
  // Other batch and height on the same packed weights.
  ConvGeometry larger = g;
  larger.batch = g.batch + 1;
  larger.in_height = g.in_height + 3 * g.stride_height;
  larger.out_height = g.out_height + 3;
  const auto larger_input = random_input(larger, false, 5);
  const auto larger_want = oracle(params, larger, larger_input);

  int kernels_run = 0;
  for (const auto& kernel : conv_kernels()) {
    if (!isa_available(kernel.isa) || !kernel.accepts(params)) continue;
    ++kernels_run;
    const auto conv = kernel.make(params);
    ASSERT_NE(conv, nullptr) << kernel.name;
    const std::string where = std::string(kernel.name);
    expect_equal(run_chunks(*conv, g, parsed->input, {}), want, g, where + " whole");
    const std::int64_t rows = g.batch * g.out_height;
    expect_equal(run_chunks(*conv, g, parsed->input, {rows / 3, rows / 2, rows - rows / 5}), want,
                 g, where + " in chunks");
    expect_equal(run_chunks(*conv, larger, larger_input, {}), larger_want, larger,
                 where + " other batch and height");
  }
  EXPECT_GE(kernels_run, 1);
}

INSTANTIATE_TEST_SUITE_P(Text, ConvCases,
                         ::testing::ValuesIn(case_lines(OCTET_TEST_DIR "/kernels/cases/conv.txt")),
                         [](const auto& info) {
                           std::string name;
                           for (const char c : info.param) {
                             name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
                           }
                           return name;
                         });

TEST(ConvTable, ReferenceIsLastAndAcceptsEverything) {
  const auto table = conv_kernels();
  ASSERT_FALSE(table.empty());
  EXPECT_EQ(table.back().isa, Isa::reference);
  EXPECT_TRUE(table.back().accepts(ConvParams{}));
  for (const auto& kernel : table) {
    const std::string suffix = "__" + std::string(name(kernel.isa));
    EXPECT_EQ(std::string(kernel.name).find(suffix),
              std::string(kernel.name).size() - suffix.size())
        << kernel.name << " does not end in " << suffix;
  }
}

TEST(ConvTable, MakeConvStaysWithinTheIsa) {
  const auto parsed = parse_case("conv i8 g1 ic16 ih8 oc32 kh1 zp=100 perchannel");
  ASSERT_TRUE(parsed);
  const auto conv = make_conv(parsed->params, Isa::reference);
  EXPECT_EQ(conv->name(), conv_kernels().back().name);
  EXPECT_EQ(isa_from_name("avx2"), Isa::avx2);
  EXPECT_EQ(isa_from_name("sse9"), std::nullopt);
}

TEST(ConvCaseParser, RefusesNonsense) {
  EXPECT_FALSE(parse_case("conv f32 g1"));
  EXPECT_FALSE(parse_case("conv i8 g"));
  EXPECT_FALSE(parse_case("pool i8 g1"));
}

}  // namespace
}  // namespace octet::kernels::testing

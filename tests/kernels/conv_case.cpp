#include "kernels/conv_case.h"

#include <cctype>
#include <cmath>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

namespace octet::kernels::testing {
namespace {

int get(const std::map<std::string, int>& keys, const std::string& key, int fallback) {
  const auto it = keys.find(key);
  return it == keys.end() ? fallback : it->second;
}

int extent(int in, int before, int after, int kernel, int dilation, int stride) {
  return (in + before + after - (kernel - 1) * dilation - 1) / stride + 1;
}

ConvGeometry geometry_of(const std::map<std::string, int>& k) {
  ConvGeometry g;
  g.batch = get(k, "n", 1);
  g.groups = get(k, "g", 1);
  g.in_channels = get(k, "ic", 1);
  g.out_channels = get(k, "oc", 1);
  g.in_height = get(k, "ih", 1);
  g.in_width = get(k, "iw", g.in_height);
  g.kernel_height = get(k, "kh", 1);
  g.kernel_width = get(k, "kw", g.kernel_height);
  g.stride_height = get(k, "sh", 1);
  g.stride_width = get(k, "sw", g.stride_height);
  g.dilation_height = get(k, "dh", 1);
  g.dilation_width = get(k, "dw", g.dilation_height);
  const int ph = get(k, "ph", 0);
  const int pw = get(k, "pw", ph);
  g.pad_top = get(k, "pt", ph);
  g.pad_left = get(k, "pl", pw);
  g.out_height = extent(g.in_height, g.pad_top, get(k, "pb", ph), g.kernel_height,
                        g.dilation_height, g.stride_height);
  g.out_width = extent(g.in_width, g.pad_left, get(k, "pr", pw), g.kernel_width, g.dilation_width,
                       g.stride_width);
  return g;
}

void fill_params(ConvParams& p, bool per_channel, bool bias, bool extreme, std::mt19937& random) {
  const auto& g = p.geometry;
  const int depth = g.kernel_height * g.kernel_width * g.in_channels / g.groups;
  for (int i = 0; i < depth * g.out_channels; ++i) {
    const int code =
        extreme ? (random() % 2 != 0 ? 127 : -128) : static_cast<int>(random() % 256) - 128;
    p.weights.push_back(static_cast<std::int8_t>(code));
  }
  // Outputs that fill the code range: |acc| is about 100 * 74 * sqrt(depth).
  const float typical = 0.01F / std::sqrt(static_cast<float>(depth)) / (extreme ? 10.0F : 1.0F);
  for (int o = 0; o < g.out_channels; ++o) {
    const int b = static_cast<int>(random() % 20001) - 10000;
    p.bias.push_back(bias ? b : 0);
    const float jitter = 0.25F + static_cast<float>(random() % 1000) / 500.0F;
    p.multiplier.push_back(per_channel || o == 0 ? typical * jitter : p.multiplier[0]);
  }
  // Exact ties: a multiplier of 1/2 and of 1/64.
  if (per_channel && g.out_channels > 2) {
    p.multiplier[1] = 0.5F;
    p.multiplier[2] = 0.015625F;
  }
}

}  // namespace

std::vector<std::string> case_lines(const std::string& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line[0] != '#') lines.push_back(line);
  }
  return lines;
}

std::optional<ConvCase> parse_case(const std::string& line) {
  std::istringstream in(line);
  std::string word;
  if (!(in >> word) || word != "conv" || !(in >> word) || word != "i8") return std::nullopt;
  std::map<std::string, int> keys;
  bool per_channel = false;
  bool bias = true;
  bool extreme = false;
  while (in >> word) {
    if (word == "perchannel" || word == "pertensor") {
      per_channel = word == "perchannel";
    } else if (word == "nobias") {
      bias = false;
    } else if (word == "extreme") {
      extreme = true;
    } else {
      std::size_t letters = 0;
      while (letters < word.size() &&
             std::isalpha(static_cast<unsigned char>(word[letters])) != 0) {
        ++letters;
      }
      const std::size_t digits = letters + (letters < word.size() && word[letters] == '=' ? 1 : 0);
      if (letters == 0 || digits >= word.size()) return std::nullopt;
      keys[word.substr(0, letters)] = std::stoi(word.substr(digits));
    }
  }
  ConvCase result;
  result.text = line;
  auto& p = result.params;
  p.geometry = geometry_of(keys);
  p.input_zero_point = static_cast<std::uint8_t>(get(keys, "zp", 128));
  p.output_zero_point = static_cast<std::uint8_t>(get(keys, "zy", 113));
  p.low = static_cast<std::uint8_t>(get(keys, "low", 0));
  p.high = static_cast<std::uint8_t>(get(keys, "high", 255));
  std::mt19937 random(7);
  fill_params(p, per_channel, bias, extreme, random);
  result.input = random_input(p.geometry, extreme, 11);
  return result;
}

std::vector<std::uint8_t> random_input(const ConvGeometry& g, bool extreme, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> input(
      static_cast<std::size_t>(g.batch) * static_cast<std::size_t>(g.in_height) *
      static_cast<std::size_t>(g.in_width) * static_cast<std::size_t>(g.in_channels));
  for (auto& code : input) {
    code = static_cast<std::uint8_t>(extreme ? (random() % 2) * 255 : random() % 256);
  }
  return input;
}

std::vector<std::uint8_t> oracle(const ConvParams& p, const ConvGeometry& g,
                                 const std::vector<std::uint8_t>& input) {
  const auto in_at = [&](std::int64_t n, int y, int x, int c) -> std::int64_t {
    if (y < 0 || y >= g.in_height || x < 0 || x >= g.in_width) return 0;
    const auto i = ((n * g.in_height + y) * g.in_width + x) * g.in_channels + c;
    return input[static_cast<std::size_t>(i)] - std::int64_t{p.input_zero_point};
  };
  const int ipg = g.in_channels / g.groups;
  std::vector<std::uint8_t> output;
  for (std::int64_t n = 0; n < g.batch; ++n)
    for (int y = 0; y < g.out_height; ++y)
      for (int x = 0; x < g.out_width; ++x)
        for (int o = 0; o < g.out_channels; ++o) {
          const int group = o / (g.out_channels / g.groups);
          std::int64_t sum = p.bias[static_cast<std::size_t>(o)];
          for (int c = 0; c < ipg; ++c)
            for (int ky = 0; ky < g.kernel_height; ++ky)
              for (int kx = 0; kx < g.kernel_width; ++kx) {
                const auto w =
                    ((static_cast<std::int64_t>(o) * g.kernel_height + ky) * g.kernel_width + kx) *
                        ipg +
                    c;
                sum += in_at(n, y * g.stride_height - g.pad_top + ky * g.dilation_height,
                             x * g.stride_width - g.pad_left + kx * g.dilation_width,
                             group * ipg + c) *
                       p.weights[static_cast<std::size_t>(w)];
              }
          // The product of two floats is exact in double; it rounds once, to float.
          const double exact = static_cast<double>(static_cast<float>(sum)) *
                               static_cast<double>(p.multiplier[static_cast<std::size_t>(o)]);
          const double scaled = static_cast<double>(static_cast<float>(exact));
          double rounded = std::floor(scaled);
          const double fraction = scaled - rounded;
          if (fraction > 0.5 || (fraction == 0.5 && std::fmod(rounded, 2.0) != 0.0)) rounded += 1;
          double code = rounded + p.output_zero_point;
          if (code < p.low) code = p.low;
          if (code > p.high) code = p.high;
          output.push_back(static_cast<std::uint8_t>(code));
        }
  return output;
}

}  // namespace octet::kernels::testing

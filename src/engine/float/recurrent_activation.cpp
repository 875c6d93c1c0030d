#include "engine/float/recurrent_activation.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace octet::float_engine {
namespace {

void affine(const float* x, float* out, std::int64_t n, float alpha, float beta) {
  loops::scale_shift(x, alpha, beta, out, n);
}

void scaled_tanh(const float* x, float* out, std::int64_t n, float alpha, float beta) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = beta * x[i];
  std::vector<float> scaled(out, out + n);
  loops::hyperbolic_tangent(scaled.data(), out, n, 0, 0);
  for (std::int64_t i = 0; i < n; ++i) out[i] *= alpha;
}

void elu(const float* x, float* out, std::int64_t n, float alpha, float) {
  loops::elu(x, out, n, alpha, 1.0F);
}

struct Known {
  std::string_view name;
  loops::UnaryF32 loop;
  bool has_alpha;
  bool has_beta;
  float alpha;
  float beta;
};

constexpr auto known = std::to_array<Known>({
    {"affine", affine, true, true, 1.0F, 0.0F},
    {"elu", elu, true, false, 1.0F, 0.0F},
    {"hardsigmoid", loops::hard_sigmoid, true, true, 0.2F, 0.5F},
    {"leakyrelu", loops::leaky_relu, true, false, 0.01F, 0.0F},
    {"relu", loops::relu, false, false, 0.0F, 0.0F},
    {"scaledtanh", scaled_tanh, true, true, 1.0F, 1.0F},
    {"sigmoid", loops::sigmoid, false, false, 0.0F, 0.0F},
    {"softplus", loops::softplus, false, false, 0.0F, 0.0F},
    {"softsign", loops::softsign, false, false, 0.0F, 0.0F},
    {"tanh", loops::hyperbolic_tangent, false, false, 0.0F, 0.0F},
    {"thresholdedrelu", loops::thresholded_relu, true, false, 1.0F, 0.0F},
});

std::vector<float> floats_attribute(const Node& node, std::string_view key) {
  const auto* values = node.attribute<std::vector<float>>(key);
  return values != nullptr ? *values : std::vector<float>{};
}

}  // namespace

Result<std::vector<GateFunction>> gate_functions(const Node& node,
                                                 const std::vector<std::string>& defaults,
                                                 std::size_t count) {
  const auto* given = node.attribute<std::vector<std::string>>("activations");
  std::vector<std::string> names = given != nullptr ? *given : std::vector<std::string>{};
  while (names.size() < count && (given == nullptr || given->empty())) {
    names.insert(names.end(), defaults.begin(), defaults.end());
  }
  if (names.size() != count) {
    return bad_input("{} activations are given where {} are needed", names.size(), count);
  }
  const auto alphas = floats_attribute(node, "activation_alpha");
  const auto betas = floats_attribute(node, "activation_beta");
  auto alpha = alphas.begin();
  auto beta = betas.begin();
  std::vector<GateFunction> functions;
  for (const auto& text : names) {
    std::string lower = text;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto it = std::find_if(known.begin(), known.end(),
                                 [&](const Known& entry) { return entry.name == lower; });
    if (it == known.end()) return bad_input("activation {} is not supported", text);
    GateFunction function{it->loop, it->alpha, it->beta};
    if (it->has_alpha && alpha != alphas.end()) function.alpha = *alpha++;
    if (it->has_beta && beta != betas.end()) function.beta = *beta++;
    functions.push_back(function);
  }
  return functions;
}

}  // namespace octet::float_engine

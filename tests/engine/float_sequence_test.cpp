// Einsum, LSTM, GRU and MatMul of any rank and type.

#include "engine/float_support.h"

namespace octet::testing {
namespace {

using Attributes = std::map<std::string, Attribute, std::less<>>;

double value(const Tensor& t, std::int64_t i) { return static_cast<double>(t.data<float>()[i]); }

/// Sums over all values of all letters, for operands whose terms have only letters.
Tensor naive_einsum(const std::vector<std::string>& terms, const std::string& output,
                    const std::vector<Tensor>& inputs) {
  std::string letters;
  std::map<char, std::int64_t> extents, index;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    for (std::size_t d = 0; d < terms[i].size(); ++d) {
      if (!extents.contains(terms[i][d])) letters += terms[i][d];
      extents[terms[i][d]] = inputs[i].dim(static_cast<int>(d));
    }
  }
  Shape shape;
  std::int64_t count = 1;
  for (const char c : output) shape.push_back(extents[c]);
  for (const char c : letters) count *= extents[c];
  std::vector<double> sums(static_cast<std::size_t>(element_count(shape)), 0.0);
  const auto flat = [&](const std::string& term) {
    std::int64_t offset = 0;
    for (const char c : term) offset = offset * extents[c] + index[c];
    return offset;
  };
  for (std::int64_t n = 0; n < count; ++n) {
    std::int64_t rest = n;
    for (const char c : letters) {
      index[c] = rest % extents[c];
      rest /= extents[c];
    }
    double product = 1;
    for (std::size_t i = 0; i < terms.size(); ++i) product *= value(inputs[i], flat(terms[i]));
    sums[static_cast<std::size_t>(flat(output))] += product;
  }
  Tensor out(DType::f32, shape);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    out.mutable_data<float>()[i] = static_cast<float>(sums[i]);
  }
  return out;
}

TEST(FloatEinsum, AgainstSumsOverAllLetters) {
  const std::map<char, std::int64_t> extents{{'b', 2}, {'h', 3}, {'i', 4}, {'j', 5}, {'k', 6}};
  const std::pair<std::vector<std::string>, std::string> equations[] = {{{"ij", "jk"}, "ik"},
                                                                        {{"ij", "jk"}, "ki"},
                                                                        {{"bij", "bjk"}, "bik"},
                                                                        {{"bhij", "bhkj"}, "bhik"},
                                                                        {{"bihk", "bjhk"}, "bhij"},
                                                                        {{"ij", "kj"}, "ik"},
                                                                        {{"ij", "ij"}, "i"},
                                                                        {{"ij", "ij"}, ""},
                                                                        {{"i", "j"}, "ij"},
                                                                        {{"ii"}, "i"},
                                                                        {{"ii"}, ""},
                                                                        {{"ij"}, "ji"},
                                                                        {{"ijk"}, "j"},
                                                                        {{"ij", "jk", "kb"}, "ib"},
                                                                        {{"iij", "jk"}, "ik"},
                                                                        {{"ijk", "j"}, "i"},
                                                                        {{"bij", "k"}, "kb"},
                                                                        {{"ij", "ij"}, "ij"}};
  unsigned seed = 0;
  for (const auto& [terms, output] : equations) {
    std::vector<Tensor> inputs;
    std::string equation;
    for (const auto& term : terms) {
      Shape shape;
      for (const char c : term) shape.push_back(extents.at(c));
      inputs.push_back(random_tensor(shape, ++seed));
      equation += (equation.empty() ? "" : ",") + term;
    }
    equation += "->" + output;
    const auto result = evaluate("Einsum", inputs, {{"equation", equation}});
    OCTET_ASSERT_OK(result);
    expect_near(*result, naive_einsum(terms, output, inputs), 1e-5, equation);
  }
}

TEST(FloatEinsum, EllipsisTypesAndErrors) {
  const Tensor a = random_tensor({2, 1, 3, 4}, 1), b = random_tensor({7, 4, 5}, 2);
  const auto product = evaluate("MatMul", {a, b});
  const auto sum = evaluate("Einsum", {a, b}, {{"equation", std::string("...ij,...jk")}});
  OCTET_ASSERT_OK(sum);
  expect_near(*sum, *product, 1e-5, "ellipsis");
  const auto integers =
      evaluate("Einsum", {ints({1, 2, 3}), ints({4, 5, 6})}, {{"equation", std::string("i,i->")}});
  OCTET_ASSERT_OK(integers);
  EXPECT_EQ(integers->data<std::int64_t>()[0], 32);
  const auto none =
      evaluate("Einsum", {Tensor::zeros(DType::f32, {2, 0}), Tensor::zeros(DType::f32, {0, 3})},
               {{"equation", std::string("ij,jk->ik")}});
  OCTET_ASSERT_OK(none);
  EXPECT_TRUE(identical(*none, Tensor::zeros(DType::f32, {2, 3})));
  for (const std::string bad : {"ij,jk", "ij->ik", "i->i", "ij,jk->", "i1->i", ""}) {
    EXPECT_FALSE(evaluate("Einsum", {a}, {{"equation", bad}})) << bad;
  }
  EXPECT_FALSE(evaluate("Einsum", {ints({1, 2}), random_tensor({2}, 1)},
                        {{"equation", std::string("i,i->")}}));
  // More products than any machine has time for.
  const Tensor zeros = Tensor::zeros(DType::i8, {1 << 13});
  EXPECT_FALSE(
      evaluate("Einsum", {zeros, zeros, zeros, zeros}, {{"equation", std::string("i,j,k,l->")}}));
}

TEST(FloatMatMul, IntegersOfAnyRank) {
  const Tensor a = counting<std::int32_t>({2, 3});
  const Tensor b = counting<std::int32_t>({3, 2});
  EXPECT_TRUE(
      identical(*evaluate("MatMul", {a, b}), Tensor::from<std::int32_t>({10, 13, 28, 40}, {2, 2})));
  EXPECT_TRUE(identical(*evaluate("MatMul", {ints({1, 2}), ints({3, 4})}),
                        Tensor::from<std::int64_t>({11}, {})));
  EXPECT_FALSE(evaluate("MatMul", {a, ints({1, 2, 3})}));
  EXPECT_TRUE(identical(
      *evaluate("MatMul", {Tensor::zeros(DType::f64, {2, 0}), Tensor::zeros(DType::f64, {0, 3})}),
      Tensor::zeros(DType::f64, {2, 3})));
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

/// Everything a recurrent test is made of; absent tensors are empty.
struct Recurrent {
  std::int64_t steps = 5, batch = 3, inputs = 4, hidden = 6, directions = 1;
  std::string direction = "forward";
  double clip = 1e30;
  bool input_forget = false, linear = false;
  Tensor x, w, r, b, lengths, h, c, p;

  void fill(std::int64_t gates, bool optional) {
    directions = direction == "bidirectional" ? 2 : 1;
    x = random_tensor({steps, batch, inputs}, 1, -2, 2);
    w = random_tensor({directions, gates * hidden, inputs}, 2);
    r = random_tensor({directions, gates * hidden, hidden}, 3);
    if (!optional) return;
    b = random_tensor({directions, 2 * gates * hidden}, 4);
    std::vector<std::int32_t> each;
    for (std::int64_t item = 0; item < batch; ++item) {
      each.push_back(item % 3 == 0 ? 5 : static_cast<std::int32_t>(2 + item % 3));
    }
    lengths = Tensor::from<std::int32_t>(each, {batch});
    h = random_tensor({directions, batch, hidden}, 5);
    c = random_tensor({directions, batch, hidden}, 6);
    p = random_tensor({directions, 3 * hidden}, 7);
  }

  [[nodiscard]] double limited(double v) const { return std::max(-clip, std::min(clip, v)); }
  [[nodiscard]] std::int64_t length(std::int64_t item) const {
    return lengths.empty() ? steps : lengths.data<std::int32_t>()[item];
  }
  /// W x (+ bias 0) and R state (+ bias 1) of one gate unit.
  [[nodiscard]] double from_input(std::int64_t d, std::int64_t row, std::int64_t gates,
                                  std::int64_t t, std::int64_t item) const {
    double sum = b.empty() ? 0 : value(b, d * 2 * gates * hidden + row);
    for (std::int64_t i = 0; i < inputs; ++i) {
      sum += value(w, (d * gates * hidden + row) * inputs + i) *
             value(x, (t * batch + item) * inputs + i);
    }
    return sum;
  }
  [[nodiscard]] double from_state(std::int64_t d, std::int64_t row, std::int64_t gates,
                                  const std::vector<double>& state) const {
    double sum = b.empty() ? 0 : value(b, (d * 2 + 1) * gates * hidden + row);
    for (std::int64_t i = 0; i < hidden; ++i) {
      sum += value(r, (d * gates * hidden + row) * hidden + i) * state[static_cast<std::size_t>(i)];
    }
    return sum;
  }
  [[nodiscard]] std::vector<double> initial(const Tensor& t, std::int64_t d,
                                            std::int64_t item) const {
    std::vector<double> state(static_cast<std::size_t>(hidden), 0.0);
    for (std::int64_t u = 0; u < hidden && !t.empty(); ++u) {
      state[static_cast<std::size_t>(u)] = value(t, (d * batch + item) * hidden + u);
    }
    return state;
  }

  using Cell = std::function<void(std::int64_t d, std::int64_t t, std::int64_t item,
                                  std::vector<double>& h, std::vector<double>& c)>;
  /// Y, Y_h and Y_c.
  [[nodiscard]] std::vector<Tensor> run(const Cell& cell) const {
    std::vector<Tensor> out{Tensor::zeros(DType::f32, {steps, directions, batch, hidden}),
                            Tensor::zeros(DType::f32, {directions, batch, hidden}),
                            Tensor::zeros(DType::f32, {directions, batch, hidden})};
    for (std::int64_t d = 0; d < directions; ++d) {
      for (std::int64_t item = 0; item < batch; ++item) {
        auto state = initial(h, d, item), memory = initial(c, d, item);
        for (std::int64_t s = 0; s < length(item); ++s) {
          const bool backwards = direction == "reverse" || d == 1;
          const std::int64_t t = backwards ? length(item) - 1 - s : s;
          cell(d, t, item, state, memory);
          for (std::int64_t u = 0; u < hidden; ++u) {
            const auto i = static_cast<std::size_t>(u);
            const std::int64_t at = (d * batch + item) * hidden + u;
            out[0].mutable_data<float>()[t * directions * batch * hidden + at] =
                static_cast<float>(state[i]);
            out[1].mutable_data<float>()[at] = static_cast<float>(state[i]);
            out[2].mutable_data<float>()[at] = static_cast<float>(memory[i]);
          }
        }
      }
    }
    return out;
  }

  [[nodiscard]] std::vector<Tensor> lstm() const {
    return run([this](std::int64_t d, std::int64_t t, std::int64_t item, std::vector<double>& state,
                      std::vector<double>& memory) {
      const auto before = state;
      for (std::int64_t u = 0; u < hidden; ++u) {
        const auto gate = [&](std::int64_t g) {
          return from_input(d, g * hidden + u, 4, t, item) +
                 from_state(d, g * hidden + u, 4, before);
        };
        const auto peep = [&](std::int64_t k, double cell) {
          return p.empty() ? 0 : value(p, (d * 3 + k) * hidden + u) * cell;
        };
        double& cell = memory[static_cast<std::size_t>(u)];
        const double in = logistic(limited(gate(0) + peep(0, cell)));
        const double forget = input_forget ? 1 - in : logistic(limited(gate(2) + peep(2, cell)));
        cell = forget * cell + in * std::tanh(limited(gate(3)));
        const double out = logistic(limited(gate(1) + peep(1, cell)));
        state[static_cast<std::size_t>(u)] = out * std::tanh(cell);
      }
    });
  }

  [[nodiscard]] std::vector<Tensor> gru() const {
    return run([this](std::int64_t d, std::int64_t t, std::int64_t item, std::vector<double>& state,
                      std::vector<double>&) {
      const auto before = state;
      const auto gate = [&](std::int64_t g, std::int64_t u) {
        return logistic(limited(from_input(d, g * hidden + u, 3, t, item) +
                                from_state(d, g * hidden + u, 3, before)));
      };
      auto faded = before;
      for (std::int64_t u = 0; u < hidden; ++u) faded[static_cast<std::size_t>(u)] *= gate(1, u);
      for (std::int64_t u = 0; u < hidden; ++u) {
        const std::int64_t row = 2 * hidden + u;
        const double recurrent =
            linear ? gate(1, u) * from_state(d, row, 3, before) : from_state(d, row, 3, faded);
        const double candidate = std::tanh(limited(from_input(d, row, 3, t, item) + recurrent));
        const double z = gate(0, u);
        auto& s = state[static_cast<std::size_t>(u)];
        s = (1 - z) * candidate + z * s;
      }
    });
  }

  [[nodiscard]] Attributes attributes() const {
    Attributes all{{"hidden_size", hidden}, {"direction", direction}};
    if (clip < 1e29) all["clip"] = static_cast<float>(clip);
    if (input_forget) all["input_forget"] = std::int64_t{1};
    if (linear) all["linear_before_reset"] = std::int64_t{1};
    return all;
  }
};

Result<std::vector<Tensor>> run_all(const std::string& op, const std::vector<Tensor>& inputs,
                                    const Attributes& attributes) {
  auto made = one_node(op, inputs, attributes);
  for (std::size_t i = 1; i < (op == "LSTM" ? 3U : 2U); ++i) {
    made.graph.node(made.node).outputs.push_back(made.graph.add_value({}));
  }
  return evaluate_constant_node(made.graph, made.node);
}

void check_lstm(const Recurrent& test) {
  const auto actual =
      run_all("LSTM", {test.x, test.w, test.r, test.b, test.lengths, test.h, test.c, test.p},
              test.attributes());
  OCTET_ASSERT_OK(actual);
  const auto wanted = test.lstm();
  for (std::size_t i = 0; i < 3; ++i) {
    expect_near((*actual)[i], wanted[i], 3e-6, test.direction + std::to_string(i));
  }
}

void check_gru(const Recurrent& test) {
  const auto actual =
      run_all("GRU", {test.x, test.w, test.r, test.b, test.lengths, test.h}, test.attributes());
  OCTET_ASSERT_OK(actual);
  const auto wanted = test.gru();
  for (std::size_t i = 0; i < 2; ++i) {
    expect_near((*actual)[i], wanted[i], 3e-6, test.direction + std::to_string(i));
  }
}

/// Both orders of reset and product.
void check_gru_forms(Recurrent& test) {
  test.linear = false;
  check_gru(test);
  test.linear = true;
  check_gru(test);
}

TEST(FloatRecurrent, AgainstDouble) {
  for (const std::string direction : {"forward", "reverse", "bidirectional"}) {
    for (const bool optional : {false, true}) {
      Recurrent test;
      test.direction = direction;
      test.fill(4, optional);
      check_lstm(test);
      test.clip = 0.5;
      test.input_forget = true;
      check_lstm(test);
      Recurrent gru;
      gru.direction = direction;
      gru.fill(3, optional);
      check_gru_forms(gru);
      gru.clip = 0.5;
      check_gru(gru);
    }
  }
}

/// More items, whose products are calls of a library.
TEST(FloatRecurrent, ManyItemsAgainstDouble) {
  for (const std::int64_t batch : {1, 4, 5, 7}) {
    Recurrent lstm;
    lstm.batch = batch;
    lstm.fill(4, true);
    check_lstm(lstm);
    Recurrent gru;
    gru.batch = batch;
    gru.fill(3, true);
    check_gru_forms(gru);
  }
}

/// [a, b, ...] to [b, a, ...].
Tensor swap_first(const Tensor& t) {
  std::vector<std::int64_t> perm(t.shape().size());
  for (std::size_t i = 0; i < perm.size(); ++i) perm[i] = static_cast<std::int64_t>(i);
  std::swap(perm[0], perm[1]);
  return *evaluate("Transpose", {t}, {{"perm", perm}});
}

TEST(FloatRecurrent, BatchFirstLayout) {
  Recurrent test;
  test.direction = "bidirectional";
  test.fill(4, true);
  auto attributes = test.attributes();
  attributes["layout"] = std::int64_t{1};
  const auto actual = run_all("LSTM",
                              {swap_first(test.x), test.w, test.r, test.b, test.lengths,
                               swap_first(test.h), swap_first(test.c), test.p},
                              attributes);
  OCTET_ASSERT_OK(actual);
  const auto wanted = test.lstm();
  const auto y =
      evaluate("Transpose", {wanted[0]}, {{"perm", std::vector<std::int64_t>{2, 0, 1, 3}}});
  expect_near((*actual)[0], *y, 3e-6, "Y");
  expect_near((*actual)[1], swap_first(wanted[1]), 3e-6, "Y_h");
  expect_near((*actual)[2], swap_first(wanted[2]), 3e-6, "Y_c");
}

TEST(FloatRecurrent, Refusals) {
  Recurrent test;
  test.fill(4, true);
  const std::vector<Tensor> good{test.x, test.w, test.r, test.b, test.lengths};
  const auto replaced = [&](std::size_t i, Tensor t) {
    auto inputs = good;
    inputs[i] = std::move(t);
    return evaluate("LSTM", inputs, test.attributes());
  };
  EXPECT_TRUE(evaluate("LSTM", good, test.attributes()));
  EXPECT_FALSE(replaced(0, random_tensor({5, 3, 5}, 1)));
  EXPECT_FALSE(replaced(1, random_tensor({2, 24, 4}, 1)));
  EXPECT_FALSE(replaced(2, random_tensor({1, 24}, 1)));
  EXPECT_FALSE(replaced(3, random_tensor({1, 24}, 1)));
  EXPECT_FALSE(replaced(4, Tensor::from<std::int32_t>({5, 2, 6}, {3})));
  EXPECT_FALSE(replaced(4, Tensor::from<std::int32_t>({5, 2}, {2})));
  Attributes attributes = test.attributes();
  attributes["activations"] = std::vector<std::string>{"Sigmoid", "Tanh"};
  EXPECT_FALSE(evaluate("LSTM", good, attributes));
  attributes["activations"] = std::vector<std::string>{"Sigmoid", "Tanh", "Other"};
  EXPECT_FALSE(evaluate("LSTM", good, attributes));
  attributes["activations"] = std::vector<std::string>{"sigmoid", "Relu", "HardSigmoid"};
  EXPECT_TRUE(evaluate("LSTM", good, attributes));
  attributes["direction"] = std::string("sideways");
  EXPECT_FALSE(evaluate("LSTM", good, attributes));
  // An item without steps has no state; an empty sequence or batch has no output.
  const auto none =
      evaluate("LSTM", {Tensor::zeros(DType::f32, {0, 3, 4}), test.w, test.r}, test.attributes());
  OCTET_ASSERT_OK(none);
  EXPECT_EQ(none->shape(), (Shape{0, 1, 3, 6}));
}

}  // namespace
}  // namespace octet::testing

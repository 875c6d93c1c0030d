// Whole graphs on the float engine: fusion, taps, memory, threads, errors.

#include <map>

#include "core/parallel.h"
#include "engine/float_support.h"

namespace octet::testing {
namespace {

using Ints = std::vector<std::int64_t>;

/// Builds graphs node by node.
struct Builder {
  Graph graph;

  ValueId input(const std::string& name, Shape shape) {
    Value value;
    value.name = name;
    value.dtype = DType::f32;
    value.shape = std::move(shape);
    const auto id = graph.add_value(value);
    graph.inputs.push_back(id);
    return id;
  }
  ValueId weights(Shape shape, unsigned seed) {
    return graph.add_constant("w", random_tensor(std::move(shape), seed, -0.3F, 0.3F));
  }
  ValueId add(const std::string& op, std::vector<ValueId> inputs,
              std::map<std::string, Attribute, std::less<>> attributes = {}) {
    Value value;
    value.name = op + "_out";
    Node node;
    node.op = op;
    node.name = op;
    node.attributes = std::move(attributes);
    node.inputs = std::move(inputs);
    node.outputs = {graph.add_value(value)};
    graph.add_node(node);
    return node.outputs.front();
  }
};

/// A residual block with a fusable Relu and Clip, then pooling and a classifier.
struct Block : Builder {
  ValueId x, conv1, relu, conv2, sum, clip, logits;

  Block() {
    const auto pads = Attribute(Ints{1, 1, 1, 1});
    x = input("x", {dynamic_dim, 3, 16, 16});
    conv1 = add("Conv", {x, weights({16, 3, 3, 3}, 1), weights({16}, 2)}, {{"pads", pads}});
    relu = add("Relu", {conv1});
    conv2 = add("Conv", {relu, weights({16, 16, 3, 3}, 3)}, {{"pads", pads}});
    sum = add("Add", {conv2, relu});
    const auto low = graph.add_constant("low", Tensor::from<float>({0}, {}));
    const auto high = graph.add_constant("high", Tensor::from<float>({0.5F}, {}));
    const auto conv3 = add("Conv", {sum, weights({24, 16, 1, 1}, 4), weights({24}, 5)});
    clip = add("Clip", {conv3, low, high});
    const auto pooled = add("GlobalAveragePool", {clip});
    const auto flat = add("Flatten", {pooled});
    logits = add("Gemm", {flat, weights({10, 24}, 6), weights({10}, 7)},
                 {{"transB", Attribute(std::int64_t{1})}});
    graph.outputs = {logits};
  }
};

Tensor run_once(const Program& program, const Tensor& input, const TapRequest* taps = nullptr) {
  auto session = program.session();
  EXPECT_TRUE(session);
  const auto outputs = (*session)->run(std::span(&input, 1), taps);
  EXPECT_TRUE(outputs) << (outputs ? "" : outputs.error().message);
  return outputs ? outputs->front() : Tensor{};
}

/// The graph evaluated node by node in plain order, without fusion or channels-last memory.
std::map<ValueId, Tensor> node_by_node(Graph graph, const Tensor& input) {
  std::map<ValueId, Tensor> values;
  graph.value(graph.inputs.front()).constant = input;
  const auto order = graph.topological_order().value();
  for (const auto id : order) {
    const auto outputs = evaluate_constant_node(graph, id);
    EXPECT_TRUE(outputs);
    const auto out = graph.node(id).output();
    graph.value(out).constant = outputs->front();
    values[out] = outputs->front();
  }
  return values;
}

TEST(FloatProgram, FusedEqualsUnfusedAndNodeByNode) {
  const Block block;
  const Tensor x = random_tensor({3, 3, 16, 16}, 11);
  const auto expected = node_by_node(block.graph, x);
  const auto fused = compile_float(block.graph);
  OCTET_ASSERT_OK(fused);
  const auto unfused = compile_float(block.graph, std::vector{block.conv1});
  OCTET_ASSERT_OK(unfused);
  const Tensor y = run_once(**fused, x);
  EXPECT_TRUE(identical(y, run_once(**unfused, x)));
  expect_near(y, expected.at(block.logits), 1e-5, "logits");
}

TEST(FloatProgram, FusionHappensUnlessTapped) {
  const Block block;
  const auto labels = [&](std::vector<ValueId> candidates) {
    const auto program = compile_float(block.graph, candidates);
    auto session = (*program)->session();
    (*session)->set_profiling(true);
    const Tensor x = random_tensor({1, 3, 16, 16}, 1);
    EXPECT_TRUE((*session)->run(std::span(&x, 1)));
    std::vector<std::string> ops;
    std::int64_t macs = 0;
    for (const auto& step : (*session)->step_times()) {
      ops.push_back(step.op);
      macs += step.macs;
      EXPECT_GE(step.milliseconds, 0);
    }
    EXPECT_EQ(macs, 256 * 16 * 27 + 256 * 16 * 144 + 256 * 24 * 16 + 240);
    return ops;
  };
  EXPECT_EQ(labels({}), (std::vector<std::string>{"Conv+Relu", "Conv", "Add", "Conv+Clip",
                                                  "GlobalAveragePool", "Flatten", "Gemm"}));
  EXPECT_EQ(labels({block.conv1}).at(0), "Conv");
  EXPECT_EQ(labels({block.conv1}).at(1), "Relu");
}

TEST(FloatProgram, TapsSeeEveryValueOnceInOrder) {
  const Block block;
  const Tensor x = random_tensor({2, 3, 16, 16}, 11);
  const auto expected = node_by_node(block.graph, x);
  const std::vector<ValueId> wanted{block.x,   block.conv1, block.relu,
                                    block.sum, block.clip,  block.logits};
  const auto program = compile_float(block.graph, wanted);
  OCTET_ASSERT_OK(program);
  std::vector<ValueId> seen;
  const TapRequest taps{wanted, [&](const TapView& view) {
                          seen.push_back(view.value);
                          Tensor copy = Tensor::from<float>(view.values, view.shape);
                          const Tensor plain = to_plain({copy, view.channels_last}).tensor;
                          const Tensor& truth = view.value == block.x ? x : expected.at(view.value);
                          expect_near(plain, truth, 1e-5, "tap");
                        }};
  run_once(**program, x, &taps);
  EXPECT_EQ(seen, wanted);
}

TEST(FloatProgram, TapOnFusedValueIsRefused) {
  const Block block;
  const auto program = compile_float(block.graph);
  auto session = (*program)->session();
  const Tensor x = random_tensor({1, 3, 16, 16}, 1);
  const TapRequest taps{{block.conv1}, [](const TapView&) {}};
  const auto outputs = (*session)->run(std::span(&x, 1), &taps);
  ASSERT_FALSE(outputs);
  EXPECT_NE(outputs.error().message.find(block.graph.value(block.conv1).name), std::string::npos);
}

TEST(FloatProgram, DynamicBatchAndResultsThatOutliveTheSession) {
  const Block block;
  const auto program = compile_float(block.graph);
  const Tensor x = random_tensor({5, 3, 16, 16}, 21);
  std::vector<Tensor> singles;
  Tensor all;
  {
    auto session = (*program)->session();
    for (std::int64_t i = 0; i < 5; ++i) {
      const auto one = x.values<float>().subspan(static_cast<std::size_t>(i * 768), 768);
      const Tensor image = Tensor::from<float>(one, {1, 3, 16, 16});
      singles.push_back((*session)->run(std::span(&image, 1))->front());
    }
    all = (*session)->run(std::span(&x, 1))->front();
    // Sizes come and go: the same bytes again.
    EXPECT_TRUE(identical(all, (*session)->run(std::span(&x, 1))->front()));
  }
  ASSERT_EQ(all.shape(), (Shape{5, 10}));
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto row = all.values<float>().subspan(static_cast<std::size_t>(i * 10), 10);
    expect_near(singles[static_cast<std::size_t>(i)], Tensor::from<float>(row, {1, 10}), 1e-5,
                "row");
  }
}

TEST(FloatProgram, SameBytesForAnyThreadCount) {
  const Block block;
  const auto program = compile_float(block.graph);
  constexpr std::int64_t count = 12;
  const auto sweep = [&](int threads) {
    set_thread_count(threads);
    std::vector<std::unique_ptr<Session>> sessions;
    for (int i = 0; i < threads; ++i) sessions.push_back(std::move(*(*program)->session()));
    std::vector<Tensor> results(count);
    parallel_for_workers(count, [&](int worker, std::int64_t i) {
      const Tensor x = random_tensor({2, 3, 16, 16}, static_cast<unsigned>(i));
      auto outputs = sessions[static_cast<std::size_t>(worker)]->run(std::span(&x, 1));
      if (outputs) results[static_cast<std::size_t>(i)] = outputs->front();
    });
    set_thread_count(0);
    return results;
  };
  const auto one = sweep(1);
  const auto three = sweep(3);
  for (std::size_t i = 0; i < count; ++i) EXPECT_TRUE(identical(one[i], three[i])) << i;
}

TEST(FloatProgram, FoldsConstantsAndPassesThrough) {
  Builder b;
  const auto x = b.input("x", {2, 3});
  const auto shape = b.add("Shape", {b.weights({3, 2}, 1)});
  const auto reshaped = b.add("Reshape", {x, shape});
  b.graph.outputs = {reshaped, x, shape};
  const auto program = compile_float(b.graph);
  OCTET_ASSERT_OK(program);
  auto session = (*program)->session();
  const Tensor input = random_tensor({2, 3}, 1);
  (*session)->set_profiling(true);
  const auto outputs = (*session)->run(std::span(&input, 1));
  OCTET_ASSERT_OK(outputs);
  EXPECT_TRUE(identical(outputs->at(0), input.reshaped({3, 2})));
  EXPECT_TRUE(identical(outputs->at(1), input));
  EXPECT_TRUE(identical(outputs->at(2), ints({3, 2})));
  EXPECT_EQ((*session)->step_times().size(), 1U);
}

TEST(FloatProgram, ReluThatOthersNeedUnclippedIsNotFused) {
  Builder b;
  const auto x = b.input("x", {1, 4, 3, 3});
  const auto conv = b.add("Conv", {x, b.weights({4, 4, 1, 1}, 1)});
  const auto relu = b.add("Relu", {conv});
  b.graph.outputs = {b.add("Sub", {relu, conv})};
  const Tensor input = random_tensor({1, 4, 3, 3}, 1);
  const auto expected = node_by_node(b.graph, input);
  const auto program = compile_float(b.graph);
  expect_near(run_once(**program, input), expected.at(b.graph.outputs.front()), 1e-6, "sub");
}

TEST(FloatProgram, ErrorsNameWhatIsWrong) {
  const Block block;
  const auto program = compile_float(block.graph);
  auto session = (*program)->session();
  const auto message = [&](const std::vector<Tensor>& inputs) {
    const auto outputs = (*session)->run(inputs);
    return outputs ? std::string("no error") : outputs.error().message;
  };
  EXPECT_EQ(message({}), "the model takes 1 inputs, 0 were given");
  EXPECT_EQ(message({random_tensor({1, 3, 16, 8}, 1)}),
            "input x has shape [1,3,16,8], the model takes [?,3,16,16]");
  EXPECT_EQ(message({random_tensor({3, 16, 16}, 1)}),
            "input x has shape [3,16,16], the model takes [?,3,16,16]");
  EXPECT_EQ(message({ints({1})}), "input x is i64, the model takes f32");

  Builder b;
  const auto x = b.input("x", {1});
  b.graph.outputs = {b.add("Frobnicate", {x})};
  const auto unknown = compile_float(b.graph);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message,
            "node Frobnicate: operator Frobnicate (domain ai.onnx) is not supported");

  Builder late;
  const auto a = late.input("a", {dynamic_dim});
  const auto c = late.input("c", {dynamic_dim});
  late.graph.outputs = {late.add("Add", {a, c})};
  const auto adder = compile_float(late.graph);
  const std::vector<Tensor> unequal{random_tensor({2}, 1), random_tensor({3}, 1)};
  const auto outputs = (*(*adder)->session())->run(unequal);
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().message, "node Add (Add): shapes [2] and [3] do not broadcast");
}

TEST(FloatProgram, EmptyBatch) {
  const Block block;
  const auto program = compile_float(block.graph);
  EXPECT_EQ(run_once(**program, Tensor::zeros(DType::f32, {0, 3, 16, 16})).shape(), (Shape{0, 10}));
}

TEST(FloatActivation, OrderRoundTrip) {
  const Tensor x = random_tensor({2, 19, 5, 7}, 1);
  const Activation last = to_channels_last({x, false});
  EXPECT_TRUE(last.channels_last);
  EXPECT_EQ(last.tensor.shape(), x.shape());
  EXPECT_EQ(last.tensor.data<float>()[1], x.data<float>()[35]);
  EXPECT_TRUE(identical(to_plain(last).tensor, x));
}

}  // namespace
}  // namespace octet::testing

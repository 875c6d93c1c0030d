#pragma once
// Small models and arrays as files, for tests of the command line.

#include <gtest/gtest.h>

#include "cli/cli_runner.h"
#include "data/npy.h"
#include "formats/onnx/onnx.h"
#include "graph/graph_builder.h"

namespace octet::testing {

inline std::string write_graph(const std::string& path, Graph graph) {
  graph.opsets[""] = 21;
  const auto bytes = onnx::serialize(graph);
  EXPECT_TRUE(bytes) << bytes.error().message;
  write_text(path, *bytes);
  return path;
}

inline std::string write_array(const std::string& path, const Tensor& tensor) {
  const auto bytes = encode_npy(tensor);
  EXPECT_TRUE(bytes) << bytes.error().message;
  write_text(path, *bytes);
  return path;
}

/// The result of a command with --json, which must succeed.
inline nlohmann::json json_of(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--json", "--quiet"});
  const auto outcome = octet(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return nlohmann::json::parse(outcome.out, nullptr, false);
}

/// y = factor * x for x of [N, width], and a second output, z = x + offset.
inline std::string write_affine(const std::string& path, std::int64_t width, float factor,
                                float offset) {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, width}, {"N", ""});
  b.output(b.node("Mul", {x, b.scalar("factor", factor)}, "y"));
  b.output(b.node("Add", {x, b.scalar("offset", offset)}, "z"));
  return write_graph(path, std::move(b.graph));
}

/// y = factor * x alone.
inline std::string write_scaled(const std::string& path, std::int64_t width, float factor) {
  GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, width}, {"N", ""});
  b.output(b.node("Mul", {x, b.scalar("factor", factor)}, "y"));
  return write_graph(path, std::move(b.graph));
}

/// Tokens and a mask in, four scores out: an embedding, a projection, the mean of what the mask
/// keeps.
inline std::string write_tokens(const std::string& path) {
  GraphBuilder b;
  const auto ids = b.input("ids", {dynamic_dim, dynamic_dim}, {"N", "S"}, DType::i64);
  const auto keep = b.input("in/keep", {dynamic_dim, dynamic_dim}, {"N", "S"}, DType::boolean);
  const auto rows = b.node("Gather", {b.weights("table", {50, 32}), ids}, "rows");
  const auto wide = b.node("MatMul", {rows, b.weights("projection", {32, 16}, 2)}, "wide");
  const auto column = b.node("Unsqueeze", {keep, b.ints("last", {-1})}, "column");
  const auto kept = b.node("Where", {column, wide, b.scalar("zero", 0)}, "kept");
  const auto mean =
      b.node("ReduceMean", {kept, b.ints("axes", {1})}, "mean", {{"keepdims", std::int64_t{0}}});
  b.output(b.node("MatMul", {mean, b.weights("head", {16, 4}, 3)}, "out/scores"));
  b.output(b.node("ArgMax", {wide}, "out/classes",
                  {{"axis", std::int64_t{-1}}, {"keepdims", std::int64_t{0}}}));
  return write_graph(path, std::move(b.graph));
}

/// A folder of arrays for write_tokens: six samples of seven tokens.
inline std::string write_token_data(const TemporaryFolder& folder) {
  std::filesystem::create_directory(folder / "tokens");
  Tensor ids(DType::i64, {6, 7});
  Tensor keep(DType::boolean, {6, 7});
  for (std::int64_t i = 0; i < ids.size(); ++i) {
    ids.mutable_data<std::int64_t>()[i] = i * 31 % 50;
    keep.mutable_data<bool>()[i] = i % 7 < 4;
  }
  write_array(folder / "tokens/ids.npy", ids);
  write_array(folder / "tokens/in_keep.npy", keep);
  return folder / "tokens";
}

}  // namespace octet::testing

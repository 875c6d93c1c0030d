// Defines networks with octet::GraphBuilder and writes them with random weights, to be trained by
// `octet train` (examples/models/make.sh, examples/tutorial.sh).
//
//     networks NAME OUTPUT [SEED]        # OUTPUT: .onnx or .tflite

#include <octet/graph_builder.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

using octet::GraphBuilder;
using Value = octet::GraphBuilder::Value;

namespace {

/// Convolution without bias and BatchNormalization, which brings its own.
Value conv_norm(GraphBuilder& net, Value x, std::int64_t channels, std::int64_t kernel,
                std::int64_t stride = 1) {
  octet::Conv2dOptions options;
  options.stride = stride;
  options.padding = kernel / 2;
  options.bias = false;
  return net.batch_norm(net.conv2d(x, channels, kernel, options));
}

/// 64-64-10 on images of 8 x 8.
void digits_mlp(GraphBuilder& net) {
  const auto x = net.flatten(net.input("input", {1, 8, 8}));
  net.output("logits", net.dense(net.relu(net.dense(x, 64)), 10));
}

/// 3x3, depthwise, pointwise and a residual block, each with BatchNormalization.
void digits_cnn(GraphBuilder& net) {
  auto x = net.relu(conv_norm(net, net.input("input", {1, 8, 8}), 16, 3));
  octet::Conv2dOptions depthwise;
  depthwise.stride = 2;
  depthwise.padding = 1;
  depthwise.bias = false;
  x = net.relu(net.batch_norm(net.depthwise_conv2d(x, 3, depthwise)));
  x = net.relu(conv_norm(net, x, 32, 1));
  const auto inner = conv_norm(net, net.relu(conv_norm(net, x, 32, 3)), 32, 3);
  x = net.relu(net.add(x, inner));
  net.output("logits", net.dense(net.flatten(net.global_average_pool(x)), 10));
}

/// 784-100-10, of the tutorial.
void mnist_mlp(GraphBuilder& net) {
  const auto x = net.flatten(net.input("input", {1, 28, 28}));
  net.output("logits", net.dense(net.relu(net.dense(x, 100)), 10));
}

/// He et al. 2015 for CIFAR-10: three stages of `blocks` residual blocks; a stage's first one
/// halves the image, and its shortcut is a 1x1 convolution.
void resnet(GraphBuilder& net, int blocks) {
  auto x = net.relu(conv_norm(net, net.input("input", {3, 32, 32}), 16, 3));
  for (const std::int64_t channels : {16, 32, 64}) {
    for (int block = 0; block < blocks; ++block) {
      const bool halves = channels > 16 && block == 0;
      const std::int64_t stride = halves ? 2 : 1;
      const auto inner = net.relu(conv_norm(net, x, channels, 3, stride));
      const auto shortcut = halves ? conv_norm(net, x, channels, 1, stride) : x;
      x = net.relu(net.add(conv_norm(net, inner, channels, 3), shortcut));
    }
  }
  net.output("logits", net.dense(net.flatten(net.global_average_pool(x)), 10));
}

void resnet20(GraphBuilder& net) { resnet(net, 3); }

struct Network {
  std::string_view name;
  void (*define)(GraphBuilder&);
};

constexpr Network networks[] = {{"digits_mlp", digits_mlp},
                                {"digits_cnn", digits_cnn},
                                {"mnist_mlp", mnist_mlp},
                                {"resnet20", resnet20}};

int usage() {
  std::fprintf(stderr, "usage: networks NAME OUTPUT [SEED]\nnetworks:");
  for (const auto& network : networks) std::fprintf(stderr, " %s", network.name.data());
  std::fprintf(stderr, "\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) return usage();
  for (const auto& network : networks) {
    if (network.name != argv[1]) continue;
    GraphBuilder net(argv[1], argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 0);
    network.define(net);
    const auto written = net.write(argv[2]);
    if (!written) return std::fprintf(stderr, "%s\n", written.error().message.c_str()), 2;
    std::printf("%s: %lld parameters, %llu bytes\n", argv[2],
                static_cast<long long>(written->parameters),
                static_cast<unsigned long long>(written->bytes));
    return 0;
  }
  return usage();
}

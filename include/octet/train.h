#pragma once
// Training: of a float model, or quantization-aware of the model that is exported.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "octet/data.h"
#include "octet/quantize.h"
#include "octet/result.h"
#include "octet/runtime.h"

namespace octet {

struct TrainRequest {
  std::string model;        ///< float model (.onnx, .tflite)
  std::string output;       ///< its suffix picks the format
  DataSource data;          ///< samples 0 means all
  bool initialize = false;  ///< random weights instead of the model's
  /// BatchNormalization: trained, and folded at the end where the model is quantized; or folded
  /// before. Quantization-aware training gives layers that came folded one of their own. "": folded
  /// for quantization to 4 bits and more, else trained.
  std::string batch_norm;
  /// Quantization-aware: how, as for quantize(); its model, output, data and progress are not read.
  std::optional<QuantizeRequest> quantization;

  std::int64_t epochs = 1;
  std::int64_t batch = 128;
  std::int64_t micro_batch = 16;        ///< samples that one worker computes on at a time
  std::string optimizer = "sgd";        ///< sgd, adam or adamw
  std::optional<double> learning_rate;  ///< highest; default: 0.01, quantized and folded 0.001
  double momentum = 0.9;
  std::string schedule = "cosine";  ///< constant, step, cosine or onecycle
  double warmup_epochs = 0;
  double weight_decay = 0;  ///< of weights; biases, normalizations and scales do not decay
  double clip_norm = 1;     ///< largest norm of all gradients together; 0: no limit
  std::string loss = "cross-entropy";  ///< or mse: to reconstruct the input
  double label_smoothing = 0;
  std::string distill;          ///< model whose scores are the target, "self" for the float model
  double distill_weight = 0.9;  ///< share of distillation in the loss where there are labels
  double temperature = 4;
  int crop_padding = 0;
  bool flip = false;
  int cutout = 0;
  double mixup = 0;
  /// lsq, lsq+ (zero points, too), pact (of activations alone), or fixed as calibration chose them
  std::string scales = "lsq";
  std::int64_t held_back = 0;  ///< samples to judge each epoch by, kept out of training
  std::int64_t patience = 0;   ///< epochs without a better result before it ends; 0: all
  std::string checkpoint;
  double checkpoint_seconds = 60;
  bool resume = false;
  bool recompute = false;  ///< activations are computed again for the backward pass: less memory
  std::string history;     ///< file that gets one JSON object a line for each epoch

  Progress progress;
};

struct TrainedEpoch {
  std::int64_t epoch = 0;
  double loss = 0;
  double top1 = 0;  ///< on the training samples as they were trained on, 0..1
  std::optional<double> held_back_top1;
  double learning_rate = 0;
  double seconds = 0;
  double images_per_second = 0;
};

/// The epoch as one JSON object, as a line of the history file.
[[nodiscard]] std::string history_line(const TrainedEpoch& epoch);

struct TrainSummary {
  std::string output;
  std::vector<TrainedEpoch> epochs;
  std::int64_t samples = 0;
  std::int64_t resumed_epochs = 0;
  std::uint64_t output_bytes = 0;
  std::vector<std::string> notes;
  double seconds = 0;
  std::int64_t peak_rss_bytes = 0;
};

[[nodiscard]] Result<TrainSummary> train(const TrainRequest& request,
                                         const std::function<void(const TrainedEpoch&)>& on_epoch);

}  // namespace octet

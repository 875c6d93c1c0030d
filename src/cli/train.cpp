#include <fmt/format.h>

#include <memory>

#include "cli/config.h"

namespace octet::cli {
namespace {

struct Options {
  TrainRequest request;
  QuantizeRequest quantization;
  bool aware = false;
  bool per_channel = false;
  bool per_tensor = false;
};

Json to_json(const TrainSummary& s) {
  Json epochs = Json::array();
  for (const auto& epoch : s.epochs) epochs.push_back(Json::parse(history_line(epoch)));
  return {{"output", s.output},   {"output_bytes", s.output_bytes},     {"epochs", epochs},
          {"samples", s.samples}, {"resumed_epochs", s.resumed_epochs}, {"notes", s.notes},
          {"seconds", s.seconds}, {"peak_rss_bytes", s.peak_rss_bytes}};
}

std::string epoch_line(const TrainedEpoch& e, std::int64_t epochs) {
  const auto held_back =
      e.held_back_top1 ? fmt::format(", held back {}", percent(*e.held_back_top1)) : std::string();
  return fmt::format("epoch {}/{}: loss {:.4f}, top-1 {}{}, lr {:.2g}, {:.0f} images/s", e.epoch,
                     epochs, e.loss, percent(e.top1), held_back, e.learning_rate,
                     e.images_per_second);
}

std::string to_text(const TrainSummary& s, std::int64_t epochs) {
  std::string text = fmt::format("{}: {} bytes\n", s.output, with_commas(s.output_bytes));
  if (s.resumed_epochs > 0) text += fmt::format("  resumed after epoch {}\n", s.resumed_epochs);
  if (!s.epochs.empty()) text += fmt::format("  {}\n", epoch_line(s.epochs.back(), epochs));
  for (const auto& note : s.notes) text += fmt::format("  note: {}\n", one_line(note));
  text += fmt::format("  {} samples, {:.2f} s, peak memory {} MB\n", s.samples, s.seconds,
                      s.peak_rss_bytes / 1000000);
  return text;
}

int execute(Options& options, const Context& context) {
  auto& request = options.request;
  if (options.per_channel && options.per_tensor) {
    return context.report({ErrorKind::usage, "--per-channel excludes --per-tensor"});
  }
  if (options.per_channel || options.per_tensor) {
    options.quantization.per_channel = options.per_channel;
  }
  if (options.aware) request.quantization = options.quantization;
  request.progress = context.progress();
  const auto summary = train(request, [&](const TrainedEpoch& epoch) {
    if (!context.quiet) fmt::print(stderr, "{}\n", epoch_line(epoch, request.epochs));
  });
  if (!summary) return context.report(summary.error());
  context.print(to_json(*summary), to_text(*summary, request.epochs));
  return exit_done;
}

void add_optimizer_options(CLI::App& command, TrainRequest& r) {
  command.add_option("--epochs", r.epochs, "Times that all samples are seen")->required();
  command.add_option("--batch", r.batch, "Samples of a step")->capture_default_str();
  command
      .add_option("--micro-batch", r.micro_batch,
                  "Samples that one thread computes on at a time; batch statistics are theirs")
      ->capture_default_str();
  command.add_option("--optimizer", r.optimizer, "sgd|adam|adamw")->capture_default_str();
  command.add_option("--lr", r.learning_rate,
                     "Highest learning rate (default: 0.01, with --qat and folded 0.001)");
  command.add_option("--momentum", r.momentum, "Of sgd (Nesterov)")->capture_default_str();
  command.add_option("--schedule", r.schedule, "constant|step|cosine|onecycle")
      ->capture_default_str();
  command.add_option("--warmup", r.warmup_epochs, "Epochs over which the rate rises");
  command.add_option("--weight-decay", r.weight_decay,
                     "Of weights; biases, normalizations and scales do not decay");
  command
      .add_option("--clip-norm", r.clip_norm, "Largest norm of all gradients together; 0: no limit")
      ->capture_default_str();
}

void add_loss_options(CLI::App& command, TrainRequest& r) {
  command.add_option("--loss", r.loss, "cross-entropy|mse (to reconstruct the input)")
      ->capture_default_str();
  command.add_option("--label-smoothing", r.label_smoothing, "Share that all classes get alike");
  command.add_option("--distill", r.distill,
                     "Float model whose scores are the target (self: the model's own); no labels "
                     "are needed then");
  command.add_option("--distill-weight", r.distill_weight, "Its share where there are labels")
      ->capture_default_str();
  command.add_option("--temperature", r.temperature, "Of distillation")->capture_default_str();
  command.add_option("--crop-padding", r.crop_padding, "Random crops of the padded image");
  command.add_flag("--flip", r.flip, "Mirror every second image");
  command.add_option("--cutout", r.cutout, "Side of a square set to 0");
  command.add_option("--mixup", r.mixup, "Alpha of mixing two images");
}

void add_run_options(CLI::App& command, TrainRequest& r) {
  command.add_flag("--init", r.initialize, "Begin with random weights");
  command.add_option("--batch-norm", r.batch_norm,
                     "trained|folded (before training); with --qat one behind each convolution "
                     "(default: trained; with --qat and 4 bits or more folded)");
  command.add_option("--held-back", r.held_back,
                     "Samples to judge each epoch by; the best epoch is written");
  command.add_option("--patience", r.patience, "Epochs without a better result before it ends");
  command.add_option("--checkpoint", r.checkpoint, "File to go on from after an interruption");
  command.add_option("--checkpoint-seconds", r.checkpoint_seconds, "Time between checkpoints")
      ->capture_default_str();
  command.add_flag("--resume", r.resume, "Go on from the checkpoint if there is one");
  command.add_flag("--recompute", r.recompute,
                   "Compute activations again for the backward pass: less memory, same result");
  command.add_option("--history", r.history, "File of JSON lines, one for each epoch");
}

void add_quantization_options(CLI::App& command, Options& options) {
  auto& q = options.quantization;
  command.add_flag("--qat", options.aware, "Quantization-aware: the output is an integer model");
  command
      .add_option("--scales", options.request.scales,
                  "lsq|lsq+ (zero points, too)|pact|fixed (as calibrated)")
      ->capture_default_str();
  command.add_option("--target", q.target, "onnxruntime|openvino|tflite|tflite-micro");
  command.add_option("--observer", q.observer, "Of the first ranges")->capture_default_str();
  command.add_flag("--per-channel", options.per_channel, "Weight scales per channel");
  command.add_flag("--per-tensor", options.per_tensor,
                   "One weight scale per tensor; such layers are trained folded");
  command.add_option("--optimize", q.optimize, "none|fast|best: before training (default: fast)");
  command.add_option("--bits-weights", q.weight_bits, "Bits of weight codes, 2 to 8 (default: 8)");
  command.add_option("--bits-first-last", q.edge_weight_bits,
                     "Bits of weight codes in first and last layers (default: 8)");
  command.add_option("--bits-activations", q.activation_bits, "Bits of activation codes")
      ->capture_default_str();
  command.add_option("--activations", q.activation_storage, "int8|uint8|int16");
  command.add_option("--io", q.io, "float|int8|uint8|int16: of a .tflite model")
      ->capture_default_str();
  command.add_option("--keep-float", q.keep_float, "Keep nodes whose name fits in float");
  command.add_option("--int4", q.narrow, "4-bit weights for layers whose name fits");
}

}  // namespace

void add_train(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("train", "Training of a float model, or quantization-aware");
  auto options = std::make_shared<Options>();
  auto& request = options->request;
  command->add_option("model", request.model, "Float model (.onnx, .tflite)")->required();
  command->add_option("-o,--output", request.output, "Trained model; its suffix picks the format")
      ->required();
  add_data_options(*command, request.data);
  add_optimizer_options(*command, request);
  add_loss_options(*command, request);
  add_run_options(*command, request);
  add_quantization_options(*command, *options);
  add_common_options(*command, context);
  run_configured(*command, context, [options, &context] { return execute(*options, context); });
}

}  // namespace octet::cli

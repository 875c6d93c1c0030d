#include "api/commands.h"

#include <fmt/format.h>

#include <vector>

#include "api/quantize_command.h"

namespace octet {
namespace {

class CommandLine {
 public:
  explicit CommandLine(std::string text) : text_(std::move(text)) {}

  CommandLine& word(const std::string& value) {
    text_ += ' ';
    text_ += shell_text({value});
    return *this;
  }
  /// Unless it has the value that it has by default.
  CommandLine& option(std::string_view name, const std::string& value,
                      std::string_view usual = "") {
    return value == usual ? *this : flag(name, true).word(value);
  }
  CommandLine& number(std::string_view name, std::int64_t value, std::int64_t usual) {
    return value == usual ? *this : flag(name, true).word(std::to_string(value));
  }
  CommandLine& real(std::string_view name, double value, double usual) {
    return value == usual ? *this : flag(name, true).word(fmt::format("{}", value));
  }
  CommandLine& flag(std::string_view name, bool on) {
    if (on) text_ += fmt::format(" {}", name);
    return *this;
  }
  /// A flag with a form that turns it off.
  CommandLine& either(std::string_view name, const std::optional<bool>& on) {
    if (on) text_ += fmt::format(" --{}{}", *on ? "" : "no-", name);
    return *this;
  }
  CommandLine& each(std::string_view name, const std::vector<std::string>& values) {
    for (const auto& value : values) option(name, value);
    return *this;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void add_data(CommandLine& line, const DataSource& data) {
  line.option("--data", data.path)
      .option("--labels", data.labels)
      .option("--recipe", data.recipe)
      .number("--samples", data.samples, 0)
      .number("--seed", static_cast<std::int64_t>(data.seed), 0)
      .flag("--skip-undecodable", data.skip_undecodable);
}

/// What quantize and train have in common.
void add_scheme(CommandLine& line, const QuantizeRequest& r) {
  const QuantizeRequest usual;
  line.option("--target", r.target)
      .option("--observer", r.observer, usual.observer)
      .option("--optimize", r.optimize)
      .number("--bits-weights", r.weight_bits, usual.weight_bits)
      .number("--bits-first-last", r.edge_weight_bits, usual.edge_weight_bits)
      .number("--bits-activations", r.activation_bits, usual.activation_bits)
      .option("--activations", r.activation_storage)
      .option("--io", r.io, usual.io)
      .flag("--per-channel", r.per_channel == true)
      .flag("--per-tensor", r.per_channel == false)
      .each("--keep-float", r.keep_float)
      .each("--int4", r.narrow);
}

}  // namespace

std::string exact_glob(const std::string& name) {
  std::string glob;
  for (const char c : name) {
    if (std::string_view("*?[]\\").find(c) != std::string_view::npos) glob += '\\';
    glob += c;
  }
  return glob;
}

std::string quantize_command(const QuantizeRequest& r) {
  const QuantizeRequest usual;
  CommandLine line("octet quantize");
  line.word(r.model);
  add_data(line, r.data);
  line.option("--stats", r.statistics)
      .option("-o", r.output)
      .option("--method", r.method)
      .option("--weights", r.weights, usual.weights)
      .option("--dynamic-form", r.dynamic_form)
      .option("--rule", r.rule)
      .option("--weight-observer", r.weight_observer, usual.weight_observer)
      .option("--input-layout", r.input_layout)
      .flag("--reduce-range", r.reduce_range)
      .flag("--data-free", r.data_free)
      .flag("--requantize", r.requantize)
      .either("refine-bias", r.refine_bias)
      .either("equalize", r.equalize)
      .either("absorb-bias", r.absorb_bias)
      .either("bias-correction", r.bias_correction)
      .either("adaround", r.learn_rounding)
      .option("--adaround-scope", r.rounding_scope);
  add_scheme(line, r);
  line.each("--int16", r.wide).each("--skip", r.skip);
  return line.text();
}

std::string train_command(const TrainRequest& r) {
  const TrainRequest usual;
  CommandLine line("octet train");
  line.word(r.model);
  add_data(line, r.data);
  line.option("-o", r.output)
      .flag("--init", r.initialize)
      .number("--epochs", r.epochs, -1)
      .number("--batch", r.batch, usual.batch)
      .number("--micro-batch", r.micro_batch, usual.micro_batch)
      .option("--optimizer", r.optimizer, usual.optimizer)
      .option("--schedule", r.schedule, usual.schedule)
      .option("--loss", r.loss, usual.loss)
      .option("--batch-norm", r.batch_norm)
      .option("--distill", r.distill)
      .real("--distill-weight", r.distill_weight, usual.distill_weight)
      .real("--temperature", r.temperature, usual.temperature)
      .real("--lr", r.learning_rate.value_or(-1), -1);
  if (!r.quantization) return line.text();
  line.flag("--qat", true).option("--scales", r.scales, usual.scales);
  add_scheme(line, *r.quantization);
  return line.text();
}

}  // namespace octet

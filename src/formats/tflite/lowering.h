#pragma once
// The writer's middle: nodes of a graph become operators of a draft, one at a time in topological
// order. A value is held by tensors in one or several forms (reals or codes, axes in the graph's
// order or channels last); conversions between forms are made when a node first asks for one.

#include <map>
#include <span>
#include <string_view>

#include "formats/tflite/axis_order.h"
#include "formats/tflite/writer_draft.h"
#include "graph/value_facts.h"

namespace octet::tflite {

using Op = wire::BuiltinOperator;
using Activation = wire::ActivationFunctionType;

/// Codes of one type and one set of numbers; zero points are signed as everywhere in octet.
struct Coding {
  DType storage = DType::i8;
  QuantParams params;
  friend bool operator==(const Coding&, const Coding&) = default;
};

/// One tensor that holds a value: codes, or reals (and integers, booleans) without a coding.
struct Form {
  TensorId tensor = TensorId::none;
  std::optional<Coding> coding;
  AxisOrder order;
};

/// A node to be lowered, together with what is fused into it.
struct Job {
  NodeId id = NodeId::none;
  const Node* node = nullptr;
  ValueId output = ValueId::none;  ///< the first result: that of the last node fused
  std::optional<Use> bias;         ///< the constant row of an Add behind a MatMul
  Activation activation = Activation::NONE;
  bool coded = false;  ///< takes and gives codes

  [[nodiscard]] std::string_view op() const { return node->op; }
};

/// How the constant of a node is rearranged before it is stored: seen under another shape, its axes
/// permuted, elements of the last axis taken in another order, all of them scaled.
struct Rearrangement {
  std::optional<Shape> view;
  AxisOrder order;                      ///< empty: as they are
  std::vector<std::int64_t> last_axis;  ///< empty: all, in order
  float factor = 1;                     ///< of real constants
  /// Of the weights [I,O/group,kh,kw] of a ConvTranspose: first as [I,O,kh,kw], with zeros where
  /// input and output are of other groups, and between the elements of a dilated kernel.
  std::int64_t group = 1;
  std::vector<std::int64_t> dilations{};

  [[nodiscard]] Tensor apply(const Tensor& tensor) const;
  /// Where an axis (of more than one element) of a constant of this shape ends up.
  [[nodiscard]] int axis_after(int axis, const Shape& shape) const;
  [[nodiscard]] std::string key() const;
};

class Lowering {
 public:
  Lowering(const QuantizedGraph& model, std::vector<ValueFacts> facts);

  Result<Draft> run();

  // What is known of the graph.
  [[nodiscard]] const Graph& graph() const { return graph_; }
  [[nodiscard]] const QuantizedGraph& model() const { return model_; }
  /// Extents; dynamic ones are symbols (see ValueFacts). Fails when the rank is unknown.
  [[nodiscard]] Result<Shape> shape(ValueId id) const;
  [[nodiscard]] DType dtype(ValueId id) const { return facts_[index(id)].dtype; }
  /// A constant, or integers that follow from shapes; nullptr for everything else.
  [[nodiscard]] const Tensor* known(ValueId id);
  [[nodiscard]] std::optional<std::vector<std::int64_t>> known_ints(ValueId id);
  /// Whether all integers of a value are known or extents.
  [[nodiscard]] bool are_extents(ValueId id) const;
  [[nodiscard]] const std::vector<Use>& uses(ValueId id) const { return uses_[index(id)]; }
  [[nodiscard]] bool is_constant(ValueId id) const;
  /// Whether anything needs a result of a node besides its first.
  [[nodiscard]] bool reads_more_outputs(const Node& node) const;
  /// Spatial operators read or make it, directly or through what keeps the order of axes.
  [[nodiscard]] bool is_image(ValueId id) const { return images_[index(id)]; }

  // Codings.
  [[nodiscard]] Coding coding_of(const Quantization& quantization) const;
  /// As which codes the readers of a value see it by default, and this use sees it.
  [[nodiscard]] std::optional<Coding> coding(ValueId id) const;
  [[nodiscard]] std::optional<Coding> coding(const Use& use) const;
  /// Whether this input is quantized when the program runs.
  [[nodiscard]] bool is_dynamic(const Use& use) const;

  // Reading.
  /// The order in which a value is held as it was made; the graph's own for constants.
  [[nodiscard]] AxisOrder order_of(ValueId id) const;
  /// Order of the elements of an image that was flattened as it is stored; empty: the graph's.
  [[nodiscard]] const std::vector<std::int64_t>& features(ValueId id) const;
  [[nodiscard]] Result<TensorId> fetch(ValueId id, const std::optional<Coding>& coding,
                                       const AxisOrder& order);
  /// Input `slot` as the job computes: codes by the plan, or reals.
  [[nodiscard]] Result<TensorId> operand(const Job& job, std::size_t slot, const AxisOrder& order);
  /// The same for an operand that broadcasts against values of this rank and order.
  [[nodiscard]] Result<TensorId> broadcast_operand(const Job& job, std::size_t slot,
                                                   const AxisOrder& order);
  /// A constant as these codes, or as reals (then perhaps behind a DEQUANTIZE).
  [[nodiscard]] Result<TensorId> constant_codes(ValueId id, const Coding& coding,
                                                const Rearrangement& rearrangement);
  [[nodiscard]] Result<TensorId> constant_reals(ValueId id, const Rearrangement& rearrangement);
  /// Codes for a constant operand: by the plan, or of its own range.
  [[nodiscard]] Result<Coding> constant_coding(const Use& use, DType storage);
  /// An int32 (for 16-bit values int64) bias in units of the product of the two scales, or a real
  /// one; zeros where there is none. `use` is where the bias is read.
  [[nodiscard]] Result<TensorId> bias(const Job& job, const std::optional<Use>& use,
                                      std::int64_t channels, TensorId input, TensorId weight,
                                      TensorId owner, float factor = 1);

  // Writing.
  /// The tensor of a node's output, held in this form.
  TensorId make(ValueId id, const std::optional<Coding>& coding, const AxisOrder& order);
  /// The tensor of job.output as the job computes.
  TensorId make_output(const Job& job, const AxisOrder& order);
  /// The result of the one Cast that makes i32 of a value, whether anything needs it or not; the
  /// Cast is taken out of the graph, and the caller makes its result. Else ValueId::none.
  ValueId take_narrowing_cast(ValueId id);
  /// `id` is held by the tensor that holds another value already.
  void alias(ValueId id, const Form& form);
  void set_features(ValueId id, std::vector<std::int64_t> features);
  [[nodiscard]] const Form& made(ValueId id) const { return held_[index(id)].made; }
  /// A tensor that the graph does not have, of the type and coding of another.
  TensorId temporary(std::string name, const Shape& shape, TensorId like);
  TensorId temporary(std::string name, const Shape& shape, DType dtype,
                     const std::optional<Coding>& coding = std::nullopt);
  TensorId derived(TensorId parent, std::string_view suffix, const Shape& shape);
  /// Constants that the graph does not have, named after the tensor that `owner` is: numbers that
  /// say how an operator works, written once where equal; and operands, which a reader of the file
  /// takes for values.
  TensorId invented(TensorId owner, std::string_view suffix, Tensor tensor);
  TensorId invented_ints(TensorId owner, std::string_view suffix,
                         std::span<const std::int64_t> values);
  TensorId operand_constant(TensorId owner, std::string_view suffix, Tensor tensor);
  [[nodiscard]] DraftTensor& tensor(TensorId id) { return draft_.tensor(id); }
  [[nodiscard]] const Shape& tensor_shape(TensorId id) const { return draft_.tensor(id).shape; }

  void emit(Op code, std::vector<TensorId> inputs, std::vector<TensorId> outputs);
  void emit(Op code, std::vector<TensorId> inputs, std::vector<TensorId> outputs,
            wire::BuiltinOptionsUnion options) {
    emit(code, std::move(inputs), std::move(outputs));
    draft_.operators.back().options = std::move(options);
  }
  template <class Options>
  void emit(Op code, std::vector<TensorId> inputs, std::vector<TensorId> outputs, Options options) {
    emit(code, std::move(inputs), std::move(outputs));
    draft_.operators.back().options.Set(std::move(options));
  }
  /// RESHAPE of `from` into the existing tensor `to`, whose shape has been set.
  [[nodiscard]] Status emit_reshape(TensorId from, TensorId to);
  /// A tensor as a matrix of this many rows, made once.
  [[nodiscard]] Result<TensorId> rows(TensorId from, std::int64_t count, std::int64_t depth);
  /// What the codes of a tensor stand for, by a DEQUANTIZE made once.
  [[nodiscard]] TensorId reals(TensorId codes);
  /// i32 extents as a tensor: a constant, or computed from shapes where several are dynamic.
  [[nodiscard]] Result<TensorId> shape_tensor(TensorId owner, TensorId from, const Shape& extents,
                                              bool allow_open);
  /// i32 numbers that are known or extents of values, best of those near.
  [[nodiscard]] Result<TensorId> numbers_tensor(TensorId owner, std::string_view suffix,
                                                const std::vector<TensorId>& near,
                                                const PartialInts& numbers);
  /// Integers of a value as i32; what a Cast has widened is taken before it.
  [[nodiscard]] Result<TensorId> narrow_ints(ValueId id);
  /// What is known of the integers in a value, or nullptr.
  [[nodiscard]] const PartialInts* partial_ints(ValueId id) const {
    const auto& found = facts_[index(id)].integers;
    return found ? &*found : nullptr;
  }
  /// The extent that a symbol stands for as an i32 tensor of one element, computed from the shape
  /// of a tensor near or of another that has it.
  [[nodiscard]] std::optional<TensorId> extent_tensor(const std::vector<TensorId>& near,
                                                      std::int64_t symbol);
  /// States that the extent `grown` is factor * symbol + addend.
  void grow_extent(TensorId near, std::int64_t symbol, std::int64_t grown, std::int64_t factor,
                   std::int64_t addend);
  /// TRANSPOSE, or RESHAPE where nothing moves.
  [[nodiscard]] Status emit_transpose(TensorId from, TensorId to, const AxisOrder& perm);
  /// For operators that fuse none: where the result goes before the job's activation, `result`
  /// itself when there is none; and that activation as an operator of its own.
  TensorId before_activation(const Job& job, TensorId result);
  void emit_activation(const Job& job, TensorId from, TensorId result);

 private:
  struct Held {
    Form made;
    std::vector<Form> usable;  ///< forms that stand for what readers of the value see
    std::vector<std::int64_t> features;
  };

  [[nodiscard]] bool follows_from_shapes(ValueId id) const;
  [[nodiscard]] bool states_numbers(const Node& node, std::size_t slot) const;
  Status lower_numbers(const Job& job);
  [[nodiscard]] std::vector<TensorId> measured_tensors(NodeId id) const;
  void find_storage_of_bytes();
  void fuse();
  bool fuse_bias(NodeId id, ValueId& end);
  bool fuse_activation(NodeId id, ValueId& end);
  [[nodiscard]] const Use* sole_reader(ValueId id) const;
  [[nodiscard]] bool joins_codes(ValueId between, ValueId end) const;
  void find_needed();
  void add_inputs();
  Status lower(NodeId id);
  [[nodiscard]] Status check_types(const DraftOperator& op) const;
  [[nodiscard]] Status check_scales(const DraftOperator& op, Activation fused) const;
  [[nodiscard]] bool runs_on_codes(const Job& job) const;
  [[nodiscard]] bool weights_run_on_codes(const Job& job) const;
  Status add_outputs();

  [[nodiscard]] std::optional<Coding> file_coding(ValueId id) const;
  [[nodiscard]] std::string made_name(ValueId id, const std::optional<Coding>& coding) const;
  Result<TensorId> convert(ValueId id, const std::optional<Coding>& coding, const AxisOrder& order);
  TensorId recode(const Form& from, const std::optional<Coding>& to);
  Result<TensorId> reorder(const Form& from, const AxisOrder& order, ValueId id);
  TensorId store_constant(std::string name, Tensor stored, const std::optional<Coding>& coding);
  Result<Tensor> codes_as(ValueId id, const Coding& coding) const;
  Result<TensorId> coded_bias(const Use& use, std::int64_t channels, const Coding& coding);
  [[nodiscard]] NodeId widening_cast(ValueId id) const;

  const QuantizedGraph& model_;
  const Graph& graph_;
  std::vector<ValueFacts> facts_;
  std::vector<std::vector<Use>> uses_;
  std::vector<NodeId> producers_;
  std::vector<NodeId> order_;
  std::vector<Job> jobs_;       ///< by node slot
  std::vector<bool> absorbed_;  ///< by node slot: fused into another node
  std::vector<bool> needed_;    ///< by node slot
  std::vector<bool> images_;    ///< by value slot
  std::vector<Held> held_;      ///< by value slot
  std::map<ValueId, Tensor> known_;
  std::map<std::pair<ValueId, std::string>, TensorId> stored_;
  std::map<std::pair<TensorId, std::size_t>, TensorId> extents_;  ///< by tensor and position
  std::map<TensorId, TensorId> shapes_;                           ///< SHAPE of a tensor
  std::map<TensorId, TensorId> rows_;
  std::map<TensorId, TensorId> reals_;
  std::map<std::int64_t, TensorId> grown_;  ///< by symbol of an extent
  bool stores_bytes_ = false;               ///< all 8-bit codes are u8, as in files of TensorFlow 1
  Draft draft_;
};

/// The codes that the file's kernels take of an operator, besides reals.
enum class CodesTaken : std::uint8_t { none, bytes, words };

struct OpRule {
  std::string_view op;
  Status (*lower)(Lowering& lowering, const Job& job) = nullptr;
  CodesTaken codes = CodesTaken::none;
  bool fuses_activation = false;
};

/// nullptr for operators that have no equivalent.
[[nodiscard]] const OpRule* find_rule(const Node& node);

/// How many leading inputs of a node are data rather than shapes, axes or bounds.
[[nodiscard]] std::size_t data_inputs(const Node& node);

/// Error that refuses a node; the caller adds its name.
template <class... Args>
[[nodiscard]] tl::unexpected<Error> refused(fmt::format_string<Args...> format, Args&&... args) {
  return bad_input("has no TFLite equivalent: {}",
                   fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace octet::tflite

#pragma once
// What the functions that translate operators share: values for tensors in either order of axes,
// constants, names, and the nodes they add.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/tflite/reader_layout.h"
#include "formats/tflite/reader_model.h"

namespace octet::tflite {

/// Order of axes of a value.
enum class Order { file, image };

/// How a constant differs from what the file holds.
struct Arrangement {
  std::optional<Shape> shape;  ///< reshaped to this first: extents of 1 before the file's
  std::vector<int> perm;       ///< then axis i of the result is axis perm[i]; empty: as it is
};

/// A QUANTIZE between a float value and its codes, kept as an Identity until all readers are known.
struct PendingQuantizer {
  NodeId node = NodeId::none;
  ValueId from = ValueId::none;
  ValueId to = ValueId::none;
};

class Translator {
 public:
  explicit Translator(const FileModel& file);

  [[nodiscard]] Result<QuantizedGraph> run();

  // The tensors of an operator.
  [[nodiscard]] bool has_input(const FileOperator& op, std::size_t i) const {
    return i < op.inputs.size() && op.inputs[i] >= 0;
  }
  [[nodiscard]] const FileTensor& input(const FileOperator& op, std::size_t i) const {
    return file_.tensor(op.inputs[i]);
  }
  [[nodiscard]] const FileTensor& output(const FileOperator& op, std::size_t i = 0) const {
    return file_.tensor(op.outputs[i]);
  }
  /// A constant of the file, also behind DEQUANTIZE.
  [[nodiscard]] bool is_constant(int tensor) const;
  [[nodiscard]] bool is_image(int tensor) const {
    return images_[static_cast<std::size_t>(tensor)];
  }
  [[nodiscard]] Order order_of(int tensor) const {
    return is_image(tensor) ? Order::image : Order::file;
  }
  /// Quantization of the value that a tensor became.
  [[nodiscard]] const Quantization* quantization(int tensor) const;

  // Values that nodes read.
  [[nodiscard]] Result<ValueId> value(int tensor, Order order);
  /// The form that is there already.
  [[nodiscard]] Order available(int tensor) const;
  /// Of an operator that broadcasts: lower ranks get the extents that the order asks for.
  [[nodiscard]] Result<ValueId> operand(int tensor, Order order);
  /// Axes permuted: in the constant itself, or by a Transpose.
  [[nodiscard]] Result<ValueId> arranged(int tensor, const Arrangement& arrangement);
  /// Integers of a constant; `what` names them in the error when it is none.
  [[nodiscard]] Result<std::vector<std::int64_t>> integers(const FileOperator& op, std::size_t i,
                                                           std::string_view what) const;
  /// A bias of integers, with the scales that follow from input and weight where it states none.
  [[nodiscard]] Result<ValueId> bias(int tensor, int input, int weight);
  ValueId integer_list(const std::vector<std::int64_t>& values, std::string_view hint);
  ValueId real(float value, std::string_view hint);

  // Nodes.
  [[nodiscard]] static Node node(std::string op, std::vector<ValueId> inputs);
  /// A node whose one output has this name, which is free (see invent) or made so.
  ValueId inner(Node node, std::string name, DType dtype = DType::undefined);
  /// The same with the quantization of `tensor`, if it has one.
  ValueId inner_like(Node node, std::string name, int tensor);
  /// inner_like with a fused activation behind the node.
  [[nodiscard]] Result<ValueId> inner_fused(Node node, const std::string& name, int tensor,
                                            wire::ActivationFunctionType activation);
  /// A node that makes outputs of the operator, all in one order, with a fused activation.
  [[nodiscard]] Status finish(
      const FileOperator& op, Node node, Order order,
      wire::ActivationFunctionType activation = wire::ActivationFunctionType::NONE);
  /// A name for a value that no tensor of the file has.
  [[nodiscard]] std::string invent(std::string hint) const;
  /// The value of a tensor that the next node makes.
  ValueId define(int tensor, Order order);
  /// A value that the next node makes, of the type and quantization of a tensor.
  ValueId value_like(std::string name, int tensor);
  /// The same without quantization.
  ValueId plain_value(std::string name, DType dtype);
  NodeId add(Node node);
  /// Adds the activation as a node that makes `to`.
  [[nodiscard]] Status activate(wire::ActivationFunctionType activation, ValueId from, ValueId to);

  /// `tensor` is the same value as `root`.
  void alias(int tensor, int root);
  /// `tensor` is a float16 constant as f32.
  void cast_constant(int tensor, int source);
  void add_quantizer(const PendingQuantizer& quantizer) { quantizers_.push_back(quantizer); }
  /// The id that the next node gets.
  [[nodiscard]] NodeId next_node() const { return static_cast<NodeId>(model_.graph.node_slots()); }
  [[nodiscard]] const Tensor& graph_constant(ValueId id) const {
    return *model_.graph.constant(id);
  }
  [[nodiscard]] QuantPlan& plan() { return model_.plan; }
  [[nodiscard]] const FileModel& file() const { return file_; }

 private:
  struct Forms {
    ValueId file = ValueId::none;
    ValueId image = ValueId::none;
  };

  [[nodiscard]] int root(int tensor) const;
  [[nodiscard]] Forms& forms(int tensor) { return forms_[static_cast<std::size_t>(root(tensor))]; }
  [[nodiscard]] std::string constant_name(int tensor) const;
  [[nodiscard]] std::string name_for(int tensor, Order order) const;
  ValueId add_value(std::string name, int tensor, std::optional<Shape> shape);
  ValueId transposed(ValueId from, std::vector<std::int64_t> perm, std::string name);
  [[nodiscard]] Result<ValueId> constant(int tensor, const Arrangement& arrangement);
  [[nodiscard]] Result<ValueId> make_constant(int tensor, const Arrangement& arrangement);
  [[nodiscard]] Result<Tensor> stored(int tensor, const Arrangement& arrangement);
  [[nodiscard]] Status add_inputs();
  [[nodiscard]] Status add_outputs();
  [[nodiscard]] Status add_output(int tensor);
  [[nodiscard]] Status add_operator(const FileOperator& op);
  void settle_quantizers();
  void settle(const PendingQuantizer& quantizer, std::vector<std::vector<Use>>& uses);
  void quantize_before_transpose(ValueId value, const std::vector<std::vector<Use>>& uses);
  void rename_to(ValueId value, const std::string& name);

  const FileModel& file_;
  std::vector<bool> images_;
  QuantizedGraph model_;
  std::vector<Forms> forms_;  ///< by tensor; of roots only
  std::vector<int> roots_;    ///< by tensor
  std::vector<int> casts_;    ///< by tensor: the float16 constant it is, or -1
  std::vector<bool> is_graph_output_;
  std::map<std::string, int, std::less<>> tensor_names_;
  std::map<std::pair<int, std::string>, ValueId> constants_;
  std::map<ValueId, ValueId> transposed_from_;  ///< made by `transposed` -> what from
  std::map<float, ValueId> reals_;
  std::vector<PendingQuantizer> quantizers_;
  std::vector<NodeId> float_nodes_;  ///< of operators whose output holds floats
  std::uint64_t constant_bytes_ = 0;
  bool is_static_ = true;  ///< no graph input has a dynamic extent
};

}  // namespace octet::tflite

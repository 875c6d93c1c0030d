#pragma once
// What emit_qdq is made of. Q/DQ nodes are in qdq_export.cpp, the forms of dynamically quantized
// operators in qdq_export_dynamic.cpp.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/plan.h"

namespace octet::onnx {

/// Builds the graph with Q/DQ nodes anew, in file order: everything is added right before its first
/// reader, so that reading the file and writing it again gives the same order and names.
class Exporter {
 public:
  explicit Exporter(const QuantizedGraph& model)
      : model_(model),
        from_(model.graph),
        uses_(from_.uses()),
        copies_(from_.value_slots(), ValueId::none),
        dequantized_(from_.value_slots()),
        stored_(from_.value_slots()) {}

  Result<Graph> run();

 private:
  struct Made {
    Quantization quantization;
    ValueId value;
  };
  /// What DynamicQuantizeLinear gives.
  struct RunTimeCodes {
    ValueId codes = ValueId::none;
    ValueId scale = ValueId::none;
    ValueId zero_point = ValueId::none;
    ValueId real = ValueId::none;  ///< behind DequantizeLinear, made on demand
  };

  Status check_opset() const;
  void copy_header();
  void reserve_names();
  std::string fresh(char prefix);
  bool is_quantized_output(ValueId id) const;
  ValueId copy(ValueId id);
  bool implies_zero_point(ValueId id, const Quantization& quantization) const;
  Result<ValueId> read(ValueId id, const Quantization* quantization);
  Result<ValueId> dequantize(ValueId id, const Quantization& quantization);
  Result<ValueId> stored_constant(ValueId id, const Quantization& quantization);
  Result<ValueId> quantize_activation(ValueId id, const Quantization& quantization,
                                      const std::vector<ValueId>& params);
  ValueId scale_constant(const Quantization& quantization);
  Result<ValueId> zero_point_constant(const Quantization& quantization);
  Status add_node(NodeId id);
  Status set_outputs();

  RunTimeCodes& quantize_at_run_time(ValueId id);
  ValueId dequantize_at_run_time(ValueId id);
  bool has_integer_operator(NodeId id) const;
  Status add_integer_operator(NodeId id);
  Result<ValueId> combined_scale(const RunTimeCodes& input, const Quantization& weight,
                                 const Shape& shape);
  ValueId emit(std::string_view op, std::vector<ValueId> inputs, DType dtype,
               const ValueId* result = nullptr, const Node* attributes_of = nullptr);

  const QuantizedGraph& model_;
  const Graph& from_;
  std::vector<std::vector<Use>> uses_;
  Graph out_;
  std::vector<ValueId> copies_;                 ///< by value slot: the value as the nodes make it
  std::vector<std::vector<Made>> dequantized_;  ///< by value slot: behind Q/DQ
  std::set<std::string> reserved_;
  std::map<char, int> counters_;
  std::vector<ValueId> shared_constants_;  ///< scales and zero points
  std::vector<std::vector<Made>> stored_;  ///< by value slot: integer initializers
  std::map<ValueId, RunTimeCodes> run_time_codes_;
  std::map<std::pair<ValueId, ValueId>, ValueId> combined_scales_;
};

}  // namespace octet::onnx

#pragma once
// What a model is made of.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "octet/result.h"

namespace octet {

struct Port {
  std::string name;
  std::string dtype;  ///< as the file states it: "i8" of an input that it has as codes
  std::string shape;  ///< "[?,3,224,224]"
};

struct OpCount {
  std::string op;
  std::int64_t count = 0;
  std::int64_t macs = 0;        ///< per sample
  std::int64_t parameters = 0;  ///< elements of its constants
};

struct QuantizedValue {
  std::string name;        ///< "x in conv_1" where only that node sees the value so
  std::string scheme;      ///< "s8 asymmetric per-tensor"; "f16" of weights in half precision
  std::string storage;     ///< "u8"
  std::string origin;      ///< "dynamic": scale and zero point are computed at run time
  std::size_t scales = 1;  ///< 0 when there are none in the file
  float scale = 0;         ///< the smallest, when there are several
  float scale_max = 0;
  std::int32_t zero_point = 0;  ///< of the signed code
};

/// A node that stays float (in a float model: would stay, quantized for the target), and why.
struct Obstacle {
  std::string name;
  std::string op;
  std::string reason;
};

struct Inspection {
  std::string format;
  std::uint64_t bytes = 0;
  std::int64_t parameters = 0;
  std::int64_t macs = 0;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
  std::vector<OpCount> ops;
  bool quantized = false;
  std::vector<QuantizedValue> quantized_values;
  std::vector<Obstacle> float_nodes;
  std::string obstacle;          ///< why a float model cannot be quantized at all, else ""
  double integer_mac_share = 0;  ///< share of MACs that run (or would run) in integers, 0..1
  std::map<std::string, std::string> provenance;
};

/// Reads a model and says what is in it. For a float model, float_nodes and integer_mac_share tell
/// what quantizing it for `target` would give ("": tflite for a .tflite model, else onnxruntime).
[[nodiscard]] Result<Inspection> inspect(const std::string& model, const std::string& target = {});

/// The text form of the graph and its plan, one line per node.
[[nodiscard]] Result<std::string> dump(const std::string& model);

}  // namespace octet

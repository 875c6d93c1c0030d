#pragma once
// Program and Session: what every engine offers. A Program is an immutable, thread-safe plan of
// execution with its weights prepared once; a Session is one worker's state to run it with.
//
// Data parallelism is across samples: each worker owns a Session and runs on one thread; the result
// of a sample does not depend on how many workers there are. A Session may itself use several
// threads (latency of one sample) when it was made with more.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/tensor.h"
#include "graph/graph.h"

namespace octet {

/// What a tap sees of one value while it is alive. `data` is valid during the call only.
struct TapView {
  ValueId value = ValueId::none;
  /// Shape as the graph states it (an NCHW graph: [N,C,H,W]), whatever the order in memory.
  Shape shape;
  /// Elements, dense. Float engine: f32. Integer engine and simulation: f32 that the codes stand
  /// for is not materialised; see `codes`.
  std::span<const float> values;
  /// Signed codes of an 8-bit value of the integer engine or simulation, empty otherwise.
  std::span<const std::int8_t> codes;
  /// Memory order is channels-last (N,H,W,C) although `shape` says [N,C,H,W].
  bool channels_last = false;
};

/// Receives values right after they are computed, in execution order, graph inputs included.
using Tap = std::function<void(const TapView&)>;

struct TapRequest {
  std::vector<ValueId> values;
  Tap tap;
};

class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session() = default;

  /// Runs one batch. `inputs` are in the order of the graph's inputs, in the graph's layout and
  /// type; the results are in the order of its outputs, likewise. Shapes may differ from call to
  /// call where the graph's are dynamic. Errors name the node.
  [[nodiscard]] virtual Result<std::vector<Tensor>> run(std::span<const Tensor> inputs,
                                                        const TapRequest* taps = nullptr) = 0;

  /// Time and description of each step of the last run(), when profiling was asked for.
  struct StepTime {
    std::string node;
    std::string op;
    std::string kernel;
    double milliseconds = 0;
    std::int64_t macs = 0;
    std::int64_t bytes = 0;  ///< of inputs, constants and outputs, each once
  };
  virtual void set_profiling(bool on) { (void)on; }
  [[nodiscard]] virtual std::vector<StepTime> step_times() const { return {}; }
};

struct SessionOptions {
  int threads = 1;
};

class Program {
 public:
  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  virtual ~Program() = default;

  [[nodiscard]] virtual Result<std::unique_ptr<Session>> session(
      const SessionOptions& options = {}) const = 0;
  /// "float", "simulation", "integer"
  [[nodiscard]] virtual std::string_view engine() const = 0;
};

}  // namespace octet

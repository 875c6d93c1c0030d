#include "engine/integer/integer_program.h"

#include "core/progress.h"
#include "core/team.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <set>

#include "engine/float/buffer_pool.h"
#include "engine/float/onednn.h"
#include "engine/integer/lowering.h"
#include "engine/integer/memory_plan.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

using integer::BoundStep;
using integer::Lowered;

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

/// Steps [first, last) that run on one team of threads, or without one.
struct Stretch {
  std::size_t first = 0, last = 0;
  bool team = false;
};

/// Everything that follows from the shapes of the inputs.
struct ShapePlan {
  std::vector<Shape> inputs;
  integer::BufferShapes shapes;
  std::vector<BoundStep> steps;
  std::vector<Stretch> stretches;
  std::vector<std::size_t> offsets;  ///< in the arena, by buffer
  std::size_t arena_bytes = 0;
  std::size_t scratch_bytes = 0;
};

/// 64-byte aligned memory that only grows.
class AlignedBytes {
 public:
  Status reserve(std::size_t bytes) {
    if (bytes <= size_) return {};
    OCTET_ASSIGN(storage_, Tensor::create(DType::u8, {static_cast<std::int64_t>(bytes)}));
    // What kernels read beyond a buffer's end is discarded, but it must be initialised.
    std::memset(storage_.mutable_raw(), 0, bytes);
    size_ = bytes;
    return {};
  }
  std::byte* data() { return size_ == 0 ? nullptr : storage_.mutable_raw(); }

 private:
  Tensor storage_;
  std::size_t size_ = 0;
};

/// A copy of a result, so that its memory goes back to the pool.
Tensor detached(const Tensor& tensor) {
  Tensor copy(tensor.dtype(), tensor.shape());
  if (tensor.bytes() > 0) std::memcpy(copy.mutable_raw(), tensor.raw(), tensor.bytes());
  return copy;
}

/// Last step that reads each buffer (its own step when none does), and the step that writes it.
struct Lifetimes {
  std::vector<int> first, last;
};

Lifetimes lifetimes(const Lowered& program) {
  const auto end = static_cast<int>(program.steps.size());
  Lifetimes result{std::vector<int>(program.buffers.size(), 0),
                   std::vector<int>(program.buffers.size(), -1)};
  for (int i = 0; i < end; ++i) {
    for (const int buffer : program.steps[at(i)]->outputs) {
      if (buffer < 0) continue;
      result.first[at(buffer)] = i;
      result.last[at(buffer)] = std::max(result.last[at(buffer)], i);
    }
    for (const int buffer : program.steps[at(i)]->inputs) {
      if (buffer >= 0) result.last[at(buffer)] = i;
    }
  }
  for (const int buffer : program.outputs) result.last[at(buffer)] = end;
  return result;
}

/// What taps ask for in one run.
struct TapState {
  explicit TapState(const TapRequest* taps) : request(taps) {
    if (taps != nullptr) wanted.insert(taps->values.begin(), taps->values.end());
  }
  const TapRequest* request;
  std::set<ValueId> wanted;
  std::size_t next = 0;
};

class IntegerSession final : public Session {
 public:
  IntegerSession(std::shared_ptr<const Lowered> program, int threads)
      : program_(std::move(program)),
        threads_(std::max(threads, 1)),
        team_(threads_),
        lifetimes_(lifetimes(*program_)) {
    init_context();
  }

  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, const TapRequest* taps) override {
    const float_engine::onednn::ThreadScope threads(threads_);
    const float_engine::PoolScope pool(pool_);
    OCTET_ASSIGN(ShapePlan* const plan, plan_for(inputs));
    OCTET_TRY(arena_.reserve(plan->arena_bytes));
    OCTET_TRY(scratch_.reserve(plan->scratch_bytes));
    set_context(*plan, inputs);
    times_.clear();
    TapState tapping(taps);
    call_taps(-1, tapping, *plan);
    if (auto status = run_stretches(*plan, tapping); !status) {
      forget_floats();
      return tl::unexpected(status.error());
    }
    std::vector<Tensor> results;
    results.reserve(program_->outputs.size());
    for (const int buffer : program_->outputs) {
      results.push_back(detached(to_plain(context_.floats[at(buffer)]).tensor));
    }
    forget_floats();
    return results;
  }

  void set_profiling(bool on) override { profiling_ = on; }
  std::vector<StepTime> step_times() const override { return times_; }

 private:
  Result<ShapePlan*> plan_for(std::span<const Tensor> inputs) {
    if (inputs.size() != program_->inputs.size()) {
      return bad_input("the model has {} inputs, not {}", program_->inputs.size(), inputs.size());
    }
    const auto fits = [&](const std::unique_ptr<ShapePlan>& plan) {
      return std::equal(plan->inputs.begin(), plan->inputs.end(), inputs.begin(),
                        [](const Shape& shape, const Tensor& in) { return shape == in.shape(); });
    };
    const auto it = std::find_if(plans_.begin(), plans_.end(), fits);
    if (it != plans_.end()) return it->get();
    OCTET_ASSIGN(auto plan, make_plan(inputs));
    // Plans are small, but a stream of ever new shapes must not grow without bound.
    constexpr std::size_t max_plans = 16;
    if (plans_.size() >= max_plans) plans_.clear();
    plans_.push_back(std::make_unique<ShapePlan>(std::move(plan)));
    return plans_.back().get();
  }

  Result<ShapePlan> make_plan(std::span<const Tensor> inputs) const {
    const Graph& graph = program_->graph;
    std::map<ValueId, Shape> given;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const auto id = graph.inputs[i];
      const auto& value = graph.value(id);
      if (inputs[i].dtype() != value.dtype) {
        return bad_input("input {} is {}, the model takes {}", value.name, name(inputs[i].dtype()),
                         name(value.dtype));
      }
      if (program_->inputs[i] >= 0) given[id] = inputs[i].shape();
    }
    OCTET_ASSIGN(const auto inferred, infer_shapes_for(graph, given));
    ShapePlan plan;
    for (const auto& input : inputs) plan.inputs.push_back(input.shape());
    OCTET_ASSIGN(plan.shapes, buffer_shapes(inferred));
    for (const auto& step : program_->steps) {
      auto bound = step->bind(plan.shapes, threads_);
      if (!bound) return tl::unexpected(located(bound.error(), *step));
      plan.scratch_bytes = std::max(plan.scratch_bytes, bound->scratch_bytes);
      plan.steps.push_back(std::move(*bound));
    }
    place_buffers(plan);
    plan.stretches = stretches(plan.steps);
    return plan;
  }

  /// Steps that bring threads of their own run by themselves; a team pays where one of the steps in
  /// between is long enough to be split.
  [[nodiscard]] std::vector<Stretch> stretches(const std::vector<BoundStep>& steps) const {
    std::vector<Stretch> result;
    bool open = false;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const bool alone = program_->steps[i]->brings_threads();
      if (!open || alone) result.push_back({i, i, false});
      open = !alone;
      auto& stretch = result.back();
      stretch.last = i + 1;
      if (program_->steps[i]->only_for_taps) continue;
      stretch.team |= !alone && integer::pays_to_split(steps[i].nanoseconds, threads_);
    }
    return result;
  }

  /// Shapes of buffers that steps read or write; only those of codes must be known beforehand.
  Result<integer::BufferShapes> buffer_shapes(
      const std::vector<std::optional<Shape>>& inferred) const {
    integer::BufferShapes shapes(program_->buffers.size());
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const auto& buffer = program_->buffers[i];
      const auto& shape = inferred[index(buffer.value)];
      shapes[i].channels_last = buffer.channels_last;
      if (!shape || !is_static(*shape)) {
        if (buffer.coded && lifetimes_.last[i] >= 0) {
          return bad_input(
              "{}: its shape depends on the data, so it cannot be kept as 8-bit codes; exclude its "
              "node from quantization",
              program_->graph.value(buffer.value).name);
        }
        continue;
      }
      OCTET_TRY(checked_element_count(*shape));
      shapes[i].shape = *shape;
      if (buffer.image) shapes[i].shape = {(*shape)[0], (*shape)[1], 1, (*shape)[2]};
    }
    return shapes;
  }

  void place_buffers(ShapePlan& plan) const {
    std::vector<integer::Lifetime> alive;
    std::vector<std::size_t> owners;
    for (std::size_t i = 0; i < program_->buffers.size(); ++i) {
      const auto& buffer = program_->buffers[i];
      if (!buffer.coded || buffer.is_constant() || lifetimes_.last[i] < 0) continue;
      const auto bytes = static_cast<std::size_t>(element_count(plan.shapes[i].shape));
      alive.push_back({bytes, lifetimes_.first[i], lifetimes_.last[i]});
      owners.push_back(i);
    }
    const auto memory = integer::plan_memory(alive);
    plan.offsets.assign(program_->buffers.size(), 0);
    for (std::size_t i = 0; i < owners.size(); ++i) plan.offsets[owners[i]] = memory.offsets[i];
    plan.arena_bytes = memory.arena_bytes;
  }

  /// What is the same in every run.
  void init_context() {
    context_.codes.assign(program_->buffers.size(), nullptr);
    context_.floats.resize(program_->buffers.size());
    context_.input_params.resize(program_->buffers.size());
    for (std::size_t i = 0; i < program_->buffers.size(); ++i) {
      const auto& buffer = program_->buffers[i];
      if (buffer.constant) context_.floats[i] = {*buffer.constant, false};
      // Steps never write to a constant: it is only ever an input.
      if (buffer.coded && buffer.is_constant()) {
        context_.codes[i] = const_cast<std::uint8_t*>(buffer.constant_codes.data());
      }
    }
  }

  void set_context(const ShapePlan& plan, std::span<const Tensor> inputs) {
    context_.scratch = scratch_.data();
    auto* arena = reinterpret_cast<std::uint8_t*>(arena_.data());
    for (std::size_t i = 0; i < program_->buffers.size(); ++i) {
      const auto& buffer = program_->buffers[i];
      if (buffer.coded && !buffer.is_constant()) context_.codes[i] = arena + plan.offsets[i];
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (program_->inputs[i] >= 0) context_.floats[at(program_->inputs[i])] = {inputs[i], false};
    }
  }

  /// Inputs, results, and what an error left behind.
  void forget_floats() {
    for (std::size_t i = 0; i < program_->buffers.size(); ++i) {
      if (!program_->buffers[i].constant) context_.floats[i] = {};
    }
  }

  Status run_stretches(ShapePlan& plan, TapState& tapping) {
    for (const auto& stretch : plan.stretches) {
      Status status;
      const auto run = [&] { status = run_stretch(stretch, plan, tapping); };
      if (stretch.team) {
        team_.gather(run);
      } else {
        run();
      }
      OCTET_TRY(std::move(status));
    }
    return {};
  }

  Status run_stretch(const Stretch& stretch, ShapePlan& plan, TapState& tapping) {
    for (std::size_t i = stretch.first; i < stretch.last; ++i) {
      if (program_->steps[i]->only_for_taps && tapping.request == nullptr) continue;
      OCTET_TRY(check_cancel());
      OCTET_TRY(run_step(static_cast<int>(i), plan));
      call_taps(static_cast<int>(i), tapping, plan);
      release(static_cast<int>(i));
    }
    return {};
  }

  Status run_step(int i, ShapePlan& plan) {
    const auto& step = *program_->steps[at(i)];
    using Clock = std::chrono::steady_clock;
    const auto start = profiling_ ? Clock::now() : Clock::time_point();
    auto status = plan.steps[at(i)].run(context_);
    if (!status) return tl::unexpected(located(status.error(), step));
    if (!profiling_) return {};
    const std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
    StepTime time;
    if (step.node != NodeId::none) {
      time.node = program_->graph.node(step.node).name;
      time.op = program_->graph.node(step.node).op;
    }
    time.kernel = step.kernel();
    time.milliseconds = elapsed.count();
    time.macs = plan.steps[at(i)].macs;
    time.bytes = bytes_of(step, plan);
    times_.push_back(std::move(time));
    return {};
  }

  /// What the step reads and writes, each once.
  std::int64_t bytes_of(const integer::Step& step, const ShapePlan& plan) const {
    std::int64_t bytes = step.constant_bytes();
    const auto add = [&](int buffer) {
      if (buffer < 0) return;
      const bool coded = program_->buffers[at(buffer)].coded;
      bytes += coded ? element_count(plan.shapes[at(buffer)].shape)
                     : static_cast<std::int64_t>(context_.floats[at(buffer)].tensor.bytes());
    };
    for (const int buffer : step.inputs) add(buffer);
    for (const int buffer : step.outputs) add(buffer);
    return bytes;
  }

  Error located(const Error& error, const integer::Step& step) const {
    return error.with_context(step.node == NodeId::none ? "input"
                                                        : program_->graph.node(step.node).name);
  }

  void call_taps(int step, TapState& tapping, const ShapePlan& plan) {
    if (tapping.request == nullptr) return;
    auto& next = tapping.next;
    for (; next < program_->taps.size() && program_->taps[next].step <= step; ++next) {
      const auto& point = program_->taps[next];
      if (!tapping.wanted.contains(point.value)) continue;
      TapView view;
      view.value = point.value;
      if (program_->buffers[at(point.buffer)].coded) {
        view.shape = plan.shapes[at(point.buffer)].shape;
        view.channels_last = plan.shapes[at(point.buffer)].channels_last && view.shape.size() == 4;
        const auto count = static_cast<std::size_t>(element_count(view.shape));
        const auto* codes = context_.codes[at(point.buffer)];
        tapped_.resize(count);
        for (std::size_t i = 0; i < count; ++i) {
          tapped_[i] = static_cast<std::int8_t>(int{codes[i]} - 128);
        }
        view.codes = tapped_;
      } else {
        const Activation& activation = context_.floats[at(point.buffer)];
        if (activation.tensor.dtype() != DType::f32) continue;
        view.shape = activation.tensor.shape();
        view.channels_last = activation.channels_last;
        view.values = activation.tensor.values<float>();
      }
      tapping.request->tap(view);
    }
  }

  /// Frees the floats that no later step reads.
  void release(int step) {
    const auto free_if_last = [&](int buffer) {
      if (buffer < 0 || lifetimes_.last[at(buffer)] != step) return;
      if (!program_->buffers[at(buffer)].constant) context_.floats[at(buffer)] = {};
    };
    for (const int buffer : program_->steps[at(step)]->inputs) free_if_last(buffer);
    for (const int buffer : program_->steps[at(step)]->outputs) free_if_last(buffer);
  }

  std::shared_ptr<const Lowered> program_;
  int threads_;
  Team team_;
  Lifetimes lifetimes_;
  std::vector<std::unique_ptr<ShapePlan>> plans_;
  integer::RunContext context_;
  AlignedBytes arena_, scratch_;
  float_engine::BufferPool pool_;
  std::vector<std::int8_t> tapped_;
  bool profiling_ = false;
  std::vector<StepTime> times_;
};

class IntegerProgram final : public Program {
 public:
  explicit IntegerProgram(Lowered lowered)
      : lowered_(std::make_shared<const Lowered>(std::move(lowered))) {}

  Result<std::unique_ptr<Session>> session(const SessionOptions& options) const override {
    return std::unique_ptr<Session>(std::make_unique<IntegerSession>(lowered_, options.threads));
  }
  std::string_view engine() const override { return "integer"; }

 private:
  std::shared_ptr<const Lowered> lowered_;
};

}  // namespace

Result<std::unique_ptr<Program>> compile_integer(const QuantizedGraph& model,
                                                 const IntegerOptions& options) {
  kernels::Isa isa = kernels::default_isa();
  if (!options.kernels.empty()) {
    const auto named = kernels::isa_from_name(options.kernels);
    if (!named) return fail(ErrorKind::usage, "there are no kernels called {}", options.kernels);
    if (!kernels::isa_available(*named)) {
      return fail(ErrorKind::usage, "this CPU cannot run the {} kernels", options.kernels);
    }
    isa = *named;
  }
  OCTET_ASSIGN(auto lowered, integer::lower(model, isa));
  return std::unique_ptr<Program>(std::make_unique<IntegerProgram>(std::move(lowered)));
}

}  // namespace octet

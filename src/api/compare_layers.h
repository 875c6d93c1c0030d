#pragma once
// Error of each layer of one model against another's.

#include <map>
#include <vector>

#include "analysis/accumulators.h"
#include "analysis/layer_cut.h"
#include "api/engine_choice.h"
#include "api/input_match.h"

namespace octet {

/// A model and what runs it.
struct Side {
  ModelFile file;
  ChosenEngine engine;
};

/// `rule`: name of the rule to compute by, "" for the model's own.
[[nodiscard]] Result<Side> open_side(const std::string& path, const EngineName& engine,
                                     const std::string& rule,
                                     std::span<const std::string> taps = {});

/// Compares the values that two models make under the same name. Both must have been opened with
/// taps on "*". Values are held for one batch at a time; with layers fed alike, those of the first
/// model only until the last layer that reads them has run.
class LayerComparer {
 public:
  /// `alike`: also run each layer of the second model on what the first has at its inputs.
  [[nodiscard]] static Result<std::unique_ptr<LayerComparer>> make(const Side& first,
                                                                   const Side& second,
                                                                   InputMatch match, bool alike);

  /// Not thread-safe.
  [[nodiscard]] Status visit(const Batch& batch);
  void fill(Comparison& out) const;

 private:
  /// One value that both models make.
  struct Pair {
    std::string name;
    std::string op;
    ValueId first = ValueId::none;
    ValueId second = ValueId::none;
    ErrorSums propagated;
    ErrorSums alike;
  };
  /// One layer of the second model on its own; value ids are the first model's.
  struct Layer {
    std::unique_ptr<Program> program;
    std::unique_ptr<Session> session;
    std::vector<ValueId> inputs;
    std::vector<ValueId> outputs;
    std::vector<std::size_t> pairs;  ///< by output; beyond the list when it is in none
  };

  LayerComparer(const Side& first, const Side& second, InputMatch match);
  [[nodiscard]] Status find_pairs();
  [[nodiscard]] Status make_layers(const EngineName& engine);
  [[nodiscard]] Status visit_propagated(const Batch& batch, std::span<const Tensor> second_inputs);
  [[nodiscard]] Status visit_alike(const Batch& batch);
  [[nodiscard]] Status run_layer(Layer& layer, const std::map<ValueId, Tensor>& values);
  [[nodiscard]] ValueId in_first(ValueId second) const;

  const Side& first_;
  const Side& second_;
  InputMatch match_;
  std::vector<Pair> pairs_;
  std::vector<Layer> layers_;
  bool alike_ = false;
  std::unique_ptr<Session> first_session_;
  std::unique_ptr<Session> second_session_;
  std::int64_t compared_ = 0;
  std::int64_t differing_ = 0;
};

}  // namespace octet

#include "api/calibration_data.h"

#include <algorithm>

namespace octet {
namespace {

/// Samples that channels are profiled on, and by --optimize best: their sums are kept by sample.
constexpr std::int64_t profile_samples = 32;
constexpr std::int64_t profile_samples_best = 128;

Result<Statistics> statistics_from_file(const std::string& path, const std::string& model_hash) {
  OCTET_ASSIGN(auto statistics, read_statistics(path));
  if (statistics.model_hash != model_hash) {
    return bad_input("{} was calibrated on another model (hash {}, this one is {})", path,
                     statistics.model_hash, model_hash);
  }
  return statistics;
}

/// What the first input can hold: all pixels, by the recipe of the request or of the model.
Result<std::vector<InputRange>> input_ranges(const QuantizeRequest& request, const Graph& graph) {
  Recipe recipe;
  const auto stored = graph.metadata.find(recipe_key);
  if (!request.data.recipe.empty()) {
    OCTET_ASSIGN(recipe, read_recipe(request.data.recipe));
  } else if (stored != graph.metadata.end()) {
    OCTET_ASSIGN(recipe, parse_recipe(stored->second));
  } else {
    return std::vector<InputRange>();
  }
  InputRange range;
  constexpr double white = 255;
  const auto channels = std::max({recipe.mean.size(), recipe.std.size(), std::size_t{1}});
  for (std::size_t c = 0; c < channels; ++c) {
    const auto of = [c](const std::vector<float>& all, double fallback) {
      return all.empty() ? fallback : static_cast<double>(all[all.size() == 1 ? 0 : c]);
    };
    range.lowest.push_back(-of(recipe.mean, 0) / of(recipe.std, 1));
    range.highest.push_back((white * recipe.scale - of(recipe.mean, 0)) / of(recipe.std, 1));
  }
  return std::vector<InputRange>{range};
}

}  // namespace

Result<const OpenData*> CalibrationData::open(const Graph& graph) {
  if (shared_ == nullptr && !opened_) {
    OCTET_ASSIGN(opened_, open_calibration_data(source_, graph, held_));
  }
  const OpenData* data = opened_ ? &*opened_ : nullptr;
  if (shared_ != nullptr) {
    OCTET_ASSIGN(data, shared_->open(source_, graph));
  }
  if (classes_ == 0) classes_ = classes_of(*data);
  return data;
}

Result<Statistics> CalibrationData::statistics(const Graph& graph,
                                               const std::vector<ValueId>& values) {
  if (shared_ == nullptr) return sweep(graph, values);
  OCTET_TRY(open(graph));
  return shared_->statistics(graph, values, observer_, [&](const std::vector<ValueId>& unseen) {
    return sweep(graph, unseen);
  });
}

Result<Statistics> CalibrationData::sweep(const Graph& graph, const std::vector<ValueId>& values) {
  OCTET_ASSIGN(const auto* data, open(graph));
  CalibrationOptions options;
  options.observer = observer_;
  options.selection = data->selection;
  options.undecodable = undecodable();
  options.progress = progress_;
  OCTET_ASSIGN(auto found, calibrate(graph, values, *data->dataset, options));
  found.model_hash = model_hash_;
  found.recipe = data->recipe == Recipe{} ? std::string() : to_json(data->recipe);
  skipped_ = static_cast<std::int64_t>(data->selection.size()) - found.samples;
  return found;
}

Result<std::int64_t> CalibrationData::some(const Graph& graph, std::int64_t limit,
                                           const BatchVisitor& visit) {
  OCTET_ASSIGN(const auto* data, open(graph));
  const auto selection = spread_evenly(data->selection, limit);
  LoaderOptions loader;
  loader.batch_size = calibration_batch;
  loader.undecodable = undecodable();
  OCTET_ASSIGN(const auto report, for_each_batch(*data->dataset, selection, loader, visit));
  return report.samples;
}

RequestSources::RequestSources(const QuantizeRequest& request, const QuantizeOptions& options,
                               const std::string& model_hash, SharedCalibration* shared)
    : request_(request),
      options_(options),
      model_hash_(model_hash),
      data_(request.data, options.observer, request.progress, model_hash, shared) {
  if (options.choose_ranges || options.equalize || options.absorb_bias || options.refine_bias ||
      options.learn_rounding) {
    data_.hold();
  }
}

Result<Statistics> RequestSources::calibrated(const Graph& graph,
                                              const std::vector<ValueId>& values) {
  if (!request_.statistics.empty()) return statistics_from_file(request_.statistics, model_hash_);
  return data_.statistics(graph, values);
}

Result<QuantizeSources> RequestSources::sources(const Graph& graph) {
  QuantizeSources sources;
  StatisticsSource source = [this](const Graph& current, const std::vector<ValueId>& values) {
    return calibrated(current, values);
  };
  if (request_.data_free) {
    OCTET_ASSIGN(const auto ranges, input_ranges(request_, graph));
    const auto derived = data_free_sources(ranges, options_.observer);
    source = derived.statistics;
    sources.profiles = derived.profiles;
  } else if (request_.statistics.empty()) {
    sources.samples = [this](const Graph& current, std::int64_t limit, const BatchVisitor& visit) {
      return data_.some(current, limit, visit);
    };
    sources.profiles = [this, samples = sources.samples](
                           const Graph& current, const std::vector<ProfileRequest>& requests) {
      const auto limit = request_.optimize == "best" ? profile_samples_best : profile_samples;
      return profile_channels(current, requests, samples, limit);
    };
  }
  sources.statistics = [this, source](const Graph& current,
                                      const std::vector<ValueId>& values) -> Result<Statistics> {
    OCTET_ASSIGN(statistics_, source(current, values));
    return *statistics_;
  };
  return sources;
}

}  // namespace octet

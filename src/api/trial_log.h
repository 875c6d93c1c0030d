#pragma once
// The log of a search: JSON lines, from which an interrupted one goes on.

#include <map>
#include <string>
#include <vector>

#include "core/result.h"
#include "octet/tune.h"
#include "tuning/trial.h"

namespace octet {

/// One line for each trial, and one for each list of layers that was measured. The file always
/// holds whole lines.
class TrialLog {
 public:
  /// With `resume` what the file holds is known, else the log begins anew.
  [[nodiscard]] static Result<TrialLog> open(std::string path, bool resume);

  [[nodiscard]] const TuneTrial* find(const std::string& key) const;
  [[nodiscard]] const std::vector<LayerEffect>* find_layers(const std::string& key) const;
  [[nodiscard]] Status add(const TuneTrial& trial);
  [[nodiscard]] Status add_layers(const std::string& key, const std::vector<LayerEffect>& layers);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  [[nodiscard]] Status read();
  [[nodiscard]] Status append(const std::string& line);

  std::string path_;
  std::string text_;
  std::map<std::string, TuneTrial> trials_;
  std::map<std::string, std::vector<LayerEffect>> layers_;
};

}  // namespace octet

#pragma once
// Where samples come from.

#include <cstdint>
#include <string>

namespace octet {

struct DataSource {
  std::string path;    ///< folder, archive, .npy, .npz or IDX file (docs/cli.md lists the forms)
  std::string labels;  ///< .npy of labels, for .npy data
  std::string
      recipe;  ///< JSON file that says how an image becomes the input; "" uses the model's own
  std::int64_t samples = 0;  ///< drawn by seed over the whole set; 0: all
  std::uint64_t seed = 0;
  bool skip_undecodable = false;  ///< leave out images that cannot be decoded instead of failing
};

}  // namespace octet

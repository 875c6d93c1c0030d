#include "octet/runtime.h"

namespace octet {

std::string_view version() { return OCTET_VERSION; }

}  // namespace octet

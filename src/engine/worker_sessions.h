#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "core/parallel.h"
#include "engine/program.h"

namespace octet {

/// Sessions of a program, made on demand, one per worker. The program must outlive it.
class WorkerSessions {
 public:
  explicit WorkerSessions(const Program& program)
      : program_(&program), sessions_(static_cast<std::size_t>(std::max(thread_count(), 1))) {}

  [[nodiscard]] Result<Session*> get(int worker) {
    auto& session = sessions_[static_cast<std::size_t>(worker)];
    if (!session) {
      OCTET_ASSIGN(session, program_->session());
    }
    return session.get();
  }

 private:
  const Program* program_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

}  // namespace octet

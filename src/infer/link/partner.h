// The machine with a model's last layers, or with its own rows of all matrices: takes steps from
// the one that leads. It follows:
// which blocks sequences have is decided there. One leader at a time; its weights stay for the
// next one. One thread, beside which another tells that it is at work.
#pragma once

#include <functional>

#include "ground/base/stop.h"
#include "infer/link/messages.h"

namespace lathe::infer {

struct PartnerOptions {
  std::uint64_t memory = 0;  // for weights, scratch and what sequences remember
  const KernelTable* kernels = nullptr;
  std::function<void(const std::string&)> log = {};
};

class LinkPartner {
 public:
  // All but the weights. References must outlive it.
  static Result<std::unique_ptr<LinkPartner>> open(const Gguf& file, ThreadTeam& team,
                                                   PartnerOptions options);
  // Serves whoever is at the other end until the link ends, or `stop` is raised. An error says why
  // it did, if that was neither's wish.
  Status serve(std::unique_ptr<Wire> wire, const StopFlag& stop);

 private:
  LinkPartner(const Gguf& file, Blueprint blueprint, std::string identity, ThreadTeam& team,
              PartnerOptions options);
  struct Session;
  Status greet(Session& session);
  Result<Frame> first_frame(Session& session);
  Status follow(Session& session);
  Status change(Session& session, const Frame& frame);
  Status step(Session& session, const Frame& frame);
  Status load(const LinkPlan& plan);
  void log(const std::string& line) const {
    if (options_.log) options_.log(line);
  }

  const Gguf* file_;
  Blueprint blueprint_;
  std::string identity_;
  ThreadTeam* team_;
  PartnerOptions options_;
  std::unique_ptr<Model> model_;  // null: nobody came yet
};

}  // namespace lathe::infer

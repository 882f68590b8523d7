// The canaries of models: made, compared, acted upon.
#include "app/node/canary.h"

#include <bit>

#include "ground/base/hash.h"
#include "ground/base/version.h"

namespace lathe::app {
namespace {

constexpr const char* kCanaryText = "The quick brown fox jumps over the lazy dog. 0123456789 =";
constexpr int kCanaryTokens = 32, kCanaryNeighbours = 3;
constexpr std::int64_t kCanarySeed = 20'261'202;

void put(std::string& bytes, const std::string& token, double logprob) {
  bytes +=
      fmt::format("{}:{}:{:016x}\n", token.size(), token, std::bit_cast<std::uint64_t>(logprob));
}

// "3" of "3:HASH"; "": it is no canary.
std::string numerics_of(const std::string& canary) {
  const auto colon = canary.find(':');
  return colon == canary.npos ? "" : canary.substr(0, colon);
}

}  // namespace

Result<std::string> canary_of(Worker& worker, const StopFlag& stop) {
  Request request;
  request.ask = TextPrompt{kCanaryText};
  request.max_tokens = kCanaryTokens;
  request.sampling.temperature = 1;
  request.sampling.seed = kCanarySeed;
  request.top_logprobs = kCanaryNeighbours;
  LATHE_TRY(const Reply reply, worker.complete(request, stop, {}));
  std::string bytes;
  for (const LogprobEntry& entry : reply.logprobs) {
    put(bytes, entry.token, entry.logprob);
    for (const auto& [token, logprob] : entry.top) put(bytes, token, logprob);
  }
  if (bytes.empty())
    return fail(ErrorKind::kUnavailable, "{}: it gives no log probabilities, so it has no canary",
                worker.info().name);
  return fmt::format("{}:{}", kNumerics, sha256_hex(bytes));
}

std::vector<OddNode> odd_ones(std::span<const books::NodeRow> nodes, const std::string& trusted) {
  struct Canary {
    std::string node, canary;
  };
  std::map<std::pair<std::string, std::string>, std::vector<Canary>> said;  // by model and numerics
  for (const books::NodeRow& node : nodes) {
    const Json& canaries = json_at(node.load, kCanary);
    if (node.state != books::NodeState::kActive || !canaries.is_object()) continue;
    for (const auto& [model, canary] : canaries.items())
      if (canary.is_string())
        said[{model, numerics_of(canary)}].push_back({node.id, canary.get<std::string>()});
  }
  std::vector<OddNode> odd;
  for (const auto& [of, canaries] : said) {
    using Votes = std::map<std::string, std::pair<bool, int>>;
    Votes votes;  // whether by `trusted`, and how many
    for (const Canary& each : canaries) {
      auto& [by_trusted, count] = votes[each.canary];
      by_trusted |= each.node == trusted;
      ++count;
    }
    const auto most = std::ranges::max_element(votes, {}, &Votes::value_type::second);
    const bool tied = std::ranges::count(votes, most->second, &Votes::value_type::second) > 1;
    for (const Canary& each : canaries)
      if (each.canary != most->first || tied) odd.push_back({each.node, of.first});
  }
  return odd;
}

Result<std::vector<OddNode>> quarantine_odd_ones(books::LeaseStore& store,
                                                 const std::string& trusted,
                                                 std::map<std::string, Json>& seen) {
  LATHE_TRY(std::vector<books::NodeRow> nodes, store.nodes());
  for (books::NodeRow& node : nodes) {
    Json& canaries = seen[node.id];
    if (json_at(node.load, kCanary).is_object()) canaries = json_at(node.load, kCanary);
    node.load = {{kCanary, canaries}};
  }
  std::vector<OddNode> odd = odd_ones(nodes, trusted);
  for (const OddNode& each : odd)
    LATHE_TRY_STATUS(store.set_node_state(each.node, books::NodeState::kQuarantined));
  return odd;
}

}  // namespace lathe::app

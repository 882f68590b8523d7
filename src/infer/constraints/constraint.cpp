// Runs a grammar's automaton over token bytes. A position is a set of (state, stack of return
// states); stacks are shared nodes, so that equal positions are equal numbers. Positions form an
// automaton of their own that is built as it is walked and kept: for each position its step per
// byte and, where a token ended there, its token mask.
#include "infer/constraints/constraint.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "infer/constraints/grammar.h"

namespace lathe::infer {
namespace {

using grammar::Edge;
using grammar::Program;

// Beyond these a walk ends, and says so: only an ambiguous or hostile grammar gets there.
constexpr std::size_t kMaxConfigs = 16'384;
constexpr std::size_t kMaxStepWork = 2'000'000;  // states looked at for one token
constexpr std::size_t kMaxStackNodes = 1'000'000;
// What is kept of walked positions; beyond, the tables start anew.
constexpr std::size_t kMaxPositions = 16'384;
constexpr std::size_t kMaxMasks = 1024;

constexpr std::uint32_t kBottom = 0;  // the empty stack

struct Config {
  std::uint32_t state;
  std::uint32_t stack;
  auto operator<=>(const Config&) const = default;
};

struct Position {
  std::vector<Config> configs;  // states with byte or token edges; sorted
  bool complete = false;        // the text so far is a sentence
  bool operator<(const Position& other) const {
    return complete != other.complete ? complete < other.complete : configs < other.configs;
  }
  bool dead() const { return configs.empty() && !complete; }
};

// The vocabulary in byte order, so that one walk steps over shared beginnings once.
struct SortedPieces {
  explicit SortedPieces(const Tokenizer& tokenizer) {
    std::vector<std::string> pieces(tokenizer.size());
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      if (tokenizer.is_end(id)) continue;
      pieces[i] = tokenizer.piece(id);
      if (!pieces[i].empty()) ids.push_back(id);
    }
    std::sort(ids.begin(), ids.end(), [&](TokenId a, TokenId b) {
      return pieces[static_cast<std::size_t>(a)] < pieces[static_cast<std::size_t>(b)];
    });
    std::string_view last;
    for (const TokenId id : ids) {
      const std::string& piece = pieces[static_cast<std::size_t>(id)];
      const auto common =
          std::mismatch(last.begin(), last.end(), piece.begin(), piece.end()).second -
          piece.begin();
      shared.push_back(static_cast<std::uint32_t>(common));
      offsets.push_back(bytes.size());
      bytes += piece;
      longest = std::max(longest, piece.size());
      last = piece;
    }
    offsets.push_back(bytes.size());
  }
  std::string_view piece(std::size_t i) const {
    return std::string_view(bytes).substr(offsets[i], offsets[i + 1] - offsets[i]);
  }
  std::vector<TokenId> ids;
  std::vector<std::uint32_t> shared;  // bytes in common with the one before
  std::vector<std::size_t> offsets;
  std::string bytes;
  std::size_t longest = 0;
};

class Automaton final : public Grammar {
 public:
  Automaton(Program program, const Tokenizer& tokenizer, std::vector<std::string> unkept = {})
      : program_(std::move(program)),
        tokenizer_(tokenizer),
        pieces_(tokenizer),
        ends_rule_(program_.states.size()) {
    is_end_.resize(program_.states.size());
    for (const std::uint32_t end : program_.end) is_end_[end] = true;
    // A state from which nothing but the end of its rule follows: a call that would come back there
    // needs no return.
    for (std::uint32_t s = 0; s < program_.states.size(); ++s) {
      std::uint32_t at = s;
      for (int hops = 0; hops < 8 && !is_end_[at]; ++hops) {
        const auto& edges = program_.states[at];
        if (edges.size() != 1 || edges[0].kind != Edge::Kind::kEmpty) break;
        at = edges[0].to;
      }
      ends_rule_[s] = is_end_[at];
    }
    stacks_.push_back({});
    unkept_ = std::move(unkept);
  }

  Position begin() const {
    const std::scoped_lock lock(mutex_);
    work_ = 0;
    return close({{program_.start[program_.root], kBottom}});
  }

  // False: nothing may come.
  bool mask(const Position& position, std::span<std::uint32_t> mask) const {
    const std::scoped_lock lock(mutex_);
    forget_if_full();
    work_ = 0;
    const std::uint32_t id = intern(position);
    if (nodes_[id].mask.empty()) {
      if (masks_ >= kMaxMasks) {
        for (Node& node : nodes_) node.mask = {};
        masks_ = 0;
      }
      ++masks_;
      std::vector<std::uint32_t> fresh = compute_mask(id, mask.size());
      nodes_[id].mask = std::move(fresh);
    }
    std::copy(nodes_[id].mask.begin(), nodes_[id].mask.end(), mask.begin());
    // What was cut short says nothing of the tokens that were not reached.
    return !too_wide_ &&
           std::any_of(mask.begin(), mask.end(), [](std::uint32_t word) { return word != 0; });
  }

  // The position after a token that is no end token; dead when it may not come.
  Position after(const Position& position, TokenId token) const {
    const std::scoped_lock lock(mutex_);
    forget_if_full();
    work_ = 0;
    Position next;
    const std::string piece = tokenizer_.piece(token);
    if (!piece.empty()) {
      std::uint32_t id = intern(position);
      for (const char c : piece) id = step(id, static_cast<std::uint8_t>(c));
      next = *nodes_[id].position;
    }
    next = merge_tokens(position, token, std::move(next));
    return too_wide_ ? Position() : next;
  }

  bool is_end(TokenId token) const { return tokenizer_.is_end(token); }
  std::size_t vocabulary() const { return tokenizer_.size(); }

 private:
  struct StackNode {
    std::uint32_t state = 0, parent = 0;
  };
  struct Node {
    const Position* position;
    std::vector<std::uint32_t> next;  // per byte; kUnknown until walked
    std::vector<std::uint32_t> mask;
  };
  static constexpr std::uint32_t kUnknown = UINT32_MAX;

  std::uint32_t push(std::uint32_t state, std::uint32_t parent) const {
    const auto key = static_cast<std::uint64_t>(state) << 32 | parent;
    const auto [at, fresh] =
        stack_ids_.try_emplace(key, static_cast<std::uint32_t>(stacks_.size()));
    if (fresh) stacks_.push_back({state, parent});
    return at->second;
  }

  // Follows everything that reads nothing.
  Position close(std::vector<Config> open) const {
    Position position;
    std::unordered_set<std::uint64_t> visited;
    const auto visit = [&](Config config) {
      if (visited.insert(static_cast<std::uint64_t>(config.state) << 32 | config.stack).second)
        open.push_back(config);
    };
    for (const Config& config : open)
      visited.insert(static_cast<std::uint64_t>(config.state) << 32 | config.stack);
    while (!open.empty()) {
      if (visited.size() > kMaxConfigs * 4 || stacks_.size() > kMaxStackNodes ||
          ++work_ > kMaxStepWork) {
        too_wide_ = true;
        return {};
      }
      const Config config = open.back();
      open.pop_back();
      if (is_end_[config.state]) {
        if (config.stack == kBottom) {
          position.complete = true;
        } else {
          visit({stacks_[config.stack].state, stacks_[config.stack].parent});
        }
        continue;
      }
      bool reads = false;
      for (const Edge& edge : program_.states[config.state]) {
        if (edge.kind == Edge::Kind::kEmpty) {
          visit({edge.to, config.stack});
        } else if (edge.kind == Edge::Kind::kCall) {
          visit({program_.start[edge.value],
                 ends_rule_[edge.to] ? config.stack : push(edge.to, config.stack)});
        } else {
          reads = true;
        }
      }
      if (reads) position.configs.push_back(config);
    }
    if (position.configs.size() > kMaxConfigs) {
      too_wide_ = true;
      return {};
    }
    std::sort(position.configs.begin(), position.configs.end());
    return position;
  }

  // Only between walks: numbers of positions are good for one walk.
  void forget_if_full() const {
    if (nodes_.size() < kMaxPositions) return;
    nodes_.clear();
    ids_.clear();
    masks_ = 0;
  }

  std::uint32_t intern(const Position& position) const {
    const auto [at, fresh] = ids_.try_emplace(position, static_cast<std::uint32_t>(nodes_.size()));
    if (fresh) nodes_.push_back({&at->first, std::vector<std::uint32_t>(256, kUnknown), {}});
    return at->second;
  }

  std::uint32_t step(std::uint32_t id, std::uint8_t byte) const {
    if (nodes_[id].next[byte] != kUnknown) return nodes_[id].next[byte];
    std::vector<Config> open;
    for (const Config& config : nodes_[id].position->configs) {
      for (const Edge& edge : program_.states[config.state]) {
        if (edge.kind == Edge::Kind::kBytes && edge.low <= byte && byte <= edge.high) {
          open.push_back({edge.to, config.stack});
        }
      }
    }
    std::sort(open.begin(), open.end());
    open.erase(std::unique(open.begin(), open.end()), open.end());
    const std::uint32_t next = intern(close(std::move(open)));
    nodes_[id].next[byte] = next;
    return next;
  }

  std::vector<std::uint32_t> compute_mask(std::uint32_t start, std::size_t words) const {
    const Position origin = *nodes_[start].position;
    std::vector<std::uint32_t> mask(words);
    const auto allow = [&](TokenId id) {
      mask[static_cast<std::size_t>(id) / 32] |= 1u << (static_cast<std::size_t>(id) % 32);
    };
    std::vector<std::uint32_t> path(pieces_.longest + 1, start);
    std::size_t alive = 0;  // bytes of the last piece that could be read
    for (std::size_t i = 0; i < pieces_.ids.size(); ++i) {
      std::size_t depth = pieces_.shared[i];
      if (depth > alive) continue;  // shares the byte at which the last one failed
      const std::string_view piece = pieces_.piece(i);
      alive = depth;
      while (depth < piece.size()) {
        const std::uint32_t next = step(path[depth], static_cast<std::uint8_t>(piece[depth]));
        if (nodes_[next].position->dead()) break;
        path[++depth] = next;
        alive = depth;
      }
      if (depth == piece.size()) allow(pieces_.ids[i]);
    }
    for (const Config& config : origin.configs) {
      for (const Edge& edge : program_.states[config.state]) {
        if (edge.kind == Edge::Kind::kToken) allow(static_cast<TokenId>(edge.value));
        if (edge.kind != Edge::Kind::kNotToken) continue;
        for (const TokenId id : pieces_.ids) {
          if (id != static_cast<TokenId>(edge.value)) allow(id);
        }
      }
    }
    if (origin.complete) {
      for (const TokenId id : tokenizer_.end_tokens()) allow(id);
    }
    return mask;
  }

  // Adds what token edges allow to what the bytes gave.
  Position merge_tokens(const Position& from, TokenId token, Position into) const {
    std::vector<Config> open;
    for (const Config& config : from.configs) {
      for (const Edge& edge : program_.states[config.state]) {
        const bool same = edge.value == static_cast<std::uint32_t>(token);
        if ((edge.kind == Edge::Kind::kToken && same) ||
            (edge.kind == Edge::Kind::kNotToken && !same)) {
          open.push_back({edge.to, config.stack});
        }
      }
    }
    if (open.empty()) return into;
    Position more = close(std::move(open));
    into.complete = into.complete || more.complete;
    into.configs.insert(into.configs.end(), more.configs.begin(), more.configs.end());
    std::sort(into.configs.begin(), into.configs.end());
    into.configs.erase(std::unique(into.configs.begin(), into.configs.end()), into.configs.end());
    return into;
  }

  Program program_;
  const Tokenizer& tokenizer_;
  SortedPieces pieces_;
  std::vector<bool> ends_rule_;
  std::vector<bool> is_end_;

  mutable std::mutex mutex_;  // guards what follows
  mutable std::vector<StackNode> stacks_;
  mutable std::unordered_map<std::uint64_t, std::uint32_t> stack_ids_;
  mutable std::map<Position, std::uint32_t> ids_;
  mutable std::vector<Node> nodes_;
  mutable std::size_t masks_ = 0;
  mutable std::size_t work_ = 0;  // for the token at hand
};

class Walk final : public Constraint {
 public:
  explicit Walk(std::shared_ptr<const Automaton> automaton)
      : automaton_(std::move(automaton)), position_(automaton_->begin()) {}

  std::unique_ptr<Constraint> fork() const override { return std::make_unique<Walk>(*this); }
  bool mask(std::span<std::uint32_t> mask) override { return automaton_->mask(position_, mask); }
  Status accept(TokenId token) override {
    if (automaton_->is_end(token)) {
      if (position_.complete) return {};
      return invalid("the text is not complete: an end token may not come here");
    }
    Position next = automaton_->after(position_, token);
    if (next.dead()) return invalid("token {} does not fit the grammar here", token);
    position_ = std::move(next);
    return {};
  }
  bool complete() const override { return position_.complete; }

 private:
  std::shared_ptr<const Automaton> automaton_;
  Position position_;
};

Result<Program> behind(const AnswerLead& lead, Program program) {
  if (lead == AnswerLead()) return program;
  LATHE_TRY(Program first, grammar::compile_lead(lead));
  return grammar::in_turn(std::move(first), std::move(program));
}

}  // namespace

Result<std::shared_ptr<const Grammar>> Grammar::from_gbnf(std::string_view source,
                                                          const Tokenizer& tokenizer,
                                                          const AnswerLead& lead) {
  LATHE_TRY(Program program, grammar::parse_gbnf(source, tokenizer));
  LATHE_TRY(program, behind(lead, std::move(program)));
  return std::make_shared<Automaton>(std::move(program), tokenizer);
}

Result<std::shared_ptr<const Grammar>> Grammar::from_schema(const Json& schema,
                                                            const Tokenizer& tokenizer, bool strict,
                                                            const AnswerLead& lead) {
  LATHE_TRY(auto compiled, grammar::compile_schema(schema, strict));
  LATHE_TRY(compiled.program, behind(lead, std::move(compiled.program)));
  return std::make_shared<Automaton>(std::move(compiled.program), tokenizer,
                                     std::move(compiled.unkept));
}

Result<std::shared_ptr<const Grammar>> Grammar::from_calls(const CallForm& form,
                                                           std::span<const OfferedTool> tools,
                                                           const CallDemand& demand,
                                                           const Tokenizer& tokenizer) {
  LATHE_TRY(auto compiled, grammar::compile_calls(form, tools, demand));
  return std::make_shared<Automaton>(std::move(compiled.program), tokenizer,
                                     std::move(compiled.unkept));
}

std::string Grammar::problem() const {
  if (!too_wide_) return "";
  return fmt::format(
      "the grammar can be followed in too many ways at once here (more than {}, or {} steps for "
      "one token); make it less ambiguous",
      kMaxConfigs, kMaxStepWork);
}

Result<std::shared_ptr<const Grammar>> Grammar::any_json(const Tokenizer& tokenizer,
                                                         const AnswerLead& lead) {
  LATHE_TRY(Program program, behind(lead, grammar::any_json_object()));
  return std::make_shared<Automaton>(std::move(program), tokenizer);
}

std::unique_ptr<Constraint> Constraint::start(std::shared_ptr<const Grammar> grammar) {
  return std::make_unique<Walk>(std::static_pointer_cast<const Automaton>(std::move(grammar)));
}

}  // namespace lathe::infer

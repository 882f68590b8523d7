// Guesses of a small model, or of a layer that predicts.
#include "infer/engine/draft_model.h"

#include <algorithm>
#include <chrono>
#include <unordered_map>

namespace lathe::infer {
namespace {

// A first guess of how good guesses are weighs as much as so many checks.
constexpr double kTrailPrior = 8, kFirst = 0.7;
// What is forgotten of a trail's past with each token that it was not asked for.
constexpr double kForget = 1.0 / 64;
// Of the model's vocabulary, so much must have a counterpart.
constexpr double kLeastCommon = 0.5;

TokenId best_of(std::span<const float> logits) {
  return static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
}

}  // namespace

Result<VocabularyMap> VocabularyMap::make(const Tokenizer& model, const Tokenizer& draft) {
  VocabularyMap map;
  std::unordered_map<std::string, TokenId> by_text;
  for (std::size_t id = 0; id < draft.size(); ++id)
    by_text.emplace(draft.piece(static_cast<TokenId>(id), true), static_cast<TokenId>(id));
  map.from_draft.assign(draft.size(), kNoToken);
  bool same = model.size() == draft.size();
  std::size_t common = 0;
  for (std::size_t id = 0; id < model.size(); ++id) {
    const auto found = by_text.find(model.piece(static_cast<TokenId>(id), true));
    const TokenId theirs = found == by_text.end() ? kNoToken : found->second;
    map.to_draft.push_back(theirs);
    same = same && theirs == static_cast<TokenId>(id);
    if (theirs == kNoToken) continue;
    map.from_draft[static_cast<std::size_t>(theirs)] = static_cast<TokenId>(id);
    ++common;
  }
  if (same) return VocabularyMap{};
  if (static_cast<double>(common) < kLeastCommon * static_cast<double>(model.size()))
    return invalid("the draft model knows {} of the model's {} tokens; too few to guess them",
                   common, model.size());
  return map;
}

std::size_t guesses_worth(double confidence, double draft_seconds, std::size_t streams,
                          std::span<const double> step_seconds) {
  if (streams == 0 || streams > step_seconds.size()) return 0;
  const auto many = static_cast<double>(streams);
  double tokens = many, right = 1, best_rate = tokens / step_seconds[streams - 1];
  std::size_t best = 0;
  for (std::size_t n = 1; n <= DraftModel::kMostGuesses; ++n) {
    if (streams * (n + 1) > step_seconds.size()) break;
    right *= confidence;
    tokens += many * right;
    const double rate =
        tokens / (step_seconds[streams * (n + 1) - 1] + static_cast<double>(n) * draft_seconds);
    if (rate <= best_rate) continue;
    best_rate = rate;
    best = n;
  }
  return best;
}

DraftModel::DraftModel(std::unique_ptr<Executor> executor, std::uint64_t memory_bytes,
                       VocabularyMap map)
    : executor_(std::move(executor)), budget_(memory_bytes), map_(std::move(map)) {}

Result<std::unique_ptr<DraftModel>> DraftModel::create(std::unique_ptr<Executor> executor,
                                                       std::uint64_t memory_bytes,
                                                       VocabularyMap map) {
  LATHE_CHECK(!executor->blueprint().predicts || executor->options().keep_hidden);
  std::unique_ptr<DraftModel> model(
      new DraftModel(std::move(executor), memory_bytes, std::move(map)));
  const MemoryLayout& layout = model->executor_->layout();
  const std::uint64_t block = std::max<std::uint64_t>(1, layout.block_bytes());
  const std::uint64_t state = std::max<std::uint64_t>(1, layout.state_bytes());
  LATHE_TRY(auto store, MemoryStore::create(
                            layout, static_cast<std::size_t>(memory_bytes / block) + 1,
                            model->budget_, static_cast<std::size_t>(memory_bytes / state) + 1));
  model->store_.emplace(std::move(store));
  return model;
}

DraftModel::Bytes DraftModel::bytes() const {
  return {executor_->weight_bytes(), executor_->scratch_bytes(), budget_.limit()};
}

DraftModel::Trail DraftModel::begin() {
  Trail trail(*store_);
  trail.right_ = kTrailPrior * kFirst;
  trail.wrong_ = kTrailPrior * (1 - kFirst);
  return trail;
}

void DraftModel::Trail::checked(std::size_t accepted, std::size_t drafted) {
  right_ += static_cast<double>(accepted);
  if (accepted < drafted) wrong_ += 1;
}

void DraftModel::Trail::rest() {
  right_ += kForget * (kTrailPrior * kFirst - right_);
  wrong_ += kForget * (kTrailPrior * (1 - kFirst) - wrong_);
}

void DraftModel::Trail::restart(std::size_t base) {
  memory_.clear();
  hidden_.clear();
  base_ = base;
  computed_ = 0;
}

// How many of its positions could be read by now.
std::size_t DraftModel::readable(const Trail& trail, std::size_t tokens) const {
  if (!reads_hidden()) return tokens;
  const std::size_t width = executor_->blueprint().embedding;
  const std::size_t known = trail.computed_ + trail.hidden_.size() / width;
  return std::min(known, tokens - std::min(tokens, trail.base_ + 1));
}

// What stands at its positions [from, to).
std::vector<TokenId> DraftModel::tokens_at(const Trail& trail, std::span<const TokenId> tokens,
                                           std::size_t from, std::size_t to) const {
  const std::size_t first = trail.base_ + (reads_hidden() ? 1 : 0);
  std::vector<TokenId> own;
  for (std::size_t q = from; q < to; ++q) {
    TokenId token = tokens[first + q];
    if (token >= 0 && !map_.to_draft.empty())
      token = map_.to_draft[static_cast<std::size_t>(token)];
    own.push_back(std::max(token, 0));  // a row, or a word that it does not know: the first one
  }
  return own;
}

// Reads on to `end`, without an answer; false: it lacks memory, and has lost the sequence.
bool DraftModel::read_until(Trail& trail, std::span<const TokenId> tokens, std::size_t end) {
  const std::size_t width = executor_->blueprint().embedding;
  while (trail.computed_ < end) {
    const std::size_t from = trail.computed_;
    const std::size_t count = std::min(end - from, executor_->options().step_tokens);
    if (!trail.memory_.prepare(from, from + count)) {
      trail.restart(0);
      trail.lost_ = true;
      return false;
    }
    const std::vector<TokenId> own = tokens_at(trail, tokens, from, from + count);
    const Slice slice{.tokens = own,
                      .first_position = from,
                      .memory = &trail.memory_,
                      .beside = reads_hidden() ? trail.hidden_.data() : nullptr};
    executor_->run({&slice, 1}, OutputKind::kLogits);
    trail.computed_ = trail.memory_.settle(from + count);
    if (reads_hidden())
      trail.hidden_.erase(trail.hidden_.begin(),
                          trail.hidden_.begin() + static_cast<std::ptrdiff_t>(count * width));
  }
  return true;
}

void DraftModel::observe(Trail& trail, std::span<const TokenId> tokens, std::size_t position,
                         std::span<const float> hidden) {
  if (trail.lost_) return;
  const std::size_t width = executor_->blueprint().embedding;
  // It begins where the model does, which may be behind a prefix that was taken over.
  if (trail.base_ + trail.computed_ + trail.hidden_.size() / width != position)
    trail.restart(position);
  trail.hidden_.insert(trail.hidden_.end(), hidden.begin(), hidden.end());
  // The last one is read when a guess is wanted.
  const std::size_t all = readable(trail, tokens.size());
  if (all > trail.computed_ + 1) read_until(trail, tokens, all - 1);
}

struct DraftModel::Run {
  Trail* trail;
  std::size_t most;
  SequenceMemory memory;
  std::size_t position;        // the next one
  std::vector<float> beside;   // what is read there
  std::vector<TokenId> token;  // its own, in its own vocabulary
  bool done = false;
};

// One more token of each.
void DraftModel::guess_next(std::span<Run> runs) {
  std::vector<Slice> slices;
  std::vector<Run*> active;
  for (Run& run : runs) {
    run.done = run.done || run.trail->guess_.size() == run.most ||
               slices.size() == executor_->options().step_outputs() ||
               !run.memory.prepare(run.position, run.position + 1);
    if (run.done) continue;
    slices.push_back({.tokens = run.token,
                      .first_position = run.position,
                      .memory = &run.memory,
                      .outputs = 1,
                      .beside = reads_hidden() ? run.beside.data() : nullptr});
    active.push_back(&run);
  }
  if (slices.empty()) return;
  executor_->run(slices, OutputKind::kLogits);
  for (std::size_t i = 0; i < active.size(); ++i) {
    Run& run = *active[i];
    run.memory.settle(++run.position);
    run.token = {best_of(executor_->output(i))};
    if (reads_hidden()) run.beside.assign(executor_->hidden(i).begin(), executor_->hidden(i).end());
    TokenId guess = run.token.front();
    if (!map_.from_draft.empty()) guess = map_.from_draft[static_cast<std::size_t>(guess)];
    if (guess == kNoToken)
      run.done = true;
    else
      run.trail->guess_.push_back(guess);
  }
}

void DraftModel::propose(std::span<const Ask> asks) {
  const std::size_t width = executor_->blueprint().embedding;
  std::vector<Run> runs;
  for (const Ask& ask : asks) {
    Trail& trail = *ask.trail;
    trail.guess_.clear();
    if (trail.lost_) continue;
    const std::size_t end = readable(trail, ask.tokens.size());
    // Without what it would have to read of the last token there is nothing to go on from.
    const bool reads_last = !reads_hidden() || trail.base_ + end + 1 == ask.tokens.size();
    if (end <= trail.computed_ || !reads_last || !read_until(trail, ask.tokens, end - 1)) continue;
    // The last one is read ahead, too: the model's next step gives it again.
    Run run{.trail = &trail,
            .most = ask.most,
            .memory = trail.memory_.fork(trail.computed_),
            .position = trail.computed_,
            .beside = {},
            .token = tokens_at(trail, ask.tokens, end - 1, end)};
    if (reads_hidden())
      run.beside.assign(trail.hidden_.end() - static_cast<std::ptrdiff_t>(width),
                        trail.hidden_.end());
    runs.push_back(std::move(run));
  }
  for (std::size_t round = 0; round < kMostGuesses; ++round) guess_next(runs);
}

Result<double> DraftModel::measure() {
  const std::vector<float> beside(executor_->blueprint().embedding, 1.0f);
  const std::vector<TokenId> token{0};
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    SequenceMemory memory(*store_);
    LATHE_TRY_STATUS(memory.prepare(0, 1));
    const Slice slice{.tokens = token,
                      .first_position = 0,
                      .memory = &memory,
                      .outputs = 1,
                      .beside = reads_hidden() ? beside.data() : nullptr};
    const auto start = std::chrono::steady_clock::now();
    executor_->run({&slice, 1}, OutputKind::kLogits);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return best;
}

}  // namespace lathe::infer

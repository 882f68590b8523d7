// Scores of all positions, and the best of them.
#include "infer/cpu/lightning_indexer.h"

#include <algorithm>
#include <limits>

namespace lathe::infer {
namespace {

// With fewer tokens than this a thread, the positions before them are ranked in parts.
constexpr std::size_t kIndexItemsPerThread = 4;
constexpr float kWorst = -std::numeric_limits<float>::infinity();

bool better(const ScoredPosition& a, const ScoredPosition& b) {
  return a.score > b.score || (a.score == b.score && a.position < b.position);
}

// One thread's scratch.
struct IndexRoom {
  IndexRoom(float* base, const IndexerSpec& spec, std::size_t key)
      : q(base),
        products(q + spec.heads * key),
        kept(reinterpret_cast<ScoredPosition*>(products + spec.heads * kChunk)),
        scale(reinterpret_cast<float*>(kept + 2 * spec.most)),
        sum(reinterpret_cast<std::int16_t*>(scale + spec.heads * key / kActivationBlock)),
        q8(reinterpret_cast<std::int8_t*>(sum + spec.heads * key / 16)) {}
  static std::size_t floats(const IndexerSpec& spec, std::size_t key) {
    return spec.heads * (key + kChunk) + 4 * spec.most + spec.heads * key / 2;
  }
  float* q;              // (heads, padded key)
  float* products;       // (heads, kChunk): queries times a chunk's keys
  ScoredPosition* kept;  // the best so far, and those that may be better
  float* scale;          // q in 8 bits: its scales, sums and integers
  std::int16_t* sum;
  std::int8_t* q8;
};

// The best `most` of positions that come one after the other.
class Best {
 public:
  Best(ScoredPosition* kept, std::size_t most) : kept_(kept), most_(most) {}
  void offer(float score, std::size_t position) {
    // Of equal ones the older is better, and those kept are older.
    if (full_ && !(score > least_)) return;
    kept_[count_++] = {score, static_cast<std::uint32_t>(position)};
    if (count_ == 2 * most_) cut();
  }
  // Returns how many there are.
  std::size_t cut() {
    if (count_ <= most_) return count_;
    std::nth_element(kept_, kept_ + most_ - 1, kept_ + count_, better);
    count_ = most_;
    least_ = kept_[most_ - 1].score;
    full_ = true;
    return count_;
  }

 private:
  ScoredPosition* kept_;
  std::size_t most_, count_ = 0;
  bool full_ = false;
  float least_ = 0;  // the last kept one's score, once there are so many
};

}  // namespace

LightningIndexer::LightningIndexer(const Model& model, std::size_t layer, std::size_t rope)
    : weights_(model.layers()[layer]), layer_(layer), rope_(rope) {
  const auto& attention = std::get<LatentAttentionSpec>(model.blueprint().layers[layer].mixer);
  spec_ = *attention.indexer;
  turned_ = attention.rope.dimensions;
}

std::size_t LightningIndexer::thread_floats(const IndexerSpec& spec) {
  return IndexRoom::floats(spec, padded_head(spec.key));
}

std::size_t LightningIndexer::candidate_lists(std::size_t tokens, std::size_t threads) {
  return std::max(tokens, kIndexItemsPerThread * threads);
}

void LightningIndexer::choose(Step& step) const {
  ForwardScratch& s = step.scratch;
  const Step::Linear of_token[] = {{Slot::kIndexKey, s.v.data()},
                                   {Slot::kIndexWeights, s.scalars.data()}};
  step.multiply_linears(layer_, s.normed, of_token);
  const Step::Linear query{Slot::kIndexQuery, s.convolved.data()};
  step.multiply_linears(layer_, s.low, {&query, 1});
  const auto thread_scratch = [&](int thread) {
    return s.threads.data() + static_cast<std::size_t>(thread) * thread_floats(spec_);
  };
  step.team->run(step.tokens.size(), [&](std::size_t t, int thread) {
    remember(step, t, thread_scratch(thread));
    for (std::size_t h = 0; h < spec_.heads; ++h)
      turn(step, t, s.convolved.data() + (t * spec_.heads + h) * spec_.key);
  });

  std::vector<std::size_t> choosing;
  for (std::size_t t = 0; t < step.tokens.size(); ++t)
    if (step.tokens[t].position >= spec_.most) choosing.push_back(t);
  if (choosing.empty()) return;
  const auto threads = static_cast<std::size_t>(step.team->size());
  const std::size_t parts =
      std::max<std::size_t>(1, kIndexItemsPerThread * threads / choosing.size());
  step.team->run(choosing.size() * parts, [&](std::size_t item, int thread) {
    const std::size_t t = choosing[item / parts], part = item % parts;
    const std::size_t chunks = blocks_for(step.tokens[t].position + 1);
    rank(step, t, chunks * part / parts, chunks * (part + 1) / parts, thread_scratch(thread),
         s.candidates.data() + item * spec_.most);
  });
  step.team->run(choosing.size(), [&](std::size_t i, int) {
    const std::size_t count = parts * spec_.most;
    ScoredPosition* all = s.candidates.data() + i * count;
    if (parts > 1) std::nth_element(all, all + spec_.most - 1, all + count, better);
    std::uint32_t* chosen = s.chosen.data() + choosing[i] * spec_.most;
    for (std::size_t j = 0; j < spec_.most; ++j) chosen[j] = all[j].position;
    std::sort(chosen, chosen + spec_.most);
  });
}

void LightningIndexer::turn(const Step& step, std::size_t t, float* x) const {
  if (turned_ == 0) return;
  const float* cos = step.angles(rope_, t);
  step.kernels().rope(x, cos, cos + turned_ / 2, turned_, spec_.neox);
}

// One token's key, into its sequence's memory.
void LightningIndexer::remember(Step& step, std::size_t t, float* scratch) const {
  const KernelTable& kernels = step.kernels();
  float* key = step.scratch.v.data() + t * spec_.key;
  kernels.layer_norm(key, weights_.vector[Slot::kIndexKeyNorm].data(), spec_.key,
                     spec_.norm_epsilon, key);
  kernels.add(weights_.vector[Slot::kIndexKeyNormBias].data(), spec_.key, key);
  turn(step, t, key);
  const KvShape shape = index_shape(spec_.key);
  std::copy_n(key, spec_.key, scratch);
  std::fill(scratch + spec_.key, scratch + shape.key, 0.0f);
  const MemoryLayout::Place& place = step.layout->place(layer_);
  const std::size_t position = step.tokens[t].position;
  step.layout->format().store(
      step.tokens[t].memory->data(place.group, position) + place.index_offset, shape,
      position % kChunk, scratch, nullptr);
}

// A position's score is the sum over the heads of w·max(q·k, 0). What all scores of a token are
// multiplied by besides is greater than zero and changes no order.
void LightningIndexer::rank(const Step& step, std::size_t t, std::size_t from, std::size_t to,
                            float* scratch, ScoredPosition* best) const {
  const KvFormat& format = step.layout->format();
  const MemoryLayout::Place& place = step.layout->place(layer_);
  const KvShape shape = index_shape(spec_.key);
  const std::size_t heads = spec_.heads, end = step.tokens[t].position + 1;
  const float* weights = step.scratch.scalars.data() + t * heads;
  const IndexRoom room(scratch, spec_, shape.key);
  std::fill_n(room.q, heads * shape.key, 0.0f);
  for (std::size_t h = 0; h < heads; ++h)
    std::copy_n(step.scratch.convolved.data() + (t * heads + h) * spec_.key, spec_.key,
                room.q + h * shape.key);
  if (is_quantized(format.type))
    step.kernels().quantize(room.q, heads * shape.key, room.q8, room.scale, room.sum);
  const auto chunk_at = [&](std::size_t chunk) {
    return step.tokens[t].memory->data(place.group, chunk * kChunk) + place.index_offset;
  };
  Best kept(room.kept, spec_.most);
  for (std::size_t chunk = from; chunk < to; ++chunk) {
    format.score({.chunk = chunk_at(chunk),
                  .shape = shape,
                  .columns = heads,
                  .q = room.q,
                  .q_rows = {room.q8, room.scale, room.sum},
                  .out = room.products,
                  .ahead = chunk + 1 < to ? chunk_at(chunk + 1) : nullptr});
    float scores[kChunk] = {};
    for (std::size_t h = 0; h < heads; ++h)
      for (std::size_t i = 0; i < kChunk; ++i) {
        const float product = room.products[h * kChunk + i];
        scores[i] += weights[h] * (product > 0 ? product : 0);
      }
    const std::size_t start = chunk * kChunk;
    for (std::size_t i = 0; i < std::min(kChunk, end - start); ++i)
      kept.offer(scores[i] == scores[i] ? scores[i] : kWorst, start + i);
  }
  const std::size_t count = kept.cut();
  std::copy_n(room.kept, count, best);
  std::fill(best + count, best + spec_.most,
            ScoredPosition{kWorst, std::numeric_limits<std::uint32_t>::max()});
}

}  // namespace lathe::infer

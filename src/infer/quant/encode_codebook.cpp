// Encoders of the codebook types. The error of a group of weights x with a row v of the grid and a
// scale s is  Σ w·x² − 2·s·a + s²·b  with a = Σ w·x·v and b = Σ w·v². So a and b of all rows are
// computed once; then the best row for each of some scales is found by looking at every one, and
// only those rows are considered when scales are fitted and rounded.
#include <algorithm>
#include <memory>
#include <vector>

#include "infer/quant/blocks.h"
#include "infer/quant/codebook.h"
#include "infer/quant/fit.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kScales = 16;  // that are tried for a sub-block
constexpr std::size_t kMostRows = 2048;

struct Candidate {
  float a = 0, b = 0;
  std::uint16_t row = 0;
  std::uint8_t flip = 8;  // the element whose sign is not its own; 8: none
  bool minus = false;     // the sign of IQ1's delta

  float score(float s) const { return s * (s * b - 2 * a); }
};

// What a group of 8 or 4 weights can become.
struct Group {
  std::array<Candidate, kScales> candidates;

  const Candidate& best(float s) const {
    const Candidate* least = &candidates[0];
    for (const Candidate& each : candidates)
      if (each.score(s) < least->score(s)) least = &each;
    return *least;
  }
};

// The grid turned: element by element, its values in all rows.
class TurnedGrid {
 public:
  explicit TurnedGrid(const CodebookType& type)
      : rows_(std::size_t{1} << type.index_bits), values_(rows_ * type.group) {
    for (std::size_t r = 0; r < rows_; ++r)
      for (std::size_t i = 0; i < type.group; ++i)
        values_[i * rows_ + r] = type.grid[r * type.group + i];
  }
  std::size_t rows() const { return rows_; }
  Eight values(std::size_t element, std::size_t row) const {
    Eight eight;
    __builtin_memcpy(&eight, values_.data() + element * rows_ + row, sizeof eight);
    return eight;
  }

 private:
  std::size_t rows_;
  std::vector<float> values_;
};

struct alignas(32) RowSums {
  std::array<float, kMostRows> a, b;
};

void put(std::array<float, kMostRows>& to, std::size_t row, const Eight& eight) {
  __builtin_memcpy(to.data() + row, &eight, sizeof eight);
}
Eight get(const std::array<float, kMostRows>& from, std::size_t row) {
  Eight eight;
  __builtin_memcpy(&eight, from.data() + row, sizeof eight);
  return eight;
}

// Magnitudes, as signs are the weights' own.
template <std::size_t kGroup>
void sum_magnitudes(const TurnedGrid& grid, const float* x, const float* w, RowSums& sums) {
  for (std::size_t r = 0; r < grid.rows(); r += 8) {
    Eight a = {}, b = {};
    for (std::size_t i = 0; i < kGroup; ++i) {
      const Eight v = grid.values(i, r);
      a += v * (w[i] * std::fabs(x[i]));
      b += v * v * w[i];
    }
    put(sums.a, r, a);
    put(sums.b, r, b);
  }
}

// IQ1: values with their own signs, plus or minus 1.
void sum_deltas(const TurnedGrid& grid, const float* x, const float* w, float delta,
                RowSums& sums) {
  for (std::size_t r = 0; r < grid.rows(); r += 8) {
    Eight a = {}, b = {};
    for (std::size_t i = 0; i < 8; ++i) {
      const Eight v = grid.values(i, r) + delta;
      a += v * (w[i] * x[i]);
      b += v * v * w[i];
    }
    put(sums.a, r, a);
    put(sums.b, r, b);
  }
}

// Where the number of minus signs of 8 weights must be even and is odd, the sign of one is turned:
// the one whose w·x² is smallest. 8: none.
std::size_t cheapest_flip(const float* x, const float* w) {
  std::size_t minus = 0, cheapest = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    minus += std::signbit(x[i]);
    if (w[i] * x[i] * x[i] < w[cheapest] * x[cheapest] * x[cheapest]) cheapest = i;
  }
  return minus % 2 == 0 ? 8 : cheapest;
}

std::uint16_t best_row(const RowSums& sums, std::size_t rows, float s) {
  typedef int EightInts __attribute__((vector_size(32)));
  Eight least = Eight{} + std::numeric_limits<float>::infinity();
  EightInts where = {}, here = {0, 1, 2, 3, 4, 5, 6, 7};
  for (std::size_t r = 0; r < rows; r += 8, here += 8) {
    const Eight score = s * (s * get(sums.b, r) - 2 * get(sums.a, r));
    where = score < least ? here : where;
    least = score < least ? score : least;
  }
  std::size_t lane = 0;
  for (std::size_t i = 1; i < 8; ++i)
    if (least[i] < least[lane] || (least[i] == least[lane] && where[i] < where[lane])) lane = i;
  return static_cast<std::uint16_t>(where[lane]);
}

// Some elements that share a scale: 16 or 32, in groups. Of IQ1_S there are two of each group, for
// deltas that all of them share.
struct SubBlock {
  std::array<std::array<Group, 8>, 2> groups;
  std::size_t count = 0, variants = 1;
  float wanted = 0;

  struct Sum {
    float score = 0, a = 0, b = 0;
    std::size_t variant = 0;
  };
  Sum at(float s) const {
    Sum best{std::numeric_limits<float>::infinity()};
    for (std::size_t v = 0; v < variants; ++v) {
      Sum sum{.variant = v};
      for (std::size_t g = 0; g < count; ++g) {
        const Candidate& each = groups[v][g].best(s);
        sum.score += each.score(s);
        sum.a += each.a;
        sum.b += each.b;
      }
      if (sum.score < best.score) best = sum;
    }
    return best;
  }
  // The scale that is best for the rows that are best for one of the tries.
  void fit(const std::array<float, kScales>& tries) {
    float gain = 0;
    wanted = 0;
    const auto refit = [&](float s) {
      const Sum sum = at(s);
      if (!(sum.a > 0 && sum.a * sum.a > gain * sum.b)) return false;
      wanted = sum.a / sum.b;
      gain = sum.a * wanted;
      return true;
    };
    for (const float s : tries) refit(s);
    for (int round = 0; round < 3 && refit(wanted); ++round) {
    }
  }
};

template <TensorType kType>
class Encoder {
 public:
  void block(const float* x, const float* w, std::byte* out) {
    for (std::size_t j = 0; j < kSubs; ++j) prepare(x + kSub * j, w + kSub * j, subs_[j]);
    float most = 0;
    for (const SubBlock& sub : subs_) most = std::max(most, sub.wanted);
    constexpr float kLast = kBook.first + kBook.step * (kBook.scale_codes - 1);
    Choice best;
    for (int t = -4; t <= 4; ++t) {
      const float last = kLast * kBook.unit * (1 + 0.04f * static_cast<float>(t));
      const Choice choice = choose(f16_rounded(most / last));
      if (choice.score < best.score) best = choice;
    }
    for (int round = 0; round < 2 && best.b > 0; ++round) {
      const Choice choice = choose(f16_rounded(best.a / best.b));
      if (!(choice.score < best.score)) break;
      best = choice;
    }
    write(x, best, out);
  }

 private:
  static constexpr const CodebookType& kBook = codebook_of(kType);
  static constexpr std::size_t kSub = kBook.scale_per_16 ? 16 : 32, kSubs = kSuperBlock / kSub;
  static constexpr bool kSharedDelta = kType == TensorType::kIQ1_S;
  // Of the grid's values.
  static constexpr float kLargest = kBook.signs == Signs::kDeltas   ? 8
                                    : kBook.group == 8              ? 43
                                    : kType == TensorType::kIQ3_XXS ? 62
                                                                    : 15;

  static constexpr float kFlat = kBook.group == 8                ? 43.0f / 8
                                 : kType == TensorType::kIQ3_XXS ? 62.0f / 4
                                                                 : 15;

  struct Choice {
    float d = 0, score = 0, a = 0, b = 0;
    std::array<unsigned, kSubs> code = {};
  };

  static std::array<float, kScales> tries_for(const float* x) {
    const float unit = std::fabs(signed_extreme<kSub>(x)) / kLargest;
    std::array<float, kScales> tries;
    for (std::size_t t = 0; t < kScales; ++t) {
      const float step = static_cast<float>(t);
      if (kBook.signs == Signs::kDeltas)
        tries[t] = unit * (0.25f + 0.06f * step);
      else  // of flat blocks the largest element may be a small one of the grid
        tries[t] = unit * (t < 13 ? 0.6f + 0.05f * step : t < 15 ? 1.75f * (step - 12) : kFlat);
    }
    return tries;
  }

  // Candidates first … last - 1: the best rows of as many of the tries.
  void add_candidates(const std::array<float, kScales>& tries, bool minus, std::size_t flip,
                      std::size_t first, std::size_t last, Group& group) {
    for (std::size_t t = first; t < last; ++t) {
      const float s = tries[(t - first) * kScales / (last - first)];
      const std::uint16_t row = best_row(sums_, grid_.rows(), s);
      group.candidates[t] = {sums_.a[row], sums_.b[row], row, static_cast<std::uint8_t>(flip),
                             minus};
    }
  }

  void prepare(const float* x, const float* w, SubBlock& sub) {
    sub.count = kSub / kBook.group;
    const std::array<float, kScales> tries = tries_for(x);
    for (std::size_t g = 0; g < sub.count; ++g) {
      const std::size_t at = g * kBook.group;
      if constexpr (kBook.signs == Signs::kDeltas) {
        sub.variants = kSharedDelta ? 2 : 1;
        for (std::size_t v = 0; v < 2; ++v) {
          sum_deltas(grid_, x + at, w + at, v == 0 ? 1.0f : -1.0f, sums_);
          // Deltas of one group share its list.
          constexpr std::size_t kHalf = kSharedDelta ? kScales : kScales / 2;
          add_candidates(tries, v == 1, 8, kSharedDelta ? 0 : v * kHalf,
                         kSharedDelta ? kScales : (v + 1) * kHalf,
                         sub.groups[kSharedDelta ? v : 0][g]);
        }
      } else {
        std::array<float, kBook.group> signed_x;
        std::size_t flip = 8;
        if constexpr (kBook.signs == Signs::kEven) {
          flip = cheapest_flip(x + at / 8 * 8, w + at / 8 * 8);
          flip = flip < 8 && flip >= at % 8 && flip < at % 8 + kBook.group ? flip - at % 8 : 8;
        }
        std::copy_n(x + at, kBook.group, signed_x.begin());
        sum_magnitudes<kBook.group>(grid_, signed_x.data(), w + at, sums_);
        if (flip < 8) turn(w[at + flip] * std::fabs(signed_x[flip]), flip);
        add_candidates(tries, false, flip, 0, kScales, sub.groups[0][g]);
      }
    }
    sub.fit(tries);
  }

  // Takes 2·w·|x|·v of an element off every row's a.
  void turn(float wx, std::size_t element) {
    for (std::size_t r = 0; r < grid_.rows(); r += 8)
      put(sums_.a, r, get(sums_.a, r) - grid_.values(element, r) * (2 * wx));
  }

  // For a given d, each sub-block's code: the best of those near the wanted scale.
  Choice choose(float d) const {
    Choice choice{.d = d};
    if (!(d > 0)) return choice;
    for (std::size_t j = 0; j < kSubs; ++j) {
      const float unit = d * kBook.unit;
      const float near = (subs_[j].wanted / unit - kBook.first) / kBook.step;
      const int middle = static_cast<int>(round_even(clamped(near, 0, kBook.scale_codes - 1.0f)));
      SubBlock::Sum best{std::numeric_limits<float>::infinity()};
      float factor = 0;
      for (int code = std::max(0, middle - 1);
           code <= std::min(static_cast<int>(kBook.scale_codes) - 1, middle + 1); ++code) {
        const float s = kBook.scale(d, static_cast<unsigned>(code));
        const SubBlock::Sum sum = subs_[j].at(s);
        if (!(sum.score < best.score)) continue;
        best = sum;
        factor = s / d;
        choice.code[j] = static_cast<unsigned>(code);
      }
      choice.score += best.score;
      choice.a += factor * best.a;
      choice.b += factor * factor * best.b;
    }
    return choice;
  }

  void write(const float* x, const Choice& choice, std::byte* out) const {
    std::fill(out, out + kBook.block_bytes, std::byte{0});
    kBook.put_d(out, f32_to_f16(choice.d));
    for (std::size_t j = 0; j < 8; ++j) {
      CodebookBlock block = {};
      for (std::size_t h = 0; h < 32 / kSub; ++h) {
        const SubBlock& sub = subs_[j * (32 / kSub) + h];
        const unsigned code = choice.code[j * (32 / kSub) + h];
        const float s = kBook.scale(choice.d, code);
        block.scale[h] = static_cast<std::uint8_t>(code);
        if (kSub == 32) block.scale[1] = block.scale[0];
        const std::size_t variant = sub.at(s).variant;
        for (std::size_t g = 0; g < sub.count; ++g) {
          const Candidate& chosen = sub.groups[variant][g].best(s);
          const std::size_t at = h * kSub + g * kBook.group;
          block.index[at / kBook.group] = chosen.row;
          for (std::size_t i = 0; i < kBook.group; ++i) {
            const bool own = std::signbit(x[32 * j + at + i]) != (chosen.flip == i);
            const bool minus = kBook.signs == Signs::kDeltas ? chosen.minus : own;
            block.signs |= std::uint32_t{minus} << (at + i);
          }
        }
      }
      kBook.write(block, j, out);
    }
  }

  const TurnedGrid grid_{kBook};
  RowSums sums_;
  std::array<SubBlock, kSubs> subs_;
};

}  // namespace

template <TensorType kType>
void encode_codebook(const float* in, std::byte* blocks, std::size_t count,
                     std::span<const float> importance) {
  constexpr std::size_t kBytes = codebook_of(kType).block_bytes;
  const auto encoder = std::make_unique<Encoder<kType>>();
  with_wide_vectors([&] {
    for (std::size_t k = 0; k < count; k += kSuperBlock, blocks += kBytes)
      encoder->block(in + k, block_weights(importance, k), blocks);
  });
}

#define LATHE_CODEBOOK(type) \
  template void encode_codebook<type>(const float*, std::byte*, std::size_t, std::span<const float>)
LATHE_CODEBOOK(TensorType::kIQ1_S);
LATHE_CODEBOOK(TensorType::kIQ1_M);
LATHE_CODEBOOK(TensorType::kIQ2_XXS);
LATHE_CODEBOOK(TensorType::kIQ2_XS);
LATHE_CODEBOOK(TensorType::kIQ2_S);
LATHE_CODEBOOK(TensorType::kIQ3_XXS);
LATHE_CODEBOOK(TensorType::kIQ3_S);
#undef LATHE_CODEBOOK

}  // namespace lathe::infer

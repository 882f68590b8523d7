// What KernelTable's functions make of seeded operations, and what kernels make of them.
#include "infer/offload/trust_steps.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "infer/offload/operations.h"

namespace lathe::infer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool equal(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

// Memory that a device sees, numbers in it, and what was found different.
class Desk {
 public:
  Desk(Device& device, const KernelTable& table, std::mt19937& random)
      : device_(device), table_(table), random_(random) {
    places_.find = [this](const void* at, std::size_t bytes) { return find(at, bytes); };
    places_.constant = [this](Constant each) { return find(each.data(), each.size_bytes()); };
  }

  const KernelTable& table() const { return table_; }
  const Places& places() const { return places_; }
  std::mt19937& random() { return random_; }

  // So many elements, zero; nullptr once something went wrong, which run() says.
  template <class T>
  T* room(std::size_t count) {
    auto pages = Pages::allocate(std::max<std::size_t>(count, 1) * sizeof(T));
    if (!pages) return lack(pages.error());
    auto shared = device_.share({pages->data(), pages->size()});
    if (!shared) return lack(shared.error());
    auto* const at = reinterpret_cast<T*>(pages->data());
    pages_.push_back(std::move(*pages));
    shared_.push_back(std::move(*shared));
    return at;
  }
  float* normal(std::size_t count, float spread = 1) {
    auto* const at = room<float>(count);
    std::normal_distribution<float> normal(0, spread);
    for (std::size_t i = 0; at != nullptr && i < count; ++i) at[i] = normal(random_);
    return at;
  }
  Constant constant(std::size_t count) {
    const float* at = normal(count);
    return at == nullptr ? Constant() : Constant(at, count);
  }
  bool shape(Activations& rows, std::size_t count, std::size_t k) {
    if (const Status made = rows.reserve(count, k); !made) return lack(made.error()) != nullptr;
    rows.shape(k);
    for (const auto pages : rows.memory()) {
      auto shared = device_.share(pages);
      if (!shared) return lack(shared.error()) != nullptr;
      shared_.push_back(std::move(*shared));
    }
    return true;
  }
  bool complete() const { return !error_; }

  Status run(std::span<const Dispatch> work) {
    if (error_) return std::unexpected(*error_);
    if (work.empty())
      return fail(ErrorKind::kUnavailable, "the device does not see memory that it was shown");
    return device_.run(work);
  }
  void compare(const float* got, const float* want, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) compared_.differ += !equal(got[i], want[i]);
    compared_.values += count;
  }
  template <class T>
  void compare_integers(const T* got, const T* want, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) compared_.differ += got[i] != want[i];
    compared_.values += count;
  }
  // Rows and their 8 bits against what the table makes of the rows that are wanted.
  void compare_rows(Activations& got, const std::vector<float>& want) {
    const std::size_t k = got.k(), count = want.size() / k;
    compare(got.row(0), want.data(), want.size());
    if (k % kActivationBlock != 0) return;
    std::vector<std::int8_t> q(want.size());
    std::vector<float> scale(want.size() / kActivationBlock);
    std::vector<std::int16_t> sum(want.size() / 16);
    for (std::size_t i = 0; i < count; ++i)
      table_.quantize(want.data() + i * k, k, q.data() + i * k,
                      scale.data() + i * k / kActivationBlock, sum.data() + i * k / 16);
    const QuantizedRows rows = got.quantized(0);
    compare_integers(rows.q, q.data(), q.size());
    compare(rows.scale, scale.data(), scale.size());
    compare_integers(rows.sum, sum.data(), sum.size());
  }
  const Compared& compared() const { return compared_; }

 private:
  std::uint64_t find(const void* at, std::size_t bytes) const {
    for (const auto& shared : shared_)
      if (const std::uint64_t address = shared->address(at, bytes)) return address;
    return 0;
  }
  std::nullptr_t lack(const Error& error) {
    error_ = error;
    return nullptr;
  }

  Device& device_;
  const KernelTable& table_;
  std::mt19937& random_;
  Places places_;
  std::vector<Pages> pages_;
  std::vector<std::unique_ptr<SharedMemory>> shared_;  // goes before what it shares
  std::optional<Error> error_;
  Compared compared_;
};

// Blocks of 32 at the borders of what becomes 8 bits.
void put_borders(float* x, std::size_t width) {
  const auto put = [&](std::size_t block, float each) {
    if (32 * block < width)
      for (std::size_t i = 32 * block; i < std::min(width, 32 * block + 32); ++i) x[i] = each;
  };
  const float least = 127 * std::numeric_limits<float>::min();
  put(1, 0);
  put(2, least);
  put(3, std::nextafter(least, 0.0f));
  put(4, std::nextafter(least, 1.0f));
  put(5, 3e38f);
  put(6, 1.5f);
  if (7 * 32 < width) x[7 * 32] = kInfinity;
  if (8 * 32 < width) x[8 * 32] = std::nanf("");
}

struct NormCase {
  std::size_t width;
  bool adds, bias, post, pre, some;
  float residual, scale;
};
constexpr NormCase kNormCases[] = {
    {544, false, false, false, false, false, 1, 1},  {32, false, false, false, true, false, 1, 1},
    {80, true, false, false, true, false, 1, 1},     {2080, true, true, false, true, true, 1, 1},
    {4128, true, true, true, true, false, 0.25f, 1}, {288, true, false, true, false, true, 1, 0.7f},
};

Status compare_add_norm(Desk& desk, const GpuKernel& kernel) {
  constexpr std::size_t kTokens = 3;
  for (const NormCase& each : kNormCases) {
    const std::size_t width = each.width, rows = each.some ? 2 : kTokens;
    AddNormOp op{.tokens = kTokens,
                 .width = width,
                 .rows = rows,
                 .x = desk.normal(kTokens * width),
                 .branch = each.adds ? desk.normal(kTokens * width) : nullptr,
                 .bias = each.bias ? desk.constant(width) : Constant(),
                 .post = each.post ? desk.constant(width) : Constant(),
                 .pre = each.pre ? desk.constant(width) : Constant(),
                 .epsilon = 1e-5f,
                 .residual = each.residual,
                 .scale = each.scale};
    Activations to;
    auto* const of = desk.room<std::uint32_t>(rows);
    if (!desk.shape(to, rows, width) || !desk.complete()) return desk.run({});
    for (std::size_t i = 0; i < rows; ++i) of[i] = static_cast<std::uint32_t>(2 * i);
    op.to = &to;
    if (each.some) op.of = of;
    if (!each.pre) put_borders(op.x, width);

    const KernelTable& table = desk.table();
    std::vector<float> x(op.x, op.x + kTokens * width), want;
    for (std::size_t i = 0; i < rows; ++i) {
      float* row = x.data() + (each.some ? of[i] : i) * width;
      if (each.adds) {
        const float* from = op.branch + (row - x.data());
        std::vector<float> branch(from, from + width);
        if (each.bias) table.add(op.bias.data(), width, branch.data());
        if (each.post)
          table.rms_norm(branch.data(), op.post.data(), width, op.epsilon, branch.data());
        if (each.residual != 1) table.train.scale(branch.data(), each.residual, width);
        table.add(branch.data(), width, row);
        if (each.scale != 1) table.train.scale(row, each.scale, width);
      }
      std::vector<float> normed(row, row + width);
      if (each.pre) table.rms_norm(row, op.pre.data(), width, op.epsilon, normed.data());
      want.insert(want.end(), normed.begin(), normed.end());
    }
    std::vector<Dispatch> work;
    append_add_norm(op, kernel, desk.places(), work);
    LATHE_TRY_STATUS(desk.run(work));
    desk.compare(op.x, x.data(), x.size());
    desk.compare_rows(to, want);
  }
  return {};
}

Status compare_activate(Desk& desk, const GpuKernel& kernel) {
  constexpr std::size_t kRows = 2;
  using Kind = ActivateOp::Kind;
  for (const Kind kind :
       {Kind::kSilu, Kind::kGelu, Kind::kGeluAlone, Kind::kReluSquared, Kind::kClampedSilu})
    for (const auto& [width, bias] : {std::pair{544u, false}, {300u, true}, {32u, false}}) {
      const std::size_t all = kRows * width;
      const bool gated = kind != Kind::kGeluAlone && kind != Kind::kReluSquared;
      ActivateOp op{.kind = kind, .rows = kRows, .width = width};
      float* const gate = gated ? desk.normal(all, 20) : nullptr;
      float* const up = desk.normal(all, gated ? 3 : 20);
      op.gate = gate;
      op.up = up;
      if (bias) op.up_bias = desk.constant(width);
      if (bias && gated) op.gate_bias = desk.constant(width);
      Activations to;
      if (!desk.shape(to, kRows, width) || !desk.complete()) return desk.run({});
      op.to = &to;
      float* const last = (gated ? gate : up) + width;
      const float borders[] = {0,      -0.0f, -87.4f,    -88.4f,     -88.8f,        -104.0f,
                               88.4f,  89,    kInfinity, -kInfinity, std::nanf(""), 1e-20f,
                               -1e-3f, 7,     -7};
      std::copy_n(borders, std::min(width, 15u), last);

      const KernelTable& table = desk.table();
      std::vector<float> gates(gated ? all : 0), ups(up, up + all), want(all);
      if (gated) std::copy_n(gate, all, gates.data());
      for (std::size_t i = 0; i < kRows; ++i) {
        float *g = gates.data() + i * width, *u = ups.data() + i * width;
        float* const row = want.data() + i * width;
        if (bias) table.add(op.up_bias.data(), width, u);
        if (bias && gated) table.add(op.gate_bias.data(), width, g);
        if (kind == Kind::kSilu) table.silu_mul(g, u, width, row);
        if (kind == Kind::kGelu) table.gelu_mul(g, u, width, row);
        if (kind == Kind::kGeluAlone) table.gelu(u, width, row);
        if (kind == Kind::kReluSquared) table.relu_squared(u, width, row);
        if (kind == Kind::kClampedSilu) table.clamped_silu_mul(g, u, width, row);
      }
      std::vector<Dispatch> work;
      append_activate(op, kernel, desk.places(), work);
      LATHE_TRY_STATUS(desk.run(work));
      desk.compare_rows(to, want);
    }
  Activations rows;
  if (!desk.shape(rows, 3, 544)) return desk.run({});
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < 3 * 544; ++i) rows.row(0)[i] = normal(desk.random());
  put_borders(rows.row(1), 544);
  const std::vector<float> want(rows.row(0), rows.row(3));
  std::vector<Dispatch> work;
  append_quantize(rows, 3, kernel, desk.places(), work);
  LATHE_TRY_STATUS(desk.run(work));
  desk.compare_rows(rows, want);
  return {};
}

// What some tokens of one sequence remember: blocks in another order than that of their positions,
// of two heads, behind something of another layer.
struct Remembered {
  KvShape shape;
  std::size_t blocks = 0, block_bytes = 0, tokens = 0;
  std::byte* bytes = nullptr;
  TokenMemory memory;
  std::uint32_t* seen = nullptr;

  static constexpr std::size_t kBefore = 192;
  static Remembered make(Desk& desk, const KvFormat& format, std::size_t dim, std::size_t kv_heads,
                         std::size_t blocks, std::size_t tokens, std::uint32_t first_block) {
    const std::size_t padded = (dim + 15) / 16 * 16;
    Remembered made{.shape = KvShape::of(padded), .blocks = blocks, .tokens = tokens, .memory = {}};
    made.memory.head_bytes = format.chunk_bytes(made.shape);
    made.memory.offset = kBefore;
    made.block_bytes = kBefore + kv_heads * made.memory.head_bytes;
    made.bytes = desk.room<std::byte>(blocks * made.block_bytes);
    auto* const table = desk.room<std::uint64_t>(blocks);
    auto* const tables = desk.room<std::uint64_t>(tokens);
    made.seen = desk.room<std::uint32_t>(4 * tokens);
    if (!desk.complete()) return made;
    for (std::size_t i = 0; i < blocks; ++i)
      table[i] = desk.places().find(made.block(i), made.block_bytes);
    for (std::size_t t = 0; t < tokens; ++t) {
      tables[t] = desk.places().find(table, blocks * sizeof(std::uint64_t));
      made.seen[4 * t + 3] = first_block;
    }
    made.memory.blocks = tables;
    made.memory.seen = made.seen;
    return made;
  }
  std::byte* block(std::size_t i) const { return bytes + (blocks - 1 - i) * block_bytes; }
  std::byte* head(std::size_t i, std::size_t h) const {
    return block(i) + kBefore + h * memory.head_bytes;
  }
};

struct HeadsCase {
  std::size_t dim, turned;
  bool neox, bias, plain, value_norm, queries_alone;
  HeadsOp::Norm norm;
};
constexpr HeadsCase kHeadsCases[] = {
    {64, 64, false, false, false, false, false, HeadsOp::Norm::kNone},
    {128, 128, true, true, false, false, false, HeadsOp::Norm::kBefore},
    {96, 32, true, false, true, true, false, HeadsOp::Norm::kBehind},
    {256, 64, false, true, false, false, true, HeadsOp::Norm::kBehind},
    {20, 0, false, false, false, false, false, HeadsOp::Norm::kBefore},
};

Status compare_heads(Desk& desk, const GpuKernel& kernel, const KvFormat& format) {
  constexpr std::size_t kTokens = 4, kHeads = 4, kKvHeads = 2;
  constexpr std::uint32_t kPositions[kTokens] = {128, 143, 191, 192}, kFirstBlock = 2;
  const KernelTable& table = desk.table();
  for (const HeadsCase& each : kHeadsCases) {
    const std::size_t dim = each.dim;
    if (is_quantized(format.type) && dim % 32 != 0) continue;
    const auto if_bias = [&](std::size_t n) { return each.bias ? desk.constant(n) : Constant(); };
    const auto if_norm = [&] {
      return each.norm == HeadsOp::Norm::kNone || each.plain ? Constant() : desk.constant(dim);
    };
    Remembered kept = Remembered::make(desk, format, dim, kKvHeads, 2, kTokens, kFirstBlock);
    const HeadsOp op{.kv = format.type,
                     .tokens = kTokens,
                     .heads = kHeads,
                     .kv_heads = kKvHeads,
                     .dim = dim,
                     .q = desk.normal(kTokens * kHeads * dim),
                     .k = each.queries_alone ? nullptr : desk.normal(kTokens * kKvHeads * dim),
                     .v = each.queries_alone ? nullptr : desk.normal(kTokens * kKvHeads * dim),
                     .q_bias = if_bias(kHeads * dim),
                     .k_bias = if_bias(kKvHeads * dim),
                     .v_bias = if_bias(kKvHeads * dim),
                     .norm = each.norm,
                     .q_norm = if_norm(),
                     .k_norm = if_norm(),
                     .value_norm = each.value_norm,
                     .epsilon = 1e-6f,
                     .turned = each.turned,
                     .neox = each.neox,
                     .angles = desk.normal(kTokens * (each.turned + 6)),
                     .angle_stride = each.turned + 6,
                     .scale = desk.normal(kTokens),
                     .memory = kept.memory};
    if (!desk.complete()) return desk.run({});
    for (std::size_t t = 0; t < kTokens; ++t) kept.seen[4 * t] = kPositions[t];

    const std::vector<float> ones(dim, 1.0f);
    const auto norm_of = [&](float* x, Constant weights) {
      table.rms_norm(x, weights.empty() ? ones.data() : weights.data(), dim, op.epsilon, x);
    };
    const auto turn = [&](float* x, std::size_t t, Constant weights) {
      const float* cos = op.angles + t * op.angle_stride;
      if (each.norm == HeadsOp::Norm::kBefore) norm_of(x, weights);
      table.rope(x, cos, cos + each.turned / 2, each.turned, each.neox);
      if (each.norm == HeadsOp::Norm::kBehind) norm_of(x, weights);
    };
    std::vector<float> q(op.q, op.q + kTokens * kHeads * dim);
    const std::vector<std::byte> before(kept.bytes, kept.bytes + kept.blocks * kept.block_bytes);
    for (std::size_t t = 0; t < kTokens; ++t) {
      float* row = q.data() + t * kHeads * dim;
      if (each.bias) table.add(op.q_bias.data(), kHeads * dim, row);
      for (std::size_t h = 0; h < kHeads; ++h) {
        turn(row + h * dim, t, op.q_norm);
        for (std::size_t i = 0; i < dim; ++i) row[h * dim + i] *= op.scale[t];
      }
      for (std::size_t h = 0; h < kKvHeads && !each.queries_alone; ++h) {
        std::vector<float> k(kept.shape.key), v(kept.shape.key);
        const std::size_t at = (t * kKvHeads + h) * dim;
        std::copy_n(op.k + at, dim, k.data());
        std::copy_n(op.v + at, dim, v.data());
        if (each.bias) table.add(op.k_bias.data() + h * dim, dim, k.data());
        if (each.bias) table.add(op.v_bias.data() + h * dim, dim, v.data());
        turn(k.data(), t, op.k_norm);
        if (each.value_norm) norm_of(v.data(), {});
        format.store(kept.head(kPositions[t] / kChunk - kFirstBlock, h), kept.shape,
                     kPositions[t] % kChunk, k.data(), v.data());
      }
    }
    const std::vector<std::byte> want(kept.bytes, kept.bytes + kept.blocks * kept.block_bytes);
    std::ranges::copy(before, kept.bytes);
    std::vector<Dispatch> work;
    append_heads(op, kernel, desk.places(), work);
    LATHE_TRY_STATUS(desk.run(work));
    desk.compare(op.q, q.data(), q.size());
    desk.compare_integers(kept.bytes, want.data(), want.size());
  }
  return {};
}

// m, l and o of a query.
struct Gathered {
  float m = 0, l = 0;
  std::vector<float> o;

  void fold(const KernelTable& table, const Gathered& part) {
    if (part.l == 0) return;
    if (l == 0)
      *this = part;
    else
      table.merge(&m, &l, o.data(), part.m, part.l, part.o.data(), o.size());
  }
};

struct AttendCase {
  std::size_t dim, heads, kv_heads;
  std::size_t window;  // 0: all
  float cap;
};
constexpr AttendCase kAttendCases[] = {
    {64, 8, 2, 0, 0}, {128, 2, 2, 70, 0}, {96, 10, 1, 0, 20}, {256, 8, 1, 600, 0}, {20, 3, 3, 0, 5},
};

Status compare_attend(Desk& desk, const GpuKernel& kernel, const KvFormat& format) {
  // Two sequences' worth of tokens: some that follow each other, and one far behind.
  constexpr std::size_t kBlocks = 10, kPositions = 600;
  constexpr std::uint32_t kAt[] = {510, 511, 512, 513, 514, 599, 3};
  constexpr AttendOp::Run kRuns[] = {{0, 5}, {5, 1}, {6, 1}};
  constexpr std::size_t kTokens = std::size(kAt);
  const KernelTable& table = desk.table();
  for (const AttendCase& each : kAttendCases) {
    if (is_quantized(format.type) && each.dim % 32 != 0) continue;
    const std::size_t columns = kTokens * each.heads, ratio = each.heads / each.kv_heads;
    Remembered kept = Remembered::make(desk, format, each.dim, each.kv_heads, kBlocks, kTokens, 0);
    const AttendOp op{.kv = format.type,
                      .tokens = kTokens,
                      .heads = each.heads,
                      .kv_heads = each.kv_heads,
                      .dim = each.dim,
                      .q = desk.normal(columns * each.dim, 0.3f),
                      .runs = kRuns,
                      .first = 0,
                      .end = kPositions,
                      .cap = each.cap,
                      .memory = kept.memory};
    const std::vector<std::uint32_t> tiles = attend_tiles(op);
    auto* const staged = desk.room<std::uint32_t>(tiles.size());
    const std::size_t width = kept.shape.key;
    const AttendTurn turn{.first_group = 0,
                          .groups = 2,
                          .tiles = staged,
                          .tile_count = tiles.size() / 2,
                          .partials = desk.room<float>(columns * 2 * partial_floats(op)),
                          .tops = nullptr};
    if (!desk.complete()) return desk.run({});
    std::ranges::copy(tiles, staged);
    for (std::size_t t = 0; t < kTokens; ++t) {
      kept.seen[4 * t] = kAt[t];
      kept.seen[4 * t + 1] = each.window == 0 || kAt[t] < each.window
                                 ? 0
                                 : static_cast<std::uint32_t>(kAt[t] + 1 - each.window);
      kept.seen[4 * t + 2] = kAt[t] + 1;
    }
    std::normal_distribution<float> normal;
    std::vector<float> k(width), v(width);
    for (std::size_t p = 0; p < kPositions; ++p)
      for (std::size_t h = 0; h < each.kv_heads; ++h) {
        for (std::size_t i = 0; i < each.dim; ++i) {
          k[i] = normal(desk.random());
          v[i] = normal(desk.random());
        }
        format.store(kept.head(p / kChunk, h), kept.shape, p % kChunk, k.data(), v.data());
      }
    std::vector<Dispatch> work;
    append_attend(op, turn, kernel, desk.places(), work);
    LATHE_TRY_STATUS(desk.run(work));

    std::vector<float> q(width);
    std::vector<std::int8_t> q8(width);
    std::vector<float> scale(width);
    std::vector<std::int16_t> sum(width);
    for (std::size_t column = 0; column < columns; ++column) {
      const std::size_t t = column / each.heads, h = column % each.heads / ratio;
      std::copy_n(op.q + column * each.dim, each.dim, q.data());
      if (is_quantized(format.type))
        table.quantize(q.data(), width, q8.data(), scale.data(), sum.data());
      const std::size_t low = kept.seen[4 * t + 1], high = kept.seen[4 * t + 2];
      for (std::size_t g = low / kDeviceGroup; g * kDeviceGroup < high; ++g) {
        Gathered want;
        for (std::size_t chunk = 8 * g; chunk < 8 * g + 8; ++chunk) {
          const std::size_t start = chunk * kChunk;
          const auto from =
              static_cast<std::uint8_t>(std::clamp(low, start, start + kChunk) - start);
          const auto to =
              static_cast<std::uint8_t>(std::clamp(high, start, start + kChunk) - start);
          if (from >= to) continue;
          Gathered part;
          part.o.resize(width);
          format.attend({.chunk = kept.head(chunk, h),
                         .shape = kept.shape,
                         .columns = 1,
                         .q = q.data(),
                         .q_rows = {q8.data(), scale.data(), sum.data()},
                         .first = &from,
                         .last = &to,
                         .m = &part.m,
                         .l = &part.l,
                         .o = part.o.data(),
                         .ahead = nullptr,
                         .cap = each.cap});
          want.fold(table, part);
        }
        const float* got = turn.partials + (column * 2 + g) * partial_floats(op);
        desk.compare(got, &want.m, 1);
        desk.compare(got + 1, &want.l, 1);
        desk.compare(got + 2, want.o.data(), width);
      }
    }
  }
  return {};
}

Status compare_fold(Desk& desk, const GpuKernel& kernel) {
  constexpr std::size_t kTokens = 3, kHeads = 4, kGroups = 5, kColumns = kTokens * kHeads;
  constexpr std::uint32_t kSeen[kTokens][2] = {{0, 5 * 512}, {600, 1600}, {2100, 2101}};
  const KernelTable& table = desk.table();
  for (const bool sinks : {false, true})
    for (const std::size_t dim : {std::size_t{20}, std::size_t{128}})
      for (const std::size_t together : {kGroups, std::size_t{2}}) {
        Activations to;
        auto* const seen = desk.room<std::uint32_t>(4 * kTokens);
        AttendOp op{.tokens = kTokens,
                    .heads = kHeads,
                    .kv_heads = 1,
                    .dim = dim,
                    .runs = {},
                    .sinks = sinks ? desk.constant(kHeads) : Constant(),
                    .memory = {.seen = seen}};
        const std::size_t each = partial_floats(op), width = each - 2;
        float* const partials = desk.normal(kColumns * kGroups * each);
        float* const part = desk.room<float>(kColumns * together * each);
        float* const tops = desk.room<float>(2 * kColumns);
        if (!desk.shape(to, kTokens, kHeads * dim) || !desk.complete()) return desk.run({});
        op.to = &to;
        for (std::size_t t = 0; t < kTokens; ++t) std::copy_n(kSeen[t], 2, seen + 4 * t + 1);
        for (std::size_t i = 0; i < kColumns * kGroups; ++i) {
          partials[i * each + 1] = std::abs(partials[i * each + 1]) + 1;
          if (i % 7 == 3) partials[i * each + 1] = 0;
          if (i % 11 == 5) partials[i * each] = -kInfinity;
        }
        for (std::size_t first = 0; first < kGroups; first += together) {
          const AttendTurn turn{.first_group = first,
                                .groups = std::min(together, kGroups - first),
                                .partials = part,
                                .tops = tops,
                                .first = first == 0,
                                .last = first + together >= kGroups};
          for (std::size_t c = 0; c < kColumns; ++c)
            std::copy_n(partials + (c * kGroups + first) * each, turn.groups * each,
                        part + c * turn.groups * each);
          std::vector<Dispatch> work;
          append_fold(op, turn, kernel, desk.places(), work);
          LATHE_TRY_STATUS(desk.run(work));
        }
        for (std::size_t c = 0; c < kColumns; ++c) {
          const std::size_t t = c / kHeads;
          Gathered total;
          total.o.assign(width, 0.0f);
          if (sinks) total.m = op.sinks[c % kHeads], total.l = 1;
          for (std::size_t g = kSeen[t][0] / kDeviceGroup; g * kDeviceGroup < kSeen[t][1]; ++g) {
            const float* from = partials + (c * kGroups + g) * each;
            total.fold(table, {from[0], from[1], std::vector<float>(from + 2, from + each)});
          }
          const float inverse = 1 / total.l;
          std::vector<float> want(dim);
          for (std::size_t i = 0; i < dim; ++i) want[i] = total.o[i] * inverse;
          desk.compare(to.row(0) + c * dim, want.data(), dim);
        }
      }
  return {};
}

}  // namespace

Result<Compared> compare_step(Device& device, const GpuKernel& kernel, const KernelTable& table,
                              std::mt19937& random) {
  const StepKernels& kernels = step_kernels();
  Desk desk(device, table, random);
  if (&kernel == kernels.add_norm) LATHE_TRY_STATUS(compare_add_norm(desk, kernel));
  if (&kernel == kernels.activate) LATHE_TRY_STATUS(compare_activate(desk, kernel));
  if (&kernel == kernels.fold) LATHE_TRY_STATUS(compare_fold(desk, kernel));
  for (std::size_t i = 0; i < kKvTypes; ++i) {
    if (&kernel == kernels.heads[i]) LATHE_TRY_STATUS(compare_heads(desk, kernel, table.kv[i]));
    if (&kernel == kernels.attend[i]) LATHE_TRY_STATUS(compare_attend(desk, kernel, table.kv[i]));
  }
  return desk.compared();
}

}  // namespace lathe::infer

// Each backward operation against finite differences of its forward pass in double; the schedule.
#include <random>

#include "infer/cpu/experts.h"
#include "infer/tune/activation.h"
#include "infer/tune/attention.h"
#include "infer/tune/norm.h"
#include "infer/tune/recurrences.h"
#include "infer/tune/router.h"
#include "infer/tune/schedule.h"
#include "infer/tune/twin_test.h"

namespace lathe::infer {
namespace {

using Doubles = std::vector<double>;

std::vector<float> draw(std::size_t count, std::uint64_t stream) {
  std::vector<float> out(count);
  for (std::size_t i = 0; i < count; ++i)
    out[i] = static_cast<float>(2 * uniform_at(3, stream, i) - 1);
  return out;
}

// loss(x) has the slope got[i] at every i.
void expect_slopes(const std::vector<float>& at, std::span<const float> got,
                   const std::function<double(const Doubles&)>& loss, const char* what,
                   std::size_t every = 1) {
  Doubles x(at.begin(), at.end());
  for (std::size_t i = 0; i < x.size(); i += every) {
    const double kept = x[i], step = 1e-5;
    x[i] = kept + step;
    const double above = loss(x);
    x[i] = kept - step;
    const double slope = (above - loss(x)) / (2 * step);
    x[i] = kept;
    ASSERT_NEAR(static_cast<double>(got[i]), slope, 1e-5 + 1e-5 * std::abs(slope))
        << what << " " << i;
  }
}

TEST(Backward, SiluMul) {
  constexpr std::size_t n = 35;
  const auto gate = draw(n, 1), up = draw(n, 2), d = draw(n, 3);
  std::vector<float> d_gate(n), d_up(n);
  best_kernel_table().train.silu_mul_backward(gate.data(), up.data(), d.data(), n, d_gate.data(),
                                              d_up.data());
  const auto loss = [&](const Doubles& g, const Doubles& u) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
      sum += static_cast<double>(d[i]) * g[i] / (1 + std::exp(-g[i])) * u[i];
    return sum;
  };
  const Doubles g(gate.begin(), gate.end()), u(up.begin(), up.end());
  expect_slopes(
      gate, d_gate, [&](const Doubles& x) { return loss(x, u); }, "gate");
  expect_slopes(
      up, d_up, [&](const Doubles& x) { return loss(g, x); }, "up");
}

// Longer than a piece, and past what gpt-oss clamps.
TEST(Backward, Activations) {
  constexpr std::size_t n = 300;
  constexpr double kRoot = 0.7978845608028654;  // sqrt(2/π)
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto gelu = [](double x) {
    return 0.5 * x * (1 + std::tanh(kRoot * (x + 0.044715 * x * x * x)));
  };
  const std::pair<Activation, std::function<double(double, double)>> kinds[] = {
      {Activation::kSilu, [&](double g, double u) { return g * sigmoid(g) * u; }},
      {Activation::kGelu, [&](double g, double u) { return gelu(g) * u; }},
      {Activation::kGeluAlone, [&](double, double u) { return gelu(u); }},
      {Activation::kReluSquared, [](double, double u) { return u > 0 ? u * u : 0; }},
      {Activation::kClampedSilu, [&](double g, double u) {
         g = std::min(g, 7.0);
         return g * sigmoid(1.702 * g) * (std::clamp(u, -7.0, 7.0) + 1);
       }}};
  auto gate = draw(n, 1), up = draw(n, 2);
  const auto d = draw(n, 3);
  for (float& value : gate) value *= 9;
  for (float& value : up) value *= 9;
  const Doubles g(gate.begin(), gate.end()), u(up.begin(), up.end());
  for (const auto& [kind, formula] : kinds) {
    std::vector<float> hidden(n), d_gate(n), d_up = d;  // in place, as the network has it
    activate(best_kernel_table(), kind, gate.data(), up.data(), n, hidden.data());
    activate_backward(best_kernel_table(), kind, gate.data(), up.data(), d_up.data(), n,
                      d_gate.data(), d_up.data());
    const auto loss = [&](const Doubles& gs, const Doubles& us) {
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(d[i]) * formula(gs[i], us[i]);
      return sum;
    };
    for (std::size_t i = 0; i < n; ++i) {
      const double value = formula(g[i], u[i]);
      ASSERT_NEAR(static_cast<double>(hidden[i]), value, 1e-5 + 1e-5 * std::abs(value)) << i;
    }
    expect_slopes(
        up, d_up, [&](const Doubles& x) { return loss(g, x); }, "up");
    if (has_gate(kind))
      expect_slopes(
          gate, d_gate, [&](const Doubles& x) { return loss(x, u); }, "gate");
    for (const KernelTable* table : kernel_tables()) {
      std::vector<float> other = d, other_gate(n);
      activate_backward(*table, kind, gate.data(), up.data(), other.data(), n, other_gate.data(),
                        other.data());
      EXPECT_EQ(other, d_up) << table->name;
      EXPECT_EQ(other_gate, d_gate) << table->name;
    }
  }
}

TEST(Backward, LayerNorm) {
  constexpr std::size_t n = 37;
  const auto x = draw(n, 1), w = draw(n, 2), d = draw(n, 3);
  std::vector<float> dx(n);
  layer_norm_backward(x.data(), w.data(), d.data(), n, 1e-5f, dx.data());
  const auto loss = [&](const Doubles& v) {
    const double mean = std::accumulate(v.begin(), v.end(), 0.0) / n;
    double squares = 0, sum = 0;
    for (const double value : v) squares += (value - mean) * (value - mean);
    for (std::size_t i = 0; i < n; ++i)
      sum += static_cast<double>(d[i]) * (v[i] - mean) * static_cast<double>(w[i]) /
             std::sqrt(squares / n + 1e-5);
    return sum;
  };
  expect_slopes(x, dx, loss, "x");
}

TEST(Backward, RmsNorm) {
  constexpr std::size_t n = 37;
  const auto x = draw(n, 1), w = draw(n, 2), d = draw(n, 3);
  std::vector<float> dx(n), dw(n);
  const TrainKernels& train = best_kernel_table().train;
  const float f = train.rms_norm_backward(x.data(), w.data(), d.data(), n, 1e-5f, dx.data());
  train.rms_weight_backward(x.data(), f, d.data(), n, dw.data());
  const auto loss = [&](const Doubles& a, const Doubles& b) {
    double squares = 0, sum = 0;
    for (const double v : a) squares += v * v;
    for (std::size_t i = 0; i < n; ++i)
      sum += static_cast<double>(d[i]) * a[i] * b[i] / std::sqrt(squares / n + 1e-5);
    return sum;
  };
  const Doubles xd(x.begin(), x.end()), wd(w.begin(), w.end());
  expect_slopes(
      x, dx, [&](const Doubles& v) { return loss(v, wd); }, "x");
  expect_slopes(
      w, dw, [&](const Doubles& v) { return loss(xd, v); }, "weight");
}

// Linear layers with everything: bias, adapter, frozen or trained.
TEST(Backward, Linear) {
  constexpr std::size_t kTokens = 9, kRows = 37, kIn = 21, kRank = 3;
  auto x = draw(kTokens * kIn, 1), w = draw(kRows * kIn, 2), bias = draw(kRows, 3);
  auto a = draw(kRank * kIn, 4), b = draw(kRows * kRank, 5);
  const auto d = draw(kTokens * kRows, 6);
  std::vector<float> dw(w.size()), d_bias(kRows), da(a.size()), db(b.size()), dx(x.size());
  std::vector<float> y(d.size()), low(kTokens * kRank), d_low(low.size());
  const Linear linear{.rows = kRows,
                      .k = kIn,
                      .weight = {w.data(), dw.data()},
                      .bias = {bias.data(), d_bias.data()},
                      .rank = kRank,
                      .lora_scale = 0.7f,
                      .lora_a = {a.data(), da.data()},
                      .lora_b = {b.data(), db.data()}};
  ThreadTeam team(2);
  LinearScratch scratch(team, best_kernel_table().train);
  ASSERT_TRUE(scratch.reserve(kRows, 2));
  auto dy = d;
  forward(scratch, linear, kTokens, {x.data(), kIn}, {y.data(), kRows}, {low.data(), kRank});
  backward(scratch, linear,
           {.tokens = kTokens,
            .x = {x.data(), kIn},
            .low = {low.data(), kRank},
            .dy = {dy.data(), kRows},
            .dx = {dx.data(), kIn},
            .d_low = {d_low.data(), kRank}});
  const auto doubles = [](const std::vector<float>& v) { return Doubles(v.begin(), v.end()); };
  const auto loss = [&](const Doubles& xs, const Doubles& ws, const Doubles& bs, const Doubles& as,
                        const Doubles& lb) {
    double sum = 0;
    for (std::size_t t = 0; t < kTokens; ++t)
      for (std::size_t r = 0; r < kRows; ++r) {
        double out = bs[r];
        for (std::size_t i = 0; i < kIn; ++i) {
          double full = ws[r * kIn + i];
          for (std::size_t l = 0; l < kRank; ++l)
            full += static_cast<double>(0.7f) * lb[r * kRank + l] * as[l * kIn + i];
          out += full * xs[t * kIn + i];
        }
        sum += out * static_cast<double>(d[t * kRows + r]);
      }
    return sum;
  };
  const Doubles xd = doubles(x), wd = doubles(w), bd = doubles(bias), ad = doubles(a),
                ld = doubles(b);
  expect_slopes(
      x, dx, [&](const Doubles& v) { return loss(v, wd, bd, ad, ld); }, "x");
  expect_slopes(
      w, dw, [&](const Doubles& v) { return loss(xd, v, bd, ad, ld); }, "w", 7);
  expect_slopes(
      bias, d_bias, [&](const Doubles& v) { return loss(xd, wd, v, ad, ld); }, "bias");
  expect_slopes(
      a, da, [&](const Doubles& v) { return loss(xd, wd, bd, v, ld); }, "a", 3);
  expect_slopes(
      b, db, [&](const Doubles& v) { return loss(xd, wd, bd, ad, v); }, "b", 3);
}

// From the experts' weights back to the router's logits: normalised or not, some or all chosen.
TEST(Backward, RouterChoice) {
  const auto spec = [](std::size_t used, bool normalize, float scale,
                       RouterRule rule = RouterRule::kSoftmax) {
    return FfnSpec{.hidden = 1,
                   .experts = 9,
                   .experts_used = used,
                   .router = rule,
                   .normalize_weights = normalize,
                   .weight_scale = scale};
  };
  for (const FfnSpec& ffn :
       {spec(3, true, 1), spec(3, false, 1.5f), spec(9, true, 2), spec(9, false, 1),
        spec(3, true, 1.5f, RouterRule::kSigmoid), spec(3, false, 2, RouterRule::kSigmoid),
        spec(3, false, 1, RouterRule::kSoftmaxOfChosen)}) {
    constexpr std::size_t kTokens = 4;
    const auto logits = draw(kTokens * ffn.experts, 7);
    const auto d_weight = draw(kTokens * ffn.experts_used, 8);
    ThreadTeam team(2);
    ExpertChoice choice;
    auto p = logits;
    choice.choose(team, best_kernel_table(), ffn, kTokens, p.data(), ffn.experts);
    for (std::size_t t = 0; t < kTokens; ++t) {
      float* row = p.data() + t * ffn.experts;
      for (std::size_t e = 0; e < ffn.experts; ++e) row[e] /= choice.total[t];
      choice_backward(ffn, choice.chosen.data() + t * ffn.experts_used,
                      d_weight.data() + t * ffn.experts_used, row);
    }
    const auto loss = [&](const Doubles& l) {
      double sum = 0;
      for (std::size_t t = 0; t < kTokens; ++t) {
        const auto own = std::span(choice.chosen).subspan(t * ffn.experts_used, ffn.experts_used);
        double total = 0, of_chosen = 0;
        for (std::size_t e = 0; e < ffn.experts; ++e) total += std::exp(l[t * ffn.experts + e]);
        const auto score = [&](std::size_t e) {
          const double x = l[t * ffn.experts + e];
          return ffn.router == RouterRule::kSigmoid ? 1 / (1 + std::exp(-x)) : std::exp(x) / total;
        };
        for (const std::uint32_t e : own) of_chosen += score(e);
        const bool normalized = ffn.normalize_weights || ffn.router == RouterRule::kSoftmaxOfChosen;
        for (std::size_t r = 0; r < own.size(); ++r)
          sum += static_cast<double>(d_weight[t * own.size() + r]) *
                 static_cast<double>(ffn.weight_scale) * score(own[r]) /
                 (normalized ? of_chosen : 1);
      }
      return sum;
    };
    expect_slopes(logits, p, loss, "logit");
  }
}

// Below the least sum the divisor is a constant.
TEST(Backward, RouterChoiceOfNextToNothing) {
  const FfnSpec ffn{.hidden = 1, .experts = 4, .experts_used = 2};
  const std::uint32_t chosen[] = {2, 0};
  const float d_weight[] = {3, -1};
  const float least = ExpertChoice::kLeastSum;
  float p[] = {least / 8, 0.5f, least / 4, 0.25f};
  const float before[] = {p[0], p[1], p[2], p[3]};
  choice_backward(ffn, chosen, d_weight, p);
  const float own[] = {-before[0] / least, 0, 3 * before[2] / least, 0};
  const float dot = own[0] + own[2];
  for (std::size_t e = 0; e < 4; ++e) EXPECT_NEAR(p[e], own[e] - before[e] * dot, 1e-6f) << e;
}

// Ties go to the lower index, pairs stand by expert and in the order of the tokens, and a token's
// choice is the one it has alone.
TEST(Experts, ChoiceAndOrderOfPairs) {
  const FfnSpec ffn{.hidden = 1, .experts = 4, .experts_used = 2};
  std::vector<float> logits = {1, 1, 1, 1, 0, 2, 0, 2, 5, 0, 0, 4};
  ThreadTeam team(2);
  ExpertChoice choice;
  choice.choose(team, best_kernel_table(), ffn, 3, logits.data(), 4);
  EXPECT_EQ(choice.chosen, (std::vector<std::uint32_t>{0, 1, 1, 3, 0, 3}));
  EXPECT_EQ(choice.first, (std::vector<std::size_t>{0, 2, 4, 4, 6}));
  EXPECT_EQ(choice.token_of, (std::vector<std::size_t>{0, 2, 0, 1, 1, 2}));
  EXPECT_EQ(choice.pair_of, (std::vector<std::uint32_t>{0, 2, 3, 4, 1, 5}));
  EXPECT_FLOAT_EQ(choice.weight[0], 0.5f);
  EXPECT_FLOAT_EQ(choice.weight[4], 1 / (1 + std::exp(-1.0f)));
}

struct AttentionCase {
  std::size_t window = 0;
  bool chunked = false;
  float soft_cap = 0;
  bool sinks = false;
};

// Longer than a block of queries, and a second document that must not see the first; windows, caps
// and sinks.
TEST(Backward, Attention) {
  for (const AttentionCase& each :
       {AttentionCase{}, AttentionCase{.window = 33}, AttentionCase{.window = 66, .soft_cap = 2},
        AttentionCase{.window = 5, .sinks = true}, AttentionCase{.window = 40, .chunked = true},
        AttentionCase{.soft_cap = 1.5f, .sinks = true}}) {
    const AttentionSpec spec{.heads = 2,
                             .kv_heads = 1,
                             .head_dim = 16,
                             .window = each.window,
                             .chunked = each.chunked,
                             .sinks = each.sinks,
                             .scale = 1,
                             .soft_cap = each.soft_cap,
                             .rope = {}};
    const std::vector<Document> documents = {{0, 70}, {70, 3}};
    constexpr std::size_t kTokens = 73, kQ = 32, kKv = 16;
    auto q = draw(kTokens * kQ, 1), k = draw(kTokens * kKv, 2), v = draw(kTokens * kKv, 3);
    auto d = draw(kTokens * kQ, 4);
    const auto sinks = draw(2, 5);
    std::vector<float> out(q.size()), sums(kTokens * 2), dq(q.size()), dk(k.size()), dv(v.size());
    std::vector<float> d_sinks(kTokens * 2);
    ThreadTeam team(2);
    AttentionScratch scratch;
    ASSERT_TRUE(scratch.reserve(70, 16, 2));
    const AttentionRows rows{{q.data(), kQ},   {k.data(), kKv},
                             {v.data(), kKv},  {out.data(), kQ},
                             {sums.data(), 2}, each.sinks ? sinks.data() : nullptr};
    attend(team, best_kernel_table(), spec, documents, scratch, rows);
    attend_backward(team, best_kernel_table(), spec, documents, scratch, rows,
                    {{d.data(), kQ},
                     {dq.data(), kQ},
                     {dk.data(), kKv},
                     {dv.data(), kKv},
                     each.sinks ? Rows{d_sinks.data(), 2} : Rows{}});
    const auto sees = [&](std::size_t t, std::size_t s) {
      if (each.window == 0) return true;
      return each.chunked ? t / each.window == s / each.window : t < s + each.window;
    };
    const auto loss = [&](const Doubles& qs, const Doubles& ks, const Doubles& vs,
                          const Doubles& sink) {
      double sum = 0;
      for (const Document& document : documents)
        for (std::size_t t = 0; t < document.count; ++t)
          for (std::size_t h = 0; h < 2; ++h) {
            const std::size_t at = document.first + t;
            double total = each.sinks ? std::exp(sink[h]) : 0, value = 0;
            for (std::size_t s = 0; s <= t; ++s) {
              if (!sees(t, s)) continue;
              double score = 0, along = 0;
              for (std::size_t i = 0; i < 16; ++i) {
                const std::size_t of_key = (document.first + s) * kKv + i;
                score += qs[at * kQ + h * 16 + i] * ks[of_key];
                along += vs[of_key] * static_cast<double>(d[at * kQ + h * 16 + i]);
              }
              const double cap = static_cast<double>(each.soft_cap);
              const double e = std::exp(cap == 0 ? score : cap * std::tanh(score / cap));
              total += e;
              value += e * along;
            }
            sum += value / total;
          }
      return sum;
    };
    const Doubles qd(q.begin(), q.end()), kd(k.begin(), k.end()), vd(v.begin(), v.end());
    const Doubles sd(sinks.begin(), sinks.end());
    expect_slopes(
        q, dq, [&](const Doubles& x) { return loss(x, kd, vd, sd); }, "q", 97);
    expect_slopes(
        k, dk, [&](const Doubles& x) { return loss(qd, x, vd, sd); }, "k", 41);
    expect_slopes(
        v, dv, [&](const Doubles& x) { return loss(qd, kd, x, sd); }, "v", 41);
    if (!each.sinks) continue;
    std::vector<float> d_sink(2);
    for (std::size_t i = 0; i < d_sinks.size(); ++i) d_sink[i % 2] += d_sinks[i];
    expect_slopes(
        sinks, d_sink, [&](const Doubles& x) { return loss(qd, kd, vd, x); }, "sink");
  }
}

// A head of a delta net over more than one stretch; what is there already in dq and dk stays.
TEST(Backward, Delta) {
  constexpr std::size_t n = 8, kTokens = 21, kStride = 3 * n;
  const auto qkv = draw(kTokens * kStride, 1), scalars = draw(kTokens * 2, 2);
  const auto d = draw(kTokens * n, 3);
  std::vector<float> row = qkv, told(kTokens * 2), d_row(row.size(), 1.0f), d_told(told.size());
  // Keys of about unit length, decays and betas between 0 and 1.
  for (float& value : row) value *= 0.6f;
  for (std::size_t i = 0; i < told.size(); ++i) told[i] = 0.75f + 0.2f * scalars[i];
  std::vector<float> room(delta_backward_floats(n, kTokens));
  const DeltaArgs forward{.state = nullptr,
                          .size = n,
                          .tokens = kTokens,
                          .q = row.data(),
                          .k = row.data() + n,
                          .v = row.data() + 2 * n,
                          .stride = kStride,
                          .decay = told.data(),
                          .beta = told.data() + 1,
                          .scalar_stride = 2,
                          .out = nullptr,
                          .out_stride = 0};
  delta_backward(best_kernel_table(), forward,
                 {.d_out = d.data(),
                  .d_out_stride = n,
                  .dq = d_row.data(),
                  .dk = d_row.data() + n,
                  .dv = d_row.data() + 2 * n,
                  .d_decay = d_told.data(),
                  .d_beta = d_told.data() + 1},
                 room.data());
  for (std::size_t i = 0; i < d_row.size(); ++i)
    if (i % kStride < 2 * n) d_row[i] -= 1;
  const auto loss = [&](const Doubles& x, const Doubles& s) {
    double state[n][n] = {}, sum = 0;
    for (std::size_t t = 0; t < kTokens; ++t) {
      const double *q = x.data() + t * kStride, *k = q + n, *v = k + n;
      for (std::size_t j = 0; j < n; ++j) {
        double predicted = 0, answer = 0;
        for (std::size_t i = 0; i < n; ++i) predicted += (state[i][j] *= s[2 * t]) * k[i];
        for (std::size_t i = 0; i < n; ++i)
          answer += (state[i][j] += k[i] * s[2 * t + 1] * (v[j] - predicted)) * q[i];
        sum += answer * static_cast<double>(d[t * n + j]);
      }
    }
    return sum;
  };
  const Doubles xd(row.begin(), row.end()), sd(told.begin(), told.end());
  expect_slopes(
      row, d_row, [&](const Doubles& x) { return loss(x, sd); }, "row");
  expect_slopes(
      told, d_told, [&](const Doubles& s) { return loss(xd, s); }, "decay or beta");
}

// A head of a state-space layer over more than one stretch, its keys longer than its values.
TEST(Backward, Scan) {
  constexpr std::size_t kStates = 8, n = 5, kTokens = 21, kStride = n + 2 * kStates;
  const auto row = draw(kTokens * kStride, 1), scalars = draw(kTokens * 2, 2);
  const auto d = draw(kTokens * n, 3);
  constexpr float kSkip = 0.3f;
  std::vector<float> told(kTokens * 2), d_row(row.size(), 1.0f), d_told(told.size());
  for (std::size_t i = 0; i < told.size(); ++i) told[i] = 0.75f + 0.2f * scalars[i];
  std::vector<float> room(scan_backward_floats(kStates, n, kTokens));
  const ScanArgs forward{.state = nullptr,
                         .states = kStates,
                         .size = n,
                         .tokens = kTokens,
                         .x = row.data(),
                         .b = row.data() + n,
                         .c = row.data() + n + kStates,
                         .stride = kStride,
                         .decay = told.data(),
                         .dt = told.data() + 1,
                         .scalar_stride = 2,
                         .skip = kSkip,
                         .out = nullptr,
                         .out_stride = 0};
  scan_backward(best_kernel_table(), forward,
                {.d_out = d.data(),
                 .d_out_stride = n,
                 .dx = d_row.data(),
                 .db = d_row.data() + n,
                 .dc = d_row.data() + n + kStates,
                 .d_decay = d_told.data(),
                 .d_dt = d_told.data() + 1},
                room.data());
  for (std::size_t i = 0; i < d_row.size(); ++i)
    if (i % kStride >= n) d_row[i] -= 1;
  const auto loss = [&](const Doubles& r, const Doubles& s) {
    double state[kStates][n] = {}, sum = 0;
    for (std::size_t t = 0; t < kTokens; ++t) {
      const double *x = r.data() + t * kStride, *b = x + n, *c = b + kStates;
      for (std::size_t j = 0; j < n; ++j) {
        double answer = static_cast<double>(kSkip) * x[j];
        for (std::size_t i = 0; i < kStates; ++i) {
          state[i][j] = s[2 * t] * state[i][j] + b[i] * s[2 * t + 1] * x[j];
          answer += state[i][j] * c[i];
        }
        sum += answer * static_cast<double>(d[t * n + j]);
      }
    }
    return sum;
  };
  const Doubles rd(row.begin(), row.end()), sd(told.begin(), told.end());
  expect_slopes(
      row, d_row, [&](const Doubles& x) { return loss(x, sd); }, "row");
  expect_slopes(
      told, d_told, [&](const Doubles& s) { return loss(rd, s); }, "decay or time step");
}

TEST(Schedule, EveryExampleOnceAnEpochInAnOrderOfItsOwn) {
  ExampleOrder order({5, 1, 9, 3, 30, 2, 2, 8}, 7, 3);
  ASSERT_EQ(order.size(), 24u);
  EXPECT_EQ(order.total_tokens(), 180u);
  std::vector<std::vector<std::size_t>> epochs(3);
  for (std::uint64_t i = 0; i < 24; ++i) epochs[i / 8].push_back(order.at(i));
  EXPECT_NE(epochs[0], epochs[1]);
  for (auto& epoch : epochs) {
    std::ranges::sort(epoch);
    for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(epoch[i], i);
  }
  // Batches: none is above 20 tokens but one that is a single example; nothing is left out.
  std::uint64_t steps = 0, cursor = 0;
  for (; cursor < order.size(); ++steps) {
    const std::uint64_t end = order.batch_end(cursor, 20);
    std::size_t tokens = 0;
    constexpr std::size_t kLengths[] = {5, 1, 9, 3, 30, 2, 2, 8};
    for (std::uint64_t i = cursor; i < end; ++i) tokens += kLengths[order.at(i)];
    EXPECT_TRUE(tokens <= 20 || end == cursor + 1);
    ASSERT_GT(end, cursor);
    cursor = end;
  }
  EXPECT_EQ(cursor, 24u);
  EXPECT_EQ(order.steps(20), steps);
}

TEST(Schedule, RatesRiseAndFall) {
  const RateSchedule cosine{.shape = RateShape::kCosine, .peak = 2, .warmup = 4, .steps = 104};
  EXPECT_DOUBLE_EQ(cosine.at(0), 0.5);
  EXPECT_DOUBLE_EQ(cosine.at(3), 2);
  EXPECT_DOUBLE_EQ(cosine.at(54), 2 * (0.1 + 0.9 * 0.5));
  EXPECT_NEAR(cosine.at(104), 0.2, 1e-12);
  const RateSchedule wsd{.shape = RateShape::kWsd, .peak = 2, .warmup = 4, .steps = 100};
  EXPECT_DOUBLE_EQ(wsd.at(10), 2);
  EXPECT_DOUBLE_EQ(wsd.at(80), 2);
  EXPECT_DOUBLE_EQ(wsd.at(90), 1);
  EXPECT_DOUBLE_EQ(wsd.at(99), 0.1);
  EXPECT_FALSE(parse_rate_shape("linear"));
}

}  // namespace
}  // namespace lathe::infer

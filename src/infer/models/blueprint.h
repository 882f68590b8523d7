// What a model is made of, read from a GGUF header alone: an architecture file turns metadata into
// a Blueprint, and one forward pass (cpu/cpu_executor.h) runs any of them. A new architecture is
// one file with such a function plus its row in registry.cpp, as long as its mixers and
// feed-forward parts are there. A new kind of mixer is a member of MixerSpec; the compiler then
// names what it needs (docs/engine.md). Plain data. Every number has been checked: positive sizes,
// divisible heads, finite constants.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ground/base/result.h"
#include "infer/cache/state.h"
#include "infer/formats/gguf.h"

namespace lathe::infer {

// What the file's tensors divide the frequencies by.
enum class RopeFactors : std::uint8_t {
  kNone,
  kOne,        // rope_freqs (Llama 3)
  kByContext,  // rope_factors_long or …_short: whether the context that sequences are given is
               // longer than the original one (LongRoPE)
};

struct RopeSpec {
  bool neox = false;           // pairs (i, i + n/2) instead of (2i, 2i+1)
  std::size_t dimensions = 0;  // the first so many of a head
  double base = 10000;
  double scale = 1;  // positions are multiplied by this (linear and yarn: 1 / factor)
  // YaRN. extrapolation 0: none.
  double extrapolation = 0;
  double original_context = 0;
  double beta_fast = 32, beta_slow = 1;
  double magnitude = 1;  // cos and sin are multiplied by this
  RopeFactors factors = RopeFactors::kNone;
  // How many pairs turn by each of a position's numbers t, y and x (RopePosition), one section
  // behind the other; `interleaved`: t y x t y x …, as far as y and x go, the rest t (Qwen Team
  // 2024, "Qwen2-VL"; 2025, "Qwen3-VL"). All 0: a position is one number.
  std::array<std::size_t, 3> sections = {};
  bool interleaved = false;
  bool has_sections() const { return sections != std::array<std::size_t, 3>{}; }

  bool operator==(const RopeSpec&) const = default;
};

// Which tokens one sees: those before it and itself, or all of its text.
enum class Sight : std::uint8_t { kBackward, kAll };

// What the heads of a layer read of a sequence, whatever made their queries.
struct AttendSpec {
  std::size_t heads = 0, kv_heads = 0;
  KvShape head = {};
  std::size_t window = 0;  // 0: all positions
  bool chunked = false;    // a window begins at a multiple of its length, and none sees past it
  float soft_cap = 0;      // scores s become cap·tanh(s / cap); 0: they stay
  std::optional<std::size_t> kv_of = {};  // the layer whose keys and values they are; absent: own
  Sight sight = Sight::kBackward;
  float distance_bias = 0;  // AttentionSpec
  // A query that would see more positions sees so many, which an indexer chose; 0: all. K and V
  // then have one head, and a value is the first of its key's dimensions.
  std::size_t most = 0;

  // The positions [first, end) that a query at `position` sees of a text of so many.
  struct Seen {
    std::size_t first, end;
  };
  Seen seen(std::size_t position, std::size_t text) const {
    if (sight == Sight::kBackward)
      return {chunked ? position / window * window : oldest_visible(window, position),
              position + 1};
    if (window == 0) return {0, text};
    const std::size_t side = window / 2;
    return {position - std::min(position, side), std::min(text, position + side + 1)};
  }
};

// RMS norm of q and k: of each head before or after RoPE, or of all heads together before it; or a
// layer norm with a bias of all heads together.
enum class QkNorm : std::uint8_t { kNone, kHead, kHeadAfterRope, kWhole, kWholeLayer };

struct AttentionSpec {
  std::size_t heads = 0, kv_heads = 0, head_dim = 0;
  QkNorm qk_norm = QkNorm::kNone;
  bool plain_qk_norm = false;  // has no weights
  bool value_norm = false;     // RMS of each value, without weights
  bool qkv_bias = false, output_bias = false;
  bool joint_qkv = false;       // the file has q, k and v in one matrix, one after the other
  bool values_of_keys = false;  // a value is what its key was before norm and rotation
  Sight sight = Sight::kBackward;
  std::size_t window = 0;  // backward: the last so many; else half as many to each side; 0: all
  bool chunked = false;    // windows stand side by side (AttendSpec)
  std::optional<std::size_t> kv_of = {};  // the layer whose keys and values it reads; absent: own
  // ALiBi: scores fall with the distance, by this power of two over the heads; 0: they do not.
  float distance_bias = 0;
  bool sinks = false;  // a score of each head that takes part in the softmax and has no value
  // The heads are multiplied by the sigmoid of a projection, which stands behind each head's q.
  bool output_gate = false;
  float scale = 0;
  float soft_cap = 0;  // scores s become cap·tanh(s / cap); 0: they stay
  // q of a far position is multiplied by
  // 1 + temperature·ln(1 + ⌊(position + temperature_offset) / temperature_length⌋).
  double temperature = 0;
  std::size_t temperature_length = 1, temperature_offset = 0;
  RopeSpec rope = {};  // of 0 dimensions: none

  AttendSpec attends() const {
    return {heads, kv_heads, KvShape::of(head_dim), window, chunked, soft_cap,
            kv_of, sight,    distance_bias};
  }
};

// What chooses the positions that a layer's queries see (the lightning indexer of DeepSeek-AI 2025,
// "DeepSeek-V3.2"): heads of its own, whose keys are one of each position, score all that came
// before; the best so many are seen.
struct IndexerSpec {
  std::size_t heads = 0, key = 0;  // dimensions of a key; the first turn as those of attention do
  std::size_t most = 0;            // positions that a query sees
  bool neox = false;               // RopeSpec
  float norm_epsilon = 0;          // of the layer norm of its keys
  bool own = true;  // false: the layer sees what the last layer before it with one of its own chose
};

// Multi-head latent attention (DeepSeek-AI 2024, "DeepSeek-V2"), absorbed: what is remembered of a
// position is one row for all heads, a latent, which is the value, and a part that rotates. Queries
// are brought into the latent's space, the answers out of it.
struct LatentAttentionSpec {
  std::size_t heads = 0;
  std::size_t query_rank = 0;         // what queries are made of in two steps; 0: in one
  std::size_t latent = 0;             // dimensions of it
  std::size_t plain = 0, turned = 0;  // of a head's query: those that meet the latent, and others
  std::size_t value_dim = 0;          // of a head's answer
  float scale = 0;
  RopeSpec rope = {};                       // of the turned ones; of 0 dimensions: they stay
  std::optional<IndexerSpec> indexer = {};  // absent: all positions are seen

  std::size_t query() const { return plain + turned; }
  AttendSpec attends() const {
    return {.heads = heads,
            .kv_heads = 1,
            .head = {latent + turned, latent, true},
            .most = indexer ? indexer->most : 0};
  }
  bool owns_indexer() const { return indexer && indexer->own; }
};

// Gated delta net: it carries, from token to token, one matrix (key × value) a value head and the
// inputs that its short convolution still needs, in f32. A key and a value of a head have one size.
struct DeltaNetSpec {
  std::size_t key_heads = 0, value_heads = 0, size = 0, convolution = 0;
  // Which value heads share a key head: those that follow each other, or every so-many-th.
  bool interleaved = false;
  // Decay and beta come of one projection, for each key head first its betas, then its decays.
  bool joint_scalars = false;

  std::size_t channels() const { return (2 * key_heads + value_heads) * size; }  // convolved ones
  std::size_t values() const { return value_heads * size; }
  std::size_t shared() const { return value_heads / key_heads; }  // value heads a key head
  std::size_t key_head(std::size_t value_head) const {
    return interleaved ? value_head % key_heads : value_head / shared();
  }
  std::size_t state_bytes() const {  // of one sequence
    return (value_heads * size * size + (convolution - 1) * channels()) * sizeof(float);
  }
};

// Kimi delta attention (Kimi Team 2025, "Kimi Linear"): a delta net whose decay is a number for
// each dimension of a key; q, k and v have heads and convolutions of their own.
struct KeyDecaySpec {
  std::size_t heads = 0, size = 0, convolution = 0;
  std::size_t rank = 0;  // of what decays and gates are made of

  std::size_t values() const { return heads * size; }
  std::size_t state_bytes() const {  // of one sequence
    return (heads * size * size + 3 * (convolution - 1) * values()) * sizeof(float);
  }
};

// Mamba-2: it carries one matrix (state × head dimension) a head and the inputs that its short
// convolution still needs, in f32. Heads of a group share what writes and reads the states.
struct Mamba2Spec {
  std::size_t heads = 0, head_dim = 0, groups = 0, states = 0, convolution = 0;

  std::size_t inner() const { return heads * head_dim; }
  std::size_t channels() const { return inner() + 2 * groups * states; }  // convolved ones
  std::size_t projected() const { return inner() + channels() + heads; }  // of a token
  std::size_t state_bytes() const {                                       // of one sequence
    return (inner() * states + (convolution - 1) * channels()) * sizeof(float);
  }
};

// A short convolution between two gates (LFM2): it carries the inputs that it still needs.
struct ShortConvolutionSpec {
  std::size_t width = 0, taps = 0;
  std::size_t state_bytes() const { return (taps - 1) * width * sizeof(float); }
};

struct NoMixer {};  // a layer that is a feed-forward part alone

// How a layer's tokens see each other.
using MixerSpec = std::variant<AttentionSpec, LatentAttentionSpec, DeltaNetSpec, KeyDecaySpec,
                               Mamba2Spec, ShortConvolutionSpec, NoMixer>;

enum class Activation : std::uint8_t {
  kSilu,         // silu(gate)·up
  kGelu,         // gelu(gate)·up
  kGeluAlone,    // gelu(up), without a gate
  kReluSquared,  // max(up, 0)², without a gate
  kClampedSilu,  // gate·sigmoid(1.702·gate)·(up + 1), both clamped before (gpt-oss)
};

constexpr bool has_gate(Activation activation) {
  return activation != Activation::kReluSquared && activation != Activation::kGeluAlone;
}

// How a router's logits become the chosen experts and their weights.
enum class RouterRule : std::uint8_t {
  kSoftmax,          // of all experts, then the best few
  kSoftmaxOfChosen,  // the best few logits, then their softmax
  kSigmoid,          // each on its own
  kSigmoidOfChosen,  // the best few logits, then the sigmoid of each
};

struct FfnSpec {
  std::size_t hidden = 0;  // of one expert, if there are any; 0: the layer has no such part
  Activation activation = Activation::kSilu;
  bool bias = false;                          // of what it gives, and of its router
  bool input_bias = false;                    // of what its activation reads
  std::size_t experts = 0, experts_used = 0;  // 0: dense
  RouterRule router = RouterRule::kSoftmax;
  bool score_bias = false;  // is added when experts are chosen, not to their weights
  // Experts that follow each other are a group: only those of the groups with the best sums of two
  // scores are chosen among. 0: all.
  std::size_t groups = 0, groups_used = 0;
  bool normalize_weights = true;  // of the chosen experts
  float weight_scale = 1;
  std::size_t shared_hidden = 0;  // of an expert that every token takes; 0: none
  bool shared_gate = false;       // its answer is multiplied by the sigmoid of a projection
  bool after_attention = false;   // its norm's name in the file is the attention's post-norm
  bool joint = false;             // the file has gate and up in one matrix, gate's rows first
  bool weighs_input = false;      // an expert's weight multiplies what it reads, not what it gives
  std::size_t latent = 0;         // experts read and give so many dimensions; 0: the model's
  // Of a dense part beside the experts; 0: none. Both then have norms of their own in front and
  // behind, and the router reads the residual stream's norm.
  std::size_t beside_hidden = 0;
};

struct LayerSpec {
  MixerSpec mixer;
  FfnSpec ffn;
  bool pre_norms = true;    // of what the mixer and the feed-forward part read
  bool mixer_norm = true;   // … false: of what the feed-forward part reads alone
  bool post_norms = false;  // of what they give
  bool sum_norms = false;   // of the residual stream, once that is added
  bool parallel = false;    // both read the same
  bool scaled = false;      // the residual stream behind it is multiplied by a number of the file

  bool has_mixer() const { return !std::holds_alternative<NoMixer>(mixer); }
  bool has_ffn() const { return ffn.hidden != 0; }
  const AttentionSpec* attention() const { return std::get_if<AttentionSpec>(&mixer); }
  AttentionSpec* attention() { return std::get_if<AttentionSpec>(&mixer); }
  // Where it has attention of any kind.
  std::optional<AttendSpec> attends() const;
  const RopeSpec* rope() const;  // nullptr: nothing turns
};

enum class NormKind : std::uint8_t { kRms, kLayer };

// What stands for a text: nothing, the mean of its tokens, the first one, the last one.
enum class Pooling : std::uint8_t { kNone, kMean, kCls, kLast };

enum class Slot : std::uint8_t;  // tensors.h

// What becomes of a pooled text: linear layers, one after the other.
struct HeadLayer {
  enum class After : std::uint8_t { kNothing, kTanh, kGelu };
  Slot matrix = {};
  std::size_t rows = 0, k = 0;
  bool bias = false;
  After after = After::kNothing;
  bool norm = false;  // a layer norm without a bias, behind that
};

struct Blueprint {
  std::string architecture, name;
  std::size_t embedding = 0;
  std::size_t vocabulary = 0;
  std::size_t context = 0;  // trained length
  float norm_epsilon = 0;
  NormKind norm = NormKind::kRms;
  bool norm_bias = false;       // of all norms
  bool input_norm = false;      // of the embeddings
  bool final_norm = true;       // of what the last layer leaves
  bool generates = true;        // it has logits; false: an encoder, which reads whole texts
  bool tied = false;            // the output matrix is the embedding
  bool embedding_norm = false;  // what the file calls the embedding's norm is the output's
  // What embeddings, each part's answer and the logits are multiplied by.
  float embedding_scale = 1, residual_scale = 1, logit_scale = 1;
  float logit_cap = 0;          // logits l become cap·tanh(l / cap); 0: they stay
  std::size_t token_types = 0;  // rows of a table whose first is added to every embedding; 0: none
  bool learned_positions = false;  // a table with a row for each position of the context
  Pooling pooling = Pooling::kNone;
  std::vector<HeadLayer> head;  // empty: a pooled text stays as it is
  bool ranks = false;           // a reranker: the head gives scores of a pair of texts
  bool scores_softmax = false;  // … which are shares of one
  bool shortens = false;        // made so that the first numbers of an embedding are one themselves
  // Behind each layer stands a part that a token's own embedding for that layer opens (Gemma 4): of
  // so many dimensions; 0: none.
  std::size_t layer_input = 0;
  // Rows in place of tokens bring what is added behind each of so many of the first layers.
  std::size_t deepstack = 0;
  // A talker: what comes next is one of the last so many tokens, which are codes of sound (infer/
  // voice), and its logits are those of them alone. 0: it writes text.
  std::size_t codes = 0;
  std::vector<LayerSpec> layers;
  // Layers that predict one more token (read_predictor()): what a token begins with is made of its
  // embedding and a row that is given beside it; embedding, output and, unless it has a norm of its
  // own, the output's norm are those of the model that they stand in, behind so many layers.
  bool predicts = false, own_output_norm = false;
  std::size_t first_layer = 0;

  bool chooses() const;  // a layer's queries see positions that an indexer chose
  // Of a row in place of a token (RowBlock).
  std::size_t row_width() const { return embedding * (1 + deepstack); }
  // Of a row of logits.
  std::size_t outputs() const { return codes != 0 ? codes : vocabulary; }
  // Of what a text becomes.
  std::size_t text_width() const { return head.empty() ? embedding : head.back().rows; }
  std::vector<StateSpec> states() const;
  // Whether sequences that are given so long a context turn by the file's factors for long ones.
  bool turns_long(std::size_t given) const;
  // The first of its layers with attention; nullptr: none has.
  const AttentionSpec* attention() const;
  // The first thing that it has and that there is no forward pass for yet; empty: it runs.
  std::string_view missing() const;
  bool runs() const { return missing().empty(); }
};

// Reads and checks the header. Errors name the file, the key or the tensor, and for an unknown
// architecture those that there are.
Result<Blueprint> read_blueprint(const Gguf& file);
// The same, and refuses what has no forward pass yet.
Result<Blueprint> read_runnable_blueprint(const Gguf& file);

// The layer of the file that predicts the token after the next one (multi-token prediction), as a
// model of its own; absent: there is none.
Result<std::optional<Blueprint>> read_predictor(const Gguf& file, const Blueprint& model);

// --- for architecture files
// -----------------------------------------------------------------------------------------

// Reads "<architecture>.<key>" keys.
class ArchitectureKeys {
 public:
  ArchitectureKeys(const Gguf& file, std::string architecture)
      : file_(file), prefix_(std::move(architecture) + ".") {}
  const Gguf& file() const { return file_; }
  std::string name(std::string_view key) const { return prefix_ + std::string(key); }
  Result<std::size_t> size(std::string_view key, std::size_t min, std::size_t max) const;
  Result<std::size_t> size_or(std::string_view key, std::size_t fallback, std::size_t min,
                              std::size_t max) const;
  Result<double> real_or(std::string_view key, double fallback, double min, double max) const;

 private:
  const Gguf& file_;
  std::string prefix_;
};

// What nearly every decoder shares: sizes, heads, RoPE with its scalings, dense or expert FFN. The
// architecture then sets what is its own.
// Which layers' mixers it reads: attention in all of them, or where there are KV heads, or none.
// Of the others the architecture says what they have; without a hidden width a layer then has no
// feed-forward part.
enum class Mixers : std::uint8_t { kAttention, kHybrid, kOwn };
Result<Blueprint> read_decoder(const ArchitectureKeys& keys, Mixers mixers = Mixers::kAttention);

// Which of a layer's linear layers have biases.
void find_biases(const Gguf& file, std::size_t layer, FfnSpec& ffn);
// An encoder: its tokens see all of their text, and nothing is predicted.
Result<Blueprint> read_encoder(const ArchitectureKeys& keys);
void see_whole_texts(const Gguf& file, Blueprint& blueprint);
// A reranker's head: `cls`, and what follows it, then `cls.output`; a file may lack one of them.
Status read_classifier(const ArchitectureKeys& keys, HeadLayer::After after, Blueprint& blueprint);

// Its experts: in which layers, how wide, those that every token takes, how they are chosen.
Status read_mixture(const ArchitectureKeys& keys, Blueprint& blueprint);
void make_dense(FfnSpec& ffn);  // a layer of such a model that has no experts
// Mamba-2's sizes.
Result<Mamba2Spec> read_mamba2(const ArchitectureKeys& keys);
// Latent attention's of so many heads; without a rope, which the architecture knows to read.
Result<LatentAttentionSpec> read_latent_attention(const ArchitectureKeys& keys, std::size_t heads,
                                                  std::size_t layer);
Result<RopeSpec> read_rope(const ArchitectureKeys& keys, std::size_t head_dim, std::size_t context);
// RopeSpec::sections of all layers that turn.
Status read_sections(const ArchitectureKeys& keys, bool interleaved, Blueprint& blueprint);
// Which layers see a window: of every `period` all but the last one (0: all), unless the file has a
// period of its own, or says it of each. The window; 0: there is none.
Result<std::size_t> read_windows(const ArchitectureKeys& keys, Blueprint& blueprint,
                                 std::size_t period);

struct Architecture {
  std::string_view name;
  Result<Blueprint> (*read)(const ArchitectureKeys& keys);
};
std::span<const Architecture> architectures();

Result<Blueprint> read_bert(const ArchitectureKeys& keys);
Result<Blueprint> read_nomic_bert(const ArchitectureKeys& keys);
Result<Blueprint> read_nomic_bert_moe(const ArchitectureKeys& keys);
Result<Blueprint> read_jina_bert_v2(const ArchitectureKeys& keys);
Result<Blueprint> read_jina_bert_v3(const ArchitectureKeys& keys);
Result<Blueprint> read_modern_bert(const ArchitectureKeys& keys);
Result<Blueprint> read_command_r(const ArchitectureKeys& keys);
Result<Blueprint> read_cohere2(const ArchitectureKeys& keys);
Result<Blueprint> read_deepseek2(const ArchitectureKeys& keys);
Result<Blueprint> read_deepseek32(const ArchitectureKeys& keys);
Result<Blueprint> read_ernie(const ArchitectureKeys& keys);
Result<Blueprint> read_gemma2(const ArchitectureKeys& keys);
Result<Blueprint> read_gemma3(const ArchitectureKeys& keys);
Result<Blueprint> read_gemma4(const ArchitectureKeys& keys);
Result<Blueprint> read_gemma_embedding(const ArchitectureKeys& keys);
Result<Blueprint> read_glm4(const ArchitectureKeys& keys);
Result<Blueprint> read_glm4moe(const ArchitectureKeys& keys);
Result<Blueprint> read_glm_dsa(const ArchitectureKeys& keys);
Result<Blueprint> read_gpt_oss(const ArchitectureKeys& keys);
Result<Blueprint> read_granite(const ArchitectureKeys& keys);
Result<Blueprint> read_granite_hybrid(const ArchitectureKeys& keys);
Result<Blueprint> read_kimi_linear(const ArchitectureKeys& keys);
Result<Blueprint> read_lfm2(const ArchitectureKeys& keys);
Result<Blueprint> read_nemotron_h(const ArchitectureKeys& keys);
Result<Blueprint> read_hunyuan_moe(const ArchitectureKeys& keys);
Result<Blueprint> read_minimax(const ArchitectureKeys& keys);
Result<Blueprint> read_mistral3(const ArchitectureKeys& keys);
Result<Blueprint> read_olmo2(const ArchitectureKeys& keys);
Result<Blueprint> read_seed_oss(const ArchitectureKeys& keys);
Result<Blueprint> read_smollm3(const ArchitectureKeys& keys);
Result<Blueprint> read_llama(const ArchitectureKeys& keys);
Result<Blueprint> read_llama4(const ArchitectureKeys& keys);
Result<Blueprint> read_phi3(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen2(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen2moe(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen2vl(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen3(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen3moe(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen3vl(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen3vlmoe(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen35(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen3tts(const ArchitectureKeys& keys);
Result<Blueprint> read_qwen3next(const ArchitectureKeys& keys);

}  // namespace lathe::infer

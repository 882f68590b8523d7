// Whisper's encoder and decoder, strung from the parts of encoders.
#include "infer/whisper/model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "infer/whisper/align.h"

namespace lathe::infer {
namespace {

constexpr float kEpsilon = 1e-5F;
constexpr std::size_t kFft = 400;
constexpr std::size_t kMedian = 7;  // rows of sound that a head's gaze is smoothed over

// In sixteen sums, so that it is the same whatever vectors it is computed in.
float dot(const float* x, const float* y, std::size_t n) {
  float sums[16] = {};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (std::size_t j = 0; j < 16; ++j) sums[j] += x[i + j] * y[i + j];
  for (std::size_t j = 0; i + j < n; ++j) sums[j] += x[i + j] * y[i + j];
  return std::accumulate(std::begin(sums), std::end(sums), 0.0F);
}

void softmax(std::span<float> values) {
  const float most = std::ranges::max(values);
  double sum = 0;
  for (float& value : values) {
    value = std::exp(value - most);
    sum += value;
  }
  for (float& value : values) value = static_cast<float>(value / sum);
}

Result<MelBank> mel_of(const Gguf& file, const WhisperSizes& sizes) {
  const MelSpec spec = whisper_mel(sizes.bins);
  LATHE_TRY(const std::vector<double> filters, file.reals("whisper.mel_filters"));
  const std::size_t width = kFft / 2 + 1;
  if (filters.size() != sizes.bins * width)
    return invalid("{}: whisper.mel_filters has {} numbers; {} bands of {} are needed",
                   file.path().string(), filters.size(), sizes.bins, width);
  MelSpec own = spec;
  own.floor = 1e-10;
  return MelBank(own, std::vector<float>(filters.begin(), filters.end()));
}

VitSpec layers_of(const WhisperSizes& sizes) {
  VitSpec spec;
  spec.width = sizes.width;
  spec.heads = sizes.heads;
  spec.layers = sizes.sound_layers;
  spec.hidden = 4 * sizes.width;
  spec.epsilon = kEpsilon;
  spec.activation = EncoderActivation::kGelu;
  return spec;
}

}  // namespace

Result<WhisperSizes> WhisperSizes::of(const Gguf& file) {
  WhisperSizes sizes;
  LATHE_TRY(sizes.vocabulary, file.uint("whisper.vocab_size", 1, 1U << 20));
  LATHE_TRY(sizes.bins, file.uint("whisper.mel_bins", 1, 1024));
  LATHE_TRY(sizes.sound_rows, file.uint("whisper.audio.context_length", 1, 8192));
  LATHE_TRY(sizes.width, file.uint("whisper.audio.embedding_length", 1, 16384));
  LATHE_TRY(sizes.heads, file.uint("whisper.audio.head_count", 1, 256));
  LATHE_TRY(sizes.sound_layers, file.uint("whisper.audio.block_count", 1, 256));
  LATHE_TRY(sizes.text_layers, file.uint("whisper.text.block_count", 1, 256));
  // Half of it is a prompt, which is one step.
  LATHE_TRY(sizes.text_context,
            file.uint("whisper.text.context_length", 8, 2 * (WhisperModel::kMostRows - 8)));
  LATHE_TRY(const auto text_width, file.uint("whisper.text.embedding_length", 1, 16384));
  LATHE_TRY(const auto text_heads, file.uint("whisper.text.head_count", 1, 256));
  if (text_width != sizes.width || text_heads != sizes.heads)
    return invalid(
        "{}: its decoder has {} heads in {} numbers, its encoder {} in {}; in models of "
        "this kind they are the same",
        file.path().string(), text_heads, text_width, sizes.heads, sizes.width);
  if (sizes.width % sizes.heads != 0)
    return invalid("{}: {} numbers cannot be shared by {} heads", file.path().string(), sizes.width,
                   sizes.heads);
  return sizes;
}

bool WhisperModel::is_one(const Gguf& file) {
  const auto architecture = file.text_or("general.architecture", "");
  return architecture && *architecture == "whisper";
}

WhisperModel::WhisperModel(const WhisperSizes& sizes, const MelBank& mel, WeightList& list)
    : sizes_(sizes),
      mel_(mel),
      encoder_(list, layers_of(sizes), sizes.bins, sizes.sound_rows),
      layers_(sizes.text_layers) {
  sound_norm_.ask(list, "a.post_ln", sizes.width, EncoderNorm::kLayer, kEpsilon);
  for (std::size_t i = 0; i < layers_.size(); ++i)
    ask(list, fmt::format("decoder.blocks.{}.", i), layers_[i]);
  text_norm_.ask(list, "decoder.ln", sizes.width, EncoderNorm::kLayer, kEpsilon);
  words_.ask(list, "decoder.token_embedding", sizes.width, sizes.vocabulary);
  list.numbers("decoder.positional_embedding", sizes.text_context * sizes.width, &positions_);
}

void WhisperModel::ask(WeightList& list, const std::string& name, Layer& layer) const {
  const std::size_t width = sizes_.width, hidden = 4 * width;
  const auto norm = [&](NormLayer& to, const std::string& which) {
    to.ask(list, name + which, width, EncoderNorm::kLayer, kEpsilon);
  };
  const auto linear = [&](LinearLayer& to, const std::string& which) {
    to.ask(list, name + which, width, width);
  };
  norm(layer.norm1, "attn_ln");
  linear(layer.q, "attn.query");
  linear(layer.k, "attn.key");
  linear(layer.v, "attn.value");
  linear(layer.out, "attn.out");
  norm(layer.cross_norm, "cross_attn_ln");
  linear(layer.cross_q, "cross_attn.query");
  linear(layer.cross_k, "cross_attn.key");
  linear(layer.cross_v, "cross_attn.value");
  linear(layer.cross_out, "cross_attn.out");
  norm(layer.norm2, "mlp_ln");
  layer.up.ask(list, name + "mlp.0", width, hidden);
  layer.down.ask(list, name + "mlp.2", hidden, width);
}

EncoderSizes WhisperModel::pass_sizes(const KernelTable& kernels, int threads) const {
  EncoderSizes sizes;
  sizes.kernels = &kernels;
  sizes.rows = std::max(sizes_.sound_rows, kMostRows);
  sizes.width = sizes_.width;
  sizes.heads = sizes_.heads;
  sizes.max_k = std::max(4 * sizes_.width, 3 * sizes_.bins);
  sizes.max_rows = 4 * sizes_.width;
  sizes.threads = static_cast<std::size_t>(threads);
  return sizes;
}

Result<WhisperBytes> WhisperModel::bytes(const Gguf& file, const KernelTable& kernels,
                                         int threads) {
  LATHE_TRY(const WhisperSizes sizes, WhisperSizes::of(file));
  LATHE_TRY(const MelBank mel, mel_of(file, sizes));
  WeightList list(file);
  const WhisperModel model(sizes, mel, list);
  LATHE_TRY_STATUS(list.check("a.blk."));
  const std::size_t head_dim = sizes.width / sizes.heads;
  const auto memory = [&](std::size_t rows) {
    return sizes.text_layers * HeadMemory::bytes_for(kernels, sizes.heads, head_dim, rows);
  };
  WhisperBytes bytes;
  bytes.weights = list.bytes(kernels);
  bytes.sequence = memory(sizes.text_context);
  // Beside the buffers: a window's frames between the convolutions, its rows, logits.
  bytes.scratch = EncoderPass::bytes_for(model.pass_sizes(kernels, threads)) +
                  memory(sizes.sound_rows) + bytes.sequence +
                  (3 * sizes.sound_rows * sizes.width + sizes.vocabulary) * sizeof(float);
  return bytes;
}

Result<std::unique_ptr<WhisperModel>> WhisperModel::open(const Gguf& file, ThreadTeam& team,
                                                         const WeightLoading& loading) {
  LATHE_TRY(const WhisperSizes sizes, WhisperSizes::of(file));
  LATHE_TRY(const MelBank mel, mel_of(file, sizes));
  WeightList list(file);
  std::unique_ptr<WhisperModel> model(new WhisperModel(sizes, mel, list));
  LATHE_TRY_STATUS(list.check("a.blk."));
  LATHE_TRY(model->matrices_, list.load(team, loading));
  // As the program does whose files these are; published ones have the kernels in F16.
  model->encoder_.use_half_convolutions();
  LATHE_TRY_STATUS(model->pass_.reserve(model->pass_sizes(*loading.kernels, team.size())));
  model->pass_.team = &team;
  for (Layer& layer : model->layers_)
    LATHE_TRY_STATUS(layer.sound.reserve(*loading.kernels, sizes.heads, sizes.width / sizes.heads,
                                         sizes.sound_rows));
  return model;
}

Status WhisperModel::encode(const MelFrames& mel, const StopFlag* stop) {
  pass_.stop = stop;
  LATHE_TRY_STATUS(encoder_.run(pass_, mel));
  sound_.resize(sizes_.sound_rows * sizes_.width);
  pass_.team->run(sizes_.sound_rows, [&](std::size_t i, int) {
    const std::size_t at = i * sizes_.width;
    sound_norm_.run(pass_.kernels(), pass_.x.data() + at, sound_.data() + at);
  });
  for (Layer& layer : layers_) LATHE_TRY_STATUS(look_at_sound(layer));
  return {};
}

Status WhisperModel::look_at(std::span<const float> sound, const StopFlag* stop) {
  LATHE_CHECK(sound.size() == sizes_.sound_rows * sizes_.width);
  pass_.stop = stop;
  sound_.assign(sound.begin(), sound.end());
  for (Layer& layer : layers_) LATHE_TRY_STATUS(look_at_sound(layer));
  return {};
}

// What a layer of the decoder will see of the sound.
Status WhisperModel::look_at_sound(Layer& layer) {
  LATHE_TRY_STATUS(pass_.check_stop());
  const std::size_t width = sizes_.width, dim = width / sizes_.heads;
  for_blocks(sizes_.sound_rows, [&](std::size_t first, std::size_t count) {
    float *k = pass_.left.data(), *v = pass_.right.data();
    layer.cross_k.run(pass_, sound_.data() + first * width, count, k, width);
    layer.cross_v.run(pass_, sound_.data() + first * width, count, v, width);
    pass_.team->run(count, [&](std::size_t i, int thread) {
      for (std::size_t h = 0; h < sizes_.heads; ++h)
        layer.sound.store(first + i, h, k + i * width + h * dim, v + i * width + h * dim,
                          pass_.room(thread));
    });
  });
  return {};
}

Result<WhisperModel::Sequence> WhisperModel::begin() const {
  Sequence sequence;
  sequence.layers_.resize(sizes_.text_layers);
  for (HeadMemory& layer : sequence.layers_)
    LATHE_TRY_STATUS(layer.reserve(pass_.kernels(), sizes_.heads, sizes_.width / sizes_.heads,
                                   sizes_.text_context));
  return sequence;
}

void WhisperModel::copy(const Sequence& from, Sequence& to) const {
  for (std::size_t i = 0; i < sizes_.text_layers; ++i)
    to.layers_[i].copy_rows(from.layers_[i], from.size_);
  to.size_ = from.size_;
}

Result<std::span<const float>> WhisperModel::step(std::span<const Row> rows, const StopFlag* stop) {
  LATHE_CHECK(!rows.empty() && rows.size() <= kMostRows);
  pass_.stop = stop;
  LATHE_TRY_STATUS(pass_.check_stop());
  const std::size_t width = sizes_.width;
  std::size_t position = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool goes_on = i > 0 && rows[i - 1].sequence == rows[i].sequence;
    position = goes_on ? position + 1 : rows[i].sequence->size_;
    LATHE_CHECK(position < sizes_.text_context);
    float* x = pass_.x.data() + i * width;
    words_.row(static_cast<std::size_t>(rows[i].token), x);
    pass_.kernels().add(positions_.data() + position * width, width, x);
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    mix(i, rows);
    look(layers_[i], rows.size());
    feed(layers_[i], rows.size());
  }
  for (const Row& row : rows) ++row.sequence->size_;
  return logits_of(rows);
}

// pass.input = the norms of x.
void WhisperModel::norm_rows(const NormLayer& norm, std::size_t rows) {
  const std::size_t width = sizes_.width;
  pass_.team->run(rows, [&](std::size_t i, int) {
    norm.run(pass_.kernels(), pass_.x.data() + i * width, pass_.input.data() + i * width);
  });
}

// x += pass.left
void WhisperModel::add(std::size_t rows) {
  pass_.kernels().add(pass_.left.data(), rows * sizes_.width, pass_.x.data());
}

// x += what each row makes of the rows of its sequence up to itself.
void WhisperModel::mix(std::size_t index, std::span<const Row> rows) {
  const Layer& layer = layers_[index];
  const std::size_t width = sizes_.width, dim = width / sizes_.heads;
  const float scale = 1 / std::sqrt(static_cast<float>(dim));
  norm_rows(layer.norm1, rows.size());
  float *q = pass_.q.data(), *k = pass_.left.data(), *v = pass_.right.data();
  layer.q.run(pass_, pass_.input.data(), rows.size(), q, width);
  layer.k.run(pass_, pass_.input.data(), rows.size(), k, width);
  layer.v.run(pass_, pass_.input.data(), rows.size(), v, width);
  pass_.kernels().train.scale(q, scale, rows.size() * width);
  for (std::size_t first = 0, end = 0; first < rows.size(); first = end) {
    Sequence& sequence = *rows[first].sequence;
    while (end < rows.size() && rows[end].sequence == &sequence) ++end;
    const std::size_t from = sequence.size_;
    HeadMemory& memory = sequence.layers_[index];
    pass_.team->run(end - first, [&](std::size_t i, int thread) {
      for (std::size_t h = 0; h < sizes_.heads; ++h) {
        const std::size_t at = (first + i) * width + h * dim;
        memory.store(from + i, h, k + at, v + at, pass_.room(thread));
      }
    });
    attend(pass_, memory, q + first * width, end - first, [from](std::size_t i) {
      return SeenRows{0, from + i + 1};
    });
  }
  layer.out.run(pass_, q, rows.size(), pass_.left.data(), width);
  add(rows.size());
}

// x += what each row makes of the sound.
void WhisperModel::look(const Layer& layer, std::size_t rows) {
  const std::size_t width = sizes_.width;
  const float scale = 1 / std::sqrt(static_cast<float>(width / sizes_.heads));
  norm_rows(layer.cross_norm, rows);
  float* q = pass_.q.data();
  layer.cross_q.run(pass_, pass_.input.data(), rows, q, width);
  pass_.kernels().train.scale(q, scale, rows * width);
  if (gaze_ != nullptr && &layer >= &layers_[layers_.size() / 2]) watch(layer, rows);
  attend(pass_, layer.sound, q, rows, [this](std::size_t) {
    return SeenRows{0, sizes_.sound_rows};
  });
  layer.cross_out.run(pass_, q, rows, pass_.left.data(), width);
  add(rows);
}

Result<std::vector<float>> WhisperModel::gaze(std::span<const std::int32_t> tokens,
                                              std::size_t columns, const StopFlag* stop) {
  LATHE_CHECK(!tokens.empty() && columns > 0 && columns <= sizes_.sound_rows);
  LATHE_TRY(Sequence sequence, begin());
  std::vector<Row> rows;
  for (const std::int32_t token : tokens) rows.push_back({&sequence, token, false});
  Gaze gaze{.sum = std::vector<float>(tokens.size() * columns), .columns = columns, .heads = 0};
  gaze_ = &gaze;
  const auto done = step(rows, stop);
  gaze_ = nullptr;
  if (!done) return std::unexpected(done.error());
  for (float& value : gaze.sum) value /= static_cast<float>(gaze.heads);
  return std::move(gaze.sum);
}

// What pass.q, scaled, sees of a layer's keys.
void WhisperModel::watch(const Layer& layer, std::size_t rows) {
  const std::size_t width = sizes_.width, dim = width / sizes_.heads, columns = gaze_->columns;
  std::vector<float> keys(columns * width);
  for_blocks(columns, [&](std::size_t first, std::size_t count) {
    layer.cross_k.run(pass_, sound_.data() + first * width, count, keys.data() + first * width,
                      width);
  });
  std::vector<std::vector<float>> heads(sizes_.heads);
  pass_.team->run(sizes_.heads, [&](std::size_t h, int) {
    std::vector<float>& weights = heads[h];
    weights.resize(rows * columns);
    for (std::size_t r = 0; r < rows; ++r) {
      const std::span<float> row(weights.data() + r * columns, columns);
      for (std::size_t c = 0; c < columns; ++c)
        row[c] = dot(pass_.q.data() + r * width + h * dim, keys.data() + c * width + h * dim, dim);
      softmax(row);
    }
    standardize_columns(weights, rows, columns);
    for (std::size_t r = 0; r < rows; ++r)
      median_filter({weights.data() + r * columns, columns}, kMedian);
  });
  for (const std::vector<float>& weights : heads)
    pass_.kernels().add(weights.data(), weights.size(), gaze_->sum.data());
  gaze_->heads += sizes_.heads;
}

// x += what the feed-forward part makes of its norm.
void WhisperModel::feed(const Layer& layer, std::size_t rows) {
  const std::size_t width = sizes_.width, hidden = 4 * width;
  norm_rows(layer.norm2, rows);
  float* up = pass_.left.data();
  layer.up.run(pass_, pass_.input.data(), rows, up, hidden);
  pass_.team->run(rows, [&](std::size_t i, int) {
    activate(pass_.kernels(), EncoderActivation::kGelu, up + i * hidden, hidden);
  });
  layer.down.run(pass_, up, rows, pass_.left.data(), width);
  add(rows);
}

std::span<const float> WhisperModel::logits_of(std::span<const Row> rows) {
  const std::size_t width = sizes_.width;
  std::size_t wanted = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].wanted) continue;
    text_norm_.run(pass_.kernels(), pass_.x.data() + i * width,
                   pass_.input.data() + wanted * width);
    ++wanted;
  }
  logits_.resize(wanted * sizes_.vocabulary);
  if (wanted > 0) words_.run(pass_, pass_.input.data(), wanted, logits_.data(), sizes_.vocabulary);
  return logits_;
}

}  // namespace lathe::infer

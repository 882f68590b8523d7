// Opens a voice, and speaks: prompt, frames, samples.
#include "infer/voice/voice.h"

#include <algorithm>
#include <cmath>

#include "infer/cache/memory.h"
#include "infer/executor/executor.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kPiece = 12;  // frames that are handed on at once: about a second
constexpr std::size_t kMostFrames = std::size_t{1} << 16;
constexpr float kRepeatPenalty = 1.05F;  // of first codes, as the talker was published with

std::int16_t sample_of(float value) {
  if (!std::isfinite(value)) return 0;  // broken weights
  return static_cast<std::int16_t>(std::clamp(std::lround(value * 32768.0F), -32768L, 32767L));
}

SamplerParams sampler_of(const VoiceWish& wish) {
  SamplerParams params;
  params.temperature = wish.temperature;
  params.top_k = wish.top_k;
  params.top_p = 1;
  params.min_p = 0;
  params.dry_last_n = params.repeat_last_n = 0;
  params.seed = wish.seed;
  return params;
}

ExecutorOptions talker_steps() {
  ExecutorOptions steps;
  steps.most_outputs = 1;
  steps.keep_hidden = true;
  return steps;
}

Result<Blueprint> talker_blueprint(const Gguf& talker) {
  LATHE_TRY(Blueprint blueprint, read_runnable_blueprint(talker));
  if (blueprint.codes == 0)
    return invalid("{}: {} writes text; of models that speak Lathe runs qwen3tts",
                   talker.path().string(), blueprint.architecture);
  return blueprint;
}

}  // namespace

struct Voice::Parts {
  explicit Parts(const Gguf& rest) : tables(rest), codes(rest), waves(rest), speakers(rest) {}
  // Checked against each other and against the talker.
  static Result<std::unique_ptr<Parts>> read(const Gguf& rest, const Gguf& talker,
                                             const Blueprint& blueprint);

  WeightList tables, codes, waves, speakers;
  std::unique_ptr<CodePredictor> predictor;
  std::unique_ptr<WaveDecoder> decoder;
  std::unique_ptr<SpeakerEncoder> speaker;  // null: the file has none
};

Result<std::unique_ptr<Voice::Parts>> Voice::Parts::read(const Gguf& rest, const Gguf& talker,
                                                         const Blueprint& blueprint) {
  LATHE_TRY(const VoiceHeader header, read_voice_header(rest));
  if (header.embedding != blueprint.embedding)
    return invalid("{}: is made for a talker of {} numbers, {} has {}", rest.path().string(),
                   header.embedding, talker.path().string(), blueprint.embedding);
  auto parts = std::make_unique<Parts>(rest);
  parts->predictor = std::make_unique<CodePredictor>(header, parts->codes, parts->tables);
  parts->decoder = std::make_unique<WaveDecoder>(parts->waves, parts->tables);
  if (header.bins != 0) parts->speaker = std::make_unique<SpeakerEncoder>(header, parts->speakers);
  LATHE_TRY_STATUS(parts->tables.check("a.gen.code.blk."));
  LATHE_TRY_STATUS(parts->codes.check("a.gen.code.blk."));
  for (const char* layers : {"tfm", "up", "dac"})
    LATHE_TRY_STATUS(parts->waves.check(fmt::format("a.gen.wav.{}.blk.", layers)));
  LATHE_TRY_STATUS(parts->speakers.check("a.blk."));
  const CodePredictor& predictor = *parts->predictor;
  const WaveDecoder& decoder = *parts->decoder;
  LATHE_TRY_STATUS(predictor.check(rest));
  LATHE_TRY_STATUS(decoder.check(rest));
  if (predictor.books() != decoder.books() || predictor.codes() > decoder.codes())
    return invalid("{}: frames of {} codes below {} are predicted, and {} below {} decoded",
                   rest.path().string(), predictor.books(), predictor.codes(), decoder.books(),
                   decoder.codes());
  return parts;
}

Result<VoiceBytes> Voice::bytes(const Gguf& talker, const Gguf& rest, const KernelTable& kernels,
                                int threads) {
  LATHE_TRY(const Blueprint blueprint, talker_blueprint(talker));
  LATHE_TRY(const auto parts, Parts::read(rest, talker, blueprint));
  const Processor processor{&kernels, static_cast<std::size_t>(threads)};
  const std::size_t positions =
      std::min(blueprint.context, kMostPromptRows + VoiceWish().most_frames);
  const ExecutorOptions steps = talker_steps();
  LATHE_TRY(const ExecutorSizes sizes, cpu_sizes(talker, blueprint, processor, steps, positions));
  VoiceBytes bytes;
  bytes.weights = sizes.weights;
  bytes.scratch = sizes.scratch;
  bytes.talk.add(kHostDevice, (blocks_for(positions) + 1) * sizes.layout.block_bytes() +
                                  sizes.layout.state_bytes());
  for (const WeightList* list : {&parts->tables, &parts->codes, &parts->waves, &parts->speakers})
    bytes.weights.add(kHostDevice, list->bytes(kernels));
  const auto room = [&](const EncoderSizes& of) {
    bytes.scratch.add(kHostDevice, EncoderPass::bytes_for(of));
  };
  room(parts->predictor->sizes(parts->codes, kernels, threads));
  room(parts->decoder->sizes(parts->waves, kernels, threads));
  // Nobody is listened to while somebody speaks.
  std::uint64_t rows = parts->decoder->row_bytes();
  if (parts->speaker) {
    room(parts->speaker->sizes(parts->speakers, kernels, threads));
    rows = std::max(rows, parts->speaker->row_bytes());
  }
  bytes.scratch.add(kHostDevice, rows);
  return bytes;
}

Result<std::unique_ptr<Voice>> Voice::open(const Gguf& talker, const Gguf& rest, ThreadTeam& team,
                                           const WeightLoading& loading) {
  LATHE_TRY(const Blueprint blueprint, talker_blueprint(talker));
  LATHE_TRY(const auto parts, Parts::read(rest, talker, blueprint));
  LATHE_TRY(VoicePrompt prompt, VoicePrompt::of(talker, blueprint.codes));
  if (prompt.tokenizer().size() != blueprint.vocabulary)
    return invalid("{}: the vocabulary has {} tokens and the embedding {} rows; it is damaged",
                   talker.path().string(), prompt.tokenizer().size(), blueprint.vocabulary);
  std::unique_ptr<Voice> voice(new Voice(std::move(prompt)));
  LATHE_TRY_STATUS(voice->load_rest(*parts, team, loading));
  LoadOptions options;
  options.kernels = loading.kernels;
  options.progress = loading.progress;
  options.stop = loading.stop;
  LATHE_TRY(voice->model_, Model::load(talker, blueprint, team, options));
  LATHE_TRY(voice->executor_, CpuExecutor::create(*voice->model_, team, talker_steps()));
  return voice;
}

Status Voice::load_rest(Parts& parts, ThreadTeam& team, const WeightLoading& loading) {
  for (WeightList* list : {&parts.tables, &parts.codes, &parts.waves, &parts.speakers}) {
    LATHE_TRY(Pages pages, list->load(team, loading));
    matrices_.push_back(std::move(pages));
  }
  predictor_ = std::move(parts.predictor);
  decoder_ = std::move(parts.decoder);
  speakers_ = std::move(parts.speaker);
  LATHE_TRY_STATUS(predictor_->reserve(parts.codes, loading, team));
  LATHE_TRY_STATUS(decoder_->reserve(parts.waves, loading, team));
  if (speakers_) LATHE_TRY_STATUS(speakers_->reserve(parts.speakers, loading, team));
  return {};
}

Result<std::vector<float>> Voice::speaker(std::span<const std::int16_t> samples,
                                          const StopFlag* stop) {
  if (!speakers_)
    return invalid("this voice has no encoder of speakers, and can speak like nobody else");
  return speakers_->embed(samples, stop);
}

// (rows, embedding)
std::vector<float> Voice::embed(std::span<const PromptRow> rows, const VoiceWish& wish) const {
  const std::size_t width = model_->blueprint().embedding;
  std::vector<float> all(rows.size() * width), code(width);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    float* row = &all[i * width];
    model_->embed(rows[i].word, row);
    if (rows[i].code != kNoToken) {
      model_->embed(rows[i].code, code.data());
      model_->kernels().add(code.data(), width, row);
    }
    if (rows[i].speaker) model_->kernels().add(wish.speaker.data(), width, row);
  }
  return all;
}

// One a book.
std::vector<Sampler> Voice::samplers(const VoiceWish& wish, std::size_t frames) const {
  std::vector<Sampler> all;
  for (std::size_t book = 0; book < predictor_->books(); ++book) {
    SamplerParams params = sampler_of(wish);
    if (book == 0) {
      params.repeat_penalty = kRepeatPenalty;
      params.repeat_last_n = static_cast<std::int32_t>(frames);
    }
    all.emplace_back(params, book, prompt_.tokenizer());
  }
  return all;
}

// A frame begins with a code that predictor and decoder know, or it is the end: a mask of codes.
std::vector<std::uint32_t> Voice::first_codes() const {
  const std::size_t all = model_->blueprint().codes;
  const std::size_t known = std::min(predictor_->first_codes(), decoder_->codes());
  std::vector<std::uint32_t> mask(all / 32 + 1);
  for (std::size_t code = 0; code < all; ++code)
    if (code < known || code == prompt_.end()) mask[code / 32] |= 1U << (code % 32);
  return mask;
}

// A talker's sequence: rows in, what comes next out.
class Voice::Talk {
 public:
  static Result<std::unique_ptr<Talk>> begin(CpuExecutor& executor, std::size_t positions) {
    std::unique_ptr<Talk> talk(new Talk(executor));
    LATHE_TRY(MemoryStore store,
              MemoryStore::create(executor.layout(), blocks_for(positions) + 1, talk->budget_, 1));
    talk->store_ = std::make_unique<MemoryStore>(std::move(store));
    talk->memory_ = std::make_unique<SequenceMemory>(*talk->store_);
    executor.set_store(*talk->store_);
    return talk;
  }

  // rows (…, embedding)
  Status read(std::vector<float> rows, const StopFlag* stop) {
    LATHE_TRY(const auto block, RowBlock::make(executor_.blueprint().embedding, std::move(rows)));
    const PlacedRows placed{at_, block};
    const std::vector<TokenId> none(block->rows(), kNoToken);
    const std::size_t step = executor_.options().step_tokens;
    for (std::size_t from = 0; from < none.size(); from += step) {
      if (stop != nullptr && stop->raised()) return fail(ErrorKind::kCancelled, "stopped");
      last_ = std::min(step, none.size() - from);
      LATHE_TRY_STATUS(memory_->prepare(at_, at_ + last_));
      Slice slice;
      slice.tokens = std::span(none).subspan(from, last_);
      slice.first_position = at_;
      slice.rows = {&placed, 1};
      slice.memory = memory_.get();
      slice.outputs = 1;
      executor_.run({&slice, 1}, OutputKind::kLogits);
      at_ += last_;
      memory_->settle(at_);
    }
    return {};
  }
  std::span<const float> logits() const { return executor_.output(0); }         // of codes
  std::span<const float> state() const { return executor_.hidden(last_ - 1); }  // (embedding)

 private:
  explicit Talk(CpuExecutor& executor) : executor_(executor) {}
  CpuExecutor& executor_;
  KvBudget budget_{UINT64_MAX / 2};
  std::unique_ptr<MemoryStore> store_;
  std::unique_ptr<SequenceMemory> memory_;
  std::size_t at_ = 0, last_ = 0;
};

Result<SpokenText> Voice::speak(std::string_view text, const VoiceWish& wish, const StopFlag* stop,
                                const TakeSamples& take) {
  const Blueprint& blueprint = model_->blueprint();
  LATHE_TRY_STATUS(check_sampler(sampler_of(wish), blueprint.codes));
  if (!wish.speaker.empty() && wish.speaker.size() != blueprint.embedding)
    return invalid("the speaker is a row of {} numbers; this talker reads such of {}",
                   wish.speaker.size(), blueprint.embedding);
  LATHE_TRY(const std::vector<PromptRow> rows,
            prompt_.rows(text, wish.language, !wish.speaker.empty()));
  if (rows.size() >= blueprint.context)
    return invalid("the text comes to {} positions of this talker; it has {}: give it in parts",
                   rows.size(), blueprint.context);
  const std::size_t most =
      std::min({wish.most_frames, blueprint.context - rows.size(), kMostFrames});
  LATHE_TRY(const auto talk, Talk::begin(*executor_, rows.size() + most));
  LATHE_TRY_STATUS(talk->read(embed(rows, wish), stop));

  std::vector<Sampler> books = samplers(wish, most);
  const std::vector<std::uint32_t> mask = first_codes();
  const PromptRow beside{.word = prompt_.text_pad()};
  const std::vector<float> pad = embed({&beside, 1}, wish);
  SpokenText spoken;
  WaveDecoder::Past past;
  std::vector<std::int32_t> piece;
  const auto hand_on = [&]() -> Status {
    LATHE_TRY(const std::vector<float> wave, decoder_->decode(piece, past, stop));
    std::vector<std::int16_t> samples(wave.size());
    std::ranges::transform(wave, samples.begin(), sample_of);
    piece.clear();
    return take(samples);
  };
  while (spoken.frames < most) {
    const auto first = books[0].sample(talk->logits(), mask, spoken.frames);
    LATHE_CHECK(first);  // the mask leaves the end
    spoken.ended = static_cast<std::size_t>(*first) == prompt_.end();
    if (spoken.ended) break;
    books[0].accept(*first);
    const auto choose = [&](std::size_t book, std::span<const float> logits) {
      return *books[book].sample(logits, {}, spoken.frames);
    };
    LATHE_TRY(CodePredictor::Frame frame, predictor_->predict(talk->state(), *first, choose, stop));
    piece.insert(piece.end(), frame.codes.begin(), frame.codes.end());
    ++spoken.frames;
    if (spoken.frames % kPiece == 0) LATHE_TRY_STATUS(hand_on());
    model_->kernels().add(pad.data(), pad.size(), frame.sum.data());
    if (spoken.frames < most) LATHE_TRY_STATUS(talk->read(std::move(frame.sum), stop));
  }
  if (!piece.empty()) LATHE_TRY_STATUS(hand_on());
  return spoken;
}

}  // namespace lathe::infer

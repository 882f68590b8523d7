// Texts to sounds: whole files, streams of bytes, streams of events.
#include "serve/speech/speech_routes.h"

#include <limits>

#include "ground/base/text.h"
#include "ground/media/sound_encode.h"
#include "ground/sys/subprocess.h"
#include "serve/server/answer.h"
#include "serve/server/fields.h"
#include "serve/speech/voice_names.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMaxInput = 20'000;  // bytes
constexpr Milliseconds kSentenceLimit{120'000};
constexpr std::string_view kOwnVoice = "default";  // of a model

enum class Way { kWhole, kBytes, kEvents };

struct Wish {
  std::string text;
  std::string model = {};  // that speaks; "": a voice of this program
  loop::VoiceSetting setting = {};
  SpeechRequest request = {};  // of a model
  SoundFormat format = SoundFormat::kMp3;
  Way way = Way::kWhole;
};

// What clients mean who name no format: MP3, where it can be written.
SoundFormat usual_format() {
  return can_write(SoundFormat::kMp3) ? SoundFormat::kMp3 : SoundFormat::kWav;
}

void read_format(Fields& body, Wish& wish) {
  wish.format = usual_format();
  const auto name = body.text("response_format");
  if (!name) return;
  const auto format = parse_sound_format(*name);
  if (!format)
    return body.refuse("response_format", "must be mp3, opus, flac, wav or pcm",
                       "unsupported_value");
  wish.format = *format;
  if (const Status there = can_write(*format); !there)
    body.refuse("response_format", "cannot be had: " + there.error().message, "unsupported_value");
}

// Which model is to speak; "": the voices of this program.
ApiResult<std::string> speaker_of(const ModelHost& host, const Call& call,
                                  const std::string& asked) {
  if (asked.empty() || asked == kSpeechModel) return std::string();
  const auto name = exact_model_of(host, call);
  if (name) {
    LATHE_TRY(const ModelInfo info, model_info(host, *name));
    if (info.speaks) return *name;
  }
  if (is_speech_model(asked)) return std::string();
  std::vector<std::string> names{std::string(kSpeechModel)};
  for (const ModelInfo& model : status_for(host, call).models)
    if (model.speaks) names.push_back(model.name);
  const std::string shown = clip_utf8(asked, 100);
  return std::unexpected(ApiError{name ? 400 : 404,
                                  fmt::format("{}; those that speak: {}",
                                              name ? fmt::format("'{}' speaks nothing", shown)
                                                   : fmt::format("there is no model '{}'", shown),
                                              clip_utf8(join(names, ", "), 500)),
                                  "model", name ? "unsupported_value" : "model_not_found"});
}

void read_voice(Fields& body, Wish& wish) {
  const auto voice = find_voice(body.text("voice").value_or(""));
  if (voice)
    wish.setting.voice = *voice;
  else
    body.refuse("voice", "is none: " + voice.error().message, "unsupported_value");
  wish.setting.stretch = 1 / body.number("speed", 0.25, 4).value_or(1);
}

// What only models know. Whether it has such a voice and language, the model tells.
void read_request(Fields& body, Wish& wish) {
  wish.request.text = wish.text;
  wish.request.voice = body.text("voice").value_or("");
  if (wish.request.voice == kOwnVoice) wish.request.voice.clear();
  wish.request.language = body.text("language").value_or("");
  wish.request.seed = body.whole("seed", 0, std::numeric_limits<std::int64_t>::max());
  if (body.number("speed", 0.25, 4).value_or(1) != 1)
    body.refuse("speed", "must be 1: a model has a pace of its own", "unsupported_value");
}

ApiResult<Wish> read_wish(const ModelHost& host, const Call& call) {
  Fields body(call.body);
  Wish wish;
  const std::string model = body.text("model").value_or("");
  wish.text = body.text("input").value_or("");
  if (wish.text.empty()) body.refuse("input", "must be a text that is not empty");
  if (wish.text.size() > kMaxInput)
    body.refuse("input", fmt::format("has {} bytes, and may have {}; send it in parts",
                                     wish.text.size(), kMaxInput));
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  LATHE_TRY(wish.model, speaker_of(host, call, model));
  if (wish.model.empty())
    read_voice(body, wish);
  else
    read_request(body, wish);
  read_format(body, wish);
  if (const auto stream = body.text("stream_format")) {
    if (*stream != "audio" && *stream != "sse")
      body.refuse("stream_format", "must be audio or sse", "unsupported_value");
    wish.way = *stream == "sse" ? Way::kEvents : Way::kBytes;
  }
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  return wish;
}

// An answer that grows with what is spoken, in the form that was asked for. One thread at a time.
class SpokenAnswer {
 public:
  SpokenAnswer(std::shared_ptr<HttpExchange> exchange, SoundFormat format, Way way, int rate)
      : exchange_(std::move(exchange)), format_(format), way_(way) {
    auto writer = SoundWriter::open(format, way != Way::kWhole, rate);
    if (writer)
      writer_ = std::move(*writer);
    else
      written_ = std::unexpected(writer.error());
  }

  // The head goes before the first of it is spoken, or with it.
  void begin() {
    if (std::exchange(begun_, true)) return;
    if (way_ == Way::kEvents) exchange_->begin(event_stream());
    if (way_ == Way::kBytes) exchange_->begin({std::string(sound_media_type(format_)), {}, ""});
  }
  Status write(std::span<const std::int16_t> samples) {
    if (!written_) return written_;
    begin();
    written_ = writer_->write(samples);
    send();
    return written_;
  }
  // `usage`: null where no model spoke.
  void end(const Status& spoken, const Usage* usage) {
    if (spoken && written_) written_ = writer_->finish();
    if (!spoken) return fail(spoken.error());
    if (!written_) return fail(written_.error());
    begin();
    send();
    if (way_ == Way::kWhole)
      return exchange_->reply({200, writer_->bytes(), std::string(sound_media_type(format_))});
    if (way_ == Way::kEvents) {
      Json done = {{"type", "speech.audio.done"}};
      if (usage != nullptr)
        done["usage"] = {{"input_tokens", usage->prompt_tokens},
                         {"output_tokens", usage->completion_tokens},
                         {"total_tokens", usage->prompt_tokens + usage->completion_tokens}};
      exchange_->send(sse_data(done));
    }
    exchange_->end();
  }

 private:
  // What has been written since the last time, to the client.
  void send() {
    const std::string& all = writer_->bytes();
    if (way_ == Way::kWhole || all.size() == sent_) return;
    const std::string_view piece = std::string_view(all).substr(sent_);
    sent_ = all.size();
    exchange_->send(way_ == Way::kBytes
                        ? std::string(piece)
                        : sse_data({{"type", "speech.audio.delta"}, {"audio", to_base64(piece)}}));
  }
  void fail(const Error& why) {
    const ApiError error = api_error(why, exchange_->request().path);
    // A sound that breaks off is not ended as if it were whole: the connection is.
    if (way_ == Way::kBytes && sent_ > 0) return exchange_->abort();
    exchange_->finish(error_reply(Dialect::kOpenAi, error),
                      sse_data(error_json(Dialect::kOpenAi, error)));
  }

  const std::shared_ptr<HttpExchange> exchange_;
  const SoundFormat format_;
  const Way way_;
  std::unique_ptr<SoundWriter> writer_;
  Status written_ = {};
  bool begun_ = false;
  std::size_t sent_ = 0;
};

void answer(loop::MediaPool& voices, const std::shared_ptr<HttpExchange>& exchange,
            const Wish& wish, const StopFlag& stop) {
  SpokenAnswer answer(exchange, wish.format, wish.way, kSoundRate);
  answer.begin();
  const Status spoken = loop::speak_text(
      voices, wish.text, wish.setting, kSentenceLimit, stop,
      [&](const Sound& sentence) { return answer.write(std::span(sentence.samples)); });
  answer.end(spoken, nullptr);
}

Handled speech_of_model(ModelHost& host, Call& call, Wish wish) {
  const auto answer =
      std::make_shared<SpokenAnswer>(call.exchange, wish.format, wish.way, kSpeechRate);
  const ModelHost::Id id = host.speak(
      wish.model, std::move(wish.request), asker_of(call),
      [answer](std::span<const std::int16_t> samples) {
        if (const Status written = answer->write(samples); !written) return;  // told at the end
      },
      [answer, model = wish.model](const Result<Speech>& spoken) {
        answer->end(whole_speech(spoken, model), spoken ? &spoken->usage : nullptr);
      });
  call.exchange->on_gone([&host, id](HttpGone) { host.cancel(id); });
  return std::nullopt;
}

Handled speech(SpeechDesk& desk, ModelHost& host, Call& call) {
  LATHE_TRY(Wish wish, read_wish(host, call));
  if (!wish.model.empty()) return speech_of_model(host, call, std::move(wish));
  const auto stop = std::make_shared<StopFlag>();
  const bool added =
      desk.add(stop, [&voices = desk.voices(), exchange = call.exchange, wish = std::move(wish),
                      ticket = std::move(call.ticket)](const StopFlag& raised) {
        answer(voices, exchange, wish, raised);
      });
  if (!added)
    return std::unexpected(ApiError{429,
                                    fmt::format("{} texts wait to be spoken already; try again "
                                                "later",
                                                SpeechDesk::kWaiting),
                                    {},
                                    "queue_full",
                                    2});
  call.exchange->on_gone([stop](HttpGone) { stop->raise(); });
  return std::nullopt;
}

Handled voices(const ModelHost& host, Call& call) {
  const bool espeak = find_program("espeak-ng").has_value();
  Json rows = Json::array(), aliases = Json::object(), formats = Json::array();
  for (const std::string_view voice : loop::default_voices()) {
    if (voice.starts_with(loop::kEspeakPrefix) && !espeak) continue;
    rows.push_back({{"id", voice}, {"name", voice}, {"language", "en"}});
  }
  for (const auto& [alias, voice] : voice_aliases()) aliases[std::string(alias)] = voice;
  for (const SoundFormat format : {SoundFormat::kMp3, SoundFormat::kOpus, SoundFormat::kFlac,
                                   SoundFormat::kWav, SoundFormat::kPcm})
    if (can_write(format)) formats.push_back(sound_format_name(format));
  Json models = Json::array();
  for (const ModelInfo& model : status_for(host, call).models) {
    if (!model.speaks) continue;
    Json own = Json::array({kOwnVoice});
    for (const std::string& voice : model.voices) own.push_back(voice);
    models.push_back({{"id", model.name}, {"voices", own}, {"languages", model.languages}});
  }
  return json_reply({{"object", "list"},
                     {"model", kSpeechModel},
                     {"models", std::move(models)},
                     {"data", std::move(rows)},
                     {"default", loop::default_voices().front()},
                     {"aliases", std::move(aliases)},
                     {"formats", std::move(formats)},
                     {"default_format", sound_format_name(usual_format())}});
}

}  // namespace

RouteTable speech_routes(SpeechDesk& desk, ModelHost& host) {
  RouteTable table;
  table.rows.push_back(
      {"POST", "/audio/speech", [&desk, &host](Call& call) { return speech(desk, host, call); }});
  table.rows.push_back(
      {"GET", "/audio/voices", [&host](Call& call) { return voices(host, call); }});
  return table;
}

}  // namespace lathe::serve

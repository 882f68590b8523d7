// Texts to sounds: whole files, streams of bytes, streams of events.
#include "serve/speech/speech_routes.h"

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

enum class Way { kWhole, kBytes, kEvents };

struct Wish {
  std::string text;
  loop::VoiceSetting setting = {};
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

ApiResult<Wish> read_wish(const Call& call) {
  Fields body(call.body);
  Wish wish;
  const std::string model = body.text("model").value_or("");
  wish.text = body.text("input").value_or("");
  if (wish.text.empty()) body.refuse("input", "must be a text that is not empty");
  if (wish.text.size() > kMaxInput)
    body.refuse("input", fmt::format("has {} bytes, and may have {}; send it in parts",
                                     wish.text.size(), kMaxInput));
  const auto voice = find_voice(body.text("voice").value_or(""));
  if (voice)
    wish.setting.voice = *voice;
  else
    body.refuse("voice", "is none: " + voice.error().message, "unsupported_value");
  wish.setting.stretch = 1 / body.number("speed", 0.25, 4).value_or(1);
  read_format(body, wish);
  if (const auto stream = body.text("stream_format")) {
    if (*stream != "audio" && *stream != "sse")
      body.refuse("stream_format", "must be audio or sse", "unsupported_value");
    wish.way = *stream == "sse" ? Way::kEvents : Way::kBytes;
  }
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  if (!is_speech_model(model))
    return std::unexpected(ApiError{
        404,
        fmt::format("there is no model '{}' that speaks; the voices here are the model '{}'",
                    clip_utf8(model, 100), kSpeechModel),
        "model", "model_not_found"});
  return wish;
}

// What has been written since the last time, to the client.
class Sender {
 public:
  Sender(const std::shared_ptr<HttpExchange>& exchange, Way way) : exchange_(exchange), way_(way) {}

  void send(const std::string& all) {
    if (way_ == Way::kWhole || all.size() == sent_) return;
    const std::string_view piece = std::string_view(all).substr(sent_);
    sent_ = all.size();
    exchange_->send(way_ == Way::kBytes
                        ? std::string(piece)
                        : sse_data({{"type", "speech.audio.delta"}, {"audio", to_base64(piece)}}));
  }
  bool begun() const { return sent_ > 0; }

 private:
  const std::shared_ptr<HttpExchange>& exchange_;
  const Way way_;
  std::size_t sent_ = 0;
};

Status speak(loop::MediaPool& voices, const Wish& wish, const StopFlag& stop, SoundWriter& writer,
             Sender& sender) {
  const auto take = [&](const Sound& sentence) {
    Status written = writer.write(sentence);
    sender.send(writer.bytes());
    return written;
  };
  LATHE_TRY_STATUS(loop::speak_text(voices, wish.text, wish.setting, kSentenceLimit, stop, take));
  LATHE_TRY_STATUS(writer.finish());
  sender.send(writer.bytes());
  return {};
}

void answer(loop::MediaPool& voices, const std::shared_ptr<HttpExchange>& exchange,
            const Wish& wish, const StopFlag& stop) {
  const std::string type(sound_media_type(wish.format));
  if (wish.way == Way::kEvents) exchange->begin(event_stream());
  if (wish.way == Way::kBytes) exchange->begin({type, {}, ""});
  Sender sender(exchange, wish.way);
  const auto writer = SoundWriter::open(wish.format, wish.way != Way::kWhole);
  const Status spoken =
      writer ? speak(voices, wish, stop, **writer, sender) : std::unexpected(writer.error());
  if (!spoken) {
    const ApiError error = api_error(spoken.error(), exchange->request().path);
    // A sound that breaks off is not ended as if it were whole: the connection is.
    if (wish.way == Way::kBytes && sender.begun()) return exchange->abort();
    return exchange->finish(error_reply(Dialect::kOpenAi, error),
                            sse_data(error_json(Dialect::kOpenAi, error)));
  }
  if (wish.way == Way::kWhole) return exchange->reply({200, (*writer)->bytes(), type});
  if (wish.way == Way::kEvents) exchange->send(sse_data({{"type", "speech.audio.done"}}));
  exchange->end();
}

Handled speech(SpeechDesk& desk, Call& call) {
  LATHE_TRY(Wish wish, read_wish(call));
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

Handled voices(Call&) {
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
  return json_reply({{"object", "list"},
                     {"model", kSpeechModel},
                     {"data", std::move(rows)},
                     {"default", loop::default_voices().front()},
                     {"aliases", std::move(aliases)},
                     {"formats", std::move(formats)},
                     {"default_format", sound_format_name(usual_format())}});
}

}  // namespace

RouteTable speech_routes(SpeechDesk& desk) {
  RouteTable table;
  table.rows.push_back(
      {"POST", "/audio/speech", [&desk](Call& call) { return speech(desk, call); }});
  table.rows.push_back({"GET", "/audio/voices", [](Call& call) { return voices(call); }});
  return table;
}

}  // namespace lathe::serve

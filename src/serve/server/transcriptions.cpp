// POST /v1/audio/transcriptions and /v1/audio/translations, as OpenAI's API has them: a form with a
// sound, what is said in it in five forms, or as a stream of its pieces.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <mutex>

#include "ground/base/text.h"
#include "serve/server/answer.h"
#include "serve/server/endpoints.h"
#include "serve/server/fields.h"

namespace lathe::serve {
namespace {

struct Wish {
  TranscriptOptions options = {};
  TranscriptForm form = TranscriptForm::kJson;
  bool segments = true;  // in the verbose form
  bool stream = false;
};

// A number in a form is a text.
double read_temperature(Fields& body) {
  const std::string text = body.text("temperature").value_or("0");
  double value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= 1))
    body.refuse("temperature", "must be a number between 0 and 1");
  return value;
}

bool read_stream(Fields& body) {
  const std::string text = to_lower_ascii(body.text("stream").value_or("false"));
  if (text != "true" && text != "false") body.refuse("stream", "must be true or false");
  return text == "true";
}

// Which times are wanted.
void read_granularities(Fields& body, Wish& wish) {
  // Some clients leave the brackets out.
  for (const std::string_view key : {"timestamp_granularities[]", "timestamp_granularities"}) {
    const Json& raw = body.raw(key);
    if (raw.is_null()) continue;
    wish.segments = false;
    for (const Json& each : raw.is_array() ? raw : Json::array({raw})) {
      if (each == "word")
        wish.options.words = true;
      else if (each == "segment")
        wish.segments = true;
      else
        body.refuse(key, "must be word or segment", "unsupported_value");
    }
    if (wish.form != TranscriptForm::kVerboseJson)
      body.refuse(key, "is for the response_format verbose_json", "unsupported_value");
  }
}

ApiResult<Wish> read_wish(const Call& call, bool translate) {
  Fields body(call.body);
  Wish wish;
  const std::string form = body.text("response_format").value_or("json");
  if (const auto known = parse_transcript_form(form))
    wish.form = *known;
  else
    body.refuse("response_format", "must be json, text, srt, verbose_json or vtt",
                "unsupported_value");
  wish.options.translate = translate;
  wish.options.prompt = body.text("prompt").value_or("");
  wish.options.temperature = read_temperature(body);
  if (!translate) {
    wish.options.language = body.text("language").value_or("");
    wish.stream = read_stream(body);
    read_granularities(body, wish);
  }
  if (wish.stream && wish.form != TranscriptForm::kJson && wish.form != TranscriptForm::kText)
    body.refuse("stream", "gives pieces of text: its response_format is json or text",
                "unsupported_value");
  if (body.has("include[]") || body.has("include"))
    body.refuse("include[]",
                "cannot be had: log probabilities of tokens are not told here; "
                "verbose_json has the mean of each half minute",
                "unsupported_value");
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  return wish;
}

ApiResult<const FormPart*> sound_of(const Call& call) {
  const auto file = std::ranges::find(call.files, "file", &FormPart::name);
  if (call.files.size() > 1 || (file == call.files.end() && !call.files.empty()))
    return refuse("the form has one file, whose field is 'file'", "file");
  if (file == call.files.end())
    return refuse("'file' is missing: a sound (WAV, FLAC, Ogg or MP3) with a file name", "file");
  if (file->data.empty()) return refuse("'file' is empty", "file");
  return &*file;
}

Json usage_json(const Transcript& transcript) {
  return {{"type", "duration"}, {"seconds", std::llround(std::ceil(transcript.seconds))}};
}

HttpReply reply_of(const Transcription& heard, const Wish& wish) {
  HttpReply reply;
  reply.type = transcript_media_type(wish.form);
  if (wish.form != TranscriptForm::kJson && wish.form != TranscriptForm::kVerboseJson) {
    reply.body = print_transcript(heard.transcript, wish.form);
    return reply;
  }
  Json json = wish.form == TranscriptForm::kVerboseJson ? to_json(heard.transcript)
                                                        : Json{{"text", heard.transcript.text()}};
  if (!wish.segments) json.erase("segments");
  json["usage"] = usage_json(heard.transcript);
  reply.body = dump_json(json);
  return reply;
}

// The text so far, as pieces that put together are the whole one: without blanks at its ends.
class Pieces {
 public:
  std::string add(std::string_view segment) {
    all_ += segment;
    const std::string_view text = trim(all_);
    const std::string piece(text.substr(sent_));
    sent_ = text.size();
    return piece;
  }

 private:
  std::string all_;
  std::size_t sent_ = 0;  // bytes of the trimmed text
};

// Sends what is heard, if a stream is wanted, and the end.
Handled write_down(ModelHost& host, Call& call, bool translate) {
  LATHE_TRY(const Wish wish, read_wish(call, translate));
  LATHE_TRY(const FormPart* file, sound_of(call));
  LATHE_TRY(const std::string model, transcriber_of(host, call));
  if (wish.stream) call.exchange->begin(event_stream());
  ModelHost::OnSegment on_segment;
  if (wish.stream)
    on_segment = [exchange = call.exchange,
                  pieces = Pieces()](const TranscriptSegment& segment) mutable {
      const std::string piece = pieces.add(segment.text);
      if (!piece.empty())
        exchange->send(sse_data({{"type", "transcript.text.delta"}, {"delta", piece}}));
    };
  const ModelHost::Id id = host.transcribe(
      model, {file->data, call.exchange, wish.options}, asker_of(call), std::move(on_segment),
      [exchange = call.exchange, dialect = call.dialect, wish](const Result<Transcription>& heard) {
        if (!heard) {
          const ApiError error = api_error(heard.error(), exchange->request().path);
          return exchange->finish(error_reply(dialect, error),
                                  sse_data(error_json(dialect, error)));
        }
        if (!wish.stream) return exchange->reply(reply_of(*heard, wish));
        exchange->send(sse_data({{"type", "transcript.text.done"},
                                 {"text", heard->transcript.text()},
                                 {"usage", usage_json(heard->transcript)}}));
        exchange->end();
      });
  call.exchange->on_gone([&host, id](HttpGone) { host.cancel(id); });
  return std::nullopt;
}

}  // namespace

Handled transcriptions(ModelHost& host, Call& call) {
  return write_down(host, call, false);
}

Handled translations(ModelHost& host, Call& call) {
  return write_down(host, call, true);
}

}  // namespace lathe::serve

// A worker behind a server of one of the APIs.
#include "serve/net/http_worker.h"

#include <algorithm>
#include <limits>
#include <thread>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "serve/net/forwarded.h"
#include "serve/net/http_follow.h"
#include "serve/net/picture_form.h"
#include "serve/net/speech_form.h"
#include "serve/net/sse.h"
#include "serve/net/transcription_form.h"
#include "work/caller.h"
#include "work/cloud_names.h"

namespace lathe::serve {
namespace {

constexpr int kRetries = 2;
constexpr Milliseconds kMaxBackOff{8'000};
constexpr Milliseconds kMaxWait{60'000};  // a server that asks for more is not waited for

bool may_retry(int status) {
  // A 200 that is no completion: the page of a proxy whose server is away.
  return status == 200 || status == 408 || status == 409 || status == 429 || status >= 500;
}

// A lathe and llama-server say so while they read a model, which may take minutes.
bool is_loading(const HttpAnswer& answer) {
  if (answer.status != 503) return false;
  const auto json = parse_json(answer.body, {.max_bytes = 1 << 20});
  const Json& error = json ? json_at(*json, "error") : Json();
  return json_string(error, "code") == "loading" ||
         json_string(error, "type") == "unavailable_error";
}

void pause(Milliseconds wait, const StopFlag& stop) {
  const Milliseconds until = system_clock().monotonic() + wait;
  while (system_clock().monotonic() < until && !stop.raised())
    std::this_thread::sleep_for(Milliseconds(20));
}

std::vector<std::string> ids_of(const Json& models) {
  std::vector<std::string> names;
  for (const Json& model : models)
    if (std::string id = json_string(model, "id"); !id.empty()) names.push_back(std::move(id));
  return names;
}

// Tokens that the model takes, as a lathe, vLLM and llama-server say it; 0: the list does not say.
std::int64_t context_in(const Json& models, const std::string& name) {
  for (const Json& model : models) {
    if (json_string(model, "id") != name && (!name.empty() || models.size() != 1)) continue;
    const std::int64_t here = json_int(json_at(model, "meta"), "n_ctx", 0);
    return std::max<std::int64_t>(0, here > 0 ? here : json_int(model, "max_model_len", 0));
  }
  return 0;
}

}  // namespace

struct HttpWorker::Call {
  const StopFlag& stop;
  mutable Milliseconds deadline;
  std::map<std::string, std::string> labels = {};     // of the request
  std::string model = {};                             // as a person is told
  std::int64_t prompt_tokens = 0, answer_tokens = 0;  // likewise: estimated; at most
  Milliseconds left() const {
    return std::max(deadline - system_clock().monotonic(), Milliseconds(1));
  }
};

struct HttpWorker::Retry {
  bool worth = false;
  bool loading = false;    // is tried again until the call's time is up
  Milliseconds asked{-1};  // what the server asks for; -1: nothing
  std::string refusal;     // the body of a 400 or 422
};

HttpWorker::HttpWorker(HttpWorkerConfig config, Endpoint endpoint)
    : config_(std::move(config)), endpoint_(std::move(endpoint)) {}

Result<std::unique_ptr<HttpWorker>> HttpWorker::make(HttpWorkerConfig config) {
  if (!config.api) config.api = &openai_dialect();
  auto endpoint = parse_endpoint(config.base_url, config.api->base_path);
  if (!endpoint) return at("worker " + config.name, std::move(endpoint).error());
  if (config.cloud) endpoint->reach = Reach::kAny;
  if (config.api_key.find_first_of("\r\n") != std::string::npos)
    return invalid("worker {}: its API key holds a line break", config.name);
  return std::unique_ptr<HttpWorker>(new HttpWorker(std::move(config), *std::move(endpoint)));
}

WorkerInfo HttpWorker::info() const {
  return {config_.name, config_.model, endpoint_.url, endpoint_.reach};
}

std::string HttpWorker::redacted(std::string text) const {
  return config_.api_key.empty() ? text : replace_all(text, config_.api_key, "[key]");
}

Status HttpWorker::check_reach() const {
  if (config_.holds_beyond && config_.allowed != Reach::kAny && is_asked_of_a_cloud(config_.model))
    return fail(ErrorKind::kDenied,
                "'{}' is a model that Ollama sends on to its cloud, but only '{}' is allowed, so "
                "nothing was sent; to allow it, set privacy = \"any\" in the recipe and give "
                "--allow any",
                config_.model, reach_name(config_.allowed));
  if (endpoint_.reach <= config_.allowed) return {};
  return fail(ErrorKind::kDenied,
              "{} is reached by '{}', but only '{}' is allowed, so nothing was sent; to allow it, "
              "set privacy = \"{}\" in the recipe and give --allow {}",
              endpoint_.url, reach_name(endpoint_.reach), reach_name(config_.allowed),
              reach_name(endpoint_.reach), reach_name(endpoint_.reach));
}

// What is sent on to a cloud is sent to one.
bool HttpWorker::is_cloud() const {
  return endpoint_.reach == Reach::kAny || is_asked_of_a_cloud(config_.model);
}

Result<std::string> HttpWorker::openai_model(const Call& call) {
  LATHE_TRY_STATUS(check_reach());
  if (config_.api != &openai_dialect())
    return invalid("worker {}: the API '{}' is asked for answers to talks alone", config_.name,
                   config_.api->name);
  return model_name(call);
}

// Of every call; of lathes' own, where one may answer.
std::vector<std::string> HttpWorker::headers() const {
  std::vector<std::string> headers = config_.api->headers(config_.api_key);
  if (config_.api != &openai_dialect()) return headers;
  if (config_.holds_beyond)
    headers.push_back(fmt::format("{}: {}", kReachHeader, reach_name(config_.allowed)));
  if (config_.background)
    headers.push_back(fmt::format("{}: {}", kClassHeader, class_name(CallClass::kBackground)));
  return headers;
}

Result<Json> HttpWorker::list_models(const Call& call) const {
  HttpCall http{.url = endpoint_.url + "/models",
                .body = {},
                .headers = headers(),
                .allowed = config_.allowed,
                .contacts = config_.contacts,
                .allowed_by = config_.allowed_by,
                .labels = call.labels,
                .connect_limit = config_.connect_limit,
                .idle_limit = std::min(config_.idle_limit, Milliseconds(10'000)),
                .total_limit = std::min(call.left(), Milliseconds(10'000)),
                .max_body = 4 << 20};
  LATHE_TRY(HttpAnswer answer, http_call(http, call.stop));
  while (is_loading(answer) && config_.retry_delay < call.left() && !call.stop.raised()) {
    pause(config_.retry_delay, call.stop);
    LATHE_TRY(answer, http_call(http, call.stop));
  }
  if (answer.status == 401 || answer.status == 403) return std::unexpected(error_of(answer, call));
  const auto json = parse_json(answer.body);
  if (answer.status != 200 || !json)
    return fail(ErrorKind::kNotFound, "{}: does not list its models (status {})", http.url,
                answer.status);
  return json_at(*json, "data");
}

Status HttpWorker::ready(const StopFlag& stop) {
  const std::string place = "worker " + config_.name;
  if (auto status = check_reach(); !status) return at(place, std::move(status).error());
  if (is_cloud()) return {};
  const auto models = list_models({stop, system_clock().monotonic() + Milliseconds(10'000)});
  // An endpoint may list nothing and still answer.
  if (!models && models.error().kind != ErrorKind::kNotFound) return at(place, models.error());
  if (models) {
    const std::scoped_lock lock(mutex_);
    context_ = context_in(*models, config_.model);
  }
  return {};
}

std::int64_t HttpWorker::context() const {
  if (config_.context > 0) return config_.context;
  const std::scoped_lock lock(mutex_);
  return context_;
}

// Only a lathe is told what the answer will probably repeat: it costs nothing there.
PeerKind HttpWorker::peer(const Request& request, const Call& call) {
  if (is_cloud()) return PeerKind::kCloud;
  if (request.prediction.empty() && !request.keep_prefix) return PeerKind::kLocal;
  {
    const std::scoped_lock lock(mutex_);
    if (own_) return *own_ ? PeerKind::kLathe : PeerKind::kLocal;
  }
  const auto models = list_models(call);
  if (!models && models.error().kind == ErrorKind::kUnavailable) return PeerKind::kLocal;
  const bool own = models && std::ranges::any_of(*models, [](const Json& model) {
                     return json_string(model, "owned_by") == "lathe";
                   });
  const std::scoped_lock lock(mutex_);
  own_ = own;
  return own ? PeerKind::kLathe : PeerKind::kLocal;
}

Result<std::string> HttpWorker::model_name(const Call& call) {
  if (!config_.model.empty()) return config_.model;
  {
    const std::scoped_lock lock(mutex_);
    if (!served_model_.empty()) return served_model_;
  }
  if (is_cloud())
    return invalid(
        "{} is a cloud, which is not asked for its models: say which one with {}={}#MODEL",
        endpoint_.url, config_.name, endpoint_.url);
  LATHE_TRY(const Json models, list_models(call));
  const std::vector<std::string> names = ids_of(models);
  if (names.size() != 1)
    return fail(ErrorKind::kNotFound, "{} serves {} models: say which one with {}={}#MODEL{}{}",
                endpoint_.url, names.size(), config_.name, endpoint_.url,
                names.empty() ? "" : "; it has ", clip_utf8(join(names, ", "), 500));
  const std::scoped_lock lock(mutex_);
  served_model_ = names.front();
  return served_model_;
}

// What a person is told about an answer that is no reply.
Error HttpWorker::error_of(const HttpAnswer& answer, const Call& call) const {
  const std::string said = error_message_of(answer.body);
  const auto error = [&](ErrorKind kind, std::string_view what) {
    return Error{kind, redacted(fmt::format("{}: {} (status {}){}{}", endpoint_.url, what,
                                            answer.status, said.empty() ? "" : ": ", said))};
  };
  const int status = answer.status;
  if (status == 200)
    return {ErrorKind::kUnavailable,
            fmt::format("{}: answered with '{}', not with a completion; is it an "
                        "OpenAI-compatible endpoint?",
                        endpoint_.url, clip_utf8(answer.content_type, 60))};
  if (status >= 300 && status < 400)
    return error(ErrorKind::kDenied, "redirects elsewhere, which is not followed; correct the URL");
  if (status == 401 || status == 403)
    return error(ErrorKind::kDenied, "the API key was refused; check the worker's key");
  if (status == 404) {
    Error unknown = error(ErrorKind::kNotFound,
                          fmt::format("knows no model '{}' or no such path", config_.model));
    // Best effort: the names help, their absence changes nothing.
    if (!call.stop.raised() && !config_.model.empty() && !is_cloud())
      if (const auto names = list_models(call); names && !names->empty())
        unknown.message += "; it has " + clip_utf8(join(ids_of(*names), ", "), 500);
    return unknown;
  }
  if (status == 429) return error(ErrorKind::kUnavailable, "has too much to do; try again later");
  if (status >= 500) return error(ErrorKind::kUnavailable, "failed");
  return error(ErrorKind::kDenied, "refused the request");
}

HttpCall HttpWorker::post(std::string_view path, const std::string& body, const Call& call) const {
  return {.url = endpoint_.url + std::string(path),
          .body = body,
          .headers = headers(),
          .allowed = config_.allowed,
          .contacts = config_.contacts,
          .allowed_by = config_.allowed_by,
          .labels = call.labels,
          .connect_limit = config_.connect_limit,
          .idle_limit = config_.idle_limit,
          .total_limit = call.left(),
          .cloud = is_cloud(),
          .model = call.model,
          .prompt_tokens = call.prompt_tokens,
          .answer_tokens = call.answer_tokens};
}

Result<HttpAnswer> HttpWorker::send(HttpCall http, const std::string& shown,
                                    const Call& call) const {
  const auto show = [&] {
    if (config_.on_outgoing) config_.on_outgoing(shown);
  };
  if (!http.cloud) show();
  if (http.cloud && config_.consent)
    http.consent = [&](const CloudBody& body, const StopFlag& stop) -> Result<std::string> {
      const Milliseconds begun = system_clock().monotonic();
      auto said = config_.consent(body, stop);
      call.deadline += system_clock().monotonic() - begun;
      if (said) show();
      return said;
    };
  return http_call(http, call.stop);
}

Result<Reply> HttpWorker::attempt(const std::string& body, const Call& call,
                                  const std::function<void(const Delta&)>& on_delta,
                                  Retry& retry) const {
  const std::unique_ptr<AnswerStream> stream = config_.api->stream(on_delta);
  Status status;
  SseReader reader([&](std::string_view data) { return stream->event(data); });
  HttpCall http = post(config_.api->path(call.model), body, call);
  http.headers.emplace_back("Accept: text/event-stream");
  http.on_stream = [&](std::string_view bytes) {
    status = reader.feed(bytes);
    return status.has_value() && !stream->done();
  };
  const Result<HttpAnswer> answer = send(std::move(http), body, call);
  if (answer && answer->status == 200 && !answer->streamed) {
    // Not every server streams, and not every stream is called one.
    const std::string_view text = trim(answer->body);
    const auto begins = [&](std::string_view word) { return text.starts_with(word); };
    if (begins("{") || begins("[")) {
      status = stream->event(text);
    } else if (begins("data:") || begins("event:") || begins(":")) {
      status = reader.feed(answer->body);
    } else {
      retry.worth = may_retry(answer->status) && !answer->never_retry;
      retry.asked = answer->retry_after;
      return std::unexpected(error_of(*answer, call));
    }
  } else if (answer && !answer->streamed) {
    retry = retry_after(*answer);
    return std::unexpected(error_of(*answer, call));
  }
  Result<Reply> reply = std::unexpected(Error());
  if (!status)
    reply = std::unexpected(Error{status.error().kind, redacted(status.error().message)});
  else if (!answer)
    reply = std::unexpected(answer.error());
  else
    reply = stream->finish();
  if (reply) return reply;
  retry.worth =
      reply.error().kind == ErrorKind::kUnavailable && !stream->heard() && !stream->refused();
  return answer ? at(endpoint_.url, std::move(reply).error()) : reply;
}

HttpWorker::Retry HttpWorker::retry_after(const HttpAnswer& answer) {
  Retry retry;
  retry.worth = may_retry(answer.status) && !answer.never_retry;
  retry.asked = answer.retry_after.count() >= 0 ? answer.retry_after : retry_delay_in(answer.body);
  retry.loading = is_loading(answer);
  if (answer.status == 400 || answer.status == 422) retry.refusal = answer.body;
  return retry;
}

bool HttpWorker::wait_to_retry(const Retry& retry, int& tries, const Call& call) const {
  const Milliseconds wait = retry.asked.count() >= 0
                                ? retry.asked
                                : std::min(config_.retry_delay * (1 << (tries - 1)), kMaxBackOff);
  if (!retry.worth || tries > kRetries || wait > kMaxWait || wait >= call.left()) return false;
  if (retry.loading) --tries;
  pause(wait, call.stop);
  return true;
}

template <class Value>
Result<Value> HttpWorker::persist(
    Json fields, const Call& call, int& calls,
    const std::function<Result<Value>(const std::string& body, Retry&)>& ask) {
  const std::string place = "worker " + config_.name;
  std::optional<Error> said;  // of the last try but one
  for (int tries = 1;; ++tries) {
    {
      const std::scoped_lock lock(mutex_);
      leave_out(fields, refused_);
    }
    Retry retry;
    ++calls;
    auto answer = ask(dump_json(fields), retry);
    if (answer) return answer;
    if (const auto unknown = refused_fields(fields, retry.refusal); !unknown.empty()) {
      const std::scoped_lock lock(mutex_);
      refused_.insert(unknown.begin(), unknown.end());
      --tries;  // not the same question again, and each field is refused only once
      continue;
    }
    if (!wait_to_retry(retry, tries, call)) {
      // A last try that the call's end cut off says less than what the server answered before.
      const bool cut = answer.error().kind == ErrorKind::kTimeout && said;
      return at(tries > 1 ? fmt::format("{} (tried {} times)", place, tries) : place,
                cut ? *said : answer.error());
    }
    said = answer.error();
    if (call.stop.raised()) return fail(ErrorKind::kCancelled, "{}: the call was cancelled", place);
  }
}

Result<Reply> HttpWorker::complete(const Request& request, const StopFlag& stop,
                                   const std::function<void(const Delta&)>& on_delta) {
  const std::string place = "worker " + config_.name;
  if (auto status = check_reach(); !status) return at(place, std::move(status).error());
  if (request.talk() == nullptr)
    return invalid(
        "{}: a server is asked by talks alone; give the model as {}=FILE.gguf to have it go on "
        "with a text",
        place, config_.name);
  const Milliseconds start = system_clock().monotonic();
  Call call{stop, start + request.time_limit, request.labels};
  const auto model = model_name(call);
  if (!model) return at(place, model.error());
  call.model = *model;
  call.prompt_tokens = estimated_tokens(request);
  call.answer_tokens = request.max_tokens > 0 ? request.max_tokens : -1;
  auto wanted = config_.api->body(request, *model, peer(request, call));
  if (!wanted) return at(place, wanted.error());
  int calls = 0;
  auto reply = persist<Reply>(
      *std::move(wanted), call, calls,
      [&](const std::string& body, Retry& retry) { return attempt(body, call, on_delta, retry); });
  if (!reply) return reply;
  reply->usage.wall = system_clock().monotonic() - start;
  reply->usage.calls = calls;
  if (reply->model.empty()) reply->model = *model;
  return reply;
}

// The first choice's "logprobs" with the answer's "usage".
Result<Json> HttpWorker::weigh(const Continuation& asked, const Call& call) {
  LATHE_TRY(const std::string model, openai_model(call));
  // An answer of one token: not every server gives none.
  const std::string body = dump_json({{"model", model},
                                      {"prompt", asked.context + asked.text},
                                      {"max_tokens", 1},
                                      {"temperature", 0},
                                      {"echo", true},
                                      {"logprobs", 1}});
  HttpCall http = post("/completions", body, call);
  http.model = model;
  http.prompt_tokens = static_cast<std::int64_t>(body.size()) / 3;
  http.answer_tokens = 1;
  const std::string url = http.url;
  LATHE_TRY(const HttpAnswer answer, send(std::move(http), body, call));
  const auto json = parse_json(answer.body);
  if (answer.status != 200 || !json) return std::unexpected(error_of(answer, call));
  const Json& choices = json_at(*json, "choices");
  Json logprobs = choices.is_array() && !choices.empty() ? json_at(choices[0], "logprobs") : Json();
  if (!json_at(logprobs, "token_logprobs").is_array())
    return invalid(
        "{} gives no log probabilities of the prompt's tokens ('echo' with 'logprobs'), so it "
        "cannot say how likely a text is; `lathe serve` does, and so does {}=FILE.gguf",
        url, config_.name);
  logprobs["usage"] = json_at(*json, "usage");
  return logprobs;
}

namespace {

// The prompt's tokens; what lies behind `whole` is the answer's.
Result<std::vector<WeighedToken>> tokens_in(const Json& logprobs, std::size_t whole) {
  const Json& texts = json_at(logprobs, "tokens");
  const Json& values = json_at(logprobs, "token_logprobs");
  const Json& offsets = json_at(logprobs, "text_offset");
  if (!texts.is_array() || !offsets.is_array() || texts.size() != values.size() ||
      offsets.size() != values.size())
    return invalid("'tokens', 'token_logprobs' and 'text_offset' are not of one length");
  std::vector<WeighedToken> tokens;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!offsets[i].is_number_unsigned() || !texts[i].is_string())
      return invalid("token {} has no text or no offset", i);
    const auto begin = offsets[i].get<std::size_t>();
    if (begin >= whole) break;
    const bool last = i + 1 == values.size();
    if (!last && !offsets[i + 1].is_number_unsigned())
      return invalid("token {} has no offset", i + 1);
    const auto end = last ? whole : offsets[i + 1].get<std::size_t>();
    // A token that is part of a character has no text of its own.
    const std::string text = texts[i].get<std::string>();
    const bool told = i > 0 && !text.contains("\uFFFD") && !text.starts_with("bytes:");
    if (end < begin || end > whole || (told && end - begin != text.size()))
      return invalid(
          "the token '{}' lies from {} to {} of a text of {} bytes: its offsets are not in bytes, "
          "so that the text's tokens cannot be told from those before it",
          clip_utf8(text, 40), begin, end, whole);
    tokens.push_back({end - begin, values[i].is_number()
                                       ? values[i].get<double>()
                                       : std::numeric_limits<double>::quiet_NaN()});
  }
  return tokens;
}

}  // namespace

Result<Likelihood> HttpWorker::likelihood(const Continuation& asked, const StopFlag& stop) {
  const std::string place = "worker " + config_.name;
  const Milliseconds start = system_clock().monotonic();
  const auto logprobs = weigh(asked, {stop, start + asked.time_limit, asked.labels});
  if (!logprobs) return at(place, logprobs.error());
  const auto tokens = tokens_in(*logprobs, asked.context.size() + asked.text.size());
  auto sum =
      tokens ? likelihood_of(asked, *tokens) : Result<Likelihood>(std::unexpected(tokens.error()));
  if (!sum) return at(fmt::format("{}: {}/completions", place, endpoint_.url), sum.error());
  const Json& usage = json_at(*logprobs, "usage");
  sum->usage.calls = 1;
  sum->usage.wall = system_clock().monotonic() - start;
  sum->usage.counted = json_at(usage, "prompt_tokens").is_number_integer();
  sum->usage.prompt_tokens = json_int(usage, "prompt_tokens", 0);
  sum->usage.completion_tokens = json_int(usage, "completion_tokens", 0);
  return sum;
}

Result<Transcription> HttpWorker::hear(const SoundRequest& asked, const Call& call) {
  LATHE_TRY(const std::string model, openai_model(call));
  const bool translates = asked.options.translate;
  const WrittenForm form = transcription_form(model, asked);
  HttpCall http =
      post(translates ? "/audio/translations" : "/audio/transcriptions", form.body, call);
  http.body_type = form.type;
  http.idle_limit = call.left();  // nothing is said before the whole sound is written down
  http.model = model;
  http.answer_tokens = -1;  // clouds count a sound by its time
  const std::string url = http.url;
  // For people, who read a sound by its size and hash.
  const std::string shown =
      dump_json({{"model", model},
                 {"language", asked.options.language},
                 {"file", {{"bytes", asked.file.size()}, {"sha256", sha256_hex(asked.file)}}}});
  LATHE_TRY(const HttpAnswer answer, send(std::move(http), shown, call));
  const auto json = parse_json(answer.body);
  if (answer.status != 200 || !json) return std::unexpected(error_of(answer, call));
  return transcription_of(*json, url, asked.options);
}

Result<Transcription> HttpWorker::transcribe(const SoundRequest& asked, const StopFlag& stop) {
  const Milliseconds start = system_clock().monotonic();
  auto heard = hear(asked, {stop, start + asked.time_limit, asked.labels});
  if (!heard) return at("worker " + config_.name, heard.error());
  heard->usage.wall = system_clock().monotonic() - start;
  return heard;
}

Error HttpWorker::picture_error(const HttpAnswer& answer, const PictureRequest& asked,
                                const Call& call) const {
  Error error = error_of(answer, call);
  if (is_content_refusal(answer)) {
    error.kind = ErrorKind::kInvalid;
    error.code = kContentRefused;
    error.message =
        redacted(fmt::format("{}: its rules forbid this picture (status {}): {}", endpoint_.url,
                             answer.status, error_message_of(answer.body)));
  } else if (!asked.picture.empty() &&
             (answer.status == 404 || answer.status == 405 || answer.status == 501)) {
    error.code = kChangesNoPictures;
  }
  return error;
}

// The answer of a server that knows all the fields that it is sent.
Result<HttpAnswer> HttpWorker::ask_for_picture(const PictureRequest& asked, const Call& call) {
  Json fields = picture_fields(call.model, asked, is_cloud());
  for (;;) {
    {
      const std::scoped_lock lock(mutex_);
      leave_out(fields, refused_);
    }
    const bool changes = !asked.picture.empty();
    const WrittenForm form = changes ? picture_form(fields, asked) : WrittenForm();
    HttpCall http = changes ? post("/images/edits", form.body, call)
                            : post("/images/generations", dump_json(fields), call);
    if (changes) http.body_type = form.type;
    http.idle_limit = call.left();  // nothing is said before the picture is done
    http.max_body = kMaxPaintedBytes / 3 * 4 + (std::size_t{1} << 20);
    LATHE_TRY(HttpAnswer answer, send(std::move(http), shown_picture(fields, asked), call));
    if (answer.status == 200) return answer;
    const bool unknown =
        (answer.status == 400 || answer.status == 422) && !is_content_refusal(answer);
    const auto refused = unknown ? refused_fields(fields, answer.body) : std::vector<std::string>();
    if (refused.empty()) return std::unexpected(picture_error(answer, asked, call));
    const std::scoped_lock lock(mutex_);
    refused_.insert(refused.begin(), refused.end());
  }
}

Result<std::string> HttpWorker::fetch_picture(const std::string& from, const std::string& url,
                                              const Call& call) const {
  LATHE_TRY(const Hop hop, next_hop(from, url));
  if (!hop.same_origin || is_cloud())
    return fail(ErrorKind::kDenied,
                "{}: answers with the address of a picture {}, from which nothing is fetched; have "
                "it answer with 'b64_json'",
                from, is_cloud() ? "in a cloud" : "at another place");
  HttpCall http = post("", "", call);
  http.url = hop.url;
  http.max_body = kMaxPaintedBytes;
  LATHE_TRY(HttpAnswer answer, http_call(http, call.stop));
  if (answer.status != 200) return std::unexpected(error_of(answer, call));
  return std::move(answer.body);
}

Result<Painted> HttpWorker::painted(const PictureRequest& asked, Call& call) {
  LATHE_TRY(call.model, openai_model(call));
  call.prompt_tokens = static_cast<std::int64_t>(asked.prompt.size()) / 3;
  call.answer_tokens = -1;  // clouds count pictures
  const std::string url =
      endpoint_.url + (asked.picture.empty() ? "/images/generations" : "/images/edits");
  LATHE_TRY(const HttpAnswer answer, ask_for_picture(asked, call));
  LATHE_TRY(PictureAnswer said, picture_answer(answer.body, url));
  if (!said.url.empty()) {
    LATHE_TRY(said.bytes, fetch_picture(url, said.url, call));
  }
  auto picture = Media::of_file(std::move(said.bytes));
  if (!picture || picture->kind != Media::Kind::kPicture)
    return invalid("{}: answered with something that is no picture", url);
  return Painted{*std::move(picture), call.model, said.usage};
}

Result<Painted> HttpWorker::paint(const PictureRequest& asked, const StopFlag& stop) {
  const Milliseconds start = system_clock().monotonic();
  Call call{stop, start + asked.time_limit, asked.labels};
  auto painting = painted(asked, call);
  if (!painting) return at("worker " + config_.name, painting.error());
  painting->usage.wall = system_clock().monotonic() - start;
  return painting;
}

Result<SpokenFile> HttpWorker::attempt_speech(const std::string& body, const Call& call,
                                              Retry& retry) const {
  HttpCall http = post("/audio/speech", body, call);
  http.idle_limit = call.left();  // nothing is said before the sound is done
  http.max_body = kMaxSpokenBytes;
  const std::string url = http.url;
  auto answer = send(std::move(http), body, call);
  if (!answer) {
    retry.worth = answer.error().kind == ErrorKind::kUnavailable;
    return std::unexpected(answer.error());
  }
  if (answer->status == 200) {
    auto spoken = spoken_file(*std::move(answer), url);
    if (spoken) return spoken;
    retry.worth = spoken.error().kind == ErrorKind::kUnavailable;
    return std::unexpected(
        Error{spoken.error().kind, redacted(spoken.error().message), spoken.error().code});
  }
  retry = retry_after(*answer);
  return std::unexpected(error_of(*answer, call));
}

// Of a server that knows all the fields that it is sent.
Result<SpokenFile> HttpWorker::speak(const SpeechRequest& asked, const StopFlag& stop) {
  const Milliseconds start = system_clock().monotonic();
  Call call{stop, start + asked.time_limit, asked.labels};
  auto model = openai_model(call);
  if (!model) return at("worker " + config_.name, model.error());
  call.model = *std::move(model);
  call.prompt_tokens = static_cast<std::int64_t>(asked.text.size()) / 3;
  call.answer_tokens = -1;  // clouds count a sound by its text or its time
  int calls = 0;
  auto file = persist<SpokenFile>(
      speech_fields(call.model, asked, is_cloud()), call, calls,
      [&](const std::string& body, Retry& retry) { return attempt_speech(body, call, retry); });
  if (!file) return file;
  file->model = call.model;
  file->usage.calls = calls;
  file->usage.wall = system_clock().monotonic() - start;
  return file;
}

}  // namespace lathe::serve

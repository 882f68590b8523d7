// Another server as a host.
#include "serve/hosts/remote_host.h"

#include <algorithm>
#include <charconv>

#include "serve/net/forwarded.h"
#include "serve/net/speech_form.h"
#include "serve/net/transcription_form.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kLookLimit{5'000};
constexpr Milliseconds kShortLimit{60'000};  // of what computes nothing long
constexpr Milliseconds kLoadLimit{3'600'000};

// What the events of a lathe say beside the reply.
void read_extras(std::string_view event, HostReply& reply) {
  if (!event.contains("\"seed\":") && !event.contains("\"warnings\":")) return;
  const auto json = parse_json(event);
  if (!json) return;
  if (const Json& seed = json_at(*json, "seed"); seed.is_number_integer())
    reply.seed = seed.get<std::int64_t>();
  for (const Json& warning : json_at(*json, "warnings"))
    if (warning.is_string()) reply.warnings.push_back(warning);
}

Json inputs_json(const std::vector<TextInput>& inputs) {
  Json json = Json::array();
  for (const TextInput& input : inputs)
    json.push_back(input.text.empty() ? Json(input.ids) : Json(input.text));
  return json;
}

Result<Relevance> relevance_of(const Json& json, std::string_view place, std::size_t documents) {
  constexpr double kUnsaid = -1;
  Relevance found{.scores = std::vector<double>(documents, kUnsaid)};
  for (const Json& entry : json_at(json, "results")) {
    const std::int64_t index = json_int(entry, "index", -1);
    const Json& score = json_at(entry, "relevance_score");
    if (index >= 0 && index < static_cast<std::int64_t>(documents) && score.is_number())
      found.scores[static_cast<std::size_t>(index)] = score.get<double>();
  }
  found.usage.calls = 1;
  found.usage.prompt_tokens = json_int(json_at(json, "usage"), "prompt_tokens", 0);
  found.usage.counted = found.usage.prompt_tokens > 0;
  if (std::ranges::find(found.scores, kUnsaid) == found.scores.end()) return found;
  return fail(ErrorKind::kUnavailable, "{}: its answer does not score each of {} documents", place,
              documents);
}

// Both forms: OpenAI's `data`, Ollama's `embeddings`.
Result<Embeddings> embeddings_of(const Json& json, std::string_view place, std::size_t inputs) {
  Embeddings found;
  bool sound = true;
  const auto add = [&](const Json& vector) {
    std::vector<float> values;
    for (const Json& value : vector) {
      sound = sound && value.is_number();
      values.push_back(value.is_number() ? value.get<float>() : 0);
    }
    sound = sound && !values.empty();
    found.vectors.push_back(std::move(values));
  };
  for (const Json& entry : json_at(json, "data")) add(json_at(entry, "embedding"));
  for (const Json& vector : json_at(json, "embeddings")) add(vector);
  found.usage.calls = 1;
  found.usage.prompt_tokens =
      json_int(json_at(json, "usage"), "prompt_tokens", json_int(json, "prompt_eval_count", 0));
  found.usage.counted = found.usage.prompt_tokens > 0;
  // A lathe begins its warning with how many were cut.
  for (const Json& warning : json_at(json, "warnings")) {
    const std::string text = warning.is_string() ? warning.get<std::string>() : "";
    std::from_chars(text.data(), text.data() + text.size(), found.cut);
  }
  if (!sound)
    return fail(ErrorKind::kUnavailable, "{}: a vector of its answer is not one of numbers", place);
  if (found.vectors.size() == inputs) return found;
  return fail(ErrorKind::kUnavailable, "{}: {} inputs came back as {} vectors", place, inputs,
              found.vectors.size());
}

Result<std::vector<std::int32_t>> tokens_of(const Json& json, std::string_view place) {
  const Json& tokens = json_at(json, "tokens");
  if (!tokens.is_array())
    return fail(ErrorKind::kUnavailable, "{}: its answer has no tokens", place);
  std::vector<std::int32_t> ids;
  for (const Json& token : tokens) {
    if (!token.is_number_integer())
      return fail(ErrorKind::kUnavailable, "{}: its answer has tokens that are no numbers", place);
    ids.push_back(token.get<std::int32_t>());
  }
  return ids;
}

}  // namespace

RemoteHost::RemoteHost(RemoteHostConfig config, Endpoint endpoint)
    : config_(std::move(config)), endpoint_(std::move(endpoint)) {}

Result<std::unique_ptr<RemoteHost>> RemoteHost::open(RemoteHostConfig config) {
  auto endpoint = parse_endpoint(config.url);
  if (!endpoint) return at(config.name, std::move(endpoint).error());
  if (endpoint->reach > config.allowed)
    return fail(ErrorKind::kDenied,
                "{}: {} is reached by '{}', but only '{}' is allowed, so nothing was sent; give "
                "--allow {}",
                config.name, endpoint->url, reach_name(endpoint->reach), reach_name(config.allowed),
                reach_name(endpoint->reach));
  if (config.api_key.find_first_of("\r\n") != std::string::npos)
    return invalid("{}: its API key holds a line break", config.name);
  std::unique_ptr<RemoteHost> host(new RemoteHost(std::move(config), *std::move(endpoint)));
  host->look();
  host->looking_ = std::thread([self = host.get()] { self->keep_looking(); });
  return host;
}

RemoteHost::~RemoteHost() {
  std::map<Id, std::shared_ptr<Job>> jobs;
  {
    const std::lock_guard lock(mutex_);
    ending_.raise();
    jobs.swap(jobs_);
    for (const auto& [id, job] : jobs) job->stop.raise();
  }
  wake_.notify_all();
  if (looking_.joinable()) looking_.join();
  for (const auto& [id, job] : jobs) job->thread.join();
}

// Without a body: null.
HttpCall RemoteHost::call_of(std::string_view path, const Json& body, Milliseconds limit) const {
  HttpCall call{.url = endpoint_.url + std::string(path),
                .body = body.is_null() ? std::string() : dump_json(body),
                .headers = {std::string(kForwardedHeader) + ": 1"},
                .allowed = config_.allowed,
                .contacts = config_.contacts,
                .allowed_by = config_.allowed_by,
                .connect_limit = config_.connect_limit,
                .idle_limit = std::min(config_.idle_limit, limit),
                .total_limit = limit,
                .consent = config_.consent,
                .model = json_string(body, "model"),
                .answer_tokens = json_int(body, "max_tokens", -1)};
  call.prompt_tokens = static_cast<std::int64_t>(call.body.size()) / 3;
  if (!config_.api_key.empty()) call.headers.push_back("Authorization: Bearer " + config_.api_key);
  return call;
}

// One exchange that is not streamed.
Result<Json> RemoteHost::ask(std::string_view path, const Json& body, Milliseconds limit,
                             const StopFlag& stop) {
  return answer_to(call_of(path, body, limit), stop);
}

Result<Json> RemoteHost::answer_to(const HttpCall& call, const StopFlag& stop) {
  const auto answer = http_call(call, stop);
  if (!answer) return std::unexpected(missed(answer.error()));
  if (answer->status != 200)
    return std::unexpected(remote_error(config_.name, answer->status, answer->body));
  auto json = parse_json(answer->body);
  if (!json) return at(config_.name, json.error());
  return json;
}

// An exchange that failed: unless it was ended or refused from here, the server counts as away
// until it is looked at again.
Error RemoteHost::missed(Error error) {
  error.message = config_.name + ": " + error.message;
  if (error.kind != ErrorKind::kCancelled && error.kind != ErrorKind::kDenied)
    set_problem(error.message);
  return error;
}

void RemoteHost::set_problem(const std::string& problem) {
  {
    const std::lock_guard lock(mutex_);
    if (problem_.empty() == problem.empty()) return;
    problem_ = problem;
  }
  if (config_.log) config_.log(problem.empty() ? config_.name + " answers again" : problem);
}

void RemoteHost::look() {
  const auto list = ask("/models", Json(), kLookLimit, ending_);
  if (!list) return set_problem(list.error().message);
  {
    const std::lock_guard lock(mutex_);
    models_ = models_of(*list);
    lathe_ = is_lathe(*list);
  }
  set_problem("");
}

void RemoteHost::keep_looking() {
  std::unique_lock lock(mutex_);
  while (!ending_.raised()) {
    wake_.wait_for(lock, config_.look_again);
    if (ending_.raised()) return;
    lock.unlock();
    look();
    lock.lock();
  }
}

HostStatus RemoteHost::status() const {
  const std::lock_guard lock(mutex_);
  HostStatus status;
  status.models = models_;
  status.counters = counters_;
  for (ModelInfo& model : status.models) {
    const auto own = under_way_.find(model.name);
    // What was sent since the last look is not among what the server told then.
    if (own != under_way_.end()) model.running = std::max(model.running, own->second);
    if (problem_.empty()) continue;
    model.state = ModelState::kFailed;
    model.problem = problem_;
  }
  return status;
}

Result<std::string> RemoteHost::find(std::string_view asked) const {
  const std::lock_guard lock(mutex_);
  for (const ModelInfo& model : models_)
    if (model.name == asked || std::ranges::count(model.aliases, asked) > 0) return model.name;
  // MODEL+ADAPTER: which adapters there are the server knows.
  const std::string_view base = asked.substr(0, asked.rfind('+'));
  if (base != asked && std::ranges::count(models_, base, &ModelInfo::name) > 0)
    return std::string(asked);
  return std::unexpected(Error{ErrorKind::kNotFound,
                               fmt::format("{}: there is no model '{}'", config_.name, asked),
                               "model_not_found"});
}

PeerKind RemoteHost::peer() const {
  const std::lock_guard lock(mutex_);
  if (lathe_) return PeerKind::kLathe;
  return endpoint_.reach == Reach::kAny ? PeerKind::kCloud : PeerKind::kLocal;
}

void RemoteHost::join_finished() {
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    if (job->second->over) job->second->thread.join();
    job = job->second->over ? jobs_.erase(job) : std::next(job);
  }
}

template <class Value>
ModelHost::Id RemoteHost::start(const std::string& model,
                                std::function<Result<Value>(const StopFlag&)> work,
                                std::function<void(Result<Value>)> done) {
  std::unique_lock lock(mutex_);
  join_finished();
  const Id id = next_id_++;
  ++counters_.requests;
  if (jobs_.size() >= config_.at_once) {
    ++counters_.refused;
    lock.unlock();
    done(std::unexpected(Error{
        ErrorKind::kUnavailable,
        fmt::format("{}: {} requests are under way there from here", config_.name, config_.at_once),
        "queue_full"}));
    return id;
  }
  ++under_way_[model];
  const auto job = std::make_shared<Job>();
  job->thread = std::thread([this, model, job, work = std::move(work), done = std::move(done)] {
    Result<Value> result = work(job->stop);
    {
      const std::lock_guard ended(mutex_);
      if (--under_way_[model] == 0) under_way_.erase(model);
      if (!result)
        ++(result.error().kind == ErrorKind::kCancelled ? counters_.cancelled : counters_.failed);
    }
    done(std::move(result));
    const std::lock_guard over(mutex_);
    job->over = true;
  });
  jobs_[id] = job;
  return id;
}

void RemoteHost::cancel(Id id) {
  const std::lock_guard lock(mutex_);
  if (const auto job = jobs_.find(id); job != jobs_.end()) job->second->stop.raise();
}

Status RemoteHost::events_of(HttpCall call, const SseReader::OnData& event,
                             const std::function<bool()>& done, const StopFlag& stop) {
  Status status;
  SseReader reader(event);
  call.headers.push_back("Accept: text/event-stream");
  call.on_stream = [&](std::string_view bytes) {
    status = reader.feed(bytes);
    return status.has_value() && !done();
  };
  const auto answer = http_call(call, stop);
  if (!answer) return std::unexpected(missed(answer.error()));
  if (answer->status != 200)
    return std::unexpected(remote_error(config_.name, answer->status, answer->body));
  if (!status) return at(config_.name, status.error());
  return {};
}

template <class Stream>
Result<HostReply> RemoteHost::streamed(std::string_view path, const Json& body, Stream stream,
                                       Milliseconds limit, const StopFlag& stop) {
  const Milliseconds start = system_clock().monotonic();
  HostReply extras;
  LATHE_TRY_STATUS(events_of(
      call_of(path, body, limit),
      [&](std::string_view data) {
        read_extras(data, extras);
        return stream.event(data);
      },
      [&] { return stream.done(); }, stop));
  auto reply = std::move(stream).finish();
  if (!reply) return at(config_.name, reply.error());
  reply->seed = extras.seed;
  reply->usage.wall = system_clock().monotonic() - start;
  static_cast<Reply&>(extras) = *std::move(reply);
  return extras;
}

Result<HostReply> RemoteHost::answer(const std::string& model, const HostRequest& request,
                                     const OnDelta& on_delta, const StopFlag& stop) {
  if (request.candidates != 1)
    return std::unexpected(Error{ErrorKind::kInvalid,
                                 config_.name + " is asked for one answer at a time",
                                 "unsupported_candidates"});
  if (request.prompt_logprobs)
    return std::unexpected(Error{ErrorKind::kInvalid,
                                 config_.name + " is not asked for log probabilities of a prompt",
                                 "unsupported_value"});
  const PeerKind kind = peer();
  Json body = request_json(request, model, kind);
  if (const auto* form = std::get_if<SchemaForm>(&request.form); form != nullptr && form->strict)
    body["response_format"]["json_schema"]["strict"] = true;
  if (request.no_answer) body["max_tokens"] = 0;
  if (request.talk() != nullptr)
    return streamed("/chat/completions", body, ChatStream(on_delta, kind == PeerKind::kLathe),
                    request.time_limit, stop);
  return streamed("/completions", body, TextStream(on_delta), request.time_limit, stop);
}

ModelHost::Id RemoteHost::submit(const std::string& model, HostRequest request, OnDelta on_delta,
                                 OnReplies on_replies) {
  using Replies = std::vector<HostReply>;
  on_replies = with_usage<Replies>(request.on_usage, std::move(on_replies));
  return start<Replies>(
      model,
      [this, model, request = std::move(request),
       on_delta = std::move(on_delta)](const StopFlag& stop) -> Result<Replies> {
        LATHE_TRY(HostReply reply, answer(model, request, on_delta, stop));
        const std::lock_guard lock(mutex_);
        counters_.prompt_tokens += reply.usage.prompt_tokens;
        counters_.cached_tokens += reply.usage.cached_tokens;
        counters_.completion_tokens += reply.usage.completion_tokens;
        counters_.accepted_tokens += reply.usage.accepted_tokens;
        counters_.rejected_tokens += reply.usage.rejected_tokens;
        return Replies{std::move(reply)};
      },
      std::move(on_replies));
}

ModelHost::Id RemoteHost::embed(const std::string& model, std::vector<TextInput> inputs, bool cut,
                                Asker asker, OnEmbeddings on_embeddings) {
  return start<Embeddings>(
      model,
      [this, model, inputs = std::move(inputs), cut](const StopFlag& stop) -> Result<Embeddings> {
        // OpenAI's form refuses what is too long, Ollama's cuts it.
        Json body{{"model", model}, {"input", inputs_json(inputs)}};
        if (!cut) body["encoding_format"] = "float";
        LATHE_TRY(const Json json,
                  ask(cut ? "/api/embed" : "/embeddings", body, config_.idle_limit, stop));
        return embeddings_of(json, config_.name, inputs.size());
      },
      with_usage<Embeddings>(std::move(asker.on_usage), std::move(on_embeddings)));
}

ModelHost::Id RemoteHost::rank(const std::string& model, std::string query,
                               std::vector<std::string> documents, Asker asker,
                               OnRelevance on_relevance) {
  return start<Relevance>(
      model,
      [this, model, query = std::move(query),
       documents = std::move(documents)](const StopFlag& stop) -> Result<Relevance> {
        const Json body{{"model", model}, {"query", query}, {"documents", documents}};
        LATHE_TRY(const Json json, ask("/rerank", body, config_.idle_limit, stop));
        return relevance_of(json, config_.name, documents.size());
      },
      with_usage<Relevance>(std::move(asker.on_usage), std::move(on_relevance)));
}

ModelHost::Id RemoteHost::transcribe(const std::string& model, SoundRequest request, Asker asker,
                                     OnSegment on_segment, OnTranscript on_transcript) {
  return start<Transcription>(
      model,
      [this, model, request = std::move(request),
       on_segment = std::move(on_segment)](const StopFlag& stop) -> Result<Transcription> {
        const WrittenForm form = transcription_form(model, request);
        HttpCall call =
            call_of(request.options.translate ? "/audio/translations" : "/audio/transcriptions",
                    Json(), kLoadLimit);
        call.body = form.body;
        call.model = model;
        call.body_type = form.type;
        call.idle_limit = kLoadLimit;  // nothing is said before the whole sound is written down
        LATHE_TRY(const Json json, answer_to(call, stop));
        LATHE_TRY(Transcription heard, transcription_of(json, config_.name, request.options));
        if (on_segment)
          for (const TranscriptSegment& segment : heard.transcript.segments) on_segment(segment);
        return heard;
      },
      with_usage<Transcription>(std::move(asker.on_usage), std::move(on_transcript)));
}

ModelHost::Id RemoteHost::speak(const std::string& model, SpeechRequest request, Asker asker,
                                OnSamples on_samples, OnSpeech on_speech) {
  return start<Speech>(
      model,
      [this, model, request = std::move(request),
       on_samples = std::move(on_samples)](const StopFlag& stop) -> Result<Speech> {
        const Milliseconds begun = system_clock().monotonic();
        Json body = speech_fields(model, request, false);
        body["response_format"] = "pcm";
        body["stream_format"] = "sse";
        SpeechStream stream(on_samples);
        HttpCall call = call_of("/audio/speech", body, kLoadLimit);
        call.idle_limit = kLoadLimit;  // its turn comes after all other texts there
        LATHE_TRY_STATUS(events_of(
            std::move(call), [&](std::string_view data) { return stream.event(data); },
            [&] { return stream.done(); }, stop));
        auto spoken = std::move(stream).finish();
        if (!spoken) return at(config_.name, spoken.error());
        spoken->usage.wall = system_clock().monotonic() - begun;
        return spoken;
      },
      with_usage<Speech>(std::move(asker.on_usage), std::move(on_speech)));
}

ModelHost::Id RemoteHost::tokenize(const std::string& model, std::string text, bool add_special,
                                   bool parse_special, OnTokens on_tokens) {
  using Ids = std::vector<std::int32_t>;
  Json body{{"model", model},
            {"content", std::move(text)},
            {"add_special", add_special},
            {"parse_special", parse_special}};
  return start<Ids>(
      model,
      [this, body = std::move(body)](const StopFlag& stop) -> Result<Ids> {
        LATHE_TRY(const Json json, ask("/tokenize", body, kShortLimit, stop));
        return tokens_of(json, config_.name);
      },
      std::move(on_tokens));
}

ModelHost::Id RemoteHost::prompt_of(const std::string& model, Request request, OnTokens on_tokens) {
  using Ids = std::vector<std::int32_t>;
  return start<Ids>(
      model,
      [this, model, request = std::move(request)](const StopFlag& stop) -> Result<Ids> {
        LATHE_TRY(const Json json,
                  ask("/apply-template", request_json(request, model, peer()), kShortLimit, stop));
        return tokens_of(json, config_.name);
      },
      std::move(on_tokens));
}

Result<std::string> RemoteHost::detokenize(const std::string& model,
                                           const std::vector<std::int32_t>& ids, bool special) {
  LATHE_TRY(const Json json,
            ask("/detokenize", {{"model", model}, {"tokens", ids}, {"special", special}},
                kShortLimit, ending_));
  return json_string(json, "content");
}

Status RemoteHost::load(const std::string& model) {
  LATHE_TRY(const Json json, ask("/models/load", {{"model", model}}, kLoadLimit, ending_));
  look();
  return {};
}

Status RemoteHost::unload(const std::string& model) {
  LATHE_TRY(const Json json, ask("/models/unload", {{"model", model}}, kShortLimit, ending_));
  look();
  return {};
}

}  // namespace lathe::serve

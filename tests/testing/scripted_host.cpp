// A family of scripted models.
#include "testing/scripted_host.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "work/cloud_names.h"

namespace lathe::testing {
namespace {

constexpr std::size_t kMaxSeen = 1000;

std::string last_text(const Request& request) {
  if (const Talk* talk = request.talk())
    return talk->messages.empty() ? std::string() : talk->messages.back().content.text();
  if (const auto* prompt = std::get_if<TextPrompt>(&request.ask)) return prompt->text;
  const std::vector<std::int32_t>& ids = std::get<TokenPrompt>(request.ask).ids;
  return std::string(ids.begin(), ids.end());
}

std::string rendered(const Request& request) {
  const Talk* talk = request.talk();
  if (talk == nullptr) return last_text(request);
  std::string text;
  for (const Message& message : talk->messages)
    text += fmt::format("<{}>{}{}", message.role, message.reasoning, message.content.text());
  for (const Tool& tool : talk->tools) text += dump_json(to_json(tool));
  return text;
}

// Word by word.
std::vector<Delta> words(const std::string& text) {
  std::vector<Delta> deltas;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(' ', start), text.size() - 1) + 1;
    deltas.push_back({text.substr(start, end - start), ""});
    start = end;
  }
  return deltas;
}

}  // namespace

struct ScriptedHost::Job {
  HostRequest request;
  Line line;
  OnDelta on_delta;
  OnReplies on_replies;
  std::function<void()> on_time;  // of other jobs: all there is to do
  Time due;
  std::size_t prompt_tokens = 0;
  std::vector<HostReply> replies;
  std::size_t next = 0;  // delta
  bool cancelled = false;
};

std::vector<ModelInfo> scripted_family() {
  std::vector<ModelInfo> models(2);
  models[0].name = "large";
  models[0].context = 131072;
  models[1].name = "small";
  models[1].aliases = {"tiny"};
  models[1].context = 4096;
  for (ModelInfo& model : models) {
    model.architecture = "llama";
    model.quantization = "Q4_0";
    model.file_bytes = 1'000'000;
    model.parameters = 2'000'000;
    model.modified = 1'780'000'000;
    model.trained_context = 131072;
    model.embedding = 8;
    model.chat_template = "{{ messages }}";
    model.tools = true;
    model.state = ModelState::kReady;
  }
  models.front().shortens = true;
  return models;
}

ScriptedHost::ScriptedHost(std::vector<ModelInfo> models, std::vector<Line> lines)
    : lines_(std::move(lines)), models_(std::move(models)), thread_([this] { run(); }) {}

ScriptedHost::~ScriptedHost() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

HostStatus ScriptedHost::status() const {
  const std::lock_guard lock(mutex_);
  HostStatus status;
  status.models = models_;
  status.limits = DeviceBytes(kHostDevice, 1 << 30) + DeviceBytes("gpu0", 1 << 20);
  status.booked = DeviceBytes("gpu0", 4096);
  status.counters = counters_;
  status.counters.cancelled = cancelled_;
  return status;
}

Result<std::string> ScriptedHost::resolve(std::string_view asked) const {
  if (is_cloud_name(asked)) return models_.front().name;
  return find(asked);
}

Result<std::string> ScriptedHost::find(std::string_view asked) const {
  const std::lock_guard lock(mutex_);
  for (const ModelInfo& model : models_)
    if (model.name == asked || std::ranges::count(model.aliases, asked) > 0) return model.name;
  return std::unexpected(
      Error{ErrorKind::kNotFound, fmt::format("there is no model '{}'", asked), "model_not_found"});
}

ModelInfo* ScriptedHost::info_of(const std::string& model) {
  const auto found = std::ranges::find(models_, model, &ModelInfo::name);
  return found == models_.end() ? nullptr : &*found;
}

ScriptedHost::Line ScriptedHost::line_for(const Request& request) const {
  const std::string text = last_text(request);
  for (const Line& line : lines_)
    if (text.contains(line.when)) return line;
  const Talk* talk = request.talk();
  if (talk != nullptr && !talk->tools.empty() &&
      !std::holds_alternative<NoCall>(talk->tool_choice) && talk->messages.back().role != "tool") {
    const auto* must = std::get_if<MustCall>(&talk->tool_choice);
    const std::string name =
        must == nullptr || must->tool.empty() ? talk->tools[0].name : must->tool;
    Line line{"", {{"", "", {{"call_1", name, R"({"city":"Paris"})"}}}}};
    if (talk->parallel_calls)
      line.deltas.push_back({"", "", {{"call_2", name, R"({"city":"Oslo"})"}}});
    line.finish = FinishReason::kToolCalls;
    return line;
  }
  if (std::holds_alternative<SchemaForm>(request.form) ||
      std::holds_alternative<AnyJsonForm>(request.form))
    return {"", words(R"({"name": "Ada", "age": 36})")};
  return {"", words("You said: " + text)};
}

ModelHost::Id ScriptedHost::submit(const std::string& model, HostRequest request, OnDelta on_delta,
                                   OnReplies on_replies) {
  auto job = std::make_shared<Job>();
  job->line = line_for(request);
  job->prompt_tokens = rendered(request).size();
  job->replies.resize(static_cast<std::size_t>(request.candidates));
  job->on_delta = std::move(on_delta);
  job->on_replies = std::move(on_replies);
  const std::lock_guard lock(mutex_);
  const ModelInfo* info = info_of(model);
  if (info && job->prompt_tokens >= info->context) {
    job->line = {};
    job->line.error = Error{ErrorKind::kInvalid,
                            fmt::format("the prompt has {} tokens, but '{}' takes {} at most",
                                        job->prompt_tokens, model, info->context),
                            "context_length_exceeded"};
  }
  ++counters_.requests;
  if (seen_.size() < kMaxSeen) {
    seen_.push_back(request);
    seen_.back().on_usage = {};
  }
  job->request = std::move(request);
  job->due = std::chrono::steady_clock::now() + job->line.prefill;
  const Id id = next_id_++;
  jobs_[id] = std::move(job);
  wake_.notify_all();
  return id;
}

ModelHost::Id ScriptedHost::add(std::function<void()> what) {
  auto job = std::make_shared<Job>();
  job->due = std::chrono::steady_clock::now();
  job->on_time = std::move(what);
  const std::lock_guard lock(mutex_);
  const Id id = next_id_++;
  jobs_[id] = std::move(job);
  wake_.notify_all();
  return id;
}

ModelHost::Id ScriptedHost::embed(const std::string& model, std::vector<TextInput> inputs, bool cut,
                                  Asker asker, OnEmbeddings on_embeddings) {
  on_embeddings = with_usage<Embeddings>(std::move(asker.on_usage), std::move(on_embeddings));
  const ModelInfo info = [&] {
    const std::lock_guard lock(mutex_);
    ++counters_.requests;
    return *info_of(model);
  }();
  return add(
      [this, info, cut, inputs = std::move(inputs), on_embeddings = std::move(on_embeddings)] {
        Embeddings embeddings;
        embeddings.usage.calls = 1;
        embeddings.usage.counted = true;
        for (const TextInput& input : inputs) {
          std::size_t size = input.text.empty() ? input.ids.size() : input.text.size();
          if (size > info.context && !cut)
            return on_embeddings(std::unexpected(Error{
                ErrorKind::kInvalid, "an input has too many tokens", "context_length_exceeded"}));
          if (size > info.context) ++embeddings.cut;
          size = std::min(size, info.context);
          std::vector<float> vector(info.embedding, 0.25F);
          vector[0] = static_cast<float>(size);
          embeddings.vectors.push_back(std::move(vector));
          embeddings.usage.prompt_tokens += static_cast<std::int64_t>(size);
        }
        count(embeddings.usage);
        on_embeddings(std::move(embeddings));
      });
}

ModelHost::Id ScriptedHost::rank(const std::string&, std::string query,
                                 std::vector<std::string> documents, Asker asker,
                                 OnRelevance on_relevance) {
  on_relevance = with_usage<Relevance>(std::move(asker.on_usage), std::move(on_relevance));
  {
    const std::lock_guard lock(mutex_);
    ++counters_.requests;
  }
  return add([this, query = std::move(query), documents = std::move(documents),
              on_relevance = std::move(on_relevance)] {
    Relevance relevance;
    relevance.usage.calls = 1;
    relevance.usage.counted = true;
    for (const std::string& document : documents) {
      relevance.scores.push_back(static_cast<double>(std::ranges::count(document, query.at(0))) /
                                 16);
      relevance.usage.prompt_tokens += static_cast<std::int64_t>(query.size() + document.size());
    }
    count(relevance.usage);
    on_relevance(std::move(relevance));
  });
}

ModelHost::Id ScriptedHost::transcribe(const std::string&, SoundRequest request, Asker asker,
                                       OnSegment on_segment, OnTranscript on_transcript) {
  on_transcript = with_usage<Transcription>(std::move(asker.on_usage), std::move(on_transcript));
  {
    const std::lock_guard lock(mutex_);
    ++counters_.requests;
  }
  return add([this, request = std::move(request), on_segment = std::move(on_segment),
              on_transcript = std::move(on_transcript)] {
    if (request.file.starts_with("bad"))
      return on_transcript(
          std::unexpected(Error{ErrorKind::kInvalid, "not a sound", "unsupported_sound"}));
    Transcription heard;
    Transcript& transcript = heard.transcript;
    transcript.language = "english";
    transcript.translated = request.options.translate;
    if (request.options.words) transcript.words.emplace();
    std::string_view rest = request.file;
    while (!rest.empty()) {
      const std::size_t length = std::min(rest.find(' ', 1), rest.size());
      TranscriptSegment& segment = transcript.segments.emplace_back();
      segment.text = rest.substr(0, length);
      segment.start = transcript.seconds;
      segment.end = ++transcript.seconds;
      segment.tokens = {static_cast<std::int32_t>(length)};
      if (transcript.words) transcript.words->push_back({segment.text, segment.start, segment.end});
      if (on_segment) on_segment(segment);
      rest.remove_prefix(length);
    }
    heard.usage.calls = 1;
    heard.usage.counted = true;
    heard.usage.prompt_tokens = static_cast<std::int64_t>(transcript.seconds * kSoundRowsASecond);
    heard.usage.completion_tokens = static_cast<std::int64_t>(transcript.segments.size());
    count(heard.usage);
    on_transcript(std::move(heard));
  });
}

void ScriptedHost::cancel(Id id) {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  found->second->cancelled = true;
  found->second->due = {};
  wake_.notify_all();
}

void ScriptedHost::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const auto next =
        std::ranges::min_element(jobs_, {}, [](const auto& entry) { return entry.second->due; });
    if (next == jobs_.end()) {
      wake_.wait(lock);
      continue;
    }
    const Time due = next->second->due;
    if (due > std::chrono::steady_clock::now()) {
      wake_.wait_until(lock, due);
      continue;
    }
    const Id id = next->first;
    const std::shared_ptr<Job> job = next->second;
    const bool cancelled = job->cancelled;
    lock.unlock();
    if (cancelled && job->on_replies) tell_usage(*job);
    if (cancelled && job->on_replies)
      job->on_replies(fail(ErrorKind::kCancelled, "the request was cancelled"));
    const bool goes_on = !cancelled && step(*job);
    lock.lock();
    if (cancelled) ++cancelled_;
    if (!goes_on)
      jobs_.erase(id);
    else if (!job->cancelled)
      job->due = std::chrono::steady_clock::now() + job->line.between;
  }
}

bool ScriptedHost::step(Job& job) {
  if (job.on_time) {
    job.on_time();
    return false;
  }
  const std::size_t count = job.line.deltas.size();
  const bool cut =
      job.request.no_answer ||
      (job.request.max_tokens > 0 && job.next >= static_cast<std::size_t>(job.request.max_tokens));
  if (!cut && count > 0 && (job.line.endless || job.next < count)) {
    for (std::size_t i = 0; i < job.replies.size(); ++i) {
      Delta delta = job.line.deltas[job.next % count];
      delta.candidate = static_cast<int>(i);
      delta.prompt_tokens = static_cast<std::int64_t>(job.prompt_tokens);
      if (job.request.top_logprobs >= 0) delta.logprobs = {{delta.text, -0.5, {}}};
      for (int k = 0; k < job.request.top_logprobs; ++k)
        delta.logprobs[0].top.emplace_back(k == 0 ? delta.text : "x", -0.5 - k);
      Reply& reply = job.replies[i];
      reply.text += delta.text;
      reply.reasoning += delta.reasoning;
      std::ranges::copy(delta.calls, std::back_inserter(reply.calls));
      std::ranges::copy(delta.logprobs, std::back_inserter(reply.logprobs));
      ++reply.usage.completion_tokens;
      reply.usage.reasoning_tokens += delta.reasoning.empty() ? 0 : 1;
      job.on_delta(delta);
    }
    ++job.next;
    return true;
  }
  if (job.line.error) {
    tell_usage(job);
    {
      const std::lock_guard lock(mutex_);
      ++counters_.failed;
    }
    job.on_replies(std::unexpected(*job.line.error));
    return false;
  }
  for (Reply& reply : job.replies) {
    reply.finish = cut ? FinishReason::kLength : job.line.finish;
    reply.stopped_by = job.line.stopped_by;
    reply.usage.counted = true;
    reply.usage.calls = 1;
    reply.seed = job.request.sampling.seed.value_or(4242);
  }
  if (job.request.prompt_logprobs) {
    for (const char c : last_text(job.request))
      job.replies[0].prompt_logprobs.push_back({std::string(1, c), -0.25, {{"e", -0.25}}});
    job.replies[0].prompt_logprobs.at(0).logprob = std::numeric_limits<double>::quiet_NaN();
  }
  if (last_text(job.request).contains("warn me")) job.replies[0].warnings = {"as you wished"};
  Usage& usage = job.replies[0].usage;
  usage.prompt_tokens = static_cast<std::int64_t>(job.prompt_tokens);
  usage.cached_tokens = std::min<std::int64_t>(usage.prompt_tokens, 4);
  if (!job.request.prediction.empty()) usage.accepted_tokens = 2, usage.rejected_tokens = 1;
  tell_usage(job);
  job.on_replies(std::move(job.replies));
  return false;
}

// What it took, however it ended.
void ScriptedHost::tell_usage(Job& job) {
  Usage usage;
  for (const Reply& reply : job.replies) usage += reply.usage;
  usage.calls = 1;
  usage.counted = true;
  usage.prompt_tokens = static_cast<std::int64_t>(job.prompt_tokens);
  count(usage);
  if (job.request.on_usage) job.request.on_usage(usage);
}

void ScriptedHost::count(const Usage& usage) {
  const std::lock_guard lock(mutex_);
  counters_.prompt_tokens += usage.prompt_tokens;
  counters_.cached_tokens += usage.cached_tokens;
  counters_.completion_tokens += usage.completion_tokens;
}

ModelHost::Id ScriptedHost::tokenize(const std::string&, std::string text, bool add_special, bool,
                                     OnTokens on_tokens) {
  std::vector<std::int32_t> ids;
  if (add_special) ids.push_back(256);
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return add([ids = std::move(ids), on_tokens = std::move(on_tokens)] { on_tokens(ids); });
}

ModelHost::Id ScriptedHost::prompt_of(const std::string& model, Request request,
                                      OnTokens on_tokens) {
  return tokenize(model, rendered(request), false, true, std::move(on_tokens));
}

Result<std::string> ScriptedHost::detokenize(const std::string&,
                                             const std::vector<std::int32_t>& ids, bool) {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id < 0 || id > 256) return invalid("there is no token {}", id);
    if (id < 256) text += static_cast<char>(id);
  }
  return text;
}

Status ScriptedHost::load(const std::string& model) {
  set_state(model, ModelState::kReady);
  return {};
}

Status ScriptedHost::unload(const std::string& model) {
  set_state(model, ModelState::kCold);
  return {};
}

std::vector<HostRequest> ScriptedHost::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

int ScriptedHost::running() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(jobs_.size());
}

int ScriptedHost::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void ScriptedHost::set_state(const std::string& model, ModelState state) {
  const std::lock_guard lock(mutex_);
  if (ModelInfo* info = info_of(model)) info->state = state;
}

}  // namespace lathe::testing

// The door to the loop: names, preparation of requests on the caller's thread, what others may
// know.
#include "serve/pool/pool.h"

#include <algorithm>
#include <future>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "work/cloud_names.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kPublishEvery{50};
constexpr Milliseconds kIdleAfter{5000};  // then snapshots are written
// Requests that are prepared at the same time: of two models.
constexpr std::size_t kSideThreads = 2;

// The beginning of a text's tokens, and the one that closes it, if that is not of the text.
void cut_to(std::vector<infer::TokenId>& tokens, std::size_t most,
            const infer::Tokenizer& tokenizer) {
  if (tokens.size() <= most) return;
  const infer::TokenId last = tokens.back();
  tokens.resize(most);
  if (tokenizer.is_control(last)) tokens.back() = last;
}

// The one number that was made of each document.
Relevance relevance_of(const Embeddings& read) {
  Relevance relevance;
  relevance.usage = read.usage;
  for (const std::vector<float>& one : read.vectors)
    relevance.scores.push_back(static_cast<double>(one.at(0)));
  return relevance;
}

Result<ModelInfo> facts_of(const CatalogModel& model) {
  if (model.speaks) {
    LATHE_TRY(const auto file, SpeakerFile::open(model));
    return file->info;
  }
  if (!model.transcribes) return ModelFront::facts(model);
  LATHE_TRY(const auto file, ListenerFile::open(model));
  return file->info;
}

// Whose what is computed for a request is; the same after a restart, for what snapshots keep; 0
// where nobody is asked for a key, or everybody's is shared.
std::uint64_t owner_of(const ModelFront& front, const HostRequest& request) {
  const std::string& key = request.caller.key;
  if (key.empty() || front.catalog().share_prefixes) return 0;
  return std::stoull(sha256_hex("prefixes of " + key).substr(0, 16), nullptr, 16);
}

// A text's beginning, without half a character.
std::string first_bytes(const std::string& text, std::size_t bytes) {
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) --bytes;
  return text.substr(0, bytes);
}

}  // namespace

Pool::Pool(Catalog models, PoolOptions options)
    : options_(std::move(options)),
      loop_(
          models, options_, [this](std::function<void()> task) { post(std::move(task)); },
          [this](std::unique_ptr<PoolJob> job, std::shared_ptr<Senses> senses) {
            look(std::move(job), std::move(senses));
          },
          [this](std::unique_ptr<PoolJob> job, SoundMakers sounds) {
            work_aside(std::move(job), std::move(sounds));
          }),
      side_(kSideThreads),
      looks_(1),
      hears_(1),
      speaks_(1) {
  set_catalog(std::move(models));
  status_ = loop_.status();
  facts_ = std::async(std::launch::async, [&first = catalog()] {
             Facts facts;
             for (const CatalogModel& model : first.models())
               if (!model.program) facts.emplace(model.name, facts_of(model));
             return facts;
           }).share();
  thread_ = std::thread([this] { run(); });
  for (const CatalogModel& model : catalog().models()) {
    if (!model.pinned) continue;
    auto job = wish(model.name, [](const Status&) {});
    if (job) {
      enqueue(std::move(*job));
    } else if (options_.log) {
      options_.log(job.error().message);
    }
  }
}

Pool::~Pool() {
  ending_ = true;
  side_.stop();  // what they stop is told by the loop
  looks_.stop();
  hears_.stop();
  speaks_.stop();
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Pool::set_catalog(Catalog catalog) {
  catalogs_.push_back(std::make_unique<const Catalog>(std::move(catalog)));
  catalog_.store(catalogs_.back().get());
}

std::map<std::string, fs::path> Pool::files() const {
  std::map<std::string, fs::path> files;
  for (const CatalogModel& model : catalog().models())
    if (!model.file.empty()) files[model.name] = model.file;
  return files;
}

// The loop knows of it before anybody can find it, and it can be found before anybody is told.
Status Pool::add_model(CatalogModel model) {
  auto facts = facts_of(model);
  const std::scoped_lock adding(adding_);
  Catalog more = catalog();
  std::error_code error;
  const CatalogModel* known_as = more.find(model.name);
  if (known_as != nullptr && fs::equivalent(known_as->file, model.file, error)) {
    const std::string name = known_as->name;
    for (const std::string& alias : model.aliases) more.add_alias(name, alias);
    set_catalog(std::move(more));
    return {};
  }
  LATHE_TRY_STATUS(more.add(model));
  {
    const std::scoped_lock lock(fronts_mutex_);
    late_facts_.insert_or_assign(model.name, std::move(facts));
  }
  std::promise<void> known;
  post([&] {
    loop_.add_model(model);
    set_catalog(std::move(more));
    publish();
    known.set_value();
  });
  known.get_future().wait();
  return {};
}

void Pool::post(std::function<void()> task) {
  {
    const std::scoped_lock lock(mutex_);
    inbox_.push_back(std::move(task));
  }
  wake_.notify_one();
}

// The loop: what came in, one turn, and what others may know of it.
void Pool::run() {
  Milliseconds published{0}, last_work = system_clock().monotonic();
  for (bool worked = false;;) {
    std::vector<std::function<void()>> tasks;
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      if (!worked)
        wake_.wait_for(lock, Milliseconds(500), [&] { return stopping_ || !inbox_.empty(); });
      tasks.swap(inbox_);
      stopping = stopping_;
    }
    if (stopping) {
      loop_.stop();
      // What came in between is answered too.
      std::vector<std::function<void()>> late;
      {
        const std::scoped_lock lock(mutex_);
        late.swap(inbox_);
      }
      for (auto& task : tasks) task();
      for (auto& task : late) task();
      loop_.stop();
      return;
    }
    for (auto& task : tasks) task();
    worked = loop_.turn();
    const Milliseconds now = system_clock().monotonic();
    if (worked || !tasks.empty()) {
      last_work = now;
    } else if (now - last_work > kIdleAfter) {
      loop_.idle();
      last_work = now;
    }
    if (!worked || now - published > kPublishEvery) {
      publish();
      published = now;
    }
  }
}

void Pool::publish() {
  HostStatus fresh = loop_.status();
  const std::scoped_lock lock(mutex_);
  status_ = std::move(fresh);
}

HostStatus Pool::status() const {
  HostStatus status;
  {
    const std::scoped_lock lock(mutex_);
    status = status_;
  }
  // Of a model that was never asked for, the loop knows no more than its name.
  const Facts& facts = facts_.get();
  const std::scoped_lock lock(fronts_mutex_);
  for (ModelInfo& model : status.models) {
    const auto problem = problems_.find(model.name);
    if (model.architecture.empty()) {
      const auto first = facts.find(model.name);
      const Result<ModelInfo>& known =
          first != facts.end() ? first->second : late_facts_.at(model.name);
      if (known)
        model = known->with_state_of(model);
      else
        model.problem =
            without_place(catalog().find(model.name)->file, model.name, known.error()).message;
    }
    if (problem != problems_.end()) model.problem = problem->second;
    if (model.state == ModelState::kCold && !model.problem.empty())
      model.state = ModelState::kFailed;
  }
  return status;
}

std::unexpected<Error> Pool::no_model(std::string_view asked) const {
  const std::string name = clip_utf8(make_valid_utf8(asked), 100);
  std::vector<std::string> names;
  for (const CatalogModel& model : catalog().models()) names.push_back(model.name);
  return std::unexpected(
      Error{ErrorKind::kNotFound,
            fmt::format("there is no model '{}'{}; there are {}", name, did_you_mean(name, names),
                        names.empty() ? "none" : clip_utf8(join(names, ", "), 500)),
            "model_not_found"});
}

Result<std::string> Pool::find(std::string_view asked) const {
  if (const NamedModel named = catalog().find_adapted(asked); named.model != nullptr)
    return named.name();
  return no_model(asked);
}

Result<std::string> Pool::resolve(std::string_view asked) const {
  if (auto found = find(asked)) return found;
  // A slip in the name of an adapter must not be answered by the model without it.
  if (const auto plus = asked.rfind('+');
      plus != asked.npos && catalog().find(asked.substr(0, plus)) != nullptr)
    return no_model(asked);
  const CatalogModel* fallback = catalog().fallback();
  if (is_cloud_name(asked)) {
    // Nothing is loaded for a name that only stands for "some model".
    for (const ModelInfo& model : status().models)
      if (model.state == ModelState::kReady && !model.transcribes && !model.speaks &&
          (fallback == nullptr || fallback->name == model.name))
        return model.name;
    if (fallback == nullptr) fallback = catalog().only_text_model();
  }
  if (fallback != nullptr) return fallback->name;
  return no_model(asked);
}

Result<std::shared_ptr<const ModelFront>> Pool::front(const std::string& model) {
  const std::scoped_lock lock(fronts_mutex_);
  const CatalogModel* found = catalog().find_adapted(model).model;
  if (found == nullptr) {
    return std::unexpected(Error{ErrorKind::kNotFound, fmt::format("there is no model '{}'", model),
                                 "model_not_found"});
  }
  if (found->transcribes || found->speaks) return std::unexpected(answers_nothing(*found));
  std::shared_ptr<const ModelFront>& known = fronts_[found->name];
  if (known) return known;
  auto opened = ModelFront::open(*found, catalog().adapters());
  problems_.erase(found->name);
  if (!opened) return std::unexpected(failed_file(*found, opened.error()));
  // Whoever has a front can be sure that its sizes are known.
  LATHE_TRY_STATUS(PoolLoop::footprint_of(**opened, options_));
  LATHE_TRY_STATUS(PoolLoop::media_bytes_of(**opened, options_));
  known = std::move(*opened);
  return known;
}

Pool::Room Pool::room_of(const std::string& model) {
  const CatalogModel* found = catalog().find_adapted(model).model;
  if (found != nullptr && found->program) return {found->program->memory, options_.memory};
  const auto known = front(model);
  const auto bytes = known ? PoolLoop::footprint_of(**known, options_)
                           : Result<infer::Footprint>(std::unexpected(known.error()));
  return {bytes ? (bytes->weights + bytes->scratch).total() : 0, options_.memory};
}

// Under fronts_mutex_.
Error Pool::failed_file(const CatalogModel& model, Error error) {
  error = without_place(model.file, model.name, std::move(error));
  problems_[model.name] = error.message;
  return {error.kind, error.message, "model_load_failed"};
}

Result<std::unique_ptr<PoolJob>> Pool::wish(const std::string& model,
                                            std::function<void(Status)> on_loaded) {
  auto job = std::make_unique<PoolJob>();
  if (transcribes(model)) {
    LATHE_TRY(job->listener, listener(model));
    job->model = job->listener->info.name;
    job->on_loaded = std::move(on_loaded);
    return job;
  }
  if (speaks(model)) {
    LATHE_TRY(job->speaker, speaker(model));
    job->model = job->speaker->info.name;
    job->on_loaded = std::move(on_loaded);
    return job;
  }
  if (is_program(model)) {
    job->model = catalog_model(model);
    job->on_loaded = std::move(on_loaded);
    return job;
  }
  LATHE_TRY(job->front, front(model));
  job->model = job->front->catalog().name;
  job->kv_bytes = PoolLoop::memory_of(*job->front, options_).block_bytes();
  job->on_loaded = std::move(on_loaded);
  return job;
}

std::string Pool::catalog_model(const std::string& model) const {
  const CatalogModel* found = catalog().find_adapted(model).model;
  return found == nullptr ? model : found->name;
}

bool Pool::is_program(const std::string& model) const {
  const CatalogModel* found = catalog().find_adapted(model).model;
  return found != nullptr && found->program.has_value();
}

ModelHost::Id Pool::ask(const std::string& model, ProgramCall call) {
  auto job = std::make_unique<PoolJob>();
  const Id id = job->id = next_id_.fetch_add(1);
  job->model = catalog_model(model);
  job->program_call = std::move(call);
  enqueue(std::move(job));
  return id;
}

namespace {

std::vector<const Media*> media_of(const Request& request) {
  std::vector<const Media*> all;
  if (const Talk* talk = request.talk())
    for (const Message& message : talk->messages)
      for (const Media* media : message.content.media()) all.push_back(media);
  return all;
}

// Each picture and sound, for as long as the context has room for their rows.
Result<Percepts> perceive_all(PoolJob& job, const HostRequest& request, Senses& senses,
                              const StopFlag& stop) {
  Percepts all;
  std::size_t rows = 0;
  for (const Media* media : media_of(request)) {
    auto perceived = senses.perceive(*media, owner_of(*job.front, request), stop);
    if (!perceived) {
      const bool broken = perceived.error().kind == ErrorKind::kInvalid;
      const std::string_view kind = media->kind == Media::Kind::kPicture ? "picture" : "sound";
      return std::unexpected(Error{
          perceived.error().kind,
          fmt::format("{} {} of the messages: {}", kind, all.size() + 1, perceived.error().message),
          broken ? "unsupported_messages" : ""});
    }
    ++(perceived->encoded ? job.media_encoded : job.media_remembered);
    for (const infer::EncodedPiece& piece : *perceived->percept)
      rows += piece.rows ? piece.rows->rows() : 0;
    LATHE_TRY_STATUS(job.front->check_size(rows, false));
    all.push_back(std::move(perceived->percept));
  }
  return all;
}

}  // namespace

Status Pool::prepare_look(PoolJob& job, const std::string& model,
                          std::shared_ptr<const HostRequest> request) {
  LATHE_TRY(job.front, front(model));
  LATHE_TRY_STATUS(job.front->check_content(request->talk()->messages));
  job.model = job.front->catalog().name;
  job.kv_bytes = PoolLoop::memory_of(*job.front, options_).block_bytes();
  job.look = [this, model, request = std::move(request)](PoolJob& own, Senses& senses,
                                                         const StopFlag& stop) -> Status {
    LATHE_TRY(const Percepts percepts, perceive_all(own, *request, senses, stop));
    return prepare(own, model, *request, percepts, stop);
  };
  return {};
}

void Pool::look(std::unique_ptr<PoolJob> job, std::shared_ptr<Senses> senses) {
  struct Shared {
    std::unique_ptr<PoolJob> job;
    std::shared_ptr<Senses> senses;
    Status status = {};
  };
  const Id id = job->id;
  const std::string model = job->model;
  const auto shared = std::make_shared<Shared>(std::move(job), std::move(senses));
  looks_.add(
      id, model,
      [shared](const StopFlag& stop) {
        shared->status = shared->job->look(*shared->job, *shared->senses, stop);
      },
      [this, shared](bool stopped) {
        post([this, shared, stopped] {
          if (stopped) shared->status = std::unexpected(this->stopped());
          shared->senses.reset();
          loop_.looked(std::move(shared->job), shared->status);
        });
      });
}

Status Pool::prepare(PoolJob& job, const std::string& model, const HostRequest& request,
                     const Percepts& percepts, const StopFlag& stop) {
  LATHE_TRY(job.front, front(model));
  job.model = job.front->catalog().name;
  LATHE_TRY(const infer::Footprint bytes, PoolLoop::footprint_of(*job.front, options_));
  const int limit =
      job.front->catalog().max_tokens > 0 ? job.front->catalog().max_tokens : options_.max_tokens;
  LATHE_TRY(job.prepared,
            job.front->prepare(request, percepts, static_cast<std::size_t>(limit), stop));
  infer::GenerationRequest& generation = job.prepared.generation;
  generation.prefix_owner = owner_of(*job.front, request);
  if (const CatalogAdapter* adapter = catalog().find_adapted(model).adapter) {
    LATHE_TRY(generation.adapter, job.front->adapter(adapter->name));
  }
  if (generation.candidates > options_.sequences) {
    return std::unexpected(Error{ErrorKind::kInvalid,
                                 fmt::format("n is {}; 1 to {} answers to one request are possible",
                                             generation.candidates, options_.sequences),
                                 "unsupported_candidates"});
  }
  const auto worst = [&] { return PoolLoop::worst_case_of(*job.front, options_, generation); };
  LATHE_TRY(const std::uint64_t media, PoolLoop::media_bytes_of(*job.front, options_));
  const std::uint64_t own =
      (bytes.weights + bytes.scratch).on_host() + media + job.front->adapter_bytes();
  const std::uint64_t most = options_.memory - std::min(options_.memory, own);
  // A limit that nobody asked for gives way to the memory there is.
  if (request.max_tokens == 0) {
    while (worst() > most && generation.max_tokens > 1) generation.max_tokens /= 2;
  }
  job.kv_bytes = worst();
  if (job.kv_bytes > most) {
    return std::unexpected(Error{
        ErrorKind::kUnavailable,
        fmt::format("'{}' needs {} ({} weights, {} scratch,{} {} KV of {} prompt tokens and {} "
                    "answers of up to {}) and the budget is {}; ask for less, or give "
                    "--memory more",
                    model, format_bytes(own + job.kv_bytes), format_bytes(bytes.weights.on_host()),
                    format_bytes(bytes.scratch.on_host()),
                    media == 0 ? "" : " " + format_bytes(media) + " encoder,",
                    format_bytes(job.kv_bytes), generation.prompt.size(), generation.candidates,
                    generation.max_tokens, format_bytes(options_.memory)),
        "does_not_fit"});
  }
  job.answer = std::make_unique<AnswerBuilder>(*job.front, job.prepared);
  if (!job.prepared.check.empty())
    job.on_replies = checked(model, job.prepared.check, std::move(job.on_replies));
  return {};
}

bool Pool::queue_is_full() {
  if (loop_.waiting() < options_.queue) {
    loop_.count_waiting();
    return false;
  }
  loop_.count_refused();
  return true;
}

Error Pool::queue_full() const {
  return {ErrorKind::kUnavailable,
          fmt::format("{} requests are waiting already; try again later", options_.queue),
          "queue_full"};
}

Error Pool::stopped() const {
  if (ending_) return {ErrorKind::kCancelled, "the server is shutting down", "shutting_down"};
  return {ErrorKind::kCancelled, "the request was cancelled"};
}

void Pool::enqueue(std::unique_ptr<PoolJob> job) {
  if (queue_is_full()) return job->fail(queue_full());
  // std::function wants what it holds to be copyable.
  auto shared = std::make_shared<std::unique_ptr<PoolJob>>(std::move(job));
  post([this, shared] { loop_.add(std::move(*shared)); });
}

ModelHost::Id Pool::add(const std::string& model, std::unique_ptr<PoolJob> job,
                        std::function<Status(PoolJob&, const StopFlag&)> prepare) {
  const Id id = job->id = next_id_.fetch_add(1);
  job->came = PoolLoop::seconds_now();
  if (queue_is_full()) {
    job->fail(queue_full());
    return id;
  }
  struct Shared {
    std::unique_ptr<PoolJob> job;
    Status status = {};
  };
  const auto shared = std::make_shared<Shared>(std::move(job));
  side_.add(
      id, catalog_model(model),
      [shared, prepare = std::move(prepare)](const StopFlag& stop) {
        shared->status = prepare(*shared->job, stop);
      },
      [this, shared](bool stopped) {
        post([this, shared, stopped] {
          if (stopped)
            loop_.refuse(std::move(shared->job), this->stopped());
          else if (!shared->status)
            loop_.refuse(std::move(shared->job), shared->status.error());
          else
            loop_.add(std::move(shared->job));
        });
      });
  return id;
}

ModelHost::Id Pool::submit(const std::string& model, HostRequest request, OnDelta on_delta,
                           OnReplies on_replies) {
  if (is_program(model))
    return ask(model, program_call<std::vector<HostReply>>(
                          [request = std::move(request), on_delta = std::move(on_delta)](
                              ModelHost& host, const std::string& name, OnReplies told) {
                            return host.submit(name, request, on_delta, std::move(told));
                          },
                          std::move(on_replies)));
  auto job = std::make_unique<PoolJob>();
  job->asker = {request.caller, std::move(request.on_usage)};
  job->on_delta = std::move(on_delta);
  job->on_replies = std::move(on_replies);
  const auto asked = std::make_shared<const HostRequest>(std::move(request));
  return add(model, std::move(job), [this, model, asked](PoolJob& own, const StopFlag& stop) {
    if (media_of(*asked).empty()) return prepare(own, model, *asked, {}, stop);
    return prepare_look(own, model, asked);
  });
}

ModelHost::OnReplies Pool::checked(const std::string& model, AnswerCheck check,
                                   OnReplies on_replies) {
  return [this, model = catalog_model(model), check = std::move(check),
          on_replies = std::move(on_replies)](Result<std::vector<HostReply>> replies) {
    if (!replies) return on_replies(std::move(replies));
    const auto shared = std::make_shared<std::vector<HostReply>>(std::move(*replies));
    side_.add(
        next_id_.fetch_add(1), model,
        [shared, check](const StopFlag&) {
          for (HostReply& reply : *shared) check_answer(check, reply);
        },
        [this, shared, on_replies](bool) {
          post([shared, on_replies] { on_replies(std::move(*shared)); });
        });
  };
}

ModelHost::Id Pool::embed(const std::string& model, std::vector<TextInput> inputs, bool cut,
                          Asker asker, OnEmbeddings on_embeddings) {
  if (is_program(model))
    return ask(model, program_call<Embeddings>(
                          [inputs = std::move(inputs), cut, asker = std::move(asker)](
                              ModelHost& host, const std::string& name, OnEmbeddings told) {
                            return host.embed(name, inputs, cut, asker, std::move(told));
                          },
                          std::move(on_embeddings)));
  auto job = std::make_unique<PoolJob>();
  job->asker = std::move(asker);
  job->on_embeddings = std::move(on_embeddings);
  return add(model, std::move(job),
             [this, model, cut, inputs = std::move(inputs)](PoolJob& own, const StopFlag& stop) {
               return prepare(own, model, inputs, cut, stop);
             });
}

ModelHost::Id Pool::rank(const std::string& model, std::string query,
                         std::vector<std::string> documents, Asker asker,
                         OnRelevance on_relevance) {
  if (is_program(model))
    return ask(model, program_call<Relevance>(
                          [query = std::move(query), documents = std::move(documents),
                           asker = std::move(asker)](ModelHost& host, const std::string& name,
                                                     OnRelevance told) {
                            return host.rank(name, query, documents, asker, std::move(told));
                          },
                          std::move(on_relevance)));
  auto job = std::make_unique<PoolJob>();
  job->asker = std::move(asker);
  job->on_embeddings = [on_relevance = std::move(on_relevance)](const Result<Embeddings>& read) {
    if (read)
      on_relevance(relevance_of(*read));
    else
      on_relevance(std::unexpected(read.error()));
  };
  return add(model, std::move(job),
             [this, model, query = std::move(query), documents = std::move(documents)](
                 PoolJob& own, const StopFlag& stop) {
               return prepare(own, model, query, documents, stop);
             });
}

Status Pool::check_reader(PoolJob& job, const std::string& model, bool ranks) {
  LATHE_TRY(job.front, front(model));
  job.model = job.front->catalog().name;
  const auto refusal = [](std::string why) {
    return std::unexpected(Error{ErrorKind::kInvalid, std::move(why), "unsupported_value"});
  };
  if (catalog().find_adapted(model).adapter != nullptr)
    return refusal("texts are read without an adapter; ask the model itself");
  if (ranks && !job.front->blueprint().ranks)
    return refusal(fmt::format("'{}' is no reranker: it has no head that scores documents", model));
  if (!ranks && job.front->blueprint().ranks)
    return refusal(fmt::format(
        "'{}' is a reranker and makes no embeddings; ask /v1/rerank with a query and documents",
        model));
  return {};
}

Status Pool::prepare(PoolJob& job, const std::string& model, const std::string& query,
                     const std::vector<std::string>& documents, const StopFlag& stop) {
  LATHE_TRY_STATUS(check_reader(job, model, true));
  std::size_t longest = 0;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    if (stop.raised()) return std::unexpected(stopped());
    LATHE_TRY(job.texts.emplace_back(), job.front->pair_of(query, documents[i], i));
    longest = std::max(longest, job.texts.back().size());
  }
  job.kv_bytes = PoolLoop::worst_case_of(*job.front, options_, longest);
  return {};
}

Status Pool::prepare(PoolJob& job, const std::string& model, std::vector<TextInput> inputs,
                     bool cut, const StopFlag& stop) {
  LATHE_TRY_STATUS(check_reader(job, model, false));
  if (inputs.empty()) return invalid("there is no input");
  const std::size_t context = job.front->context();
  std::size_t longest = 0;
  for (TextInput& input : inputs) {
    if (stop.raised()) return std::unexpected(stopped());
    const bool too_many_bytes = cut && input.text.size() > job.front->text_limit();
    if (too_many_bytes) input.text = first_bytes(input.text, job.front->text_limit());
    std::vector<infer::TokenId> tokens = std::move(input.ids);
    if (tokens.empty()) {
      LATHE_TRY(tokens, job.front->tokens_of(input.text, true, false));
    }
    for (const infer::TokenId token : tokens) {
      if (token < 0 || static_cast<std::size_t>(token) >= job.front->tokenizer().size())
        return invalid("the input names token {}; the vocabulary has {}", token,
                       job.front->tokenizer().size());
    }
    if (tokens.empty()) return invalid("an input is empty; it needs at least one token");
    if (tokens.size() > context && !cut) {
      return std::unexpected(Error{ErrorKind::kInvalid,
                                   fmt::format("an input has {} tokens; the context of '{}' "
                                               "holds {}",
                                               tokens.size(), model, context),
                                   "context_length_exceeded"});
    }
    if (too_many_bytes || tokens.size() > context) ++job.embeddings.cut;
    cut_to(tokens, context, job.front->tokenizer());
    longest = std::max(longest, tokens.size());
    job.texts.push_back(std::move(tokens));
  }
  job.kv_bytes = PoolLoop::worst_case_of(*job.front, options_, longest);
  return {};
}

void Pool::cancel(Id id) {
  if (side_.cancel(id)) return;
  post([this, id] {
    looks_.cancel(id);
    hears_.cancel(id);
    speaks_.cancel(id);
    loop_.cancel(id);
  });
}

ModelHost::Id Pool::add(const std::string& model,
                        std::function<Result<std::vector<std::int32_t>>(const StopFlag&)> make,
                        OnTokens on_tokens) {
  const Id id = next_id_.fetch_add(1);
  const auto tokens = std::make_shared<Result<std::vector<std::int32_t>>>();
  side_.add(
      id, catalog_model(model),
      [tokens, make = std::move(make)](const StopFlag& stop) { *tokens = make(stop); },
      [this, tokens, on_tokens = std::move(on_tokens)](bool stopped) {
        if (stopped) *tokens = std::unexpected(this->stopped());
        post([tokens, on_tokens] { on_tokens(std::move(*tokens)); });
      });
  return id;
}

ModelHost::Id Pool::tokenize(const std::string& model, std::string text, bool add_special,
                             bool parse_special, OnTokens on_tokens) {
  if (is_program(model))
    return ask(model, program_call<std::vector<std::int32_t>>(
                          [text = std::move(text), add_special, parse_special](
                              ModelHost& host, const std::string& name, OnTokens told) {
                            return host.tokenize(name, text, add_special, parse_special,
                                                 std::move(told));
                          },
                          std::move(on_tokens)));
  return add(
      model,
      [this, model, text = std::move(text), add_special,
       parse_special](const StopFlag&) -> Result<std::vector<std::int32_t>> {
        LATHE_TRY(const auto opened, front(model));
        return opened->tokens_of(text, add_special, parse_special);
      },
      std::move(on_tokens));
}

ModelHost::Id Pool::prompt_of(const std::string& model, Request request, OnTokens on_tokens) {
  if (is_program(model))
    return ask(model, program_call<std::vector<std::int32_t>>(
                          [request = std::move(request)](ModelHost& host, const std::string& name,
                                                         OnTokens told) {
                            return host.prompt_of(name, request, std::move(told));
                          },
                          std::move(on_tokens)));
  return add(
      model,
      [this, model,
       request = std::move(request)](const StopFlag& stop) -> Result<std::vector<std::int32_t>> {
        LATHE_TRY(const auto opened, front(model));
        LATHE_TRY(const ModelFront::Prompt prompt, opened->prompt_of(request, {}, stop));
        return prompt.ids.ids();
      },
      std::move(on_tokens));
}

Result<std::string> Pool::detokenize(const std::string& model, const std::vector<std::int32_t>& ids,
                                     bool special) {
  if (is_program(model)) {
    std::string name;
    auto host = loop_.program_host(catalog_model(model), name);
    if (!host) {
      LATHE_TRY_STATUS(load(model));
      host = loop_.program_host(catalog_model(model), name);
    }
    if (!host) return fail(ErrorKind::kUnavailable, "the program '{}' has just ended", model);
    return host->detokenize(name, ids, special);
  }
  LATHE_TRY(const auto opened, front(model));
  for (const infer::TokenId id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= opened->tokenizer().size())
      return invalid("there is no token {}; the vocabulary has {}", id, opened->tokenizer().size());
  }
  return opened->tokenizer().decode(ids, special);
}

Status Pool::load(const std::string& model) {
  auto done = std::make_shared<std::promise<Status>>();
  auto result = done->get_future();
  LATHE_TRY(auto job, wish(model, [this, done](Status status) {
              // Only the loop's own thread says that it went well.
              if (status) publish();
              done->set_value(std::move(status));
            }));
  enqueue(std::move(job));
  // Not for the loop's own end, which waits for whoever may have called.
  while (result.wait_for(Milliseconds(50)) != std::future_status::ready)
    if (ending_) return std::unexpected(stopped());
  return result.get();
}

Status Pool::unload(const std::string& model) {
  if (transcribes(model)) {
    LATHE_TRY(const auto opened, listener(model));
  } else if (speaks(model)) {
    LATHE_TRY(const auto opened, speaker(model));
  } else if (!is_program(model)) {
    LATHE_TRY(const auto opened, front(model));
  }
  auto done = std::make_shared<std::promise<Status>>();
  auto result = done->get_future();
  post([this, name = catalog_model(model), done] {
    const Status status = loop_.unload(name);
    publish();
    done->set_value(status);
  });
  return result.get();
}

}  // namespace lathe::serve

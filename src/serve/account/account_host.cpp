// Calls of models on their way to a host, and their rows on the way to the ledger.
#include "serve/account/account_host.h"

#include <chrono>
#include <random>
#include <shared_mutex>

#include "ground/base/clock.h"
#include "ground/base/error_kind.h"
#include "work/finish.h"

namespace lathe::serve {
namespace {

using books::CountedBy;
using books::LedgerRow;

std::string fresh_call_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

std::string_view finish_of(const std::vector<HostReply>& replies) {
  return replies.empty() ? books::kDone : finish_name(replies.front().finish);
}
std::string_view finish_of(const Speech& spoken) {
  return finish_name(spoken.ended ? FinishReason::kStop : FinishReason::kLength);
}
template <class Value>
std::string_view finish_of(const Value&) {
  return books::kDone;
}

// What a host told of a call. Nothing: a host of this process has refused it before it came to a
// model; another server may have counted what it does not say here.
void add_usage(const std::optional<Usage>& told, const AccountedFamily& family, LedgerRow& row) {
  const bool elsewhere = family.where.starts_with("http");
  row.attempts = told || elsewhere ? 1 : 0;
  if (!told && !elsewhere) row.tokens = {0, 0, 0, 0, CountedBy::kNoModel};
  const Usage usage = told.value_or(Usage());
  if (usage.counted || usage.prompt_tokens + usage.completion_tokens > 0)
    row.tokens = {usage.prompt_tokens - usage.cached_tokens, usage.cached_tokens,
                  usage.completion_tokens, usage.reasoning_tokens,
                  !usage.counted ? CountedBy::kNobody
                  : elsewhere    ? CountedBy::kProvider
                                 : CountedBy::kEngine};
  row.queued_us = usage.queued_us;
  row.first_token_us = usage.first_token_us;
  row.busy_us = usage.busy_us;
  row.energy = {usage.millijoules, usage.energy_scope, usage.millijoules ? "busy time" : ""};
  if (family.reach != Reach::kAny) return;
  const auto price = family.price ? family.price(row.model) : std::nullopt;
  row.cash = books::cash_of(price, row.tokens);
  if (price) row.price_table = price->table;
}

}  // namespace

struct AccountHost::Served {
  LedgerRow row;
  std::chrono::steady_clock::time_point came = std::chrono::steady_clock::now();
  std::optional<Usage> usage = {};  // written before the answer comes, from the same thread
  // Guarded by Core::mutex.
  std::optional<Id> inner = {};  // once the host has it
  bool cancelled = false;
};

struct AccountHost::Core {
  Core(Bookkeeper& keeper, AccountedFamily of) : books(keeper), family(std::move(of)) {}

  void end(Served& served, std::string_view finish, std::string_view problem) {
    LedgerRow& row = served.row;
    row.wall_us = std::chrono::duration_cast<std::chrono::microseconds>(
                      std::chrono::steady_clock::now() - served.came)
                      .count();
    row.end_ms = row.start_ms + row.wall_us / 1000;
    row.finish = finish;
    row.problem = problem;
    add_usage(served.usage, family, row);
    books.end(row);
  }

  Bookkeeper& books;
  const AccountedFamily family;
  std::shared_mutex open_mutex;  // held while a call is given to the host
  bool open = true;
  std::mutex mutex;  // guards what follows
  std::map<Id, std::shared_ptr<Served>> calls;
  Id next = 1;
};

AccountHost::AccountHost(ModelHost& host, Bookkeeper& books, AccountedFamily family)
    : host_(host), core_(std::make_shared<Core>(books, std::move(family))) {}

AccountHost::~AccountHost() {
  const std::unique_lock closed(core_->open_mutex);
  core_->open = false;
}

template <class Value>
ModelHost::Id AccountHost::serve(
    std::string_view purpose, const std::string& model, Asker asker,
    std::function<Id(Asker asker, std::function<void(Result<Value>)> done)> ask,
    std::function<void(Result<Value>)> done) {
  const auto served = std::make_shared<Served>();
  served->row = {.id = fresh_call_id(),
                 .start_ms = system_clock().unix_ms(),
                 .endpoint = asker.caller.endpoint,
                 .purpose = std::string(purpose),
                 .key = asker.caller.key,
                 .where = core_->family.where,
                 .route = std::string(reach_name(core_->family.reach)),
                 .engine = core_->family.engine,
                 .model = model};
  Id id = 0;
  {
    const std::lock_guard lock(core_->mutex);
    id = core_->next++;
    core_->calls[id] = served;
  }
  const auto finish = [core = core_, served, id, done](Result<Value> value) {
    {
      const std::lock_guard lock(core->mutex);
      core->calls.erase(id);
    }
    const bool gone = !value && value.error().kind == ErrorKind::kCancelled;
    const std::string problem = value ? ""
                                : value.error().code.empty()
                                    ? std::string(error_kind_name(value.error().kind))
                                    : value.error().code;
    core->end(*served,
              value  ? finish_of(*value)
              : gone ? books::kCancelled
                     : books::kFailed,
              gone ? "" : problem);
    done(std::move(value));
  };
  asker.on_usage = [served, told = std::move(asker.on_usage)](const Usage& usage) {
    served->usage = usage;
    if (told) told(usage);
  };
  core_->books.begin(
      served->row, [core = core_, &host = host_, served, id, finish, done, asker = std::move(asker),
                    ask = std::move(ask)](const Status& written) {
        if (!written) {
          // It never began, so that it has no row.
          const std::lock_guard lock(core->mutex);
          core->calls.erase(id);
        }
        if (!written) return done(std::unexpected(written.error()));
        const std::shared_lock open(core->open_mutex);
        if (!core->open)
          return finish(std::unexpected(
              Error{ErrorKind::kUnavailable, "the server is shutting down", "shutting_down"}));
        // Also where its client has gone meanwhile: the host counts it, as the ledger does.
        const Id inner = ask(asker, finish);
        std::unique_lock lock(core->mutex);
        served->inner = inner;
        const bool cancelled = served->cancelled;
        lock.unlock();
        if (cancelled) host.cancel(inner);
      });
  return id * 2;
}

ModelHost::Id AccountHost::submit(const std::string& model, HostRequest request, OnDelta on_delta,
                                  OnReplies on_replies) {
  Asker asker{request.caller, std::move(request.on_usage)};
  return serve<std::vector<HostReply>>(
      "generate", model, std::move(asker),
      [&host = host_, model, request = std::move(request), on_delta = std::move(on_delta)](
          Asker told, OnReplies done) mutable {
        request.on_usage = std::move(told.on_usage);
        return host.submit(model, std::move(request), std::move(on_delta), std::move(done));
      },
      std::move(on_replies));
}

ModelHost::Id AccountHost::embed(const std::string& model, std::vector<TextInput> inputs, bool cut,
                                 Asker asker, OnEmbeddings on_embeddings) {
  return serve<Embeddings>(
      "embed", model, std::move(asker),
      [&host = host_, model, inputs = std::move(inputs), cut](Asker told,
                                                              OnEmbeddings done) mutable {
        return host.embed(model, std::move(inputs), cut, std::move(told), std::move(done));
      },
      std::move(on_embeddings));
}

ModelHost::Id AccountHost::rank(const std::string& model, std::string query,
                                std::vector<std::string> documents, Asker asker,
                                OnRelevance on_relevance) {
  return serve<Relevance>(
      "rank", model, std::move(asker),
      [&host = host_, model, query = std::move(query), documents = std::move(documents)](
          Asker told, OnRelevance done) mutable {
        return host.rank(model, std::move(query), std::move(documents), std::move(told),
                         std::move(done));
      },
      std::move(on_relevance));
}

ModelHost::Id AccountHost::transcribe(const std::string& model, SoundRequest request, Asker asker,
                                      OnSegment on_segment, OnTranscript on_transcript) {
  return serve<Transcription>(
      "transcribe", model, std::move(asker),
      [&host = host_, model, request = std::move(request), on_segment = std::move(on_segment)](
          Asker told, OnTranscript done) mutable {
        return host.transcribe(model, std::move(request), std::move(told), std::move(on_segment),
                               std::move(done));
      },
      std::move(on_transcript));
}

ModelHost::Id AccountHost::speak(const std::string& model, SpeechRequest request, Asker asker,
                                 OnSamples on_samples, OnSpeech on_speech) {
  return serve<Speech>(
      "speak", model, std::move(asker),
      [&host = host_, model, request = std::move(request), on_samples = std::move(on_samples)](
          Asker told, OnSpeech done) mutable {
        return host.speak(model, std::move(request), std::move(told), std::move(on_samples),
                          std::move(done));
      },
      std::move(on_speech));
}

ModelHost::Id AccountHost::tokenize(const std::string& model, std::string text, bool add_special,
                                    bool parse_special, OnTokens on_tokens) {
  return other_id(
      host_.tokenize(model, std::move(text), add_special, parse_special, std::move(on_tokens)));
}

ModelHost::Id AccountHost::prompt_of(const std::string& model, Request request,
                                     OnTokens on_tokens) {
  return other_id(host_.prompt_of(model, std::move(request), std::move(on_tokens)));
}

void AccountHost::cancel(Id id) {
  if (id % 2 == 1) return host_.cancel(id / 2);
  std::optional<Id> inner;
  {
    const std::lock_guard lock(core_->mutex);
    const auto found = core_->calls.find(id / 2);
    if (found == core_->calls.end()) return;
    found->second->cancelled = true;
    inner = found->second->inner;
  }
  if (inner) host_.cancel(*inner);
}

}  // namespace lathe::serve

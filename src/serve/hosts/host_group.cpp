// Several hosts as one.
#include "serve/hosts/host_group.h"

#include <algorithm>

#include "serve/hosts/choose_host.h"

namespace lathe::serve {
namespace {

// Of a model that two hosts have: what stands in the row that `more` joins.
void join(ModelInfo& row, const ModelInfo& more) {
  const int running = row.running + more.running, waiting = row.waiting + more.waiting;
  const double rate = row.tokens_per_second + more.tokens_per_second;
  const HostView views[] = {{true, row.state, 0}, {true, more.state, 0}};
  if (choose_host(views) == 1) row = row.with_state_of(more);
  row.running = running;
  row.waiting = waiting;
  row.tokens_per_second = rate;
}

void add(HostCounters& sum, const HostCounters& more) {
  for (const auto counter :
       {&HostCounters::requests, &HostCounters::failed, &HostCounters::cancelled,
        &HostCounters::refused, &HostCounters::of_people, &HostCounters::prompt_tokens,
        &HostCounters::cached_tokens, &HostCounters::completion_tokens,
        &HostCounters::accepted_tokens, &HostCounters::rejected_tokens, &HostCounters::loads,
        &HostCounters::evictions, &HostCounters::media_encoded, &HostCounters::media_remembered})
    sum.*counter += more.*counter;
}

// As far as can be known from here. Of a server that does not tell, nothing is the same.
bool same_file(const ModelInfo& one, const ModelInfo& other) {
  return one.file_bytes != 0 && one.file_bytes == other.file_bytes &&
         one.parameters == other.parameters && one.quantization == other.quantization;
}

// MODEL+ADAPTER is told of as its model.
std::optional<ModelInfo> row_of(const ModelHost& host, const std::string& model) {
  const std::string name = model.substr(0, model.rfind('+'));
  for (ModelInfo& info : host.status().models)
    if (info.name == model || info.name == name) return std::move(info);
  return std::nullopt;
}

}  // namespace

HostGroup::HostGroup(std::vector<ModelHost*> hosts) : hosts_(std::move(hosts)) {
  LATHE_CHECK(!hosts_.empty());
}

HostStatus HostGroup::status() const {
  HostStatus all;
  for (const ModelHost* host : hosts_) {
    const HostStatus status = host->status();
    for (const ModelInfo& model : status.models) {
      const auto there = std::ranges::find(all.models, model.name, &ModelInfo::name);
      if (there == all.models.end())
        all.models.push_back(model);
      else if (same_file(*there, model))
        join(*there, model);
    }
    all.limits += status.limits;
    all.booked += status.booked;
    all.resident += status.resident;
    all.queued += status.queued;
    all.interactive += status.interactive;
    add(all.counters, status.counters);
  }
  std::ranges::sort(all.models, {}, &ModelInfo::name);
  return all;
}

Result<std::string> HostGroup::find(std::string_view asked) const {
  for (const ModelHost* host : hosts_)
    if (auto name = host->find(asked)) return name;
  return hosts_.front()->find(asked);
}

Result<std::string> HostGroup::resolve(std::string_view asked) const {
  if (auto name = find(asked)) return name;
  for (const ModelHost* host : hosts_)
    if (auto name = host->resolve(asked)) return name;
  return hosts_.front()->resolve(asked);
}

std::size_t HostGroup::host_of(const std::string& model) const {
  std::vector<HostView> views;
  std::optional<ModelInfo> first;
  for (const ModelHost* host : hosts_) {
    HostView& view = views.emplace_back(HostView{.knows = host->find(model).has_value()});
    const auto row = view.knows ? row_of(*host, model) : std::nullopt;
    if (!row) continue;
    view.knows = !first || same_file(*first, *row);
    view.state = row->state;
    view.busy = row->running + row->waiting;
    if (!first) first = row;
  }
  return choose_host(views).value_or(0);
}

ModelHost::Id HostGroup::submit(const std::string& model, HostRequest request, OnDelta on_delta,
                                OnReplies on_replies) {
  const std::size_t host = host_of(model);
  return group_id(host, hosts_[host]->submit(model, std::move(request), std::move(on_delta),
                                             std::move(on_replies)));
}

ModelHost::Id HostGroup::embed(const std::string& model, std::vector<TextInput> inputs, bool cut,
                               Asker asker, OnEmbeddings on_embeddings) {
  const std::size_t host = host_of(model);
  return group_id(host, hosts_[host]->embed(model, std::move(inputs), cut, std::move(asker),
                                            std::move(on_embeddings)));
}

ModelHost::Id HostGroup::rank(const std::string& model, std::string query,
                              std::vector<std::string> documents, Asker asker,
                              OnRelevance on_relevance) {
  const std::size_t host = host_of(model);
  return group_id(host, hosts_[host]->rank(model, std::move(query), std::move(documents),
                                           std::move(asker), std::move(on_relevance)));
}

ModelHost::Id HostGroup::transcribe(const std::string& model, SoundRequest request, Asker asker,
                                    OnSegment on_segment, OnTranscript on_transcript) {
  const std::size_t host = host_of(model);
  return group_id(host, hosts_[host]->transcribe(model, std::move(request), std::move(asker),
                                                 std::move(on_segment), std::move(on_transcript)));
}

ModelHost::Id HostGroup::speak(const std::string& model, SpeechRequest request, Asker asker,
                               OnSamples on_samples, OnSpeech on_speech) {
  const std::size_t host = host_of(model);
  return group_id(host, hosts_[host]->speak(model, std::move(request), std::move(asker),
                                            std::move(on_samples), std::move(on_speech)));
}

ModelHost::Id HostGroup::tokenize(const std::string& model, std::string text, bool add_special,
                                  bool parse_special, OnTokens on_tokens) {
  const std::size_t host = host_of(model);
  return group_id(host, hosts_[host]->tokenize(model, std::move(text), add_special, parse_special,
                                               std::move(on_tokens)));
}

ModelHost::Id HostGroup::prompt_of(const std::string& model, Request request, OnTokens on_tokens) {
  const std::size_t host = host_of(model);
  return group_id(host, hosts_[host]->prompt_of(model, std::move(request), std::move(on_tokens)));
}

void HostGroup::cancel(Id id) {
  hosts_[id % hosts_.size()]->cancel(id / hosts_.size());
}

Result<std::string> HostGroup::detokenize(const std::string& model,
                                          const std::vector<std::int32_t>& ids, bool special) {
  return hosts_[host_of(model)]->detokenize(model, ids, special);
}

Status HostGroup::load(const std::string& model) {
  return hosts_[host_of(model)]->load(model);
}

Status HostGroup::unload(const std::string& model) {
  return hosts_[host_of(model)]->unload(model);
}

}  // namespace lathe::serve

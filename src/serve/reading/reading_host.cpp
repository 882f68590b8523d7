// Requests whose documents are read on their way to a host.
#include "serve/reading/reading_host.h"

#include <optional>
#include <utility>

namespace lathe::serve {
namespace {

std::vector<Document> documents_of(const Request& request) {
  std::vector<Document> all;
  if (const Talk* talk = request.talk())
    for (const Message& message : talk->messages)
      for (const Document* document : message.content.documents()) all.push_back(*document);
  return all;
}

// The talk with what was read in place of each document, in their order.
Talk with_read(Talk talk, const std::vector<Content>& read) {
  auto next = read.begin();
  for (Message& message : talk.messages) {
    if (message.content.documents().empty()) continue;
    std::optional<Content> content;
    for (const ContentPart& part : message.content.parts()) {
      Content piece;
      if (std::holds_alternative<Document>(part))
        piece = *next++;
      else if (const Media* media = std::get_if<Media>(&part))
        piece = *media;
      else
        piece = std::get<std::string>(part);
      if (content)
        content->add(std::move(piece));
      else
        content = std::move(piece);
    }
    message.content = *std::move(content);
  }
  return talk;
}

}  // namespace

struct ReadingHost::Read {
  std::shared_ptr<StopFlag> stop = std::make_shared<StopFlag>();
  std::optional<Id> inner = {};  // once the host has it
};

struct ReadingHost::Core {
  std::mutex mutex;  // guards what follows
  std::map<Id, Read> reads;
  Id next = 1;
};

ReadingHost::ReadingHost(ModelHost& host, DocumentDesk& desk)
    : host_(host), desk_(desk), core_(std::make_shared<Core>()) {}

template <class Asked, class Value>
ModelHost::Id ReadingHost::read_first(
    Asked request, std::function<Id(Asked request, std::function<void(Result<Value>)> done)> ask,
    std::function<void(Result<Value>)> done) {
  std::vector<Document> documents = documents_of(request);
  Read read;
  const auto stop = read.stop;
  Id id = 0;
  {
    const std::lock_guard lock(core_->mutex);
    id = core_->next++;
    core_->reads[id] = std::move(read);
  }
  const auto finish = [core = core_, id, done = std::move(done)](Result<Value> value) {
    {
      const std::lock_guard lock(core->mutex);
      core->reads.erase(id);
    }
    done(std::move(value));
  };
  const auto on_read = [core = core_, &host = host_, id, ask = std::move(ask), finish,
                        request = std::make_shared<Asked>(std::move(request)),
                        stop](Result<std::vector<Content>> contents) {
    if (stop->raised()) return finish(fail(ErrorKind::kCancelled, "the request was cancelled"));
    if (!contents) return finish(std::unexpected(contents.error()));
    request->ask = with_read(std::move(*std::get_if<Talk>(&request->ask)), *contents);
    const Id inner = ask(std::move(*request), finish);
    const std::lock_guard lock(core->mutex);
    const auto known = core->reads.find(id);
    if (known == core->reads.end()) return;  // it has ended already
    known->second.inner = inner;
    if (stop->raised()) host.cancel(inner);
  };
  desk_.read(std::move(documents), stop, on_read);
  return id * 2;
}

ModelHost::Id ReadingHost::submit(const std::string& model, HostRequest request, OnDelta on_delta,
                                  OnReplies on_replies) {
  if (documents_of(request).empty())
    return other_id(
        host_.submit(model, std::move(request), std::move(on_delta), std::move(on_replies)));
  return read_first<HostRequest, std::vector<HostReply>>(
      std::move(request),
      [&host = host_, model, on_delta = std::move(on_delta)](HostRequest read, OnReplies done) {
        return host.submit(model, std::move(read), on_delta, std::move(done));
      },
      std::move(on_replies));
}

ModelHost::Id ReadingHost::prompt_of(const std::string& model, Request request,
                                     OnTokens on_tokens) {
  if (documents_of(request).empty())
    return other_id(host_.prompt_of(model, std::move(request), std::move(on_tokens)));
  return read_first<Request, std::vector<std::int32_t>>(
      std::move(request),
      [&host = host_, model](Request read, OnTokens done) {
        return host.prompt_of(model, std::move(read), std::move(done));
      },
      std::move(on_tokens));
}

ModelHost::Id ReadingHost::embed(const std::string& model, std::vector<TextInput> inputs, bool cut,
                                 Asker asker, OnEmbeddings on_embeddings) {
  return other_id(
      host_.embed(model, std::move(inputs), cut, std::move(asker), std::move(on_embeddings)));
}

ModelHost::Id ReadingHost::rank(const std::string& model, std::string query,
                                std::vector<std::string> documents, Asker asker,
                                OnRelevance on_relevance) {
  return other_id(host_.rank(model, std::move(query), std::move(documents), std::move(asker),
                             std::move(on_relevance)));
}

ModelHost::Id ReadingHost::transcribe(const std::string& model, SoundRequest request, Asker asker,
                                      OnSegment on_segment, OnTranscript on_transcript) {
  return other_id(host_.transcribe(model, std::move(request), std::move(asker),
                                   std::move(on_segment), std::move(on_transcript)));
}

ModelHost::Id ReadingHost::tokenize(const std::string& model, std::string text, bool add_special,
                                    bool parse_special, OnTokens on_tokens) {
  return other_id(
      host_.tokenize(model, std::move(text), add_special, parse_special, std::move(on_tokens)));
}

void ReadingHost::cancel(Id id) {
  if (id % 2 == 1) return host_.cancel(id / 2);
  std::optional<Id> inner;
  {
    const std::lock_guard lock(core_->mutex);
    const auto known = core_->reads.find(id / 2);
    if (known == core_->reads.end()) return;
    known->second.stop->raise();
    inner = known->second.inner;
  }
  if (inner) host_.cancel(*inner);
}

}  // namespace lathe::serve

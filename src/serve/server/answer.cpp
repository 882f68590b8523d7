// An answer of a model on its way to a client.
#include "serve/server/answer.h"

#include <mutex>

namespace lathe::serve {
namespace {

class Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(ModelHost& host, Call& call, const AnswerShape& shape, std::size_t requests,
         std::unique_ptr<AnswerWriter> writer)
      : host_(host),
        exchange_(call.exchange),
        dialect_(call.dialect),
        stream_(shape.stream),
        writer_(std::move(writer)),
        replies_(requests),
        missing_(requests) {}

  void start(const std::string& model, std::vector<HostRequest> requests) {
    for (std::size_t i = 0; i < requests.size() && !over(); ++i) {
      const ModelHost::Id id = host_.submit(
          model, std::move(requests[i]),
          [self = shared_from_this(), i](const Delta& delta) { self->take(i, delta); },
          [self = shared_from_this(), i](Result<std::vector<HostReply>> replies) {
            self->take(i, std::move(replies));
          });
      const std::lock_guard lock(mutex_);
      ids_.push_back(id);
    }
    if (over()) cancel();  // a part failed at once: the others need not go on
    exchange_->on_gone([self = shared_from_this()](HttpGone why) { self->gone(why); });
  }

 private:
  bool over() {
    const std::lock_guard lock(mutex_);
    return over_;
  }

  void take(std::size_t index, const Delta& delta) {
    const std::lock_guard lock(mutex_);
    if (!over_ && stream_) exchange_->send(writer_->delta(index, delta));
  }

  void take(std::size_t index, Result<std::vector<HostReply>> replies) {
    if (!replies) return fail(api_error(replies.error(), exchange_->request().path));
    const std::lock_guard lock(mutex_);
    if (over_) return;
    replies_[index] = std::move(*replies);
    if (--missing_ > 0) return;
    over_ = true;
    if (!stream_) return exchange_->reply(json_reply(writer_->whole(replies_)));
    exchange_->send(writer_->last(replies_));
    exchange_->end();
  }

  void fail(const ApiError& error) {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(over_, true)) return;
      const std::string last = stream_ ? writer_->broken(error) : std::string();
      if (stream_ && writer_->streams_failure(error)) exchange_->send(last), exchange_->end();
      exchange_->finish(error_reply(dialect_, error), last);
    }
    cancel();
  }

  void cancel() {
    std::vector<ModelHost::Id> ids;
    {
      const std::lock_guard lock(mutex_);
      ids = ids_;
    }
    for (const ModelHost::Id id : ids) host_.cancel(id);
  }

  void gone(HttpGone why) {
    if (why == HttpGone::kShutdown)
      return fail({503, "the server is shutting down", {}, "shutting_down", 1});
    fail({499, "cancelled: the client closed its side of the connection", {}, "cancelled"});
  }

  ModelHost& host_;
  const std::shared_ptr<HttpExchange> exchange_;
  const Dialect dialect_;
  const bool stream_;

  std::mutex mutex_;  // guards what follows
  std::unique_ptr<AnswerWriter> writer_;
  std::vector<std::vector<HostReply>> replies_;
  std::size_t missing_;
  std::vector<ModelHost::Id> ids_;
  bool over_ = false;
};

// Lets go of the ticket with the usage: before the answer, so that who has it may ask again.
OnUsage counting(std::shared_ptr<QuotaMeter::Ticket> ticket) {
  if (!ticket) return {};
  return [ticket = std::move(ticket)](const Usage& usage) mutable {
    if (ticket) std::exchange(ticket, nullptr)->count(usage);
  };
}

}  // namespace

HttpStreamHead event_stream() {
  return {"text/event-stream",
          {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}},
          ": ping\n\n"};
}

std::string sse_data(const Json& data) {
  return fmt::format("data: {}\n\n", dump_json(data));
}

std::string sse_event(std::string_view name, const Json& data) {
  return fmt::format("event: {}\ndata: {}\n\n", name, dump_json(data));
}

Handled answer_tokens(
    ModelHost& host, Call& call, const TokensStart& start,
    std::function<ApiResult<HttpReply>(const std::vector<std::int32_t>& tokens)> make) {
  const ModelHost::Id id =
      start([exchange = call.exchange, dialect = call.dialect, ticket = std::move(call.ticket),
             make = std::move(make)](Result<std::vector<std::int32_t>> tokens) mutable {
        ticket.reset();
        const std::string& path = exchange->request().path;
        auto reply = tokens
                         ? make(*tokens)
                         : ApiResult<HttpReply>(std::unexpected(api_error(tokens.error(), path)));
        exchange->reply(reply ? std::move(*reply) : error_reply(dialect, reply.error()));
      });
  call.exchange->on_gone([&host, id](HttpGone) { host.cancel(id); });
  return std::nullopt;
}

Asker asker_of(Call& call) {
  return {call.caller, counting(std::move(call.ticket))};
}

Handled answer(ModelHost& host, Call& call, const std::string& model,
               std::vector<HostRequest> requests, const AnswerShape& shape,
               std::unique_ptr<AnswerWriter> writer) {
  for (HostRequest& request : requests) {
    request.caller = call.caller;
    request.on_usage = counting(call.ticket);
  }
  call.ticket.reset();
  const auto answer =
      std::make_shared<Answer>(host, call, shape, requests.size(), std::move(writer));
  if (shape.stream) call.exchange->begin(shape.head);
  answer->start(model, std::move(requests));
  return std::nullopt;
}

}  // namespace lathe::serve

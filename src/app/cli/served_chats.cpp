// GET, POST /chats; GET, POST, DELETE /chats/{id}
#include "app/cli/served_chats.h"

#include "app/cli/retention.h"
#include "ground/base/text.h"
#include "serve/runs/answers.h"
#include "serve/runs/query.h"
#include "serve/server/fields.h"

namespace lathe::app {
namespace {

using serve::ApiError;
using serve::ApiResult;
using serve::or_api_error;

constexpr std::int64_t kMostChats = 200, kChatsListed = 50, kMostChatNumber = std::int64_t{1} << 53;
// As deep as a request may be, and the object around it.
constexpr JsonLimits kWritten{.max_depth = 129};
constexpr std::size_t kMostTurns = 10'000, kMostChatTitle = 200, kChatTitle = 80;

Json chat_row_json(const books::ChatRow& row) {
  return {{"id", row.id},
          {"title", row.title},
          {"model", row.model},
          {"begun_ms", row.begun_ms},
          {"changed_ms", row.changed_ms},
          {"revision", row.revision},
          {"bytes", row.bytes}};
}

// What a page writes: `turns`, each with its `role` and `text` and whatever else it shows of one,
// and the `settings` it was asked with.
ApiResult<books::ChatText> read_chat(serve::Fields& body) {
  books::ChatText chat;
  chat.title = make_valid_utf8(body.text("title").value_or(""));
  chat.model = body.text("model").value_or("");
  if (chat.title.size() > kMostChatTitle) body.refuse("title", "'title' is too long");
  const std::vector<serve::Fields> turns = body.each("turns");
  if (turns.empty() || turns.size() > kMostTurns)
    body.refuse("turns", fmt::format("'turns' must have 1 to {} turns", kMostTurns));
  for (serve::Fields turn : turns) {
    const std::string role = turn.text("role").value_or("");
    if (role != "user" && role != "assistant")
      turn.refuse("role", "must be \"user\" or \"assistant\"", "unsupported_value");
    const std::string text = turn.text("text").value_or("");
    chat.words += text + "\n";
    if (chat.title.empty() && role == "user")
      chat.title = clip_utf8(replace_all(std::string(trim(text)), "\n", " "), kChatTitle);
  }
  const Json& settings = body.object("settings");
  LATHE_TRY_STATUS(body.status());
  chat.words += chat.title;
  chat.body = dump_json({{"turns", body.raw("turns")}, {"settings", settings}});
  if (chat.body.size() > books::kMaxChatBytes)
    return std::unexpected(
        ApiError{413, fmt::format("a chat may have {} bytes with its files, this one has {}",
                                  books::kMaxChatBytes, chat.body.size())});
  return chat;
}

}  // namespace

template <class Answer>
serve::Handled ServedChats::with(const Answer& answer) {
  if (!chats_) {
    LATHE_TRY(books::Chats opened, or_api_error(books::Chats::open(app_.journal_dir)));
    chats_.emplace(std::move(opened));
  }
  if (auto kept = forget_old_chats(app_, *chats_); !kept)
    return std::unexpected(serve::api_error(kept.error()));
  return answer(*chats_);
}

serve::Handled ServedChats::list(const serve::RunCall& call) {
  constexpr std::string_view kKnown[] = {"search", "from", "limit"};
  LATHE_TRY(const serve::Query query, serve::Query::parse(call.request().query, kKnown));
  LATHE_TRY(const auto from, query.whole("from", 0, kMostChatNumber));
  LATHE_TRY(const auto limit, query.whole("limit", 1, kMostChats));
  return with([&](books::Chats& chats) -> serve::Handled {
    const std::int64_t first = from.value_or(0), most = limit.value_or(kChatsListed);
    LATHE_TRY(auto rows, or_api_error(chats.list(call.key, query.text("search"), first, most + 1)));
    const bool more = rows.size() > static_cast<std::size_t>(most);
    if (more) rows.pop_back();
    Json data = Json::array();
    for (const books::ChatRow& row : rows) data.push_back(chat_row_json(row));
    Json body = {{"data", std::move(data)}, {"next", more ? Json(first + most) : Json()}};
    if (!call.owner) return serve::json_reply(body);
    LATHE_TRY(const auto sums, or_api_error(chats.sums()));
    Json others = Json::array();
    for (const books::ChatSum& sum : sums)
      if (!sum.key.empty())
        others.push_back({{"key", sum.key}, {"chats", sum.chats}, {"bytes", sum.bytes}});
    body["others"] = std::move(others);
    return serve::json_reply(body);
  });
}

serve::Handled ServedChats::show(const serve::RunCall& call) {
  return with([&](const books::Chats& chats) -> serve::Handled {
    LATHE_TRY(const auto chat, or_api_error(chats.get(call.key, call.names.front())));
    Json body = chat_row_json(chat.first);
    LATHE_TRY(const Json written, or_api_error(parse_json(chat.second, kWritten)));
    body["turns"] = json_at(written, "turns");
    body["settings"] = json_at(written, "settings");
    return serve::json_reply(body);
  });
}

serve::Handled ServedChats::add(const serve::RunCall& call) {
  serve::Fields body(call.body);
  LATHE_TRY(const books::ChatText chat, read_chat(body));
  return with([&](books::Chats& chats) -> serve::Handled {
    LATHE_TRY(const std::string id,
              or_api_error(chats.add(call.key, chat, system_clock().unix_ms())));
    return serve::json_reply({{"id", id}, {"revision", 1}});
  });
}

serve::Handled ServedChats::change(const serve::RunCall& call) {
  serve::Fields body(call.body);
  const std::int64_t seen = body.whole("seen", 1, kMostChatNumber).value_or(0);
  LATHE_TRY(const books::ChatText chat, read_chat(body));
  return with([&](books::Chats& chats) -> serve::Handled {
    const std::string& id = call.names.front();
    LATHE_TRY(const auto revision,
              or_api_error(chats.change(call.key, id, seen, chat, system_clock().unix_ms())));
    if (!revision)
      return std::unexpected(ApiError{409,
                                      "this chat was gone on with elsewhere since it was looked "
                                      "at; look again",
                                      "seen", "chat_changed"});
    return serve::json_reply({{"id", id}, {"revision", *revision}});
  });
}

serve::Handled ServedChats::forget(const serve::RunCall& call) {
  return with([&](books::Chats& chats) -> serve::Handled {
    const std::string& id = call.names.front();
    if (auto done = chats.forget(call.key, id); !done)
      return std::unexpected(serve::api_error(done.error()));
    return serve::json_reply({{"id", id}, {"forgotten", true}});
  });
}

}  // namespace lathe::app

// A worker that says what a file says.
#include "loop/script/scripted_worker.h"

#include <array>
#include <limits>

#include "ground/base/text.h"
#include "ground/base/toml.h"

namespace lathe::loop {
namespace {

constexpr std::uint64_t kMaxScriptBytes = 16 << 20;

Result<std::string> string_at(std::string_view file, std::string_view key, const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  return invalid("{}: '{}' must be a string", toml_place(file, node.source()), key);
}

Result<int> integer_at(std::string_view file, std::string_view key, const toml::node& node) {
  const auto* number = node.as_integer();
  if (number && number->get() >= 0 && number->get() <= std::numeric_limits<int>::max())
    return static_cast<int>(number->get());
  return invalid("{}: '{}' must be a whole number, 0 or more", toml_place(file, node.source()),
                 key);
}

Result<ErrorKind> error_kind_at(std::string_view file, const toml::node& node) {
  static constexpr std::array<std::pair<std::string_view, ErrorKind>, 4> kKinds{
      {{"invalid", ErrorKind::kInvalid},
       {"unavailable", ErrorKind::kUnavailable},
       {"denied", ErrorKind::kDenied},
       {"timeout", ErrorKind::kTimeout}}};
  LATHE_TRY(const std::string name, string_at(file, "kind", node));
  for (const auto& [each, kind] : kKinds)
    if (each == name) return kind;
  return invalid("{}: the kind '{}' is not invalid, unavailable, denied or timeout",
                 toml_place(file, node.source()), name);
}

// "name {arguments}"
Result<FunctionCall> call_at(std::string_view file, const toml::node& node) {
  LATHE_TRY(const std::string text, string_at(file, "call", node));
  const auto blank = text.find(' ');
  const std::string arguments = blank == text.npos ? "{}" : text.substr(blank + 1);
  if (const auto json = parse_json(arguments); !json || !json->is_object())
    return invalid("{}: 'call' must be a tool's name and a JSON object",
                   toml_place(file, node.source()));
  return FunctionCall{"", text.substr(0, blank), arguments};
}

std::unexpected<Error> unknown_key(std::string_view file, const toml::key& key,
                                   std::span<const std::string> known) {
  const std::string name(key.str());
  return invalid("{}: '{}' is not known here{}", toml_place(file, key.source()), name,
                 did_you_mean(name, known));
}

Result<ScriptedWorker::Line> parse_line(std::string_view file, const toml::table& table) {
  static const std::vector<std::string> kKeys{"when", "purpose", "lap",  "n",     "attempt", "turn",
                                              "echo", "text",    "call", "error", "kind"};
  ScriptedWorker::Line line;
  std::optional<std::string> text, error;
  std::optional<ErrorKind> kind;
  for (const auto& [key, node] : table) {
    const std::string_view name = key.str();
    if (name == "when") {
      LATHE_TRY(line.when, string_at(file, name, node));
    } else if (name == "purpose") {
      LATHE_TRY(line.purpose, string_at(file, name, node));
    } else if (name == "echo") {
      LATHE_TRY(line.echo, string_at(file, name, node));
    } else if (name == "lap") {
      LATHE_TRY(line.lap, integer_at(file, name, node));
    } else if (name == "n") {
      LATHE_TRY(line.n, integer_at(file, name, node));
    } else if (name == "attempt") {
      LATHE_TRY(line.attempt, integer_at(file, name, node));
    } else if (name == "turn") {
      LATHE_TRY(line.turn, integer_at(file, name, node));
    } else if (name == "call") {
      LATHE_TRY(line.call.emplace(), call_at(file, node));
    } else if (name == "text") {
      LATHE_TRY(text, string_at(file, name, node));
    } else if (name == "error") {
      LATHE_TRY(error, string_at(file, name, node));
    } else if (name == "kind") {
      LATHE_TRY(kind, error_kind_at(file, node));
    } else {
      return unknown_key(file, key, kKeys);
    }
  }
  const std::string place = toml_place(file, table.source());
  if (text.has_value() + error.has_value() + line.call.has_value() != 1)
    return invalid("{}: a reply needs either 'text', 'call' or 'error'", place);
  if (kind && !error) return invalid("{}: 'kind' goes with 'error'", place);
  if (text) line.text = std::move(*text);
  if (error) line.error = Error{kind.value_or(ErrorKind::kUnavailable), std::move(*error)};
  return line;
}

Result<std::vector<ScriptedWorker::Line>> parse_script(std::string_view file,
                                                       const toml::table& table) {
  static const std::vector<std::string> kKeys{"reply"};
  std::vector<ScriptedWorker::Line> lines;
  for (const auto& [key, node] : table) {
    if (key.str() != "reply") return unknown_key(file, key, kKeys);
    const toml::array* replies = node.as_array();
    if (!replies)
      return invalid("{}: 'reply' must be written as [[reply]]", toml_place(file, node.source()));
    for (const toml::node& reply : *replies) {
      const toml::table* each = reply.as_table();
      if (!each)
        return invalid("{}: 'reply' must be written as [[reply]]",
                       toml_place(file, reply.source()));
      LATHE_TRY(lines.emplace_back(), parse_line(file, *each));
    }
  }
  if (lines.empty()) return invalid("{}: holds no [[reply]]", file);
  return lines;
}

// The texts of its messages.
std::vector<std::string> texts_of(const Request& request) {
  std::vector<std::string> texts;
  if (const Talk* talk = request.talk())
    for (const Message& message : talk->messages) texts.push_back(message.content.text());
  return texts;
}

// Calls of tools that were answered in the talk.
int turn_of(const Request& request) {
  const Talk* talk = request.talk();
  return talk == nullptr ? 0
                         : static_cast<int>(std::ranges::count(talk->messages, std::string("tool"),
                                                               &Message::role));
}

bool holds(const ScriptedWorker::Line& line, const std::vector<std::string>& texts, int turn,
           const Origin& from) {
  const auto says = [&](const std::string& text) { return text.contains(line.when); };
  return (line.when.empty() || std::ranges::any_of(texts, says)) &&
         (line.purpose.empty() || line.purpose == from.purpose) &&
         (!line.lap || *line.lap == from.lap) && (!line.n || *line.n == from.n) &&
         (!line.attempt || *line.attempt == from.attempt) && (!line.turn || *line.turn == turn);
}

// The word that stands right after the marker; "" when the marker is in none of the texts.
std::string word_after(const std::vector<std::string>& texts, std::string_view marker) {
  for (const std::string& text : texts) {
    const auto found = text.find(marker);
    if (found == std::string::npos) continue;
    const std::string_view rest = std::string_view(text).substr(found + marker.size());
    return std::string(rest.substr(0, rest.find_first_of(" \t\r\n")));
  }
  return {};
}

}  // namespace

ScriptedWorker::ScriptedWorker(std::string name, std::vector<Line> lines)
    : name_(std::move(name)), lines_(std::move(lines)) {}

Result<std::unique_ptr<ScriptedWorker>> ScriptedWorker::load(std::string name,
                                                             const fs::path& file) {
  LATHE_TRY(const std::string bytes, read_file(file, kMaxScriptBytes));
  LATHE_TRY(const toml::table table, parse_toml(bytes, file.string()));
  LATHE_TRY(auto lines, parse_script(file.string(), table));
  return std::make_unique<ScriptedWorker>(std::move(name), std::move(lines));
}

WorkerInfo ScriptedWorker::info() const {
  return {name_, "script", "script:" + name_, Reach::kLocal};
}

Result<Reply> ScriptedWorker::complete(const Request& request, const StopFlag& stop,
                                       const std::function<void(const Delta&)>& on_delta) {
  if (stop.raised()) return fail(ErrorKind::kCancelled, "{}: the call was cancelled", name_);
  {
    const std::scoped_lock lock(mutex_);
    seen_.push_back(request);
  }
  const std::vector<std::string> texts = texts_of(request);
  const Origin from = origin_of(request);
  const auto line = std::ranges::find_if(lines_, [&, turn = turn_of(request)](const Line& each) {
    return holds(each, texts, turn, from);
  });
  if (line == lines_.end())
    return fail(ErrorKind::kNotFound,
                "{}: no reply of the script fits this request (purpose \"{}\", lap {}, n {}, "
                "attempt {}); add a [[reply]] for it",
                name_, from.purpose, from.lap, from.n, from.attempt);
  if (line->error) return std::unexpected(*line->error);
  Reply reply;
  reply.text = line->echo.empty()
                   ? line->text
                   : replace_all(line->text, "{echo}", word_after(texts, line->echo));
  reply.model = "script";
  reply.usage.calls = 1;
  if (line->call) {
    reply.finish = FinishReason::kToolCalls;
    reply.calls = {*line->call};
    reply.calls.front().id = fmt::format("call_{}", turn_of(request) + 1);
  }
  if (on_delta) on_delta({reply.text, {}});
  return reply;
}

Result<Transcription> ScriptedWorker::transcribe(const SoundRequest& asked, const StopFlag& stop) {
  Request request;
  request.labels = asked.labels;
  LATHE_TRY(const Reply reply, complete(request, stop, {}));
  Transcription heard;
  heard.usage = reply.usage;
  if (!reply.text.empty()) heard.transcript.segments.emplace_back().text = reply.text;
  return heard;
}

std::vector<Request> ScriptedWorker::seen() const {
  const std::scoped_lock lock(mutex_);
  return seen_;
}

}  // namespace lathe::loop

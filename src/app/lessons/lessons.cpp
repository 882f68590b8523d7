// Files of examples to tokens, with what is trained marked.
#include "app/lessons/lessons.h"

#include <algorithm>
#include <set>

#include "app/lessons/conversations.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{8} << 30;
constexpr std::size_t kNotes = 5;               // of a kind; the rest is counted
constexpr std::int64_t kToday = 1'767'225'600;  // 2026-01-01: the same data give the same tokens

// The first few of a kind are told, all are counted.
void note(Lessons& lessons, std::size_t& count, std::string text) {
  if (++count <= kNotes) lessons.notes.push_back(std::move(text));
}

void add(infer::Example& example, std::span<const infer::TokenId> tokens, bool trained) {
  example.tokens.insert(example.tokens.end(), tokens.begin(), tokens.end());
  example.trained.resize(example.tokens.size(), trained ? 1 : 0);
}

std::size_t common_prefix(std::span<const infer::TokenId> a, std::span<const infer::TokenId> b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

// What lines of one task share.
std::string task_of(const Json& line) {
  if (const std::string task = json_string(line, "task"); !task.empty()) return task;
  for (const char* key : {"prompt", "instruction", "text"})
    if (const std::string text = json_string(line, key); !text.empty()) return text;
  for (const char* key : {"messages", "conversations"})
    for (const Json& turn : json_at(line, key))
      if (turn.is_object() &&
          (json_string(turn, "role") == "user" || json_string(turn, "from") == "human"))
        return dump_json(turn);
  return dump_json(line);
}

std::string fingerprint(const infer::Example& example) {
  const auto bytes = [](const auto& values) {
    return std::string_view(reinterpret_cast<const char*>(values.data()),
                            values.size() * sizeof values[0]);
  };
  return sha256_hex(std::string(bytes(example.tokens)) + std::string(bytes(example.trained)));
}

}  // namespace

Result<LessonReader> LessonReader::create(const infer::Tokenizer& tokenizer,
                                          const std::string& chat_template, LessonOptions options) {
  LessonReader reader(tokenizer, options);
  if (chat_template.empty()) return reader;
  auto parsed = infer::ChatTemplate::parse(chat_template);
  if (!parsed) return at("the model's chat template", parsed.error());
  reader.template_ = std::move(*parsed);
  return reader;
}

Result<Lessons> LessonReader::read(const fs::path& path) const {
  LATHE_TRY(const std::string bytes, read_file(path, kMaxBytes));
  return read(split_lines(bytes), path.string());
}

Result<Lessons> LessonReader::read(std::span<const std::string_view> lines,
                                   const std::string& place) const {
  Lessons lessons;
  std::set<std::string> seen;
  std::string digest;
  for (const std::string_view text : lines) {
    ++lessons.lines;
    if (trim(text).empty()) continue;
    const std::string here = fmt::format("{}:{}", place, lessons.lines);
    Result<std::vector<Lesson>> read;
    if (const auto line = parse_json(text))
      read = read_line(*line);
    else
      read = std::unexpected(line.error());
    if (!read && !options_.skip_bad)
      return invalid("{}: {} (--skip-bad leaves such lines out)", here, read.error().message);
    if (!read) {
      note(lessons, lessons.bad, fmt::format("{}: {}", here, read.error().message));
      continue;
    }
    for (Lesson& lesson : *read) {
      const std::size_t tokens = lesson.example.tokens.size();
      if (tokens > options_.context) {
        note(lessons, lessons.too_long,
             fmt::format("{}: {} tokens; the context holds {}", here, tokens, options_.context));
      } else if (const std::string hash = fingerprint(lesson.example); !seen.insert(hash).second) {
        ++lessons.duplicates;
      } else {
        digest += hash;
        lesson.line = lessons.lines;
        lessons.lessons.push_back(std::move(lesson));
      }
    }
  }
  if (lessons.lessons.empty())
    return invalid("{}: no example is left of {} lines ({} bad, {} too long for the context)",
                   place, lessons.lines, lessons.bad, lessons.too_long);
  lessons.digest = sha256_hex(digest);
  return lessons;
}

Result<std::vector<Lesson>> LessonReader::read_line(const Json& line) const {
  if (!line.is_object()) return invalid("it is {}, not an object", line.type_name());
  const Json none;
  Result<std::vector<infer::Example>> examples;
  if (line.contains("messages")) {
    LATHE_TRY(const Json messages, messages_of_chat(line["messages"]));
    examples = conversation(messages, json_at(line, "tools"));
  } else if (line.contains("prompt") || line.contains("completion")) {
    examples = completion(line);
  } else if (line.contains("instruction")) {
    LATHE_TRY(const Json messages, messages_of_alpaca(line));
    examples = conversation(messages, none);
  } else if (line.contains("conversations")) {
    LATHE_TRY(const Json messages, messages_of_sharegpt(line["conversations"]));
    examples = conversation(messages, none);
  } else if (line.contains("text")) {
    examples = plain(line);
  } else {
    return invalid(
        "it has none of 'messages', 'prompt', 'instruction', 'conversations' and 'text'");
  }
  if (!examples) return std::unexpected(examples.error());
  std::vector<Lesson> lessons;
  for (infer::Example& example : *examples) {
    if (infer::trained_tokens(example) == 0) return invalid("nothing of it would be learnt");
    lessons.push_back({std::move(example), task_of(line), 0});
  }
  return lessons;
}

Result<std::vector<infer::Example>> LessonReader::completion(const Json& line) const {
  LATHE_TRY(const std::string prompt, text_member(line, "prompt"));
  LATHE_TRY(const std::string completion, text_member(line, "completion"));
  if (completion.empty()) return invalid("'completion' is empty: there is nothing to learn");
  const infer::TokenId end = tokenizer_->spec().eos;
  if (end == infer::kNoToken)
    return invalid("the model has no end-of-text token to end a completion");
  infer::Example example;
  add(example, tokenizer_->encode(prompt, true, false), false);
  add(example, tokenizer_->encode(completion, false, false), true);
  add(example, {&end, 1}, true);
  return std::vector{std::move(example)};
}

Result<std::vector<infer::Example>> LessonReader::plain(const Json& line) const {
  LATHE_TRY(const std::string text, text_member(line, "text"));
  infer::Example example;
  add(example, tokenizer_->encode(text, true, false), true);
  const infer::TokenId end = tokenizer_->spec().eos;
  if (end != infer::kNoToken) add(example, {&end, 1}, true);
  return std::vector{std::move(example)};
}

// Each turn of the assistant is what stands between the prompt that the server would have made and
// the token that ends the turn. Turns share a document as long as the whole conversation begins
// with each of them; a template that shows earlier turns differently (without their thinking, say)
// gives each turn a document of its own.
Result<std::vector<infer::Example>> LessonReader::conversation(const Json& messages,
                                                               const Json& tools) const {
  if (!template_)
    return invalid("the model has no chat template; only prompt/completion and text can be used");
  std::vector<infer::Example> turns;
  Json before = Json::array();
  for (const Json& message : messages) {
    if (message["role"] == "assistant") {
      LATHE_TRY(const auto prompt, render(before, tools, true));
      before.push_back(message);
      LATHE_TRY(const auto all, render(before, tools, false));
      const std::size_t start = common_prefix(prompt, all);
      // The end token is the turn's last: what templates put behind it, nobody has to write.
      std::size_t end = all.size();
      while (end > start && !tokenizer_->is_end(all[end - 1])) --end;
      if (end == start) end = all.size();
      infer::Example& turn = turns.emplace_back();
      add(turn, std::span(all).first(start), false);
      add(turn, std::span(all).first(end).subspan(start), true);
    } else {
      before.push_back(message);
    }
  }
  const std::vector<infer::TokenId>& last = turns.back().tokens;
  const bool shared = std::ranges::all_of(turns, [&](const infer::Example& turn) {
    return common_prefix(turn.tokens, last) == turn.tokens.size();
  });
  if (!shared) return turns;
  infer::Example& whole = turns.back();
  for (const infer::Example& turn : turns)
    for (std::size_t i = 0; i < turn.tokens.size(); ++i) whole.trained[i] |= turn.trained[i];
  return std::vector{std::move(whole)};
}

Result<std::vector<infer::TokenId>> LessonReader::render(const Json& messages, const Json& tools,
                                                         bool prompt) const {
  Json variables{{"messages", messages}, {"add_generation_prompt", prompt}};
  if (tools.is_array() && !tools.empty()) variables["tools"] = tools;
  const auto name = [&](infer::TokenId id) {
    return id == infer::kNoToken ? std::string() : tokenizer_->piece(id, true);
  };
  variables["bos_token"] = name(tokenizer_->spec().bos);
  variables["eos_token"] = name(tokenizer_->spec().eos);
  const auto parts = template_->render(variables, kToday);
  if (!parts) return invalid("the model's chat template refuses it: {}", parts.error().message);
  return tokenizer_->encode(*parts, true);
}

std::vector<Lesson> split_off(std::vector<Lesson>& lessons, double share) {
  std::vector<Lesson> kept, off;
  for (Lesson& lesson : lessons) {
    const std::string hash = sha256_hex(lesson.task);
    const auto place = static_cast<double>(std::stoull(hash.substr(0, 13), nullptr, 16)) * 0x1p-52;
    (place < share ? off : kept).push_back(std::move(lesson));
  }
  lessons = std::move(kept);
  return off;
}

}  // namespace lathe::app

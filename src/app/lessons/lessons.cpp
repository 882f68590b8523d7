#include "app/lessons/lessons.h"

#include <set>

#include "ground/base/hash.h"
#include "ground/base/json.h"
#include "ground/base/text.h"

namespace lathe {
namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{8} << 30;
constexpr std::size_t kNotes = 5;  // of a kind; the rest is counted

// Tokens as they come, each trained or not.
class Writer {
 public:
  explicit Writer(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void text(std::string_view text, bool start, bool trained) {
    for (const TokenId id : tokenizer_.encode(text, start, false)) token(id, trained);
  }
  void token(TokenId id, bool trained) {
    example_.tokens.push_back(id);
    example_.trained.push_back(trained ? 1 : 0);
  }
  Example take() { return std::move(example_); }

 private:
  const Tokenizer& tokenizer_;
  Example example_;
};

Result<std::string> text_of(const Json& line, const char* key) {
  const auto value = line.find(key);
  if (value == line.end()) return invalid("'{}' is missing", key);
  if (!value->is_string()) return invalid("'{}' is {}, not a string", key, value->type_name());
  return value->get<std::string>();
}

Result<Lesson> read_line(const Json& line, const Tokenizer& tokenizer) {
  if (!line.is_object()) return invalid("it is {}, not an object", line.type_name());
  LATHE_TRY(const std::string prompt, text_of(line, "prompt"));
  LATHE_TRY(const std::string completion, text_of(line, "completion"));
  if (completion.empty()) return invalid("'completion' is empty: there is nothing to learn");
  const TokenId end = tokenizer.spec().eos;
  if (end == kNoToken) return invalid("the model has no end-of-text token to end a completion");
  Writer writer(tokenizer);
  writer.text(prompt, true, false);
  writer.text(completion, false, true);
  writer.token(end, true);
  Lesson lesson{.example = writer.take(), .task = prompt};
  if (const auto task = line.find("task"); task != line.end() && task->is_string())
    lesson.task = task->get<std::string>();
  return lesson;
}

// The first few of a kind are told, all are counted.
void note(Lessons& lessons, std::size_t& count, std::string text) {
  if (++count <= kNotes) lessons.notes.push_back(std::move(text));
}

}  // namespace

Result<Lessons> read_lessons(const fs::path& path, const Tokenizer& tokenizer,
                             const LessonOptions& options) {
  LATHE_TRY(const std::string bytes, read_file(path, kMaxBytes));
  Lessons lessons;
  lessons.digest = sha256_hex(bytes);
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
  for (const std::string_view text : split_lines(bytes)) {
    ++lessons.lines;
    if (trim(text).empty()) continue;
    const std::string place = fmt::format("{}:{}", path.string(), lessons.lines);
    Result<Lesson> lesson;
    if (auto line = parse_json(text))
      lesson = read_line(*line, tokenizer);
    else
      lesson = std::unexpected(line.error());
    if (!lesson) {
      if (!options.skip_bad)
        return at(place, Error{ErrorKind::kInvalid,
                               lesson.error().message + " (--skip-bad leaves such lines out)"});
      note(lessons, lessons.bad, fmt::format("{}: {}", place, lesson.error().message));
      continue;
    }
    const std::size_t tokens = lesson->example.tokens.size();
    if (tokens > options.context) {
      note(lessons, lessons.too_long,
           fmt::format("{}: {} tokens; the context holds {}", place, tokens, options.context));
      continue;
    }
    const std::string hash = sha256_hex(std::string_view(
        reinterpret_cast<const char*>(lesson->example.tokens.data()), tokens * sizeof(TokenId)));
    if (!seen.emplace(std::stoull(hash.substr(0, 16), nullptr, 16),
                      std::stoull(hash.substr(16, 16), nullptr, 16))
             .second) {
      ++lessons.duplicates;
      continue;
    }
    lesson->line = lessons.lines;
    lessons.lessons.push_back(std::move(*lesson));
  }
  if (lessons.lessons.empty())
    return invalid("{}: no example is left of {} lines ({} bad, {} too long)", path.string(),
                   lessons.lines, lessons.bad, lessons.too_long);
  return lessons;
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

}  // namespace lathe

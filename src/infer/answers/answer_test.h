// What the tests of answers share: an answer as it was understood, read whole or in pieces.
#pragma once

#include <ostream>
#include <random>

#include "infer/answers/answer_parser.h"

namespace lathe::infer {

struct Answer {
  std::string text, thinking;
  std::vector<std::string> calls;  // "name {arguments} id"
  bool operator==(const Answer&) const = default;
};

inline void PrintTo(const Answer& answer, std::ostream* out) {
  *out << "text «" << answer.text << "» thinking «" << answer.thinking << "»";
  for (const std::string& call : answer.calls) *out << " call «" << call << "»";
}

inline void add(Answer& answer, const AnswerDelta& delta) {
  answer.text += delta.text;
  answer.thinking += delta.thinking;
  for (const ToolCall& call : delta.calls)
    answer.calls.push_back(call.name + " " + call.arguments +
                           (call.id.empty() ? "" : " " + call.id));
}

inline Answer read(const AnswerOptions& options, std::string_view text,
                   std::mt19937* random = nullptr) {
  const auto parser = AnswerParser::make(options);
  Answer answer;
  while (!text.empty()) {
    const std::size_t bytes =
        random == nullptr ? text.size() : std::min<std::size_t>(1 + (*random)() % 9, text.size());
    add(answer, parser->push(text.substr(0, bytes)));
    text.remove_prefix(bytes);
  }
  add(answer, parser->finish());
  return answer;
}

inline const std::vector<OfferedTool> kTools = {
    {"f",
     {{"type", "object"},
      {"properties",
       {{"s", {{"type", "string"}}}, {"n", {{"type", "integer"}}}, {"o", {{"type", "object"}}}}}}}};

struct Case {
  AnswerFormat format;
  std::string text;
  Answer wanted;
  bool starts_thinking = false;
};

}  // namespace lathe::infer

// The forms in which the families of models write thinking and calls of tools: one row each, chosen
// by the chat template, which renders the same markers. Immutable; any thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "infer/answers/call_form.h"

namespace lathe::infer {

enum class AnswerFormat {
  kHarmony,
  kMistralId,
  kMistral,
  kMistralList,
  kKimi,
  kDsml,
  kDsml4,
  kDeepSeek,
  kMiniMax,
  kSeed,
  kGemma,
  kLfm,
  kCommand,
  kCommandR,
  kHunyuan,
  kNemotron,
  kApertus,
  kGranite,
  kToolCalls,
  kGlm,
  kQwenXml,
  kErnie,
  kHermes,
  kLlama3,
  kPlain
};

class CallNotes;
class CallReader;
class OfferedTools;

struct FormatInfo {
  AnswerFormat format;
  std::string_view name;
  std::string_view models;   // whose form it is
  std::string_view example;  // a call
  // A template is of this form when it holds all words of one of these lists, and of no form above.
  std::vector<std::vector<std::string_view>> signs;
  // What opens a call, and who reads what follows; none: the form has no calls within its text.
  std::vector<std::string_view> openers = {};
  std::unique_ptr<CallReader> (*reader)(const OfferedTools&, CallNotes&) = nullptr;
  // What a prompt may end with where it opens the thinking, and what ends that.
  std::vector<std::pair<std::string_view, std::string_view>> thoughts = {{"<think>", "</think>"},
                                                                         {"[THINK]", "[/THINK]"}};
  // Thinking may also come behind text, and a call may end it: the markers are control tokens.
  bool thinks_anywhere = false, calls_end_thinking = false;
  // What stands around the text.
  std::vector<std::string_view> wrappers = {};
  // How a call that has to be is written; none: as plain JSON.
  std::optional<CallForm> form = {};
};

std::span<const FormatInfo> answer_formats();
const FormatInfo& format_info(AnswerFormat format);
AnswerFormat answer_format_of(std::string_view template_source);
// What ends the thinking within which the answer to a prompt that ends so begins; empty: it does
// not begin within any.
std::string_view thinking_end(AnswerFormat format, std::string_view prompt_end);

}  // namespace lathe::infer

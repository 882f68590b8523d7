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
  // What stands around the text, and what of it opens one.
  std::vector<std::string_view> wrappers = {}, text_opens = {};
  // The answer is messages, each of which text_opens, a thought or a call opens, and these end.
  std::vector<std::string_view> message_ends = {};
  bool openers_are_words = false;  // text, too, may hold what opens a call
  // How a call that has to be is written; none: as plain JSON.
  std::optional<CallForm> form = {};
};

std::span<const FormatInfo> answer_formats();
const FormatInfo& format_info(AnswerFormat format);
AnswerFormat answer_format_of(std::string_view template_source);
// What ends the thinking within which the answer to a prompt that ends so begins; empty: it does
// not begin within any.
std::string_view thinking_end(AnswerFormat format, std::string_view prompt_end);
// What comes before an answer that a grammar holds. `thinks`: whether the model was told to think;
// nothing: it was told neither, and does only where the prompt opens it or the form always thinks.
AnswerLead answer_lead(AnswerFormat format, std::string_view prompt_end,
                       std::optional<bool> thinks);
// The text around calls; nothing: what opens a call in this form is not told from text.
std::optional<FreeText> free_text(AnswerFormat format);

}  // namespace lathe::infer

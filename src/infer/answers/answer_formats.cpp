// The table of answer formats, and which of them a template means.
#include "infer/answers/answer_format.h"

#include <algorithm>

#include "ground/base/text.h"
#include "infer/answers/answer_calls.h"

namespace lathe::infer {

namespace {

using enum AnswerFormat;

CallForm json_list(std::string_view begin, std::string_view end) {
  return {.begin = begin,
          .end = end,
          .between = ", ",
          .open = "{\"name\": \"",
          .name_end = "\", \"arguments\": ",
          .close = "}"};
}

CallForm hermes_form() {
  return {.between = "\n",
          .open = "<tool_call>\n{\"name\": \"",
          .name_end = "\", \"arguments\": ",
          .close = "}\n</tool_call>"};
}

CallForm dsml_form(std::string_view begin, std::string_view end) {
  return {.begin = begin,
          .end = end,
          .open = "<｜DSML｜invoke name=\"",
          .name_end = "\">\n",
          .close = "</｜DSML｜invoke>\n",
          .key_open = "<｜DSML｜parameter name=\"",
          .key_end = "\" string=\"false\">",
          .value_end = "</｜DSML｜parameter>\n",
          .text_key_end = "\" string=\"true\">",
          .raw_ends = {"｜DSML｜"}};
}

}  // namespace

std::span<const FormatInfo> answer_formats() {
  static const std::vector<FormatInfo> kFormats = {
      {.format = kHarmony,
       .name = "harmony",
       .models = "gpt-oss",
       .example = " to=functions.N<|channel|>commentary <|constrain|>json<|message|>{…}<|call|>",
       .signs = {{"<|channel|>"}},
       .thoughts = {{"<|channel|>analysis<|message|>", "<|end|><|start|>assistant"}},
       .text_opens = {"<|channel|>final<|message|>", "<|channel|>commentary<|message|>"},
       .message_ends = {"<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>"},
       .form = CallForm{.single = true,
                        .open = " to=functions.",
                        .name_end = "<|channel|>commentary <|constrain|>json<|message|>",
                        .other_open = "<|channel|>commentary to=functions.",
                        .other_name_end = " <|constrain|>json<|message|>"}},
      {.format = kMistralId,
       .name = "mistral_id",
       .models = "Mistral Small 3.2",
       .example = "[TOOL_CALLS]N[CALL_ID]id[ARGS]{…}",
       .signs = {{"[TOOL_CALLS]", "[CALL_ID]"}},
       .openers = {"[TOOL_CALLS]"},
       .reader = mistral_calls,
       .form = CallForm{.open = "[TOOL_CALLS]", .name_end = "[CALL_ID]{id}[ARGS]"}},
      {.format = kMistral,
       .name = "mistral",
       .models = "Ministral 3, Magistral, Devstral",
       .example = "[TOOL_CALLS]N[ARGS]{…}",
       .signs = {{"[TOOL_CALLS]", "[ARGS]"}},
       .openers = {"[TOOL_CALLS]"},
       .reader = mistral_calls,
       .form = CallForm{.open = "[TOOL_CALLS]", .name_end = "[ARGS]"}},
      {.format = kMistralList,
       .name = "mistral_list",
       .models = "Mistral v3, Nemo",
       .example = "[TOOL_CALLS][{\"name\": \"N\", \"arguments\": {…}}]",
       .signs = {{"[TOOL_CALLS]"}},
       .openers = {"[TOOL_CALLS]"},
       .reader = mistral_calls,
       .form = json_list("[TOOL_CALLS][", "]")},
      {.format = kKimi,
       .name = "kimi",
       .models = "Kimi K2",
       .example =
           "<|tool_call_begin|>functions.N:0<|tool_call_argument_begin|>{…}<|tool_call_end|>",
       .signs = {{"<|tool_calls_section_begin|>"}},
       .openers = {"<|tool_calls_section_begin|>", "<|tool_call_begin|>"},
       .reader = kimi_calls,
       .calls_end_thinking = true,
       .form = CallForm{.begin = "<|tool_calls_section_begin|>",
                        .end = "<|tool_calls_section_end|>",
                        .open = "<|tool_call_begin|>functions.",
                        .name_end = ":{#}<|tool_call_argument_begin|>",
                        .close = "<|tool_call_end|>"}},
      {.format = kDsml,
       .name = "dsml",
       .models = "DeepSeek V3.2",
       .example = "<｜DSML｜invoke name=\"N\"><｜DSML｜parameter name=\"P\" "
                  "string=\"true\">v</｜DSML｜parameter></｜DSML｜invoke>",
       .signs = {{"｜DSML｜", "function_calls"}},
       .openers = {"<｜DSML｜function_calls>", "<｜DSML｜invoke name=\""},
       .reader = dsml_calls,
       .form = dsml_form("<｜DSML｜function_calls>\n", "</｜DSML｜function_calls>")},
      {.format = kDsml4,
       .name = "dsml4",
       .models = "DeepSeek V4",
       .example = "as dsml, within <｜DSML｜tool_calls>",
       .signs = {{"｜DSML｜"}},
       .openers = {"<｜DSML｜tool_calls>", "<｜DSML｜invoke name=\""},
       .reader = dsml4_calls,
       .form = dsml_form("<｜DSML｜tool_calls>\n", "</｜DSML｜tool_calls>")},
      {.format = kDeepSeek,
       .name = "deepseek",
       .models = "DeepSeek V3, R1, V3.1",
       .example = "<｜tool▁call▁begin｜>N<｜tool▁sep｜>{…}<｜tool▁call▁end｜>",
       .signs = {{"<｜tool▁call▁begin｜>"}, {"<｜tool▁calls▁begin｜>"}},
       .openers = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"},
       .reader = deepseek_calls,
       .form = CallForm{.begin = "<｜tool▁calls▁begin｜>",
                        .end = "<｜tool▁calls▁end｜>",
                        .open = "<｜tool▁call▁begin｜>",
                        .name_end = "<｜tool▁sep｜>",
                        .close = "<｜tool▁call▁end｜>"}},
      {.format = kMiniMax,
       .name = "minimax",
       .models = "MiniMax M2",
       .example =
           "<minimax:tool_call><invoke name=\"N\"><parameter name=\"P\">v</parameter></invoke>"
           "</minimax:tool_call>",
       .signs = {{"<minimax:tool_call>"}},
       .openers = {"<minimax:tool_call>", "<invoke name=\""},
       .reader = minimax_calls,
       .form = CallForm{.begin = "<minimax:tool_call>\n",
                        .end = "</minimax:tool_call>",
                        .open = "<invoke name=\"",
                        .name_end = "\">\n",
                        .close = "</invoke>\n",
                        .key_open = "<parameter name=\"",
                        .key_end = "\">",
                        .value_end = "</parameter>\n",
                        .raw_ends = {"<parameter name", "</parameter>", "</invoke>",
                                     "minimax:tool_call>"}}},
      {.format = kSeed,
       .name = "seed",
       .models = "Seed-OSS",
       .example =
           "<seed:tool_call><function=N><parameter=P>v</parameter></function></seed:tool_call>",
       .signs = {{"<seed:tool_call>"}},
       .openers = {"<seed:tool_call>", "<function="},
       .reader = seed_calls,
       .thoughts = {{"<seed:think>", "</seed:think>"}},
       .form =
           CallForm{.between = "\n",
                    .open = "<seed:tool_call>\n<function=",
                    .name_end = ">\n",
                    .close = "</function>\n</seed:tool_call>",
                    .key_open = "<parameter=",
                    .key_end = ">",
                    .value_end = "</parameter>\n",
                    .raw_ends = {"<parameter=", "</parameter>", "</function>", "seed:tool_call>"}}},
      {.format = kGemma,
       .name = "gemma",
       .models = "Gemma 4",
       .example = "<|tool_call>call:N{k:<|\"|>text<|\"|>,n:1}<tool_call|>",
       .signs = {{"<|tool_call>call:"}},
       .openers = {"<|tool_call>"},
       .reader = gemma_calls,
       .thoughts = {{"<|channel>thought", "<channel|>"}},
       .thinks_anywhere = true,
       .form = CallForm{.open = "<|tool_call>call:",
                        .close = "<tool_call|>",
                        .raw_ends = {"<|\"|>", "<tool_call|>"},
                        .text_quote = "<|\"|>"}},
      {.format = kLfm,
       .name = "lfm",
       .models = "LFM2, LFM2.5",
       .example = "<|tool_call_start|>[N(a=\"x\", n=1)]<|tool_call_end|>",
       .signs = {{"<|tool_call_start|>"}, {"<|tool_list_start|>"}, {"List of tools: ["}},
       .openers = {"<|tool_call_start|>"},
       .reader = lfm_calls,
       .form = CallForm{.begin = "<|tool_call_start|>[",
                        .end = "]<|tool_call_end|>",
                        .between = ", ",
                        .name_end = "(",
                        .close = ")",
                        .key_end = "=",
                        .key_between = ", "}},
      {.format = kCommand,
       .name = "command",
       .models = "Command R7B, Command A",
       .example = "<|START_ACTION|>[{\"tool_name\": \"N\", \"parameters\": {…}}]<|END_ACTION|>",
       .signs = {{"<|START_ACTION|>"}},
       .openers = {"<|START_ACTION|>"},
       .reader = command_calls,
       .thoughts = {{"<|START_THINKING|>", "<|END_THINKING|>"}},
       .wrappers = {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"},
       .text_opens = {"<|START_RESPONSE|>", "<|START_TEXT|>"},
       .form = CallForm{.begin = "<|START_ACTION|>[\n    ",
                        .end = "\n]<|END_ACTION|>",
                        .between = ",\n    ",
                        .open = "{\"tool_call_id\": \"{#}\", \"tool_name\": \"",
                        .name_end = "\", \"parameters\": ",
                        .close = "}"}},
      {.format = kCommandR,
       .name = "command-r",
       .models = "Command R, R+",
       .example = "Action: [{\"tool_name\": \"N\", \"parameters\": {…}}]",
       .signs = {{"Action:", "tool_name", "<|START_OF_TURN_TOKEN|>"}},
       .openers = {"Action:"},
       .reader = command_r_calls,
       .openers_are_words = true,
       .form = CallForm{.begin = "Action: ```json\n[\n    ",
                        .end = "\n]```",
                        .between = ",\n    ",
                        .open = "{\n        \"tool_name\": \"",
                        .name_end = "\",\n        \"parameters\": ",
                        .close = "\n    }"}},
      {.format = kHunyuan,
       .name = "hunyuan",
       .models = "Hunyuan 3",
       .example = "<tool_call:opensource>N<tool_sep:opensource><arg_key:opensource>…",
       .signs = {{"<tool_sep{}>"}, {"<tool_sep:opensource>"}},
       .openers = {"<tool_call:opensource>"},
       .reader = hunyuan_calls,
       .thoughts = {{"<think:opensource>", "</think:opensource>"}},
       .wrappers = {"<tool_calls:opensource>", "</tool_calls:opensource>"},
       .form = CallForm{.begin = "<tool_calls:opensource>\n",
                        .end = "</tool_calls:opensource>",
                        .open = "<tool_call:opensource>",
                        .name_end = "<tool_sep:opensource>\n",
                        .close = "</tool_call:opensource>\n",
                        .key_open = "<arg_key:opensource>",
                        .key_end = "</arg_key:opensource>\n<arg_value:opensource>",
                        .value_end = "</arg_value:opensource>\n",
                        .raw_ends = {"arg_key:opensource>", "arg_value:opensource>",
                                     "tool_call:opensource>"}}},
      {.format = kNemotron,
       .name = "nemotron",
       .models = "Nemotron Nano 2, Super",
       .example = "<TOOLCALL>[{\"name\": \"N\", \"arguments\": {…}}]</TOOLCALL>",
       .signs = {{"<TOOLCALL>"}},
       .openers = {"<TOOLCALL>"},
       .reader = nemotron_calls,
       .form = json_list("<TOOLCALL>[", "]</TOOLCALL>")},
      {.format = kApertus,
       .name = "apertus",
       .models = "Apertus",
       .example = "<|tools_prefix|>[{\"N\": {…}}]<|tools_suffix|>",
       .signs = {{"<|tools_prefix|>"}},
       .openers = {"<|tools_prefix|>"},
       .reader = apertus_calls,
       .thoughts = {{"<|inner_prefix|>", "<|inner_suffix|>"}},
       .form = CallForm{.begin = "<|tools_prefix|>[",
                        .end = "]<|tools_suffix|>",
                        .between = ", ",
                        .open = "{\"",
                        .name_end = "\": ",
                        .close = "}"}},
      {.format = kGranite,
       .name = "granite",
       .models = "Granite 3, Phi-4-mini",
       .example = "<|tool_call|>[{\"name\": \"N\", \"arguments\": {…}}]",
       .signs = {{"<|tool_call|>"}},
       .openers = {"<|tool_call|>"},
       .reader = granite_calls,
       .wrappers = {"<|/tool_call|>"},
       .form = json_list("<|tool_call|>[", "]")},
      {.format = kToolCalls,
       .name = "tool_calls",
       .models = "Hunyuan A13B, Apriel",
       .example = "<tool_calls>[{\"name\": \"N\", \"arguments\": {…}}]</tool_calls>",
       .signs = {{"<tool_calls>["}, {"<tool_calls>", "<answer>"}},
       .openers = {"<tool_calls>"},
       .reader = tool_calls_calls,
       .wrappers = {"<answer>", "</answer>"},
       .text_opens = {"<answer>\n"},
       .form = json_list("<tool_calls>[", "]</tool_calls>")},
      {.format = kGlm,
       .name = "glm",
       .models = "GLM 4.5 to 4.7",
       .example = "<tool_call>N<arg_key>k</arg_key><arg_value>v</arg_value></tool_call>",
       .signs = {{"<tool_call>", "<arg_key>"}},
       .openers = {"<tool_call>"},
       .reader = glm_calls,
       .form = CallForm{.between = "\n",
                        .open = "<tool_call>",
                        .name_end = "\n",
                        .close = "</tool_call>",
                        .key_open = "<arg_key>",
                        .key_end = "</arg_key>\n<arg_value>",
                        .value_end = "</arg_value>\n",
                        .raw_ends = {"<arg_key>", "</arg_value>", "tool_call>"}}},
      {.format = kQwenXml,
       .name = "qwen_xml",
       .models = "Qwen3-Coder, Qwen3.5, Nemotron 3, Step 3.5",
       .example = "<tool_call><function=N><parameter=P>v</parameter></function></tool_call>",
       .signs = {{"<tool_call>", "<function="}},
       .openers = {"<tool_call>", "<function="},
       .reader = qwen_calls,
       .form = CallForm{.between = "\n",
                        .open = "<tool_call>\n<function=",
                        .name_end = ">\n",
                        .close = "</function>\n</tool_call>",
                        .key_open = "<parameter=",
                        .key_end = ">\n",
                        .value_end = "\n</parameter>\n",
                        .raw_ends = {"<parameter=", "</parameter>", "</function>", "tool_call>"}}},
      {.format = kErnie,
       .name = "ernie",
       .models = "ERNIE 4.5",
       .example = "as hermes, the text within <response>",
       .signs = {{"<tool_call>", "<response>", "<global_setting>"}},
       .openers = {"<tool_call>", "<function="},
       .reader = hermes_calls,
       .wrappers = {"<response>", "</response>"},
       .text_opens = {"<response>\n"},
       .form = hermes_form()},
      {.format = kHermes,
       .name = "hermes",
       .models = "Qwen2.5, Qwen3, Hermes, SmolLM3, Granite 4, QwQ",
       .example = "<tool_call>{\"name\": \"N\", \"arguments\": {…}}</tool_call>",
       .signs = {{"<tool_call>"}},
       .openers = {"<tool_call>", "<function="},
       .reader = hermes_calls,
       .form = hermes_form()},
      {.format = kLlama3,
       .name = "llama",
       .models = "Llama 3.1 to 4",
       .example = "{\"name\": \"N\", \"parameters\": {…}} or [N(a=1)], the whole message",
       .signs = {{"<|python_tag|>"},
                 {"<|python_start|>"},
                 {"<|start_header_id|>", "\"parameters\""},
                 {"<|header_start|>", "\"parameters\""}},
       .openers = {"<function="},
       .reader = qwen_calls,
       .form = CallForm{.single = true,
                        .open = "{\"name\": \"",
                        .name_end = "\", \"parameters\": ",
                        .close = "}"}},
      {.format = kPlain,
       .name = "plain",
       .models = "all others",
       .example = "none: every answer is text",
       .signs = {{}}},
  };
  return kFormats;
}

const FormatInfo& format_info(AnswerFormat format) {
  return *std::ranges::find(answer_formats(), format, &FormatInfo::format);
}

AnswerFormat answer_format_of(std::string_view source) {
  const auto has = [&](std::string_view word) { return source.find(word) != source.npos; };
  const auto fits = [&](const FormatInfo& info) {
    return std::ranges::any_of(info.signs,
                               [&](const auto& words) { return std::ranges::all_of(words, has); });
  };
  return std::ranges::find_if(answer_formats(), fits)->format;
}

std::string_view thinking_end(AnswerFormat format, std::string_view prompt_end) {
  const std::string_view end = trim(prompt_end);
  for (const auto& [open, close] : format_info(format).thoughts)
    if (end.ends_with(open)) return close;
  return {};
}

AnswerLead answer_lead(AnswerFormat format, std::string_view prompt_end,
                       std::optional<bool> thinks) {
  const FormatInfo& info = format_info(format);
  const bool messages = !info.message_ends.empty();
  AnswerLead lead{.never = info.message_ends};
  if (messages)
    lead.text_opens = {info.text_opens.front()};  // the others are for what stands beside the text
  else
    lead.text_opens = info.text_opens;
  lead.must_open = messages;
  for (const auto& [open, close] : info.thoughts)
    if (!messages) lead.never.push_back(close);
  if (info.calls_end_thinking)
    lead.never.insert(lead.never.end(), info.openers.begin(), info.openers.end());
  const std::string_view end = trim(prompt_end);
  const auto opened = [&](const auto& marks) { return end.ends_with(marks.first); };
  const auto closed = [&](const auto& marks) { return end.ends_with(marks.second); };
  if (const auto at = std::ranges::find_if(info.thoughts, opened); at != info.thoughts.end()) {
    lead.thoughts = {*at};
    lead.opened = true;
  } else if (thinks.value_or(messages) &&
             (messages || std::ranges::none_of(info.thoughts, closed))) {
    lead.thoughts = info.thoughts;
  }
  return lead;
}

std::optional<FreeText> free_text(AnswerFormat format) {
  const FormatInfo& info = format_info(format);
  if (!info.form || info.openers_are_words) return std::nullopt;
  if (!info.message_ends.empty()) {
    FreeText free{.never = info.message_ends, .opens = info.text_opens};
    for (const auto& [open, close] : info.thoughts) free.opens.push_back(open);
    free.end = info.thoughts.front().second;
    return free;
  }
  const std::string first = std::string(info.form->begin) + std::string(info.form->open);
  if (std::ranges::none_of(info.openers, [&](auto opener) { return first.contains(opener); }))
    return std::nullopt;
  return FreeText{.never = info.openers};
}

}  // namespace lathe::infer

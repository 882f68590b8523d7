// What the makers share that let a line be spoken: options, the order of repairs, the speaking.
#pragma once

#include "loop/makers/maker.h"
#include "loop/senses/voice.h"

namespace lathe::loop {

inline constexpr OptionSpec kVoiceOptions[] = {
    {"pronounce", OptionType::kTable, "{}",
     "word = \"phones\" as the CMU dictionary writes them, like Kubernetes = \"k uw b er n eh t iy "
     "z\""},
    {"stretch", OptionType::kNumber, "1", "length of the sounds; above 1 is slower"},
    {"pitch", OptionType::kNumber, "1", "factor on the voice's own pitch"},
    {"hook", OptionType::kStrings, "[]",
     "what a line has to pass before it is spoken, as for `lathe talk`: rules:no_secrets, "
     "command:PROGRAM, judge:FILE.toml"},
    {"hook_time", OptionType::kDuration, "\"30s\"", "for all of the hook's steps together"},
    {"files", OptionType::kStrings, "[]", "files that the hook's steps name"},
    {"voices", OptionType::kTable, "{}",
     "of workers in the ladder, the voice that each is asked for, like narrator = \"alloy\""},
    {"language", OptionType::kString, "\"\"",
     "that a worker's model is told, as it calls it; \"\": it finds out"},
};
// Whether a ladder's entry is a voice of this program; the others are workers that speak.
bool is_own_voice(std::string_view rung);
Status check_voice_options(const Json& options, std::span<const std::string> voices);

// The next way to say it, by the words that went wrong: the dictionary's pronunciation, or of a
// worker another seed; another voice; a comma. The setting is {"voice", "pronounce",
// "comma_before"} and of a worker "seed".
std::optional<Proposal> propose_voice(const ProposeTask& task);

struct SpokenLine {
  Sound sound;
  Json facts;
};
// As task.setting says, once the hook has passed it.
Result<SpokenLine> speak_line(const std::string& written, const MakeTask& task,
                              const MakeContext& context);

}  // namespace lathe::loop

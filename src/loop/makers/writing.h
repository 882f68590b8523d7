// What the makers share that let a model write one whole document: the prompt, cut to size by an
// error and never silently, and the request. Any thread.
#pragma once

#include "loop/makers/maker.h"

namespace lathe::loop {

struct PromptBlock {
  std::string name;  // as an error names it
  std::string text;
};

// All of it, or an error that names what to cut: never a part of it.
Result<std::string> assembled(const std::vector<PromptBlock>& parts, const Json& options);

// A file next to the recipe; an error when it is not UTF-8.
Result<std::string> read_text(const Place& place, const std::string& file);

// Options task or task_file, system (else `system`), references; `more` comes last.
Result<std::string> writing_prefix(const Json& options, const Place& place, std::string_view system,
                                   std::vector<PromptBlock> more = {});
Status check_writing(const Json& options);

// The units' text, the feedback, and at last `format`: what the answer must look like.
Result<Request> writing_request(const MakeTask& task, const MakeContext& context,
                                std::string format);

// The text of a reply that was finished, is UTF-8 and not empty.
Result<std::string> finished_text(const Reply& reply, const Json& options);

}  // namespace lathe::loop

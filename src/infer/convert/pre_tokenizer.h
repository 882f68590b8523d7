// Which of GGUF's pre-tokenizer names a tokenizer.json means. Pure.
#pragma once

#include <string>

#include "infer/convert/json_object.h"

namespace lathe::infer {

// From its pre_tokenizer's steps and the model's ignore_merges. The error quotes the expressions.
Result<std::string> identify_pre_tokenizer(const JsonObject& tokenizer);

}  // namespace lathe::infer

// Which known pre-tokenizer a tokenizer.json describes.
#include "infer/convert/pre_tokenizer.h"

#include <vector>

#include "ground/base/text.h"

namespace lathe::infer {
namespace {

// How the steps that are no expression are written below.
constexpr std::string_view kByteLevel = "ByteLevel with its own expression";
constexpr std::string_view kDigits = "Digits, one by one";

struct Known {
  std::vector<std::string> steps;
  bool ignore_merges;
  std::string_view name;
};

// With the expressions as tokenizers are published with them.
std::vector<Known> known_pre_tokenizers() {
  const std::string contractions = R"((?i:'s|'t|'re|'ve|'m|'ll|'d))";
  const std::string lead = R"([^\r\n\p{L}\p{N}]?)";
  const std::string tail = R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::string marks = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)";
  const std::string paths = R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)";
  const std::string upper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])";
  const std::string lower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
  const std::string words = contractions + "|" + lead + R"(\p{L}+)";
  const std::string small = lead + upper + "*" + lower + "+",
                    large = lead + upper + "+" + lower + "*";
  const std::string llama3 = words + R"(|\p{N}{1,3})" + marks + tail;
  const std::string qwen35 = contractions + "|" + lead + R"([\p{L}\p{M}]+|\p{N})" +
                             R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" + tail;
  return {
      {{llama3}, true, "llama-bpe"},
      {{llama3}, false, "smaug-bpe"},
      {{words + R"(|\p{N})" + marks + tail}, false, "qwen2"},
      {{qwen35}, false, "qwen35"},
      {{small + "|" + large + R"(|\p{N})" + paths + tail}, true, "tekken"},
      {{small + contractions + "?|" + large + contractions + R"(?|\p{N}{1,3})" + paths + tail},
       false,
       "gpt-4o"},
      {{R"(\p{N}{1,3})", "[一-龥\u3040-ゟ゠-ヿ]+",
        R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
        R"(| ?[\p{P}\p{S}]+[\r\n]*)" +
            tail},
       false,
       "deepseek-v3"},
      {{contractions + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+)" + tail},
       false,
       "seed-coder"},
      {{std::string(kByteLevel)}, false, "gpt-2"},
      {{std::string(kDigits), std::string(kByteLevel)}, false, "smollm"},
  };
}

const SortedJson& member(const SortedJson& object, const char* key) {
  static const SortedJson kNull;
  if (!object.is_object()) return kNull;
  const auto it = object.find(key);
  return it == object.end() ? kNull : *it;
}

bool is_true(const SortedJson& value, bool fallback) {
  return value.is_boolean() ? value.get<bool>() : fallback;
}

// "" for a step that does not split.
std::string step_of(const SortedJson& step) {
  const SortedJson& type = member(step, "type");
  if (type == "ByteLevel")
    return is_true(member(step, "use_regex"), true) ? std::string(kByteLevel) : "";
  if (type == "Digits" && is_true(member(step, "individual_digits"), false))
    return std::string(kDigits);
  const SortedJson& regex = member(member(step, "pattern"), "Regex");
  // Some files have newlines in it instead of their names.
  if (type == "Split" && regex.is_string())
    return replace_all(replace_all(regex.get<std::string>(), "\r", "\\r"), "\n", "\\n");
  return type.is_string() ? type.get<std::string>() : "?";
}

}  // namespace

Result<std::string> identify_pre_tokenizer(const JsonObject& tokenizer) {
  const SortedJson& root = tokenizer["pre_tokenizer"];
  const SortedJson& inner = member(root, "pretokenizers");
  std::vector<std::string> steps;
  const auto take = [&steps](const SortedJson& step) {
    if (std::string text = step_of(step); !text.empty()) steps.push_back(std::move(text));
  };
  if (inner.is_array())
    for (const SortedJson& step : inner) take(step);
  else
    take(root);
  const bool ignore_merges = is_true(member(tokenizer["model"], "ignore_merges"), false);
  for (const Known& each : known_pre_tokenizers())
    if (each.ignore_merges == ignore_merges && std::ranges::equal(each.steps, steps))
      return std::string(each.name);
  return invalid("{}: its pre_tokenizer is none that Lathe knows (\"ignore_merges\": {}): {}",
                 tokenizer.place(), ignore_merges, clip_utf8(join(steps, " ; "), 1000));
}

}  // namespace lathe::infer

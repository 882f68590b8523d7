// Marks in texts that stand for pictures and sounds.
#include "serve/pool/media_marks.h"

#include <algorithm>
#include <charconv>
#include <random>

namespace lathe::serve {
namespace {

constexpr std::string_view kEdge = "\xEF\xBF\xBE";  // no character of any text
constexpr std::size_t kMostDigits = 20;

}  // namespace

MediaMarks::MediaMarks() : head_(kEdge) {
  std::random_device random;
  for (int i = 0; i < 4; ++i) head_ += fmt::format("{:08x}", random());
  head_ += 'n';
}

std::string MediaMarks::text_of(const Content& content) {
  if (content.media().empty()) return content.text();
  std::string text;
  for (const ContentPart& part : content.parts()) {
    if (const std::string* words = std::get_if<std::string>(&part))
      text += *words;
    else
      text += fmt::format("{}{}{}", head_, count_++, kEdge);
  }
  return text;
}

std::size_t MediaMarks::bytes() const {
  return count_ * (head_.size() + kMostDigits + kEdge.size());
}

Result<std::vector<MediaMarks::Stretch>> MediaMarks::split(
    const std::vector<infer::PromptPart>& parts) const {
  std::vector<Stretch> stretches(1);
  std::vector<bool> found(count_);
  const auto add_text = [&](std::string_view text, bool trusted) {
    if (!text.empty()) stretches.back().text.push_back({std::string(text), trusted});
  };
  for (const infer::PromptPart& part : parts) {
    std::string_view rest = part.text;
    for (std::size_t at; (at = rest.find(head_)) != rest.npos;) {
      const char* number = rest.data() + at + head_.size();
      std::size_t medium = count_;
      const auto [end, error] = std::from_chars(number, rest.data() + rest.size(), medium);
      const auto behind = static_cast<std::size_t>(end - rest.data());
      if (error != std::errc() || medium >= count_ || !rest.substr(behind).starts_with(kEdge))
        return invalid("the model's chat template cuts the place of a picture or sound apart");
      if (found[medium])
        return invalid("the model's chat template has picture or sound {} twice", medium + 1);
      add_text(rest.substr(0, at), part.trusted);
      stretches.back().medium = medium;
      stretches.emplace_back();
      found[medium] = true;
      rest.remove_prefix(behind + kEdge.size());
    }
    add_text(rest, part.trusted);
  }
  if (const auto lost = std::ranges::find(found, false); lost != found.end())
    return invalid("the model's chat template leaves out picture or sound {} of {}",
                   lost - found.begin() + 1, count_);
  return stretches;
}

}  // namespace lathe::serve

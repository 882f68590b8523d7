// What the readers of calls share: places in a growing text, and calls written as JSON.
#include "infer/answers/answer_calls.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::infer {

std::size_t CallNotes::json_end(std::string_view text, std::size_t begin) {
  const auto indexed = [&] { return gone_ + text.size() == indexed_ + closer_.size(); };
  if (gone_ + begin == begin_ && at_ == begin_ && indexed()) return text.npos;  // as it was
  if (gone_ + begin != begin_) {
    begin_ = gone_ + begin;
    at_ = begin_;
    depth_ = 0;
    string_ = escaped_ = false;
    if (!indexed()) index(text);
    const std::size_t last = begin_ + 1 - indexed_;
    const std::size_t closer = last < closer_.size() ? closer_[last] : text.npos;
    if (closer == text.npos) return text.npos;
    at_ = closer;
    depth_ = 1;
  }
  for (; at_ < gone_ + text.size(); ++at_, ++steps_) {
    const char c = text[at_ - gone_];
    if (string_) {
      if (!escaped_ && c == '"') string_ = false;
      escaped_ = !escaped_ && c == '\\';
      continue;
    }
    if (c == '"') string_ = true;
    if (c == '{' || c == '[') ++depth_;
    if ((c == '}' || c == ']') && --depth_ <= 0) return at_ + 1 - gone_;
  }
  return text.npos;
}

// From the end to the beginning: behind a bracket that opens, what is open goes on after its
// closer.
void CallNotes::index(std::string_view text) {
  indexed_ = gone_;
  closer_.assign(text.size(), text.npos);
  std::size_t within[2] = {text.npos,
                           text.npos};  // in a string, from the next byte and the one after
  const auto outside = [&](std::size_t at) { return at < text.size() ? closer_[at] : text.npos; };
  for (std::size_t at = text.size(); at-- > 0; ++steps_) {
    const char c = text[at];
    const std::size_t next = outside(at + 1);
    if (c == '}' || c == ']')
      closer_[at] = indexed_ + at;
    else if (c == '{' || c == '[')
      closer_[at] = next == text.npos ? next : outside(next - indexed_ + 1);
    else
      closer_[at] = c == '"' ? within[0] : next;
    const std::size_t here = c == '"' ? next : within[c == '\\' ? 1 : 0];
    within[1] = within[0];
    within[0] = here;
  }
}

// Does `marker` stand at `at`? Nothing: what is there may still become it.
std::optional<bool> stands(std::string_view text, std::size_t at, std::string_view marker) {
  const std::string_view rest = text.substr(std::min(at, text.size()));
  if (rest.size() < marker.size() && marker.starts_with(rest)) return std::nullopt;
  return rest.starts_with(marker);
}

std::optional<bool> one_stands(std::string_view text, std::size_t at,
                               std::span<const std::string_view> markers) {
  bool may = false;
  for (const std::string_view marker : markers) {
    if (marker.empty()) continue;
    const auto here = stands(text, at, marker);
    if (here.value_or(false)) return true;
    may |= !here;
  }
  return may ? std::nullopt : std::optional(false);
}

std::size_t CallNotes::find(std::string_view text, std::string_view marker, std::size_t from) {
  const std::size_t place = gone_ + from;
  if (place < clear_from_ || place > clear_to_) clear_from_ = clear_to_ = place;
  const std::size_t at = text.find(marker, clear_to_ - gone_);
  const std::size_t open_end = text.size() - std::min(text.size(), marker.size() - 1);
  clear_to_ = std::max(clear_to_, gone_ + (at == text.npos ? open_end : at));
  return at;
}

// A closing tag is one by what follows it: the text may hold such words too. The tags of a function
// or call, and the next parameter, stand at the beginning of a line where the value's own tag was
// forgotten.
std::optional<CallNotes::ValueEnd> CallNotes::value_end(std::string_view text, std::size_t from,
                                                        const CallTags& tags, bool last) {
  const std::size_t place = gone_ + from;
  if (place < unended_ || place > ended_) unended_ = ended_ = place;
  // What may follow each closing tag that ends a value.
  const std::string_view after_parameter[] = {tags.parameter, tags.function_end, tags.call_end,
                                              tags.call, tags.function};
  const std::string_view after_function[] = {tags.call_end, tags.call, tags.function};
  const std::string_view after_call[] = {tags.call};
  const std::tuple<std::string_view, std::span<const std::string_view>, bool> ends[] = {
      {tags.parameter_end, after_parameter, false},
      {tags.parameter, {}, true},
      {tags.function_end, after_function, true},
      {tags.call_end, after_call, true}};
  for (;; ++ended_) {
    const std::size_t start = ended_ - gone_, at = std::min(text.find('<', start), text.size());
    ended_ = gone_ + at;
    steps_ += at - start + 1;
    if (at == text.size()) return std::nullopt;
    for (const auto& [tag, followers, at_line] : ends) {
      if (tag.empty() || (at_line && text[at - 1] != '\n')) continue;
      const auto here = stands(text, at, tag);
      if (!here && !last) return std::nullopt;
      if (!here.value_or(false)) continue;
      if (followers.empty()) return ValueEnd{at - 1, at, false};
      const std::size_t next = skip_spaces(text, at + tag.size());
      steps_ += next - at;
      const bool over = last && at_line && next == text.size();
      const auto follows = over ? true : one_stands(text, next, followers);
      if (!follows && !last) return std::nullopt;
      if (!follows.value_or(false)) continue;
      return at_line ? ValueEnd{at - 1, at, false} : ValueEnd{at, next, true};
    }
  }
}

std::size_t skip_spaces(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
}

std::size_t marker_start(std::string_view text, const std::vector<std::string_view>& markers) {
  std::size_t longest = 0;
  for (const std::string_view marker : markers)
    for (std::size_t n = std::min(marker.size() - 1, text.size()); n > longest; --n)
      if (text.ends_with(marker.substr(0, n))) longest = n;
  return longest;
}

std::pair<std::size_t, std::size_t> find_marker(std::string_view text,
                                                const std::vector<std::string_view>& markers) {
  for (std::size_t at = 0; at < text.size(); ++at)
    for (std::size_t i = 0; i < markers.size(); ++i)
      if (text[at] == markers[i][0] && text.substr(at).starts_with(markers[i])) return {at, i};
  return {text.npos, 0};
}

std::optional<ToolCall> call_from_json(const Json& json, const OfferedTools* offered) {
  if (!json.is_object()) return std::nullopt;
  if (json_at(json, "function").is_object()) return call_from_json(json["function"], offered);
  const std::string name =
      json_string(json, "name", json_string(json, "function", json_string(json, "tool_name")));
  if (name.empty() || (offered != nullptr && !offered->have(name))) return std::nullopt;
  const Json* arguments = &json_at(json, "arguments");
  if (arguments->is_null()) arguments = &json_at(json, "parameters");
  Json parsed = *arguments;
  if (parsed.is_null() && offered == nullptr) parsed = Json::object();
  if (parsed.is_string()) {  // an object written as a string
    const auto inner = parse_json(parsed.get_ref<const std::string&>());
    if (!inner) return std::nullopt;
    parsed = *inner;
  }
  if (!parsed.is_object()) return std::nullopt;
  return ToolCall{json_string(json, "id"), name, dump_json(parsed)};
}

std::optional<Json> json_or_python(std::string_view text) {
  auto parsed = parse_json(text);
  return parsed ? std::optional(std::move(*parsed)) : parse_python(text);
}

std::optional<ToolCall> call_from_text(std::string_view text, const OfferedTools* offered) {
  const auto parsed = json_or_python(text);
  return parsed ? call_from_json(*parsed, offered) : std::nullopt;
}

std::vector<ToolCall> calls_from_text(std::string_view text, const OfferedTools* offered) {
  const auto parsed = json_or_python(text);
  if (!parsed) return {};
  std::vector<ToolCall> calls;
  for (const Json& each : parsed->is_array() ? *parsed : Json::array({*parsed})) {
    auto call = call_from_json(each, offered);
    if (!call) return {};
    calls.push_back(std::move(*call));
  }
  return calls;
}

CallAttempt no_call() {
  return {CallAttempt::kNoCall, 0, {}};
}
CallAttempt more(bool last) {
  return last ? no_call() : CallAttempt{};
}

}  // namespace lathe::infer

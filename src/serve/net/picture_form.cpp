// The fields of a request for a picture; the answer member by member.
#include "serve/net/picture_form.h"

#include <algorithm>
#include <array>

#include "ground/base/base64.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::serve {
namespace {

// The only model that stable-diffusion.cpp's server lists. It reads a seed from the prompt alone.
constexpr std::string_view kStableDiffusionCpp = "sd-cpp-local";

// Of the codes, types and sentences by which servers refuse.
constexpr std::array<std::string_view, 8> kRefusals{
    "content_policy", "content policy", "moderation",     "safety system",
    "safety filter",  "safety_filter",  "content_filter", "nsfw"};

std::string file_name(std::string_view stem, const std::string& bytes) {
  const std::string_view end = bytes.starts_with("\xff\xd8") ? "jpg"
                               : bytes.starts_with("RIFF")   ? "webp"
                                                             : "png";
  return fmt::format("{}.{}", stem, end);
}

std::string field_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : dump_json(value);
}

}  // namespace

Json picture_fields(const std::string& model, const PictureRequest& asked, bool cloud) {
  Json fields = {{"model", model},
                 {"prompt", make_valid_utf8(asked.prompt)},
                 {"n", 1},
                 {"response_format", "b64_json"}};
  if (asked.width > 0) fields["size"] = fmt::format("{}x{}", asked.width, asked.height);
  if (!asked.seed || cloud) return fields;  // no cloud of this API knows one
  fields["seed"] = *asked.seed;
  if (model == kStableDiffusionCpp)
    fields["prompt"] = fmt::format("<sd_cpp_extra_args>{{\"seed\":{}}}</sd_cpp_extra_args>{}",
                                   *asked.seed, fields["prompt"].get<std::string>());
  return fields;
}

WrittenForm picture_form(const Json& fields, const PictureRequest& asked) {
  std::vector<std::string> texts;
  for (const Json& value : fields) texts.push_back(field_text(value));
  std::vector<FormField> form;
  for (const auto& [name, value] : fields.items()) form.push_back({name, texts[form.size()]});
  form.push_back({"image", asked.picture, file_name("image", asked.picture)});
  if (!asked.mask.empty()) form.push_back({"mask", asked.mask, "mask.png"});
  return write_form(form);
}

std::string shown_picture(const Json& fields, const PictureRequest& asked) {
  Json shown = fields;
  for (const auto& [name, file] : {std::pair{"image", &asked.picture}, {"mask", &asked.mask}})
    if (!file->empty()) shown[name] = {{"bytes", file->size()}, {"sha256", sha256_hex(*file)}};
  return dump_json(shown);
}

Result<PictureAnswer> picture_answer(std::string_view body, std::string_view place) {
  const auto json = parse_json(body);
  if (!json) return at(fmt::format("{}: its answer", place), json.error());
  const Json& data = json_at(*json, "data");
  if (!data.is_array() || data.empty()) return invalid("{}: its answer holds no picture", place);
  PictureAnswer answer;
  const Json& usage = json_at(*json, "usage");
  answer.usage.calls = 1;
  answer.usage.counted = usage.contains("input_tokens") && usage.contains("output_tokens");
  answer.usage.prompt_tokens = json_int(usage, "input_tokens", 0);
  answer.usage.completion_tokens = json_int(usage, "output_tokens", 0);
  const std::string base64 = json_string(data[0], "b64_json");
  answer.url = base64.empty() ? json_string(data[0], "url") : "";
  if (base64.empty() && answer.url.empty())
    return invalid("{}: its answer has neither 'b64_json' nor 'url'", place);
  if (base64.empty()) return answer;
  auto bytes = decode_base64(base64, kMaxPaintedBytes);
  if (!bytes) return at(fmt::format("{}: its picture", place), bytes.error());
  answer.bytes = *std::move(bytes);
  return answer;
}

bool is_content_refusal(const HttpAnswer& answer) {
  if (answer.status < 400 || answer.status >= 500) return false;
  const std::string said = to_lower_ascii(answer.body);
  return std::ranges::any_of(kRefusals, [&](std::string_view word) { return said.contains(word); });
}

}  // namespace lathe::serve

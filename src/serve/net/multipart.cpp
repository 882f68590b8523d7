// Delimiters, part headers, parameters.
#include "serve/net/multipart.h"

#include <algorithm>
#include <map>
#include <optional>

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kForm = "multipart/form-data", kEnd = "\r\n";

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool is_token(char c) {
  return c > ' ' && c < 0x7f && std::string_view("()<>@,;:\\\"/[]?=").find(c) == std::string::npos;
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// "; name=value" again and again, values as they are or in quotes; nullopt: it is no such list, or
// a name comes twice.
std::optional<std::map<std::string, std::string>> parse_parameters(std::string_view text) {
  std::map<std::string, std::string> parameters;
  for (text = without_blanks(text); !text.empty(); text = without_blanks(text)) {
    if (text.front() != ';') return std::nullopt;
    text = without_blanks(text.substr(1));
    std::size_t length = 0;
    while (length < text.size() && is_token(text[length])) ++length;
    std::string name = to_lower_ascii(text.substr(0, length));
    text.remove_prefix(length);
    if (name.empty() || text.empty() || text.front() != '=') return std::nullopt;
    text.remove_prefix(1);
    std::string value;
    if (text.starts_with('"')) {
      std::size_t at = 1;
      for (; at < text.size() && text[at] != '"'; ++at) {
        // Browsers send a file name's backslashes as they are: only a quote is quoted by one.
        if (text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == '"')) ++at;
        value += text[at];
      }
      if (at == text.size()) return std::nullopt;
      text.remove_prefix(at + 1);
    } else {
      std::size_t end = 0;
      while (end < text.size() && is_token(text[end])) ++end;
      value = text.substr(0, end);
      text.remove_prefix(end);
    }
    if (!parameters.emplace(std::move(name), std::move(value)).second) return std::nullopt;
  }
  return parameters;
}

// What stands before the first ';', in lower case, and the rest.
std::pair<std::string, std::string_view> split_value(std::string_view value) {
  const std::size_t end = std::min(value.find(';'), value.size());
  return {to_lower_ascii(without_blanks(value.substr(0, end))), value.substr(end)};
}

// A part's headers, the empty line behind them not included.
Status read_head(std::string_view head, FormPart& part) {
  bool named = false;
  while (!head.empty()) {
    const std::size_t end = std::min(head.find(kEnd), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + kEnd.size(), head.size()));
    const std::size_t colon = line.find(':');
    if (colon == line.npos || colon == 0 || is_blank(line.front()))
      return invalid("a part's header is no 'Name: value'");
    for (const char c : line)
      if (c == '\r' || c == '\n' || c == '\0')
        return invalid("a part's header holds a line end that is no CRLF, or a zero");
    const std::string name = to_lower_ascii(line.substr(0, colon));
    const auto [value, rest] = split_value(line.substr(colon + 1));
    if (name == "content-transfer-encoding" && value != "binary" && value != "8bit" &&
        value != "7bit")
      return invalid("a part's Content-Transfer-Encoding is '{}'; parts are sent as they are",
                     clip_utf8(make_valid_utf8(value), 40));
    if (name == "content-type" && value.starts_with("multipart/"))
      return invalid("a part is a form itself; send each file as a part of its own");
    if (name != "content-disposition") continue;
    const auto parameters = parse_parameters(rest);
    if (named || value != "form-data" || !parameters || !parameters->contains("name"))
      return invalid("a part's Content-Disposition must be once: form-data; name=\"…\"");
    named = true;
    part.name = make_valid_utf8(parameters->at("name"));
    const auto file = parameters->find("filename");
    part.is_file = file != parameters->end() || parameters->contains("filename*");
    if (file != parameters->end()) part.file_name = make_valid_utf8(file->second);
  }
  if (!named) return invalid("a part has no Content-Disposition with a name");
  return {};
}

// Servers of pictures want to be told; of sounds they look at the name.
std::string_view media_type_of(std::string_view file_name) {
  return file_name.ends_with(".png")    ? "image/png"
         : file_name.ends_with(".jpg")  ? "image/jpeg"
         : file_name.ends_with(".webp") ? "image/webp"
                                        : "application/octet-stream";
}

}  // namespace

bool is_form(std::string_view content_type) {
  return split_value(content_type).first == kForm;
}

Result<std::string> form_boundary(std::string_view content_type) {
  const auto [type, rest] = split_value(content_type);
  if (type != kForm) return invalid("the body must be a form: Content-Type: {}", kForm);
  const auto parameters = parse_parameters(rest);
  if (!parameters || !parameters->contains("boundary"))
    return invalid("the Content-Type of a form must name its boundary");
  const std::string& boundary = parameters->at("boundary");
  const bool fine = !boundary.empty() && boundary.size() <= 70 && boundary.back() != ' ' &&
                    boundary.find_first_not_of(
                        "0123456789abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ") == boundary.npos;
  if (!fine)
    return invalid("a form's boundary is 1 to 70 letters, digits and some signs, this one has {}",
                   boundary.size());
  return boundary;
}

Result<std::vector<FormPart>> parse_form(std::string_view boundary, std::string_view body) {
  const std::string delimiter = fmt::format("\r\n--{}", boundary);
  std::vector<FormPart> parts;
  // The first delimiter may stand at the very start; what stands before it means nothing.
  std::size_t at =
      body.starts_with(std::string_view(delimiter).substr(2)) ? delimiter.size() - 2 : body.npos;
  if (at == body.npos) {
    const std::size_t first = body.find(delimiter);
    if (first == body.npos) return invalid("the form has no part: its boundary is nowhere");
    at = first + delimiter.size();
  }
  for (;;) {
    std::string_view rest = body.substr(at);
    const bool last = rest.starts_with("--");
    if (last) rest.remove_prefix(2);
    while (!rest.empty() && is_blank(rest.front())) rest.remove_prefix(1);
    if (last && (rest.empty() || rest.starts_with(kEnd))) return parts;
    if (last || !rest.starts_with(kEnd))
      return invalid("the form is cut off, or a boundary is not at the end of its line");
    if (parts.size() == kMaxFormParts)
      return invalid("the form has more than {} parts", kMaxFormParts);
    rest.remove_prefix(kEnd.size());
    const std::size_t head_end = rest.substr(0, kMaxPartHead + 4).find("\r\n\r\n");
    if (head_end == rest.npos)
      return invalid("the headers of part {} do not end within {} bytes", parts.size() + 1,
                     kMaxPartHead);
    FormPart& part = parts.emplace_back();
    LATHE_TRY_STATUS(read_head(rest.substr(0, head_end), part));
    // The line end before no data at all may be the one that the next delimiter begins with.
    const std::size_t data = head_end + 4;
    const std::size_t end = rest.find(delimiter, data - kEnd.size());
    if (end == rest.npos)
      return invalid("the form is cut off: part {} ('{}') has no end", parts.size(),
                     clip_utf8(part.name, 40));
    part.data = end < data ? std::string_view() : rest.substr(data, end - data);
    at = static_cast<std::size_t>(rest.data() - body.data()) + end + delimiter.size();
  }
}

WrittenForm write_form(std::span<const FormField> fields) {
  // A boundary that is nowhere in what it parts.
  const auto longest =
      std::ranges::max_element(fields, {}, [](const FormField& each) { return each.data.size(); });
  std::string_view hashed = longest == fields.end() ? std::string_view() : longest->data;
  std::string boundary;
  do {
    boundary = "lathe" + sha256_hex(hashed).substr(0, 32);
    hashed = boundary;
  } while (std::ranges::any_of(
      fields, [&](const FormField& each) { return each.data.contains(boundary); }));
  WrittenForm form;
  form.type = "multipart/form-data; boundary=" + boundary;
  for (const FormField& each : fields) {
    form.body +=
        fmt::format("--{}\r\nContent-Disposition: form-data; name=\"{}\"", boundary, each.name);
    if (!each.file_name.empty())
      form.body += fmt::format("; filename=\"{}\"\r\nContent-Type: {}", each.file_name,
                               media_type_of(each.file_name));
    form.body += "\r\n\r\n";
    form.body += each.data;
    form.body += "\r\n";
  }
  form.body += fmt::format("--{}--\r\n", boundary);
  return form;
}

}  // namespace lathe::serve

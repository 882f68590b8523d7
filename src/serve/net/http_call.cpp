// One HTTP call, to no address that was not allowed.
#include "serve/net/http_call.h"

#include <curl/curl.h>
#include <netdb.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/version.h"

namespace lathe::serve {
namespace {

constexpr int kPollMs = 100;  // how soon a raised StopFlag is seen
constexpr std::size_t kMaxHeaderBytes = 64 << 10;
constexpr std::size_t kMaxErrorBody = 64 << 10;

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct State {
  const HttpCall& call;
  HttpAnswer answer = {};
  std::size_t header_bytes = 0;
  std::size_t body_bytes = 0;
  Milliseconds last_byte{0};
  bool ended = false;  // on_stream wanted no more
  bool too_large = false;
  std::string denied = {};  // an address that was not within the allowed reach
  Reach reach = Reach::kLocal;
  Contact contact = {};                          // what all of this call say of themselves
  std::optional<Error> unrecorded = {};          // why a contact may not be
  std::map<std::string, std::string> open = {};  // "address port" → its id in call.contacts
  std::uint64_t sent = 0, received = 0;
  Sha256 sent_bytes = {};
  std::string consent = {};  // who allowed the body to go to a cloud; "": nobody was asked
};

// A contact is written down before it is made.
bool record(State& state, const Contact& contact, const std::string& where) {
  const ContactLog* log = state.call.contacts;
  auto id = log ? state.call.contacts->begin(contact)
                : fail(ErrorKind::kDenied,
                       "{}: is beyond this machine, and there is no record to write that into",
                       state.call.url);
  if (!id) {
    state.unrecorded = std::move(id.error());
    return false;
  }
  state.open[where] = *std::move(id);
  return true;
}

std::string place_of(std::string_view address, long port) {
  return fmt::format("{} {}", address.substr(0, address.find('%')), port);  // less a zone
}

// What went over the wire, as it was before encryption.
int on_traffic(CURL*, curl_infotype type, char* data, std::size_t size, void* user) {
  State& state = *static_cast<State*>(user);
  if (type == CURLINFO_HEADER_OUT || type == CURLINFO_DATA_OUT) {
    state.sent += size;
    state.sent_bytes.add({data, size});
  } else if (type == CURLINFO_HEADER_IN || type == CURLINFO_DATA_IN) {
    state.received += size;
  }
  return 0;
}

// Seconds as a number, or a date.
Milliseconds parse_wait(const std::string& text, double scale) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) {
    if (!std::isfinite(number) || number < 0) return Milliseconds(-1);
    return Milliseconds(std::llround(std::min(number * scale, 1e9)));
  }
  const std::int64_t date = curl_getdate(text.c_str(), nullptr);
  if (date < 0) return Milliseconds(-1);
  return std::max(Milliseconds(date * 1000 - system_clock().unix_ms()), Milliseconds(0));
}

std::size_t on_header(const char* data, std::size_t size, std::size_t count, void* user) {
  State& state = *static_cast<State*>(user);
  const std::string_view line(data, size * count);
  state.header_bytes += line.size();
  state.last_byte = system_clock().monotonic();
  if (state.header_bytes > kMaxHeaderBytes) {
    state.too_large = true;
    return 0;
  }
  if (line.starts_with("HTTP/")) state.answer = {};  // after a 100 Continue comes the real one
  const auto colon = line.find(':');
  if (colon == line.npos) return line.size();
  const std::string name = to_lower_ascii(line.substr(0, colon));
  const std::string value(trim(line.substr(colon + 1)));
  HttpAnswer& answer = state.answer;
  answer.headers.emplace_back(name, value);
  if (name == "content-type") answer.content_type = to_lower_ascii(value);
  if (name == "retry-after-ms") answer.retry_after = parse_wait(value, 1);
  if (name == "retry-after" && answer.retry_after.count() < 0)
    answer.retry_after = parse_wait(value, 1000);
  if (name == "x-should-retry") answer.never_retry = to_lower_ascii(value) == "false";
  return line.size();
}

struct Transfer {
  State& state;
  CURL* easy;
};

std::size_t on_body(const char* data, std::size_t size, std::size_t count, void* user) {
  const Transfer& transfer = *static_cast<Transfer*>(user);
  State& state = transfer.state;
  const std::string_view bytes(data, size * count);
  state.last_byte = system_clock().monotonic();
  long status = 0;
  curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
  const std::string& type = state.answer.content_type;
  const bool stream = status == 200 && state.call.on_stream &&
                      (type.empty() || type.starts_with("text/event-stream"));
  if ((status == 200 || status == 206) && state.call.on_body) {
    state.answer.status = static_cast<int>(status);
    state.answer.streamed = true;
    state.ended = !state.call.on_body(state.answer, bytes);
    return state.ended ? 0 : bytes.size();
  }
  state.body_bytes += bytes.size();
  const std::size_t most = status == 200 ? state.call.max_body : kMaxErrorBody;
  if (state.body_bytes > most) {
    state.too_large = status == 200;
    state.ended = !state.too_large;  // the beginning of an error page is enough
    return 0;
  }
  if (!stream) {
    state.answer.body += bytes;
    return bytes.size();
  }
  state.answer.streamed = true;
  state.ended = !state.call.on_stream(bytes);
  return state.ended ? 0 : bytes.size();
}

curl_socket_t open_socket(void* user, curlsocktype, curl_sockaddr* address) {
  State& state = *static_cast<State*>(user);
  state.reach = reach_of_address(&address->addr);
  if (state.reach > state.call.allowed || state.reach < state.call.nearest) {
    state.denied = reach_name(state.reach);
    return CURL_SOCKET_BAD;
  }
  // A name of the local network that leads beyond it.
  if (state.reach == Reach::kAny && !state.call.body.empty() && state.consent.empty()) {
    state.denied = reach_name(state.reach);
    return CURL_SOCKET_BAD;
  }
  if (state.reach > Reach::kLocal) {
    Contact contact = state.contact;
    contact.reach = state.reach;
    char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";
    ::getnameinfo(&address->addr, address->addrlen, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV);
    contact.address = host;
    contact.port = static_cast<std::uint16_t>(std::atoi(port));
    if (!record(state, contact, place_of(contact.address, contact.port))) return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void set_up(CURL* easy, const HttpCall& call, State& state, Transfer& transfer,
            curl_slist* headers) {
  curl_easy_setopt(easy, CURLOPT_URL, call.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_USERAGENT, fmt::format("lathe/{}", program_version()).c_str());
  // Nothing of the environment decides where this goes.
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &state);
  if (call.allowed > Reach::kLocal) {
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_traffic);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, &state);
  }
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // don't wait for a hanging resolver
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(call.connect_limit.count()));
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &state);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  if (!call.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call.body.data());
  }
  if (!call.method.empty()) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call.method.c_str());
}

Error error_of(CURLcode code, const HttpCall& call) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      return {ErrorKind::kUnavailable,
              fmt::format("nothing answers at {}: start the server or correct the URL", call.url)};
    case CURLE_COULDNT_RESOLVE_HOST:
      return {ErrorKind::kUnavailable,
              fmt::format("the host of {} is not known: correct the URL", call.url)};
    case CURLE_OPERATION_TIMEDOUT:
      return {ErrorKind::kTimeout, fmt::format("{}: no connection within {}", call.url,
                                               format_duration(call.connect_limit))};
    case CURLE_PEER_FAILED_VERIFICATION:
      return {ErrorKind::kDenied,
              fmt::format("{}: its certificate is not valid for this name", call.url)};
    default:
      return {ErrorKind::kUnavailable,
              fmt::format("{}: the exchange broke: {}", call.url, curl_easy_strerror(code))};
  }
}

// Drives the transfer to its end. A failed transfer is the CURLcode, ours is an Error.
Result<CURLcode> drive(CURLM* multi, const State& state, const StopFlag& stop) {
  const HttpCall& call = state.call;
  const Milliseconds start = system_clock().monotonic();
  for (int running = 1;;) {
    if (curl_multi_perform(multi, &running) != CURLM_OK)
      return fail(ErrorKind::kUnavailable, "{}: libcurl failed", call.url);
    if (running == 0) break;
    const Milliseconds now = system_clock().monotonic();
    if (stop.raised()) return fail(ErrorKind::kCancelled, "{}: the call was cancelled", call.url);
    if (now - start >= call.total_limit)
      return fail(ErrorKind::kTimeout, "{}: no full answer within {}", call.url,
                  format_duration(call.total_limit));
    if (now - std::max(start, state.last_byte) >= call.idle_limit)
      return fail(ErrorKind::kTimeout, "{}: silent for {}", call.url,
                  format_duration(call.idle_limit));
    curl_multi_poll(multi, nullptr, 0, kPollMs, nullptr);
  }
  int left = 0;
  const CURLMsg* message = curl_multi_info_read(multi, &left);
  return message ? message->data.result : CURLE_FAILED_INIT;
}

std::string method_of(const HttpCall& call) {
  if (!call.method.empty()) return call.method;
  return call.body.empty() ? "GET" : "POST";
}

// Nothing has left yet: no name was looked up, no socket opened.
Status ask_consent(State& state, const StopFlag& stop) {
  const HttpCall& call = state.call;
  if (call.body.empty()) return {};
  LATHE_TRY(const UrlParts url, parts_of(call.url));
  const bool beyond = call.allowed == Reach::kAny && reach_of_host(url.host) == Reach::kAny;
  if (!call.cloud && !beyond) return {};
  if (!call.consent)
    return fail(ErrorKind::kDenied,
                "{}: is a cloud, and what is sent there is not held to a person's consent here, so "
                "nothing was sent",
                url.origin);
  LATHE_TRY(state.consent, call.consent({.bytes = call.body,
                                         .destination = url.origin + url.path,
                                         .model = call.model,
                                         .prompt_tokens = call.prompt_tokens,
                                         .answer_tokens = call.answer_tokens,
                                         .labels = call.labels},
                                        stop));
  return {};
}

// What the contacts of this call say; a name is looked up, and that is a contact, too.
Status begin_contacts(State& state) {
  const HttpCall& call = state.call;
  if (call.allowed == Reach::kLocal) return {};
  LATHE_TRY(const UrlParts url, parts_of(call.url));
  state.contact = {.host = url.host,
                   .allowed_by = call.allowed_by,
                   .what = fmt::format("{} {}", method_of(call), url.path),
                   .labels = call.labels};
  if (!state.consent.empty()) state.contact.allowed_by += ", " + state.consent;
  state.contact.labels.erase("files");  // many, and known from the consent
  if (is_literal_host(url.host) || reach_of_host(url.host) == Reach::kLocal) return {};
  Contact lookup = state.contact;
  lookup.kind = ContactKind::kLookup;
  lookup.reach = reach_of_host(url.host);
  if (!record(state, lookup, "")) return std::unexpected(*state.unrecorded);
  return {};
}

void end_contacts(State& state, CURL* easy, const std::string& outcome) {
  char* address = nullptr;
  long port = 0;
  curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
  curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
  const std::string used = place_of(address ? address : "", port);
  for (const auto& [where, id] : state.open) {
    ContactEnd end{.outcome = where.empty() ? "asked" : "not connected"};
    // Of several addresses of one name, one was spoken to.
    if (where == used)
      end = {state.sent, state.received, state.sent > 0 ? state.sent_bytes.hex() : "", outcome};
    state.call.contacts->end(id, end);
  }
}

Result<HttpAnswer> exchange(CURL* easy, CURLM* multi, State& state, const StopFlag& stop) {
  const HttpCall& call = state.call;
  const Result<CURLcode> code = drive(multi, state, stop);
  if (!code) return std::unexpected(code.error());
  if (state.too_large)
    return invalid("{}: the answer is larger than {} bytes", call.url, call.max_body);
  if (*code != CURLE_OK && !state.ended) {
    if (state.unrecorded) return std::unexpected(*state.unrecorded);
    if (!state.denied.empty())
      return fail(
          ErrorKind::kDenied,
          "{}: its name leads to an address outside what is allowed ('{}', allowed is '{}'{})",
          call.url, state.denied, reach_name(call.allowed),
          call.nearest == Reach::kLocal
              ? ""
              : fmt::format(", and nothing nearer than '{}'", reach_name(call.nearest)));
    return std::unexpected(error_of(*code, call));
  }
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  state.answer.status = static_cast<int>(status);
  state.answer.reach = state.reach;
  return std::move(state.answer);
}

}  // namespace

std::string HttpAnswer::header(std::string_view name) const {
  for (const auto& [each, value] : headers)
    if (each == name) return value;
  return {};
}

Result<HttpAnswer> http_call(const HttpCall& call, const StopFlag& stop) {
  // A line's end within one would begin another header, of whoever wrote its value.
  for (const std::string& line : call.headers)
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != line.npos)
      return invalid("the header {} holds a line's end", line.substr(0, line.find(':')));
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  State state{.call = call};
  // Destroyed in the reverse order: the easy handle leaves the multi handle first.
  const std::unique_ptr<CURLM, FreeMulti> multi(curl_multi_init());
  const std::unique_ptr<CURL, FreeEasy> easy(curl_easy_init());
  if (initialised != CURLE_OK || !multi || !easy)
    return fail(ErrorKind::kUnavailable, "libcurl can't be set up");
  std::unique_ptr<curl_slist, FreeList> headers;
  const auto add_header = [&](const std::string& line) {
    if (curl_slist* longer = curl_slist_append(headers.get(), line.c_str())) {
      (void)headers.release();
      headers.reset(longer);
    }
  };
  for (const std::string& line : call.headers) add_header(line);
  if (!call.body.empty()) add_header("Content-Type: " + call.body_type);
  add_header("Expect:");  // some servers never answer a 100-continue
  Transfer transfer{state, easy.get()};
  set_up(easy.get(), call, state, transfer, headers.get());
  curl_multi_add_handle(multi.get(), easy.get());
  LATHE_TRY_STATUS(ask_consent(state, stop));
  LATHE_TRY_STATUS(begin_contacts(state));
  auto answer = exchange(easy.get(), multi.get(), state, stop);
  // A URL may hold a secret behind its '?'.
  end_contacts(state, easy.get(),
               answer ? fmt::format("status {}", answer->status)
                      : replace_all(answer.error().message, call.url, state.contact.host));
  curl_multi_remove_handle(multi.get(), easy.get());
  return answer;
}

}  // namespace lathe::serve

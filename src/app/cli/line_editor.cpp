// Feeds libedit with characters of its own reading: so it sees UTF-8 whole, and where a paste
// begins and ends.
#include "app/cli/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstring>
#include <cwchar>
#include <deque>

#include "ground/base/file.h"
#include "ground/base/json.h"
#include "ground/base/text.h"
#include "infer/tokens/unicode.h"

namespace lathe::app {
namespace {

constexpr std::size_t kHistory = 1000;  // messages
constexpr std::size_t kHistoryBytes = 4u << 20;
constexpr int kStopCheck = 200;  // ms between two looks at the stop flag
constexpr int kSamePaste = 10;   // ms within which what comes after Enter was pasted
constexpr wint_t kReplacement = 0xfffd;
constexpr unsigned char kCtrlD = 4;

std::wstring to_wide(std::string_view text) {
  std::wstring wide;
  std::mbstate_t state{};
  const std::string valid = make_valid_utf8(text);
  for (const char *at = valid.data(), *end = at + valid.size(); at < end;) {
    wchar_t c = 0;
    const std::size_t used = std::mbrtowc(&c, at, static_cast<std::size_t>(end - at), &state);
    if (used == 0 || used > 4) break;
    wide += c;
    at += used;
  }
  return wide;
}

std::string to_utf8(std::wstring_view wide) {
  std::string text;
  for (const wchar_t c : wide) infer::append_utf8(text, static_cast<char32_t>(c));
  return text;
}

// A terminal that speaks UTF-8 is the rule even where no locale is set, as in a container.
void choose_locale() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

// How many bytes a sequence has that begins with this one; 0: none begins so.
std::size_t sequence_length(unsigned char lead) {
  return lead < 0x80   ? 1
         : lead < 0xc2 ? 0
         : lead < 0xe0 ? 2
         : lead < 0xf0 ? 3
         : lead < 0xf5 ? 4
                       : 0;
}

}  // namespace

struct LineEditor::Impl {
  const App& app;
  const fs::path history_path;
  EditLine* edit = nullptr;
  HistoryW* history = nullptr;
  std::wstring prompt;
  std::deque<unsigned char> bytes;  // read and not yet given to libedit
  bool pasting = false, interrupted = false, closed = false, newline_pasted = false;

  Impl(const App& owner, fs::path path) : app(owner), history_path(std::move(path)) {}

  // Waits for a byte, at most `limit` ms (-1: for ever). False: none came.
  bool fill(int limit) {
    if (!bytes.empty()) return true;
    for (int waited = 0; limit < 0 || waited <= limit; waited += kStopCheck) {
      if (app.stop->raised()) {
        interrupted = true;
        return false;
      }
      pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
      const int wait = limit < 0 ? kStopCheck : std::min(limit, kStopCheck);
      const int ready = ::poll(&input, 1, wait);
      if (ready < 0 && errno != EINTR) break;
      if (ready <= 0) continue;
      unsigned char buffer[4096];
      const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      bytes.insert(bytes.end(), buffer, buffer + got);
      return true;
    }
    closed = closed || limit < 0;
    return false;
  }

  // The bytes that come next are `sequence`: takes them. An escape sequence comes in one piece, or
  // nearly so.
  bool take(std::string_view sequence) {
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      while (bytes.size() <= i) {
        std::deque<unsigned char> have;
        have.swap(bytes);
        const bool more = fill(kSamePaste);
        bytes.insert(bytes.begin(), have.begin(), have.end());
        if (!more) return false;
      }
      if (bytes[i] != static_cast<unsigned char>(sequence[i])) return false;
    }
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(sequence.size()));
    return true;
  }

  // One character, of UTF-8; what is none becomes U+FFFD.
  wint_t decode(unsigned char lead) {
    const std::size_t length = sequence_length(lead);
    if (length <= 1) return length == 0 ? kReplacement : lead;
    std::string text(1, static_cast<char>(lead));
    while (text.size() < length && fill(kSamePaste) && (bytes.front() & 0xc0) == 0x80) {
      text += static_cast<char>(bytes.front());
      bytes.pop_front();
    }
    const std::wstring wide = to_wide(text);
    return wide.size() == 1 ? static_cast<wint_t>(wide[0]) : kReplacement;
  }

  // What libedit reads: 1 and a character, 0 at the end, -1 when interrupted.
  int next(wchar_t* out) {
    for (;;) {
      if (!fill(-1)) return interrupted ? -1 : 0;
      unsigned char byte = bytes.front();
      bytes.pop_front();
      // A Ctrl-D that was typed while no line was read: the terminal's own end of input, which
      // reads as this once it hands over every key.
      if (byte == '\0') byte = kCtrlD;
      if (byte == 0x1b && take("[200~")) {
        pasting = true;
        continue;
      }
      if (pasting && byte == 0x1b && take("[201~")) {
        pasting = false;
        continue;
      }
      if (byte == '\r' || byte == '\n') {
        if (byte == '\r' && !bytes.empty() && bytes.front() == '\n') bytes.pop_front();
        // A terminal without paste marks sends a paste all at once. A command stands alone.
        newline_pasted = pasting || (fill(kSamePaste) && bytes.front() != '/');
        interrupted = false;
        *out = L'\n';
        return 1;
      }
      if (pasting && byte < 0x20 && byte != '\t') continue;
      *out = static_cast<wchar_t>(decode(byte));
      return 1;
    }
  }

  void load_history() {
    const auto text = read_file(history_path, kHistoryBytes);
    if (!text) return;
    const auto lines = split_lines(*text);
    const std::size_t first = lines.size() > kHistory ? lines.size() - kHistory : 0;
    std::string kept;
    for (std::size_t i = first; i < lines.size(); ++i) {
      const auto message = parse_json(lines[i]);
      if (!message || !message->is_string()) continue;
      enter(message->get<std::string>());
      kept += std::string(lines[i]) + "\n";
    }
    // Now and then what is too old goes.
    if (first > kHistory) (void)write_file_atomic(history_path, kept);
  }

  void enter(const std::string& message) {
    HistEventW event;
    history_w(history, &event, H_ENTER, to_wide(message).c_str());
  }
};

LineEditor::LineEditor(const App& app, fs::path history)
    : impl_(std::make_unique<Impl>(app, std::move(history))) {
  choose_locale();
  Impl& impl = *impl_;
  impl.edit = el_init("lathe", stdin, stdout, stderr);
  impl.history = history_winit();
  HistEventW event;
  history_w(impl.history, &event, H_SETSIZE, static_cast<int>(kHistory));
  history_w(impl.history, &event, H_SETUNIQUE, 1);
  el_wset(impl.edit, EL_CLIENTDATA, &impl);
  el_wset(
      impl.edit, EL_PROMPT, +[](EditLine* edit) -> wchar_t* {
        void* self = nullptr;
        el_wget(edit, EL_CLIENTDATA, &self);
        return static_cast<Impl*>(self)->prompt.data();
      });
  el_wset(
      impl.edit, EL_GETCFN, +[](EditLine* edit, wchar_t* out) -> int {
        void* self = nullptr;
        el_wget(edit, EL_CLIENTDATA, &self);
        return static_cast<Impl*>(self)->next(out);
      });
  el_wset(impl.edit, EL_HIST, history_w, impl.history);
  el_wset(impl.edit, EL_EDITOR, L"emacs");
  el_wset(impl.edit, EL_BIND, L"^I", L"ed-insert", nullptr);
  el_source(impl.edit, nullptr);
  impl.load_history();
}

LineEditor::~LineEditor() {
  el_end(impl_->edit);
  history_wend(impl_->history);
}

TypedLine LineEditor::read(std::string_view prompt) {
  constexpr std::string_view kMarkPastes = "\x1b[?2004h", kNoMarks = "\x1b[?2004l";
  Impl& impl = *impl_;
  impl.prompt = to_wide(prompt);
  impl.interrupted = impl.closed = impl.newline_pasted = false;
  if (impl.app.escapes) print_raw(kMarkPastes);
  el_resize(impl.edit);
  int count = 0;
  const wchar_t* wide = el_wgets(impl.edit, &count);
  if (impl.app.escapes) print_raw(kNoMarks);
  TypedLine line;
  if (impl.interrupted) {
    line.end = clear_interrupt(impl.app) ? TypedLine::End::kInterrupted : TypedLine::End::kClosed;
    impl.bytes.clear();
    impl.pasting = false;
    return line;
  }
  if (wide == nullptr || count <= 0) {
    line.end = TypedLine::End::kClosed;
    return line;
  }
  line.text = to_utf8({wide, static_cast<std::size_t>(count)});
  if (line.text.ends_with('\n')) line.text.pop_back();
  line.pasted = impl.newline_pasted;
  return line;
}

Status LineEditor::remember(const std::string& message) {
  impl_->enter(message);
  LATHE_TRY_STATUS(make_directories(impl_->history_path.parent_path()));
  const std::string line = dump_json(Json(message)) + "\n";
  const int fd =
      ::open(impl_->history_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const bool written =
      fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!written)
    return fail(ErrorKind::kUnavailable, "{}: the history cannot be kept: {}",
                impl_->history_path.string(), std::strerror(error));
  return {};
}

}  // namespace lathe::app

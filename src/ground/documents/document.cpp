// Documents in the sandbox: which program reads what, and what it may take.
#include "ground/documents/document.h"

#include "ground/base/fence.h"
#include "ground/base/text.h"
#include "ground/sys/beneath.h"
#include "ground/sys/sandbox.h"

namespace lathe {
namespace {

constexpr Milliseconds kTime{120'000};  // of one call of a program
constexpr std::uint64_t kMemory = std::uint64_t{2} << 30;
constexpr std::uint64_t kMaxOutput = std::uint64_t{128} << 20;
constexpr std::size_t kMostScanned = 300;  // pages of a document
constexpr const char* kLongSide = "2400";  // pixels of a page that is a picture: A4 at 205 dpi

// Its markup is what chunks are cut by, and nothing that a reader of the document would not see.
constexpr const char* kMarkdown =
    "markdown-raw_html-raw_attribute-native_divs-native_spans-bracketed_spans-fenced_divs"
    "-header_attributes-link_attributes-smart-fenced_code_attributes-inline_code_attributes"
    "-implicit_figures-simple_tables-multiline_tables-grid_tables";

// A directory with the document in it, where programs run.
class Desk {
 public:
  static Result<Desk> make(const std::string& bytes) {
    LATHE_TRY(TempDir directory, TempDir::make("lathe-document"));
    LATHE_TRY_STATUS(write_file_atomic(directory.path() / kInput, bytes));
    return Desk(std::move(directory));
  }

  // Runs the program, and → the file `output` that it wrote.
  Result<std::string> run(std::vector<std::string> argv, const std::string& output,
                          const StopFlag& stop) const {
    const std::string program = argv.front();
    LATHE_TRY_STATUS(find_program(program));
    Command command;
    command.argv = std::move(argv);
    command.max_output = 1 << 16;
    command.time_limit = kTime;
    Sandbox sandbox;
    sandbox.tree = directory_.path();
    sandbox.limits.memory_bytes = kMemory;
    sandbox.limits.file_bytes = kMaxOutput;
    sandbox.limits.processes = 32;
    LATHE_TRY(const SandboxedExit ran, run_sandboxed(sandbox, command, stop));
    if (ran.exit.stopped) return fail(ErrorKind::kCancelled, "stopped");
    if (!ran.contained.empty() || !ran.exit.ok())
      return invalid("{} cannot read it: {}: {}", program,
                     ran.contained.empty() ? ran.exit.describe() : ran.contained,
                     clip_utf8(make_valid_utf8(trim(ran.exit.err)), 300));
    return read_beneath(directory_.path(), output, kMaxOutput);
  }

  static constexpr const char* kInput = "document";

 private:
  explicit Desk(TempDir directory) : directory_(std::move(directory)) {}
  TempDir directory_;
};

// Puts what was read of a picture where its page is.
void put_page(DocumentText& document, std::size_t page, const std::string& words) {
  const std::size_t at = document.pages[page];
  const std::string text = make_valid_utf8(trim(words)) + "\n";
  document.text.insert(at, text);
  for (std::size_t i = page + 1; i < document.pages.size(); ++i) document.pages[i] += text.size();
  for (DocumentText::Line& line : document.lines) {
    if (line.begin >= at) {
      line.begin += text.size();
      line.end += text.size();
    }
  }
}

Result<DocumentText> read_pdf(const std::string& bytes, const ReadPage& read_page,
                              const StopFlag& stop) {
  LATHE_TRY(const Desk desk, Desk::make(bytes));
  LATHE_TRY(const std::string layout,
            desk.run({"pdftotext", "-bbox-layout", "-enc", "UTF-8", Desk::kInput, "layout"},
                     "layout", stop));
  DocumentText document = text_of_layout(layout);
  if (document.pages.empty()) return invalid("pdftotext finds no page in it");
  for (std::size_t page = 0; page < document.pages.size(); ++page) {
    const std::size_t end =
        page + 1 < document.pages.size() ? document.pages[page + 1] : document.text.size();
    if (!trim(std::string_view(document.text)
                  .substr(document.pages[page], end - document.pages[page]))
             .empty())
      continue;
    if (++document.scanned > kMostScanned)
      return invalid("more than {} of its pages are pictures; split it", kMostScanned);
    const std::string number = std::to_string(page + 1);
    LATHE_TRY(const std::string png,
              desk.run({"pdftoppm", "-scale-to", kLongSide, "-png", "-singlefile", "-f", number,
                        "-l", number, Desk::kInput, "page"},
                       "page.png", stop));
    const auto words = read_page(png);
    if (!words) return at("page " + number, words.error());
    put_page(document, page, *words);
  }
  return document;
}

Result<DocumentText> read_by_pandoc(std::string_view kind, const std::string& bytes,
                                    const StopFlag& stop) {
  LATHE_TRY(const Desk desk, Desk::make(bytes));
  LATHE_TRY(const std::string markdown,
            desk.run({"pandoc", "--sandbox", "--wrap=none", "-f", std::string(kind), "-t",
                      kMarkdown, "-o", "text", Desk::kInput},
                     "text", stop));
  return DocumentText{without_escapes(make_valid_utf8(markdown)), true};
}

// --- What pdftotext writes: a tag a line ---

double attribute(std::string_view tag, std::string_view name) {
  const auto found = tag.find(fmt::format(" {}=\"", name));
  if (found == tag.npos) return 0;
  const std::string value(tag.substr(found + name.size() + 3, 20));
  return std::strtod(value.c_str(), nullptr);
}

std::string decoded(std::string_view text) {
  std::string plain(text);
  for (const auto& [entity, character] : {std::pair("&lt;", "<"),
                                          {"&gt;", ">"},
                                          {"&quot;", "\""},
                                          {"&apos;", "'"},
                                          {"&#39;", "'"},
                                          {"&amp;", "&"}})
    plain = replace_all(plain, entity, character);
  return plain;
}

bool is_mark(char c) {
  return std::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~").contains(c);
}

}  // namespace

std::string_view document_kind(std::string_view path) {
  const std::string name = to_lower_ascii(path);
  for (const auto& [end, kind] : {std::pair(".pdf", "pdf"),
                                  {".docx", "docx"},
                                  {".odt", "odt"},
                                  {".html", "html"},
                                  {".htm", "html"}})
    if (name.ends_with(end)) return kind;
  return "";
}

DocumentText text_of_layout(std::string_view html) {
  DocumentText document;
  std::string& text = document.text;
  PageBox box{};
  std::size_t begin = 0;  // of the line
  for (const std::string_view line : split_lines(html)) {
    const std::string_view tag = trim(line);
    if (tag.starts_with("<page ")) {
      document.pages.push_back(text.size());
    } else if (tag.starts_with("<line ")) {
      box = {attribute(tag, "xMin"), attribute(tag, "yMin"), attribute(tag, "xMax"),
             attribute(tag, "yMax")};
      begin = text.size();
    } else if (tag.starts_with("<word ") && !document.pages.empty()) {
      const std::size_t from = tag.find('>') + 1;
      text += (text.size() > begin ? " " : "") +
              decoded(make_valid_utf8(tag.substr(from, tag.rfind("</word>") - from)));
    } else if (tag.starts_with("</line>") && text.size() > begin) {
      document.lines.push_back({begin, text.size(), box});
      text += "\n";
    } else if (tag.starts_with("</block>") && !text.empty()) {
      text += "\n";
    }
  }
  return document;
}

std::string without_escapes(std::string_view markdown) {
  std::string plain;
  std::string_view fence;
  for (const std::string_view line : split_lines(markdown)) {
    const bool inside = !fence.empty();
    const bool indented = line.starts_with("    ");  // code, too
    if (inside && closes_fence(line, fence))
      fence = {};
    else if (!inside)
      fence = fence_of(line);
    for (std::size_t i = 0; i < line.size(); ++i) {
      const bool escapes =
          !inside && !indented && line[i] == '\\' && i + 1 < line.size() && is_mark(line[i + 1]);
      if (escapes) ++i;
      plain += line[i];
    }
    plain += '\n';
  }
  return replace_all(plain, "\n&nbsp;\n", "\n");
}

Result<DocumentText> read_document(std::string_view kind, const std::string& bytes,
                                   const ReadPage& read_page, const StopFlag& stop) {
  return kind == "pdf" ? read_pdf(bytes, read_page, stop) : read_by_pandoc(kind, bytes, stop);
}

}  // namespace lathe

// Files that people have, read as text: texts as they are, PDF, DOCX, ODT and HTML by programs in
// the sandbox, pages that are pictures by the eye, in the languages that they are said to be in.
#pragma once

#include "app/cli/app.h"
#include "books/index/documents.h"
#include "loop/senses/media_pool.h"
#include "work/content.h"

namespace lathe::app {

inline constexpr const char* kLanguages = "eng";  // of scanned pages, where nobody says it

class PeoplesReader : public books::TextReader {
 public:
  // `languages`: of scanned pages, as the eye takes them: "deu+eng". An error names the package of
  // one that is missing.
  static Result<PeoplesReader> make(const App& app, std::string languages);

  std::string way(std::string_view path) const override;
  Result<DocumentText> read(std::string_view path, const std::string& bytes,
                            const StopFlag& stop) const override;

 private:
  PeoplesReader(std::shared_ptr<loop::MediaPool> media, std::string languages)
      : media_(std::move(media)), languages_(std::move(languages)) {}

  std::shared_ptr<loop::MediaPool> media_;
  std::string languages_;
};

// --languages of commands that read documents.
void add_languages_flag(CLI::App& command, std::string& languages);

// A film as a model is shown it: its name and length, and pictures of it, each behind its time in
// seconds. Of its sound nothing.
Result<Content> shown_film(const App& app, std::string_view name, const std::string& bytes,
                           const StopFlag& stop);

// As a model reads it: its name, and its text in a fence that is longer than any in it, with a line
// before each page that says which it is.
std::string quoted_document(std::string_view name, const DocumentText& document);

}  // namespace lathe::app

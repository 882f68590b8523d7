// Documents of requests as models read them, and what is kept of them.
#include "serve/reading/document_desk.h"

#include <algorithm>
#include <utility>

namespace lathe::serve {
namespace {

constexpr std::size_t kMostWaiting = 64, kMostKept = 64, kMostKeptBytes = std::size_t{64} << 20;

std::size_t bytes_of(const Content& content) {
  std::size_t bytes = content.text().size();
  for (const Media* media : content.media()) bytes += media->bytes->size();
  return bytes;
}

}  // namespace

DocumentDesk::DocumentDesk(ReadDocument read)
    : read_(std::move(read)), thread_([this] { run(); }) {}

DocumentDesk::~DocumentDesk() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  woken_.notify_all();
  thread_.join();
}

void DocumentDesk::read(std::vector<Document> documents, std::shared_ptr<const StopFlag> stop,
                        OnRead done) {
  {
    const std::lock_guard lock(mutex_);
    if (!closing_ && jobs_.size() < kMostWaiting) {
      jobs_.push_back({std::move(documents), std::move(stop), std::move(done)});
      return woken_.notify_all();
    }
  }
  done(std::unexpected(Error{
      ErrorKind::kUnavailable,
      fmt::format("the documents of {} requests wait to be read; try again later", kMostWaiting),
      "queue_full"}));
}

void DocumentDesk::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    woken_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    const bool closing = closing_;
    lock.unlock();
    job.done(closing ? std::unexpected(Error{ErrorKind::kUnavailable, "the server is shutting down",
                                             "shutting_down"})
                     : contents_of(job));
    lock.lock();
  }
}

Result<std::vector<Content>> DocumentDesk::contents_of(const Job& job) {
  std::vector<Content> contents;
  for (const Document& document : job.documents) {
    if (job.stop->raised()) return fail(ErrorKind::kCancelled, "nobody waits for it any more");
    auto read = content_of(document, *job.stop);
    if (!read)
      return std::unexpected(
          Error{read.error().kind,
                fmt::format("the document {}: {}", document.name, read.error().message),
                read.error().kind == ErrorKind::kInvalid ? "unsupported_messages" : ""});
    contents.push_back(*std::move(read));
  }
  return contents;
}

Result<Content> DocumentDesk::content_of(const Document& document, const StopFlag& stop) {
  const std::string key = document.sha256 + " " + document.kind + " " + document.name;
  const auto known = std::ranges::find(kept_, key, &Kept::key);
  if (known != kept_.end()) {
    std::rotate(known, known + 1, kept_.end());
    return kept_.back().content;
  }
  LATHE_TRY(Content content, read_(document, stop));
  kept_.push_back({key, content});
  std::size_t bytes = 0;
  for (const Kept& each : kept_) bytes += bytes_of(each.content);
  while (kept_.size() > kMostKept || (kept_.size() > 1 && bytes > kMostKeptBytes)) {
    bytes -= bytes_of(kept_.front().content);
    kept_.pop_front();
  }
  return content;
}

}  // namespace lathe::serve

// What was in contact with other machines, as the socket layer saw it: a line of JSON when a
// contact begins, durable before its first byte leaves, and one when it ends. http_call() and
// HttpServer write it; without a log they reach nobody beyond loopback. Any thread; any number of
// processes may write to one file, and a reader sees whole lines.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "work/work.h"

namespace lathe::serve {

enum class ContactKind {
  kLookup,  // a name is asked of the system's resolver
  kOut,     // a connection of ours
  kIn       // one that came to our server
};
std::string_view contact_kind_name(ContactKind kind);  // "lookup" | "out" | "in"

struct Contact {
  ContactKind kind = ContactKind::kOut;
  std::string address = {};  // as the socket has it; of a lookup: ""
  std::uint16_t port = 0;
  std::string host;  // the name or address that was asked for
  Reach reach = Reach::kAny;
  std::string allowed_by = {};                     // in the words of who allowed it: "--allow lan"
  std::string what = {};                           // "POST /v1/chat/completions"
  std::map<std::string, std::string> labels = {};  // of the request: "run", "call", "purpose"
};

struct ContactEnd {
  std::uint64_t sent = 0, received = 0;  // bytes, before encryption
  std::string sha256 = {};               // of what was sent; "": nothing was
  std::string outcome = {};              // "status 200", "refused", …
};

struct ContactRow : Contact {
  std::string id;
  std::int64_t begun_ms = 0;  // UTC
  std::optional<std::int64_t> ended_ms = {};
  std::optional<ContactEnd> end = {};  // nullopt: it goes on, or its process died
};

struct ContactRows {
  std::vector<ContactRow> rows;     // in the order in which they began
  std::vector<std::size_t> broken;  // numbers of lines that cannot be read, from 1
};

class ContactLog {
 public:
  // Nothing is opened before something is written. `problem` is told what begin() fails with.
  explicit ContactLog(fs::path file, std::function<void(const std::string&)> problem = {})
      : file_(std::move(file)), problem_(std::move(problem)) {}
  ~ContactLog();
  ContactLog(const ContactLog&) = delete;
  ContactLog& operator=(const ContactLog&) = delete;

  // → its id. Durable when it returns. An error: there may be no contact.
  Result<std::string> begin(const Contact& contact);
  // What cannot be written (a full disk) leaves a contact without an end.
  void end(const std::string& id, const ContactEnd& end);

  // No file: no rows.
  static Result<ContactRows> read(const fs::path& file);

 private:
  Status append(const Json& line);

  const fs::path file_;
  const std::function<void(const std::string&)> problem_;
  std::mutex mutex_;  // guards what follows
  int descriptor_ = -1;
  std::uint64_t count_ = 0;
};

}  // namespace lathe::serve

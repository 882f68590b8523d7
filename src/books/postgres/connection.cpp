// libpq: connections, statements, and what is said when the database refuses.
#include "books/postgres/connection.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <map>

#include "books/postgres/open_postgres.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

// SQLSTATEs, and what a person can do about each.
struct PgRemedy {
  std::string_view state;  // or its beginning
  ErrorKind kind;
  std::string_view text;
};
constexpr PgRemedy kPgRemedies[] = {
    {"LT001", ErrorKind::kDenied, ""},
    {"LT002", ErrorKind::kInvalid, ""},
    {"53100", ErrorKind::kUnavailable,
     "; free some space on the database's machine, then go on: nothing recorded so far is lost"},
    {"25006", ErrorKind::kUnavailable,
     "; the database can only be read: give the address of the one that can be written"},
    {"28", ErrorKind::kDenied, "; check the user, the password or the certificate of its address"},
    {"3D000", ErrorKind::kNotFound, "; make it first, with `createdb`"},
    {"3F000", ErrorKind::kInvalid, "; run `lathe fleet init --db ADDRESS` for it once"},
    {"42P01", ErrorKind::kInvalid, "; run `lathe fleet init --db ADDRESS` for it once"},
    {"42883", ErrorKind::kInvalid, "; run `lathe fleet init --db ADDRESS` for it once"},
    {"42501", ErrorKind::kDenied,
     "; this user may not: use one that belongs to the role lathe_desk"},
    {"57P", ErrorKind::kUnavailable,
     "; when the database is back, go on: nothing recorded is lost"},
};

constexpr Milliseconds kPgSlice{100};  // how soon a stop is seen

constexpr std::string_view kGone =
    "; start the database or check its address, then go on: nothing recorded so far is lost";

constexpr std::string_view kFull =
    "; raise its max_connections, or let less run at once: nothing recorded so far is lost";

// Whether a login was refused. While libpq connects for the first time it gives no codes, only the
// server's words; after that the codes stand among them. What is wrong with a certificate, of
// either side, waiting does not mend.
bool login_was_refused(std::string_view said) {
  for (const std::string_view sign :
       {" 28000: ", " 28P01: ", "is not permitted to log in", "password authentication failed",
        "no pg_hba.conf entry", "certificate", "unknown ca"})
    if (said.contains(sign)) return true;
  return false;
}

// What libpq will go by, its environment and all: what the address says goes over that.
std::map<std::string, std::string> settings_of(const std::string& address) {
  std::map<std::string, std::string> settings;
  for (PQconninfoOption* const options :
       {PQconndefaults(), PQconninfoParse(address.c_str(), nullptr)}) {
    for (const PQconninfoOption* option = options; option && option->keyword; ++option)
      if (option->val) settings[option->keyword] = option->val;
    PQconninfoFree(options);
  }
  return settings;
}

// To another machine nothing goes before it has proved who it is: by a certificate in its name, or,
// as nodes do that have no authority to ask, by what it keeps of their password (SCRAM).
Status check_proof(const std::string& address) {
  auto settings = settings_of(address);
  const std::string& mode = settings["sslmode"];
  const bool tls = mode == "require" || mode.starts_with("verify-");
  if (mode == "verify-full" || (tls && settings["channel_binding"] == "require")) return {};
  for (const std::string& given : {settings["host"], settings["hostaddr"]})
    for (const std::string& host : split(given, ','))
      if (!is_this_machine(host))
        return fail(ErrorKind::kDenied,
                    "{}: {} is another machine, and nothing of its address makes it prove who it "
                    "is; add ?sslmode=verify-full&sslrootcert=FILE, the certificate of who signed "
                    "the server's, or, with a password, "
                    "?sslmode=require&channel_binding=require",
                    postgres_place(address), host);
  return {};
}

std::string first_line(std::string_view text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  return clip_utf8(make_valid_utf8(line), 300);
}

}  // namespace

bool is_this_machine(std::string_view host) {
  return host.empty() || host.starts_with('/') || host.starts_with('@') || host == "localhost" ||
         host.starts_with("127.") || host == "::1";
}

PgValue::PgValue(std::string_view text) {
  std::string fine = make_valid_utf8(text);
  for (std::size_t zero; (zero = fine.find('\0')) != std::string::npos;)
    fine.replace(zero, 1, "\xEF\xBF\xBD");
  text_ = std::move(fine);
}

PgValue::PgValue(std::optional<double> number) {
  if (number) text_ = fmt::format("{}", *number);
}

PgValue PgValue::bytes(std::string_view bytes) {
  PgValue value;
  value.text_ = "";
  value.bytes_ = bytes;
  value.binary_ = true;
  return value;
}

std::string_view PgRows::Row::bytes(int column) const {
  return {PQgetvalue(result_, row_, column),
          static_cast<std::size_t>(PQgetlength(result_, row_, column))};
}

std::int64_t PgRows::Row::integer(int column) const {
  return std::strtoll(PQgetvalue(result_, row_, column), nullptr, 10);
}

std::optional<double> PgRows::Row::real(int column) const {
  if (PQgetisnull(result_, row_, column)) return std::nullopt;
  double value = 0;
  const std::string written = text(column);
  std::from_chars(written.data(), written.data() + written.size(), value);
  return value;
}

std::int64_t PgRows::changed() const {
  return std::strtoll(PQcmdTuples(result_.get()), nullptr, 10);
}

Result<std::shared_ptr<PgConnection>> PgConnection::open(const std::string& address,
                                                         std::string greeting) {
  LATHE_TRY_STATUS(check_proof(address));
  // What the address says goes over what stands before it.
  const std::array keywords{"connect_timeout",
                            "application_name",
                            "client_encoding",
                            "keepalives_idle",
                            "keepalives_interval",
                            "keepalives_count",
                            "dbname",
                            static_cast<const char*>(nullptr)};
  const std::array values{"10", "lathe", "UTF8",          "10",
                          "5",  "3",     address.c_str(), static_cast<const char*>(nullptr)};
  PGconn* const made = PQconnectdbParams(keywords.data(), values.data(), 1);
  std::shared_ptr<PgConnection> connection(
      new PgConnection(postgres_place(address), std::move(greeting), made));
  if (!connection->lives()) return connection->not_connected("be reached");
  PQsetErrorVerbosity(made, PQERRORS_VERBOSE);
  LATHE_TRY_STATUS(connection->greet());
  return connection;
}

PgConnection::~PgConnection() {
  PQfinish(connection_);
}

Status PgConnection::greet() {
  PQsetNoticeProcessor(
      connection_, [](void*, const char*) {}, nullptr);
  if (greeting_.empty()) return {};
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_, greeting_.c_str()),
                                                             PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return {};
  return error("be used", result.get());
}

Status PgConnection::be_ready(std::string_view what) {
  if (lives()) return {};
  if (holds_ > 0)
    return fail(ErrorKind::kUnavailable,
                "{}: cannot {}: the connection was lost, and what this process held there with it; "
                "when the database is back, `lathe resume` goes on: nothing recorded is lost",
                place_, what);
  PQreset(connection_);
  if (!lives()) return not_connected(what);
  return greet();
}

std::unexpected<Error> PgConnection::not_connected(std::string_view what) const {
  const std::string said = first_line(PQerrorMessage(connection_));
  if (login_was_refused(said))
    return fail(ErrorKind::kDenied,
                "{}: cannot {}: {}; its administrator says who may log in from where "
                "(pg_hba.conf) and with what, and a node that was forgotten needs a new invitation",
                place_, what, said);
  const bool full = said.contains("connection slots") || said.contains("too many clients");
  return fail(ErrorKind::kUnavailable, "{}: cannot {}: {}{}", place_, what, said,
              full ? kFull : kGone);
}

Result<PgRows> PgConnection::run(std::string_view what, const std::string& sql,
                                 std::span<const PgValue> values, bool binary) {
  LATHE_TRY_STATUS(be_ready(what));
  std::vector<const char*> data;
  std::vector<int> sizes, formats;
  for (const PgValue& value : values) {
    data.push_back(value.data());
    sizes.push_back(static_cast<int>(value.size()));
    formats.push_back(value.binary());
  }
  const auto count = static_cast<int>(values.size());
  return answered(
      what,
      [&] {
        return PQexecParams(connection_, sql.c_str(), count, nullptr, data.data(), sizes.data(),
                            formats.data(), binary);
      },
      [&] {
        return PQsendQueryParams(connection_, sql.c_str(), count, nullptr, data.data(),
                                 sizes.data(), formats.data(), binary);
      });
}

Result<PgRows> PgConnection::answered(std::string_view what,
                                      const std::function<PGresult*()>& at_once,
                                      const std::function<int()>& send) {
  if (patience_) {
    PQsetnonblocking(connection_, 1);
    const Status done = send() ? watch(what) : error(what, nullptr);
    PQsetnonblocking(connection_, 0);
    LATHE_TRY_STATUS(done);
  }
  PgRows rows(patience_ ? last_result() : at_once());
  const ExecStatusType status = rows.status();
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) return error(what, rows.raw());
  return rows;
}

// As PQexec() has it: of several statements the last, or that which failed.
PGresult* PgConnection::last_result() {
  PGresult* last = nullptr;
  while (PGresult* const next = PQgetResult(connection_)) {
    if (last && PQresultStatus(last) == PGRES_FATAL_ERROR) {
      PQclear(next);
      continue;
    }
    PQclear(last);
    last = next;
  }
  return last;
}

// What goes out counts as it is acknowledged: the socket may take much at once and then nothing for
// long.
Status PgConnection::watch(std::string_view what) {
  Milliseconds moved = system_clock().monotonic();
  int unsent = 0;
  for (;;) {
    const int more = PQflush(connection_);
    if (more < 0) return error(what, nullptr);
    if (more == 0 && !PQisBusy(connection_)) return {};
    pollfd ready{PQsocket(connection_), static_cast<short>(more ? POLLIN | POLLOUT : POLLIN), 0};
    const int seen = ::poll(&ready, 1, static_cast<int>(kPgSlice.count()));
    if (seen > 0 && (ready.revents & ~POLLOUT) && !PQconsumeInput(connection_))
      return error(what, nullptr);
    int left = 0;
    ::ioctl(ready.fd, SIOCOUTQ, &left);
    const Milliseconds now = system_clock().monotonic();
    if (seen > 0 || left < unsent) moved = now;
    unsent = left;
    if (stop_ && stop_->raised()) {
      hang_up();
      return fail(ErrorKind::kCancelled, "{}: cannot {}: it was stopped", place_, what);
    }
    if (now - moved >= *patience_) {
      hang_up();
      return fail(ErrorKind::kUnavailable,
                  "{}: cannot {}: nothing came or went for {}, so it was given up; look after the "
                  "network between here and there: nothing recorded so far is lost",
                  place_, what, format_duration(*patience_));
    }
  }
}

// libpq learns of it by what it reads.
void PgConnection::hang_up() {
  ::shutdown(PQsocket(connection_), SHUT_RDWR);
  while (lives() && PQconsumeInput(connection_)) {
  }
}

Status PgConnection::execute(std::string_view what, const std::string& sql) {
  LATHE_TRY_STATUS(be_ready(what));
  LATHE_TRY_STATUS(answered(
      what, [&] { return PQexec(connection_, sql.c_str()); },
      [&] { return PQsendQuery(connection_, sql.c_str()); }));
  return {};
}

Result<std::string> PgConnection::scram_verifier(const std::string& user,
                                                 const std::string& password) {
  LATHE_TRY_STATUS(be_ready("make a password"));
  const std::unique_ptr<char, decltype(&PQfreemem)> made(
      PQencryptPasswordConn(connection_, password.c_str(), user.c_str(), "scram-sha-256"),
      PQfreemem);
  if (made) return std::string(made.get());
  return fail(ErrorKind::kUnavailable, "{}: cannot make a password: {}", place_,
              first_line(PQerrorMessage(connection_)));
}

Status PgConnection::listen(const std::string& channel) {
  const std::string word = fmt::format("; LISTEN {};", channel);
  if (greeting_.contains(word)) return {};
  LATHE_TRY_STATUS(execute("wait for news", "LISTEN " + channel));
  greeting_ += word;
  return {};
}

Result<bool> PgConnection::wait(Milliseconds patience, std::string_view channel) {
  LATHE_TRY_STATUS(be_ready("wait for news"));
  const auto told = [&] {
    bool any = false;
    while (PGnotify* const note = PQnotifies(connection_)) {
      any = any || note->relname == channel;
      PQfreemem(note);
    }
    return any;
  };
  if (told()) return true;
  pollfd ready{PQsocket(connection_), POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(patience.count())) <= 0) return false;
  PQconsumeInput(connection_);
  return told();
}

std::unexpected<Error> PgConnection::error(std::string_view what, const PGresult* result) const {
  const char* const state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* const primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const std::string said = first_line(primary ? primary : PQerrorMessage(connection_));
  Error error;
  error.kind = ErrorKind::kUnavailable;
  std::string_view text = kGone;
  if (lives() && state) {
    error.code = state;
    const auto remedy = std::ranges::find_if(
        kPgRemedies, [&](const PgRemedy& each) { return error.code.starts_with(each.state); });
    text = remedy == std::end(kPgRemedies) ? "" : remedy->text;
    if (remedy != std::end(kPgRemedies)) error.kind = remedy->kind;
  }
  error.message = fmt::format("{}: cannot {}: {}{}", place_, what, said, text);
  return std::unexpected(std::move(error));
}

Result<PgTransaction> PgTransaction::begin(PgConnection& connection, std::string_view what) {
  LATHE_TRY_STATUS(connection.execute(what, "BEGIN"));
  connection.begin_hold();
  return PgTransaction(&connection);
}

PgTransaction::~PgTransaction() {
  if (!connection_) return;
  connection_->end_hold();
  if (connection_->lives()) (void)connection_->execute("take a change back", "ROLLBACK");
}

Status PgTransaction::commit(std::string_view what) {
  PgConnection* const connection = std::exchange(connection_, nullptr);
  const Status done = connection->execute(what, "COMMIT");
  connection->end_hold();
  return done;
}

}  // namespace lathe::books

// A connection to PostgreSQL, over libpq. One thread. What was lost is made again with the next
// call, unless something depends on it: a transaction, or a right that the database gave it.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"
#include "ground/base/stop.h"
#include "ground/base/units.h"

namespace lathe::books {

// What stands for $1, $2 … in a statement.
class PgValue {
 public:
  // What PostgreSQL cannot hold, zeros and what is no UTF-8, becomes U+FFFD.
  PgValue(std::string_view text);
  PgValue(const std::string& text) : PgValue(std::string_view(text)) {}
  PgValue(const char* text) : PgValue(std::string_view(text)) {}
  PgValue(std::int64_t number) : text_(std::to_string(number)) {}
  PgValue(std::optional<double> number);
  // As they are; they must outlive it.
  static PgValue bytes(std::string_view bytes);

  const char* data() const {
    return !bytes_.empty() ? bytes_.data() : text_ ? text_->c_str() : nullptr;
  }
  std::size_t size() const { return binary_ ? bytes_.size() : text_ ? text_->size() : 0; }
  bool binary() const { return binary_; }

 private:
  PgValue() = default;
  std::optional<std::string> text_;
  std::string_view bytes_;
  bool binary_ = false;
};

// The rows that a statement gave; their columns by number.
class PgRows {
 public:
  explicit PgRows(PGresult* result) : result_(result, PQclear) {}
  class Row {
   public:
    std::string text(int column) const { return std::string(bytes(column)); }
    std::string_view bytes(int column) const;  // for as long as there are the rows
    std::int64_t integer(int column) const;
    std::optional<double> real(int column) const;

   private:
    friend class PgRows;
    Row(const PGresult* result, int row) : result_(result), row_(row) {}
    const PGresult* result_;
    int row_;
  };
  int size() const { return PQntuples(result_.get()); }
  bool empty() const { return size() == 0; }
  Row operator[](int row) const { return {result_.get(), row}; }
  std::int64_t changed() const;  // rows, by the statement
  ExecStatusType status() const { return PQresultStatus(result_.get()); }
  const PGresult* raw() const { return result_.get(); }

 private:
  std::shared_ptr<PGresult> result_;
};

// A socket, or a name or address of loopback.
bool is_this_machine(std::string_view host);

class PgConnection {
 public:
  // `greeting`: what is said whenever a connection was made. Refused: another machine that need not
  // prove who it is.
  static Result<std::shared_ptr<PgConnection>> open(const std::string& address,
                                                    std::string greeting = "");
  ~PgConnection();
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  const std::string& place() const { return place_; }
  // One statement. `what` it is for, as in "cannot WHAT"; `binary`: its columns come as they are.
  Result<PgRows> run(std::string_view what, const std::string& sql,
                     std::span<const PgValue> values = {}, bool binary = false);
  Result<PgRows> run(std::string_view what, const std::string& sql,
                     std::initializer_list<PgValue> values, bool binary = false) {
    return run(what, sql, std::span(values.begin(), values.size()), binary);
  }
  // From now on run() and execute() give up a statement of which nothing has come or gone for so
  // long (kUnavailable), and every one once `stop`, which outlives it, is raised (kCancelled).
  // However slow it is, one that goes on is waited for.
  void be_patient(Milliseconds patience, const StopFlag* stop = nullptr) {
    patience_ = patience;
    stop_ = stop;
  }
  // Several statements, all or nothing but what cannot stand in a transaction.
  Status execute(std::string_view what, const std::string& sql);
  // What stands for a password of `user`: the database can check it, and nobody can log in with it.
  Result<std::string> scram_verifier(const std::string& user, const std::string& password);
  // From now on, whenever the connection is made again too.
  Status listen(const std::string& channel);
  // Until something comes in that is listened to; false: nothing of `channel` has in `patience`.
  Result<bool> wait(Milliseconds patience, std::string_view channel);

  // Rights of this connection's session are held: it is not made again behind their back.
  void begin_hold() { ++holds_; }
  void end_hold() { --holds_; }
  bool lives() const { return PQstatus(connection_) == CONNECTION_OK; }

 private:
  PgConnection(std::string place, std::string greeting, PGconn* connection)
      : place_(std::move(place)), greeting_(std::move(greeting)), connection_(connection) {}
  Status greet();
  Status be_ready(std::string_view what);
  // What comes of a statement that is sent in one of the two ways.
  Result<PgRows> answered(std::string_view what, const std::function<PGresult*()>& at_once,
                          const std::function<int()>& send);
  Status watch(std::string_view what);  // until there is an answer
  PGresult* last_result();
  void hang_up();
  std::unexpected<Error> not_connected(std::string_view what) const;
  // Its code is the SQLSTATE.
  std::unexpected<Error> error(std::string_view what, const PGresult* result) const;

  std::string place_, greeting_;
  PGconn* connection_;
  int holds_ = 0;
  std::optional<Milliseconds> patience_;
  const StopFlag* stop_ = nullptr;
};

// All that is done while it lives, or nothing: what is not committed is taken back.
class PgTransaction {
 public:
  static Result<PgTransaction> begin(PgConnection& connection, std::string_view what);
  PgTransaction(PgTransaction&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  PgTransaction& operator=(PgTransaction&&) = delete;
  ~PgTransaction();
  Status commit(std::string_view what);

 private:
  explicit PgTransaction(PgConnection* connection) : connection_(connection) {}
  PgConnection* connection_;
};

}  // namespace lathe::books

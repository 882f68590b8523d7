// A PostgreSQL server of a test's own, in a directory that goes with it: no cluster of the system
// is used or needed. It listens on a socket in that directory alone, unless it is told otherwise,
// and ends with its process.
#pragma once

#include <sys/types.h>

#include <string>

#include "ground/base/file.h"

namespace lathe::testing {

class PostgresServer {
 public:
  // Starts one, made anew: seconds. Ends the test where it cannot.
  // `durable`: what is committed is on the disk, as in a server of people.
  explicit PostgresServer(bool durable = false);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // The address of a database that is there, of the server's owner or of `user`.
  std::string address(const std::string& database = "postgres",
                      const std::string& user = "lathe") const;
  // The socket in the file system that it listens on.
  std::string socket() const { return (directory_ / ".s.PGSQL.5432").string(); }
  // A database of this name, empty: made where it is missing, and where it is there, once nobody
  // else is connected to it, what `clear` says is done to it.
  std::string clear_database(const std::string& name, const std::string& clear);
  void kill();   // as `kill -9` does
  void start();  // again, over what is there

  // Begins anew, and listens on 127.0.0.1 too, as a database that is far away: there it takes TLS
  // alone, and only whoever shows a certificate of its authority for the user `laptop`.
  struct Far {
    std::string address;              // without a word on TLS; user and database are named
    fs::path root, certificate, key;  // of whom to believe, and to be believed
    fs::path foreign_certificate, foreign_key;  // of an authority that nobody knows
  };
  Far go_far(const std::string& database);

 private:
  fs::path directory_;
  bool durable_;
  int port_ = 0;  // on loopback; 0: it does not listen there
  pid_t pid_ = -1;
};

}  // namespace lathe::testing

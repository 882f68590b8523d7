// What PostgreSQL holds for Lathe: a schema of tables and functions, with the number of its format,
// and two roles. A node has no right to any table: it calls functions.
#pragma once

#include <string>

#include "ground/base/result.h"

namespace lathe::books {

inline constexpr int kPostgresFormat = 2;
// Who may do anything in the schema, and who may only take and give back work.
inline constexpr const char* kDeskRole = "lathe_desk";
inline constexpr const char* kNodeRole = "lathe_node";

struct PostgresInit {
  std::string place;   // without a password
  std::string server;  // "15.18"
  bool fresh = false;  // it was made now
  int before = 0;      // the format that it had; 0: there was none
};

// Makes the schema and the roles where they are missing, and brings an older format to this one,
// all or nothing. Its user must be allowed to make roles. Errors: a newer format, a schema of
// somebody else.
Result<PostgresInit> init_postgres(const std::string& address);

// Said by each connection when it begins; fails where the schema is missing or of another format.
std::string postgres_greeting();

}  // namespace lathe::books

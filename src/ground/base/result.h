// Result<T>: how input from outside (files, network, recipes, flags) may fail. The message names
// the thing, the place and the remedy, because it is shown to a person as it is. A broken invariant
// of our own is a LATHE_CHECK instead.
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <utility>

namespace lathe {

enum class ErrorKind {
  kInvalid,      // the input is wrong: nothing but a change of it helps
  kNotFound,     // the named thing does not exist
  kUnavailable,  // may work later or elsewhere: a missing program, a refused connection, a full
                 // disk
  kDenied,       // not allowed: privacy, sandbox, permissions
  kTimeout,
  kCancelled,
};

struct Error {
  ErrorKind kind = ErrorKind::kInvalid;
  std::string message;
  // For programs, where one acts on it: "context_length_exceeded", "queue_full" …; else empty.
  std::string code = {};
};

template <class T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

template <class... Args>
std::unexpected<Error> fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{kind, fmt::format(format, std::forward<Args>(args)...)});
}

template <class... Args>
std::unexpected<Error> invalid(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorKind::kInvalid, format, std::forward<Args>(args)...);
}

// Prepends where it happened: "recipes/a.toml:3: …".
inline std::unexpected<Error> at(std::string_view place, Error error) {
  error.message = fmt::format("{}: {}", place, error.message);
  return std::unexpected(std::move(error));
}

[[noreturn]] void check_failed(const char* file, int line, const char* what);

}  // namespace lathe

#define LATHE_CONCAT_(a, b) a##b
#define LATHE_CONCAT(a, b) LATHE_CONCAT_(a, b)

// LATHE_TRY(auto value, call()); or LATHE_TRY_STATUS(call()); returns the error to the caller.
#define LATHE_TRY_(tmp, declaration, expression)            \
  auto tmp = (expression);                                  \
  if (!tmp) return std::unexpected(std::move(tmp).error()); \
  declaration = std::move(*tmp)
#define LATHE_TRY(declaration, ...) \
  LATHE_TRY_(LATHE_CONCAT(lathe_try_, __LINE__), declaration, (__VA_ARGS__))
#define LATHE_TRY_STATUS(...)                                  \
  do {                                                         \
    if (auto lathe_status = (__VA_ARGS__); !lathe_status)      \
      return std::unexpected(std::move(lathe_status).error()); \
  } while (false)

// An invariant of our own. No input may reach a failing one.
#define LATHE_CHECK(condition) \
  (static_cast<bool>(condition) ? void() : ::lathe::check_failed(__FILE__, __LINE__, #condition))

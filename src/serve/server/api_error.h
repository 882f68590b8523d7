// What a client is told when its request fails, in the words of the API it speaks.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "serve/net/http_server.h"

namespace lathe::serve {

enum class Dialect { kOpenAi, kAnthropic, kOllama };

// By the path alone: /v1/messages…, /api/…, everything else.
Dialect dialect_of(std::string_view path);

struct ApiError {
  int status = 400;
  std::string message;
  std::string param = {};  // the field that is wrong
  std::string code = {};   // for programs
  int retry_after = 0;     // seconds; 0: nothing is said

  bool operator==(const ApiError&) const = default;
};

template <class T>
using ApiResult = std::expected<T, ApiError>;

inline std::unexpected<ApiError> refuse(std::string message, std::string param = {}) {
  return std::unexpected(ApiError{400, std::move(message), std::move(param)});
}

// `path`: whose field names `param` may say.
ApiError api_error(const Error& error, std::string_view path = {});

Json error_json(Dialect dialect, const ApiError& error);
// Tells clients not to try again what would fail again.
HttpReply error_reply(Dialect dialect, const ApiError& error);

}  // namespace lathe::serve

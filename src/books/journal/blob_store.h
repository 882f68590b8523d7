// Where blobs are kept: bytes under their SHA-256, in hexadecimal. A store is this interface and
// keeps to the cases of tests/books/stores_test.cpp; the Journal sees to names and hashes.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe::books {

struct Sweep {
  std::int64_t kept = 0;
  std::int64_t removed = 0;
  std::uint64_t freed_bytes = 0;
};

class BlobStore {
 public:
  using Named = std::function<Result<std::set<std::string>>()>;

  virtual ~BlobStore() = default;
  // Any thread may call these three. put: durable when it returns; nothing is done where it is
  // there already. get and size: kNotFound where it is not there.
  virtual Status put(std::string_view sha256, std::string_view bytes) = 0;
  virtual Result<std::string> get(std::string_view sha256) const = 0;
  virtual Result<std::uint64_t> size(std::string_view sha256) const = 0;
  // Removes one, whoever names it. Nothing happens where it is not there.
  virtual Status remove(std::string_view sha256) = 0;
  // Removes what is not named. `named` is asked once no other object can store anything: a blob
  // comes before the record that names it. Refused (kUnavailable) while another object, of any
  // process, stands before this place.
  virtual Result<Sweep> sweep(const Named& named) = 0;
};

}  // namespace lathe::books

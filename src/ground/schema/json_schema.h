// JSON Schema 2020-12, whole but for: references that leave the schema, "$id" below the root,
// "$vocabulary", and the keywords that 2020-12 dropped. Those are refused by name when the schema
// is compiled, because a keyword that is silently ignored would let anything pass. A misspelt
// keyword is refused too; other unknown ones are annotations, as the standard says. Patterns are
// ECMA ones as PCRE2 reads them. Immutable; may be used from several threads.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "ground/schema/regex.h"

namespace lathe {

struct SchemaError {
  std::string instance;  // JSON pointer into the instance; "" is the whole
  std::string keyword;   // the one that failed: "required", "type", …
  std::string message;   // "must be at least 3, but is 2"
  // Checks that could not be made because of it: those of a value that is missing or of another
  // type.
  std::size_t unchecked = 0;
};

class JsonSchema {
 public:
  // `assert_formats`: "format" is checked, not just noted; formats we don't know are then refused.
  static Result<JsonSchema> compile(Json schema, bool assert_formats = false);

  // Nothing wrong: an empty list. An Error: the check would take more work than its limits allow,
  // so nothing is known about the instance.
  Result<std::vector<SchemaError>> validate(const Json& instance) const;
  // How many checks the schema holds, each member and each item counted once.
  std::size_t checks() const;

  // What compile() found out, for the evaluation.
  struct Compiled {
    Json root;
    bool assert_formats = false;
    std::map<const Json*, std::string> places;   // every subschema → its JSON pointer
    std::map<std::string, const Json*> anchors;  // both kinds
    std::map<std::string, const Json*, std::less<>> references;  // text of a "$ref" → its target
    std::map<std::string, Regex, std::less<>> patterns;
  };

 private:
  explicit JsonSchema(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace lathe

// The schemas of one document as expressions of a grammar that others write to, too. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "infer/constraints/json_grammar.h"

namespace lathe::infer::grammar {

class SchemaExpressions {
 public:
  // `root`: what references are looked up in. It, `builder` and `json` must outlive this.
  static std::unique_ptr<SchemaExpressions> make(const Json& root, bool strict,
                                                 GrammarBuilder& builder, JsonGrammar& json);
  virtual ~SchemaExpressions() = default;
  // A part of the document, as JSON.
  virtual Result<ExprId> value(const Json& node, const std::string& place) = 0;
  // What the schema of a text says of its characters; nothing: it says nothing.
  virtual Result<std::optional<Regular>> texts(const Json& node, const std::string& place) = 0;
  // The schema that stands behind references; null: behind none, or more is said beside one.
  virtual const Json* resolve(const Json& node) const = 0;
  // "#/a: 'not' …" (grammar.h).
  virtual const std::vector<std::string>& unkept() const = 0;
};

}  // namespace lathe::infer::grammar

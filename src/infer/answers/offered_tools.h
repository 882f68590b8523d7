// The tools that were offered with a request: whether a name is one of them, and what a value that
// stands raw in an answer means for a parameter's schema. Internal to this room. Immutable.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "infer/answers/answer_parser.h"

namespace lathe::infer {

class OfferedTools {
 public:
  explicit OfferedTools(std::span<const OfferedTool> tools);

  bool empty() const { return parameters_.empty(); }
  bool have(std::string_view name) const { return parameters_.contains(name); }
  // Also where nothing is known of the tool's parameters.
  bool may_take(std::string_view tool, std::string_view parameter) const;
  // Of what the schema allows, first the listed values, then what is no text, then the text as it
  // stands. What fits nothing is JSON if it can be read so, else text: nothing is bent to fit.
  Json value(std::string_view tool, std::string_view parameter, std::string_view text) const;

 private:
  std::map<std::string, Json, std::less<>> parameters_;
};

// A literal of Python or JSON: True, None and single quotes are understood; nullopt: it is none.
std::optional<Json> parse_python(std::string_view text);
// "[f(a=1), g(b='x')]", or one of them without brackets; nullopt: not only calls with named
// arguments.
std::optional<std::vector<ToolCall>> python_calls(std::string_view text);

}  // namespace lathe::infer

// The values a chat template computes with, as Python has them, and text that remembers which of
// its bytes came from the caller. Values are small and copied freely; what they point at lives in a
// ValueHeap and goes with it (templates can build cycles). One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"

namespace lathe::infer {

class MarkedText {
 public:
  struct Run {
    std::size_t end;  // in bytes; runs follow one another
    bool user;        // came from the caller
  };

  MarkedText() = default;
  MarkedText(std::string text, bool user) : text_(std::move(text)) {
    if (!text_.empty()) runs_.push_back({text_.size(), user});
  }

  const std::string& text() const { return text_; }
  const std::vector<Run>& runs() const { return runs_; }
  std::size_t size() const { return text_.size(); }
  bool has_user_text() const;

  void append(std::string_view text, bool user);
  void append(const MarkedText& other);
  MarkedText substr(std::size_t from, std::size_t bytes = std::string::npos) const;
  // Calls visit(bytes, user) for each run.
  template <class Visit>
  void for_runs(const Visit& visit) const {
    std::size_t from = 0;
    for (const Run& run : runs_) {
      visit(std::string_view(text_).substr(from, run.end - from), run.user);
      from = run.end;
    }
  }

 private:
  std::string text_;
  std::vector<Run> runs_;
};

struct Value;
using ValueList = std::vector<Value>;
class ValueDict;
struct ValueMethod;
struct ValueLoop;
struct ValueMacro;
class TemplateMachine;
struct Arguments;
using GlobalFunction = Result<struct Value> (*)(TemplateMachine& machine,
                                                const Arguments& arguments);

enum class ValueKind : std::uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInteger,
  kReal,
  kText,
  kList,
  kTuple,
  kDict,
  kNamespace,  // a dict whose members can be set
  kLoop,
  kMethod,
  kMacro,
  kGlobal
};

struct Value {
  ValueKind kind = ValueKind::kUndefined;
  union {
    bool boolean;
    std::int64_t integer = 0;
    double real;
    const MarkedText* text;
    ValueList* list;
    ValueDict* dict;
    const ValueMethod* method;
    const ValueLoop* loop;
    const ValueMacro* macro;
    GlobalFunction global;
  };

  Value() = default;
  static Value none() { return of(ValueKind::kNone); }
  static Value of(bool value) {
    Value out = of(ValueKind::kBool);
    out.boolean = value;
    return out;
  }
  static Value of(std::int64_t value) {
    Value out = of(ValueKind::kInteger);
    out.integer = value;
    return out;
  }
  static Value of(double value) {
    Value out = of(ValueKind::kReal);
    out.real = value;
    return out;
  }
  static Value of(GlobalFunction function) {
    Value out = of(ValueKind::kGlobal);
    out.global = function;
    return out;
  }
  static Value of(ValueKind kind) {
    Value out;
    out.kind = kind;
    return out;
  }

  bool is(ValueKind wanted) const { return kind == wanted; }
  bool is_undefined() const { return kind == ValueKind::kUndefined; }
  bool is_text() const { return kind == ValueKind::kText; }
  bool is_sequence() const { return kind == ValueKind::kList || kind == ValueKind::kTuple; }
  bool is_mapping() const { return kind == ValueKind::kDict || kind == ValueKind::kNamespace; }
  bool is_whole() const { return kind == ValueKind::kInteger || kind == ValueKind::kBool; }
  bool is_number() const { return is_whole() || kind == ValueKind::kReal; }
  bool is_callable() const {
    return kind == ValueKind::kMethod || kind == ValueKind::kMacro || kind == ValueKind::kGlobal;
  }
  std::int64_t whole() const { return kind == ValueKind::kBool ? (boolean ? 1 : 0) : integer; }
  double number() const { return kind == ValueKind::kReal ? real : static_cast<double>(whole()); }
  std::string_view view() const { return text->text(); }
};

// Keys keep their order. Numbers that are equal are one key, as in Python.
class ValueDict {
 public:
  using Item = std::pair<Value, Value>;
  const std::vector<Item>& items() const { return items_; }
  std::size_t size() const { return items_.size(); }
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(const Value& key, const Value& value);
  std::optional<Value> remove(const Value& key);  // takes time with the size
  static bool may_be_key(const Value& key);       // text, numbers, booleans, none

 private:
  std::vector<Item> items_;
  std::unordered_map<std::string, std::size_t> index_;
};

struct ValueMethod {
  Value self;
  std::string_view name;  // of the table of methods
};

struct ValueLoop {
  const ValueList* items;
  std::size_t index = 0;
};

// Owns what values point at.
class ValueHeap {
 public:
  Value text(MarkedText text) {
    Value out = Value::of(ValueKind::kText);
    out.text = &texts_.emplace_back(std::move(text));
    return out;
  }
  Value text(std::string_view text, bool user = false) {
    return this->text(MarkedText(std::string(text), user));
  }
  Value list(ValueList list, ValueKind kind = ValueKind::kList) {
    Value out = Value::of(kind);
    out.list = &lists_.emplace_back(std::move(list));
    return out;
  }
  Value dict(ValueKind kind = ValueKind::kDict) {
    Value out = Value::of(kind);
    out.dict = &dicts_.emplace_back();
    return out;
  }
  Value method(const Value& self, std::string_view name) {
    Value out = Value::of(ValueKind::kMethod);
    out.method = &methods_.emplace_back(ValueMethod{self, name});
    return out;
  }
  // JSON as values; its strings are marked as the caller's, or not.
  Value json(const Json& json, bool user);

 private:
  std::deque<MarkedText> texts_;
  std::deque<ValueList> lists_;
  std::deque<ValueDict> dicts_;
  std::deque<ValueMethod> methods_;
};

inline constexpr int kMaxValueDepth = 64;  // of printing and comparing: templates can build cycles

bool truth(const Value& value);
// Errors of these name no place: the caller's machine does.
Result<bool> values_equal(const Value& a, const Value& b, int depth = 0);
Result<int> compare_values(const Value& a, const Value& b, int depth = 0);  // <0, 0, >0
std::string_view type_name(const Value& value);                             // Python's

std::string real_text(double value);  // as Python's repr
// A text may come from few values: they are not copied. Where these pass `most`, the code of the
// error is "too_long".
inline constexpr std::size_t kMostTextBytes = std::size_t{64} << 20;
// str(): what {{ value }} prints.
Status append_text(MarkedText& out, const Value& value, std::size_t most = kMostTextBytes);
Status append_repr(MarkedText& out, const Value& value, std::size_t most = kMostTextBytes,
                   int depth = 0);

struct JsonStyle {
  std::optional<std::string> indent;  // what one level adds; none: one line
  std::string item_separator = ", ", key_separator = ": ";
  bool ascii = false, sort_keys = false;
  std::size_t most = kMostTextBytes;
};
Status append_json(std::string& out, const Value& value, const JsonStyle& style, bool& user,
                   int depth = 0);

// Python counts characters, not bytes. An offset past the end is the end.
std::size_t character_count(std::string_view text);
std::size_t byte_offset(std::string_view text, std::size_t characters);
bool is_python_space(char32_t code);

}  // namespace lathe::infer

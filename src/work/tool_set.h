// Tools that a model may call, whoever answers: built in, or of another program. And what a person
// says of such a program: which of its tools, who is asked before a call, how far it may reach.
#pragma once

#include <memory>

#include "work/work.h"

namespace lathe {

struct ToolAnswer {
  std::string text;  // all of it
  bool ok = true;    // false: the text says what was wrong
};

// One thread at a time.
class ToolSet {
 public:
  virtual ~ToolSet() = default;
  virtual std::vector<Tool> tools() const = 0;
  // Of one of those: it changes nothing, so that it may be called again.
  virtual bool reads_only(const std::string& tool) const = 0;
  // `call` names one of them. An error ends the work: nobody answers any more, or it was stopped.
  virtual Result<ToolAnswer> call(const FunctionCall& call, const StopFlag& stop) = 0;
};

// The error's code where another program's tools are others than they were.
inline constexpr std::string_view kToolsChanged = "tools_changed";

// Tools of other programs. Their definitions are what was agreed to: who keeps them can tell that
// they have changed.
class ForeignTools : public ToolSet {
 public:
  // By the server's name: the canonical JSON of all its definitions. Its SHA-256 is their hash.
  virtual std::map<std::string, std::string> definitions() const = 0;
  // That they are those. An error with the code kToolsChanged names what is different.
  virtual Status unchanged(const std::map<std::string, std::string>& definitions) const = 0;
  // call(), but `about_to` is done first, when nothing refuses the call any more; its error is the
  // call's, which then is not made.
  virtual Result<ToolAnswer> make_call(const FunctionCall& call,
                                       const std::function<Status()>& about_to,
                                       const StopFlag& stop) = 0;
  Result<ToolAnswer> call(const FunctionCall& call, const StopFlag& stop) override {
    return make_call(
        call, [] { return Status(); }, stop);
  }
};

// What a model gets to read of an answer: at most 64 KiB, with a word before it where it failed.
std::string answer_for_prompt(const ToolAnswer& answer);

// The same call again tells nothing new where nothing has changed; a third time it is the end.
class Repeats {
 public:
  // One more of it. False: that is one too many.
  bool take(const FunctionCall& call) { return ++times_[key_of(call)] <= kMost; }
  // It has changed something: the others may have new answers.
  void clear_others(const FunctionCall& call);
  static std::string key_of(const FunctionCall& call);  // the same for the same tool and arguments

 private:
  static constexpr int kMost = 2;
  std::map<std::string, int> times_;
};

// Before which calls a person is asked: each, the first of a tool, none.
enum class AskWhen { kAlways, kFirst, kNever };
std::string_view ask_when_name(AskWhen when);  // "always" | "first" | "never"
std::optional<AskWhen> parse_ask_when(std::string_view name);

// Somebody with tools: a program that is started here, or a server at a URL.
struct ToolServer {
  std::string name;
  std::vector<std::string> command = {};
  std::string url = {};  // in place of a command
  // Where the token is that a server at a URL wants: a variable, or a file of its owner's alone.
  std::string token_env = {}, token_file = {};
  std::vector<std::string> allow;  // its tools, by its own names; empty: all
  AskWhen ask = AskWhen::kFirst;
  // Of a program: local: it has no network; any: it has one. Of a URL: how far its address may be.
  Reach privacy = Reach::kLocal;
  std::string root = {};                    // a directory that it may read, and begins in; "": none
  std::vector<std::string> read_only = {};  // others that it may read
  std::map<std::string, std::string> env = {};
  Milliseconds call_time{60'000};  // of one call
};
// Errors name the field: a name that is none, neither a command nor a URL, what goes with the other
// one, a reach that cannot be held.
Status check_tool_server(const ToolServer& server);

// What a server's tool is called before models: no other server has such a one, nor has this
// program. Errors: too long for a name, or not of letters, digits, '_' and '-'.
Result<std::string> foreign_tool_name(const std::string& server, const std::string& tool);

}  // namespace lathe

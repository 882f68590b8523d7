// Sources of Mini-Python from anywhere, run on a few arguments, and answers of a model: all of it
// ends with a value or an error that has a name.
#include <cstdlib>

#include "ground/base/text.h"
#include "loop/mini/task.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe;
  if (size > 5000) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  loop::MiniTask task;
  task.parameters = {"a", "s", "n"};
  task.tests = {{"[3,-1,2],'Ab 4',3", "0"}, {"[],'',0", "[]"}};
  for (const std::string& source : {std::string(text), loop::mini_source(task, text)}) {
    const auto program = loop::MiniProgram::parse(source);
    if (!program) {
      if (program.error().code != "SyntaxError") std::abort();
      continue;
    }
    for (const loop::MiniTest& test : task.tests) {
      auto arguments = *loop::parse_mini_literals(test.arguments);
      arguments.resize(program->parameters());
      const auto value = program->call(arguments, {.steps = 5000, .memory = 5000});
      if (!value && (value.error().code.empty() || !value.error().message.starts_with("line ")))
        std::abort();
      if (value && mini_repr(*value).size() > 100'000) std::abort();
    }
  }
  static_cast<void>(loop::parse_mini_literals(text));
  const std::string old = " t=0\n for x in a:\n  t+=x\n return t\n";
  if (const auto body = loop::apply_mini_answer(old, text)) {
    static_cast<void>(
        loop::mini_prompt(task, *body, loop::run_mini_tests(task, *body, task.tests)));
    // Lines of a body are indented and end with a line feed alone; between such bodies an answer
    // always leads.
    const auto lines = split_lines(*body);
    const bool indented = std::ranges::all_of(
        lines, [](std::string_view line) { return line.starts_with(' ') && !trim(line).empty(); });
    if (indented && !body->contains('\r') && *body != old &&
        *loop::apply_mini_answer(old, *loop::mini_answer(old, *body)) != *body)
      std::abort();
  }
  return 0;
}

// Programs for tests/mini_oracle_test.py: `lathe_mini_driver COUNT SEED` writes one line of JSON
// for each program in Mini-Python, {"source", "name", "calls": [[arguments, result]]}; a result is
// a repr(), or "!" and the name of the error. Half of the programs are the generator's own, right
// and broken; the others are drawn from the grammar, most of them nonsense.
#include <iostream>

#include "app/starter/tasks.h"
#include "ground/base/text.h"

namespace {

using namespace lathe;

// Random programs over the names a (list), s (text), n (integer) and locals.
class Writer {
 public:
  explicit Writer(app::Random& random) : random_(random) {}

  std::string program() {
    std::string out = "def f(a,s,n):\n";
    const int lines = random_.between(1, 4);
    for (int i = 0; i < lines; ++i) out += statement(1, 2);
    return out + " return " + expression(2) + "\n";
  }

 private:
  std::string name() {
    constexpr std::string_view kNames[] = {"a", "s", "n", "t", "r", "x"};
    return std::string(random_.pick(kNames));
  }
  std::string literal() {
    constexpr std::string_view kLiterals[] = {
        "0",    "1",    "2",  "-1",    "7",   "10",   "''",    "'a'",       "'Ab3'",
        "True", "None", "[]", "[1,2]", "' '", "'-4'", "False", "['b','a']", "'aa'"};
    return std::string(random_.pick(kLiterals));
  }
  std::string expression(int depth) {
    if (depth == 0 || random_.chance(15)) return random_.chance(60) ? name() : literal();
    const auto part = [&] { return expression(depth - 1); };
    switch (random_.below(12)) {
      case 0:
      case 1: {
        constexpr std::string_view kSigns[] = {"+", "-", "*", "//", "%"};
        return fmt::format("({}{}{})", part(), random_.pick(kSigns), part());
      }
      case 2: {
        constexpr std::string_view kSigns[] = {
            "==", "!=", "<", "<=", ">", ">=", " in ", " not in "};
        return fmt::format("({}{}{})", part(), random_.pick(kSigns), part());
      }
      case 3:
        return fmt::format("({} {} {})", part(), random_.chance(50) ? "and" : "or", part());
      case 4:
        return fmt::format("(not {})", part());
      case 5:
        return fmt::format("(-{})", part());
      case 6:
        return fmt::format("{}[{}]", name(), part());
      case 7: {
        const auto bound = [&] { return random_.chance(40) ? std::string() : part(); };
        const std::string head = fmt::format("{}[{}:{}", name(), bound(), bound());
        return random_.chance(50) ? head + "]" : head + fmt::format(":{}]", bound());
      }
      case 8:
        return fmt::format("({} if {} else {})", part(), part(), part());
      case 9: {
        constexpr std::string_view kCalls[] = {"abs", "bool", "chr", "int",    "len", "list",
                                               "max", "min",  "ord", "sorted", "str", "sum"};
        const std::string_view call = random_.pick(kCalls);
        if ((call == "max" || call == "min") && random_.chance(50))
          return fmt::format("{}({},{})", call, part(), part());
        if (call == "list" && random_.chance(50))
          return random_.chance(50) ? fmt::format("list(range({}))", part())
                                    : fmt::format("list(range({},{},{}))", part(), part(), part());
        return fmt::format("{}({})", call, part());
      }
      default: {
        constexpr std::string_view kNone[] = {"isalpha", "isdigit", "islower", "isupper",
                                              "lower",   "upper",   "pop"};
        constexpr std::string_view kOne[] = {"append", "count", "endswith", "find",
                                             "index",  "join",  "pop",      "startswith"};
        const std::string on = random_.chance(50) ? name() : literal();
        const std::string of = on.starts_with('-') || (on[0] >= '0' && on[0] <= '9') ? "s" : on;
        if (random_.chance(10)) return fmt::format("{}.replace({},{})", of, part(), part());
        if (random_.chance(50)) return fmt::format("{}.{}()", of, random_.pick(kNone));
        return fmt::format("{}.{}({})", of, random_.pick(kOne), part());
      }
    }
  }
  std::string statement(int indent, int depth) {
    const std::string space(static_cast<std::size_t>(indent), ' ');
    const auto body = [&] {
      std::string out = statement(indent + 1, depth - 1);
      if (random_.chance(40)) out += statement(indent + 1, depth - 1);
      return out;
    };
    switch (random_.below(depth > 0 ? 10 : 6)) {
      case 0:
      case 1:
        return fmt::format("{}{}={}\n", space, name(), expression(2));
      case 2: {
        constexpr std::string_view kSigns[] = {"+=", "-=", "*=", "//=", "%="};
        return fmt::format("{}{}{}{}\n", space, name(), random_.pick(kSigns), expression(1));
      }
      case 3:
        return random_.chance(50)
                   ? fmt::format("{}{}[{}]={}\n", space, name(), expression(1), expression(1))
                   : fmt::format("{}{}[{}]+={}\n", space, name(), expression(1), expression(1));
      case 4:
        return fmt::format("{}{}.append({})\n", space, name(), expression(1));
      case 5:
        return fmt::format("{}{}\n", space,
                           random_.chance(80) ? "pass" : "return " + expression(1));
      case 6: {
        std::string out = fmt::format("{}if {}:\n{}", space, expression(2), body());
        if (random_.chance(30)) out += fmt::format("{}elif {}:\n{}", space, expression(1), body());
        if (random_.chance(40)) out += fmt::format("{}else:\n{}", space, body());
        return out;
      }
      case 7:
        return fmt::format("{}for x in {}:\n{}", space, expression(1),
                           random_.chance(20) ? body() + space + " break\n" : body());
      case 8:
        return fmt::format("{}for x in range({}):\n{}", space, random_.between(0, 4), body());
      default:
        return fmt::format("{0}while n>0:\n{0} n-=1\n{1}", space,
                           random_.chance(20) ? body() + space + " continue\n" : body());
    }
  }

  app::Random& random_;
};

void emit(const std::string& source, std::span<const std::string> arguments) {
  const auto program = loop::MiniProgram::parse(source);
  Json line = {
      {"source", source}, {"name", program ? program->name() : ""}, {"calls", Json::array()}};
  if (!program) line["refused"] = program.error().message;
  for (const std::string& given : arguments) {
    if (!program) break;
    const auto values = loop::parse_mini_literals(given);
    LATHE_CHECK(values.has_value());
    const auto result = program->call(*values);
    line["calls"].push_back({given, result ? loop::mini_repr(*result) : "!" + result.error().code});
  }
  std::cout << dump_json(line) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t count = argc > 1 ? std::stoul(argv[1]) : 100;
  app::Random random(argc > 2 ? std::stoull(argv[2]) : 1);
  const std::vector<std::string> arguments{"[],'',0", "[3,1,2],'Hello 42',3",
                                           "[-4,0,7,7],'abcab',-2", "['b','a',''],'-12',1",
                                           "[True,5,None],' 7 ',10"};
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 2 == 1) {
      emit(Writer(random).program(), arguments);
      continue;
    }
    const app::DrawnTask drawn =
        app::draw_task(random, app::Split::kTrain, random.between(1, 3), i % 4 == 0);
    std::vector<std::string> inputs;
    for (const auto* tests : {&drawn.task.tests, &drawn.task.hidden})
      for (const loop::MiniTest& test : *tests) inputs.push_back(test.arguments);
    emit(loop::mini_source(drawn.task, drawn.task.body.empty() ? drawn.gold : drawn.task.body),
         inputs);
  }
}

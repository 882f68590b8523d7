// The generator of tasks: families, idioms, asserts, wrong attempts.
#include "app/starter/tasks.h"

#include <algorithm>
#include <set>

#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr std::size_t kVisible = 3, kHidden = 8;
constexpr std::size_t kMaxResult = 40;  // bytes of a result that can be shown

std::string draw_list(Random& random) {
  const int size = random.between(0, 9) == 0 ? random.between(0, 1) : random.between(2, 5);
  const bool signs = random.chance(40);
  std::string out = "[";
  for (int i = 0; i < size; ++i) {
    // Every third number is one that was there before or near zero: repeats and borders.
    const int number = random.chance(30) ? random.between(0, 3) : random.between(0, 9);
    out += fmt::format("{}{}", i > 0 ? "," : "", signs && random.chance(40) ? -number : number);
  }
  return out + "]";
}

std::string draw_text(Random& random) {
  constexpr std::string_view kCharacters = "aaaeioubcdknrstABEKR0123789";
  const int size = random.between(0, 12) == 0 ? random.between(0, 1) : random.between(2, 6);
  std::string out = "'";
  for (int i = 0; i < size; ++i) out += random.pick(kCharacters);
  return out + "'";
}

std::string draw_arguments(const Sketch& sketch, Random& random) {
  std::string out;
  switch (sketch.source) {
    case Source::kText:
      out = draw_text(random);
      break;
    case Source::kDigits:
      out = fmt::format("{}", random.between(1, random.chance(50) ? 9999 : 999));
      break;
    case Source::kRange:
      out = fmt::format("{}", random.between(0, 9));
      break;
    case Source::kBranch:
      out = fmt::format("{}", random.between(-9, 20));
      break;
    default:
      out = draw_list(random);
  }
  if (sketch.by_parameter >= 0) {
    const Idiom* idiom = sketch.idioms[static_cast<std::size_t>(sketch.by_parameter)];
    const auto [low, high] = constant_range(*idiom);
    out += fmt::format(",{}", random.between(low, high));
  }
  return out;
}

struct Ran {
  std::string arguments, result;
};

Result<Ran> ran(const loop::MiniProgram& program, std::string arguments) {
  LATHE_TRY(const std::vector<loop::MiniValue> values, loop::parse_mini_literals(arguments));
  LATHE_TRY(const loop::MiniValue value, program.call(values));
  return Ran{std::move(arguments), loop::mini_compact(value)};
}

loop::MiniTask shell_of(const Sketch& sketch) {
  loop::MiniTask task;
  task.text = description_of(sketch);
  task.name = sketch.function;
  task.parameters = parameters_of(sketch);
  return task;
}

// Different inputs, and results that are not all the same among the visible ones.
bool add_tests(loop::MiniTask& task, const Sketch& sketch, const loop::MiniProgram& program,
               Random& random) {
  std::set<std::string> seen, results;
  for (int tries = 0; tries < 60 && task.hidden.size() < kHidden; ++tries) {
    auto row = ran(program, draw_arguments(sketch, random));
    if (!row || row->result.size() > kMaxResult || !seen.insert(row->arguments).second) continue;
    loop::MiniTest test{row->arguments, row->result};
    if (task.tests.size() == kVisible) {
      task.hidden.push_back(std::move(test));
    } else if (task.tests.size() + 1 < kVisible || results.size() > 1 ||
               !results.contains(test.want)) {
      results.insert(test.want);
      task.tests.push_back(std::move(test));
    }
  }
  return task.hidden.size() == kHidden;
}

bool fails_visibly(const loop::MiniTask& task, std::string_view body) {
  return std::ranges::any_of(loop::run_mini_tests(task, body, task.tests),
                             [](const std::string& got) { return !got.empty(); });
}

std::optional<std::string> broken_body(const loop::MiniTask& task, const Sketch& sketch,
                                       const std::string& gold, Random& random) {
  for (int tries = 0; tries < 20; ++tries) {
    std::string body = gold;
    if (random.chance(70)) {  // what a model gets wrong: an idiom, or two
      std::optional<Sketch> missed = near_miss(sketch, random);
      for (int more = 0; missed && more < 2 && random.chance(35); ++more)
        missed = near_miss(*missed, random);
      // A constant that is a parameter here cannot be one there.
      if (!missed || parameters_of(*missed) != task.parameters) continue;
      body = body_of(*missed);
    }
    if (body == gold || random.chance(15)) {
      const auto slipped = slip(body, random);
      if (!slipped) continue;
      body = *slipped;
    }
    if (fails_visibly(task, body)) return body;
  }
  return std::nullopt;
}

Split split_of(const Sketch& sketch, std::uint64_t behaviour) {
  if (has_held_out_pair(sketch)) return Split::kPairs;
  return Random(behaviour).below(100) < 12 ? Split::kUnseen : Split::kTrain;
}

}  // namespace

std::optional<std::uint64_t> behaviour_of(const Sketch& sketch) {
  constexpr int kInputs = 64;
  loop::MiniTask task = shell_of(sketch);
  // Names do not matter to what a function does.
  const auto program = loop::MiniProgram::parse(loop::mini_source(task, body_of(sketch)));
  LATHE_CHECK(program.has_value());
  Random random(0x57A27E2);  // the same inputs for all functions with these parameters
  std::uint64_t hash = hash_text(fmt::format("{}", task.parameters.size()));
  std::set<std::string> results;
  bool identity = true;
  for (int i = 0; i < kInputs; ++i) {
    const auto row = ran(*program, draw_arguments(sketch, random));
    if (!row) return std::nullopt;
    hash = hash_text(row->result + ";", hash);
    results.insert(row->result);
    identity = identity && row->arguments.starts_with(row->result);
  }
  // Booleans have two results; anything else with two says too little.
  if (results.size() < 2 || identity) return std::nullopt;
  return hash;
}

DrawnTask draw_task(Random& random, Split split, int depth, bool repair) {
  LATHE_CHECK(depth >= 1 && depth <= 4 && (depth > 1 || split != Split::kPairs));
  for (;;) {
    const Sketch sketch = draw_sketch(random, depth);
    if (has_held_out_pair(sketch) != (split == Split::kPairs)) continue;  // before it is run
    const auto behaviour = behaviour_of(sketch);
    if (!behaviour || split_of(sketch, *behaviour) != split) continue;
    DrawnTask out;
    out.task = shell_of(sketch);
    out.gold = body_of(sketch);
    out.depth = depth;
    out.behaviour = *behaviour;
    out.vague = sketch.no_constants || sketch.untold >= 0;
    const auto program = loop::MiniProgram::parse(loop::mini_source(out.task, out.gold));
    LATHE_CHECK(program.has_value());
    if (!add_tests(out.task, sketch, *program, random)) continue;
    if (repair) {
      auto broken = broken_body(out.task, sketch, out.gold, random);
      if (!broken) continue;
      out.task.body = *std::move(broken);
    }
    return out;
  }
}

}  // namespace lathe::app

// What drafts save in a repair lap: lathe_repair_bench MODEL.gguf [--every N]
// For each case of bench/edits the prompt holds the old text and what is wrong with it, and the
// answer is the new text, replayed token by token so that any weights will do: once decoded
// plainly, once with the old text as the draft. The two runs alternate. With --emit FILE each
// case's token ids are written as a line of JSON, for timing other engines on the same tokens.
#include <CLI/CLI.hpp>

#include <fstream>
#include <map>
#include <thread>

#include "infer/cpu/cpu_executor.h"
#include "infer/engine/engine.h"
#include "infer/models/vocabulary.h"

namespace lathe {
namespace {

struct EditCase {
  std::string name, size, critique, before, after;
};

// bench/edits/cases.txt; its head says how it is written.
Result<std::vector<EditCase>> read_cases(const fs::path& directory) {
  LATHE_TRY(const std::string file, read_file(directory / "cases.txt"));
  std::vector<EditCase> cases;
  for (std::size_t at = file.find("\n=== "); at != file.npos;) {
    const std::size_t next = file.find("\n=== ", at + 5);
    const std::string part = file.substr(at + 5, next == file.npos ? next : next - at - 5);
    at = next;
    EditCase edit;
    const std::size_t line = part.find('\n'), gap = part.find(' ');
    edit.name = part.substr(0, gap);
    edit.size = part.substr(gap + 1, line - gap - 1);
    edit.critique = part.substr(line + 1, part.find('\n', line + 1) - line - 1);
    LATHE_TRY(edit.before, read_file(directory / edit.name));
    edit.after = edit.before;
    for (std::size_t hunk = part.find("\n<<<"); hunk != part.npos;
         hunk = part.find("\n<<<", hunk + 4)) {
      const bool all = part.compare(hunk, 9, "\n<<< all\n") == 0;
      const std::size_t begin = part.find('\n', hunk + 1) + 1;
      const std::size_t middle = part.find("\n---\n", begin), end = part.find("\n>>>", middle + 4);
      const std::string old = part.substr(begin, middle - begin);
      const std::string fresh = part.substr(middle + 5, std::max(end, middle + 5) - middle - 5);
      std::size_t found = edit.after.find(old);
      if (found == edit.after.npos)
        return invalid("cases.txt: {}: a hunk's text is not there: {}", edit.name, old);
      for (; found != edit.after.npos; found = edit.after.find(old, found + fresh.size())) {
        edit.after.replace(found, old.size(), fresh);
        if (!all) break;
      }
    }
    cases.push_back(std::move(edit));
  }
  return cases;
}

struct Run {
  double seconds = 0;  // from the first token to the last
  std::size_t steps = 0;
  infer::SequenceUsage usage;
};

struct Sums {
  std::size_t cases = 0, tokens = 0, steps = 0, accepted = 0, rejected = 0;
  std::size_t timed_tokens = 0;
  double plain_seconds = 0, drafted_seconds = 0;
};

class RepairBench {
 public:
  RepairBench(const infer::Model& model, const infer::Tokenizer& tokenizer, infer::ThreadTeam& team)
      : model_(model), tokenizer_(tokenizer), team_(team) {}

  Result<Run> run(const EditCase& edit, bool drafted) {
    infer::GenerationRequest request = request_of(edit);
    if (drafted) request.draft = tokenizer_.encode(edit.before, false, false);
    const std::size_t size = request.prompt.size() + request.max_tokens + 2 * infer::kChunk;
    LATHE_TRY(auto executor, infer::CpuExecutor::create(model_, team_, {}));
    LATHE_TRY(auto engine,
              infer::Engine::create(std::move(executor), tokenizer_, {.kv_tokens = size}));
    if (step_seconds_.empty()) {
      LATHE_TRY(step_seconds_, engine->measure_steps());
    }
    if (drafted) engine->use_step_seconds(step_seconds_);
    LATHE_TRY([[maybe_unused]] const infer::SequenceId id, engine->add(std::move(request)));
    Run run;
    std::chrono::steady_clock::time_point first, last;
    bool any = false, decoded = false;
    while (!engine->idle()) {
      decoded = false;
      engine->step([&](const infer::TokenEvent& event) {
        last = std::chrono::steady_clock::now();
        decoded = any;
        if (!any) first = last;
        any = true;
        if (event.finished) run.usage = event.usage;
      });
      if (decoded) ++run.steps;
    }
    run.seconds = std::chrono::duration<double>(last - first).count();
    return run;
  }

  infer::GenerationRequest request_of(const EditCase& edit) const {
    infer::GenerationRequest request;
    request.prompt =
        tokenizer_.encode("The text:\n\n" + edit.before + "\n\nWhat is wrong: " + edit.critique +
                              "\n\nThe text, corrected:\n\n",
                          true, false);
    request.replay = tokenizer_.encode(edit.after, false, false);
    request.max_tokens = request.replay.size();
    request.sampler.temperature = 0;
    return request;
  }
  const std::vector<double>& step_seconds() const { return step_seconds_; }

 private:
  const infer::Model& model_;
  const infer::Tokenizer& tokenizer_;
  infer::ThreadTeam& team_;
  std::vector<double> step_seconds_;
};

void print_sums(const std::string& name, const Sums& sums) {
  const auto ratio = [](double a, double b) { return b > 0 ? a / b : 0; };
  const auto number = [](std::size_t n) { return static_cast<double>(n); };
  fmt::print(
      "{:<8} {:>5} {:>7} {:>7} {:>7.2f}x {:>8.1f} % {:>9} {:>9.2f} {:>9.2f} {:>7.2f}x\n", name,
      sums.cases, sums.tokens, sums.steps, ratio(number(sums.tokens), number(sums.steps)),
      100 * ratio(number(sums.accepted), number(sums.accepted + sums.rejected)), sums.timed_tokens,
      sums.plain_seconds, sums.drafted_seconds, ratio(sums.plain_seconds, sums.drafted_seconds));
}

Status bench(const std::string& path, const fs::path& directory, int threads, std::size_t every,
             const std::string& emit) {
  LATHE_TRY(const std::vector<EditCase> cases, read_cases(directory));
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(path));
  LATHE_TRY(infer::VocabularySpec vocabulary, infer::read_vocabulary(file));
  LATHE_TRY(const auto tokenizer, infer::Tokenizer::make(std::move(vocabulary)));
  infer::ThreadTeam team(threads);
  LATHE_TRY(
      const auto model,
      infer::Model::load(file, team, {.kernels = &infer::best_kernel_table(), .progress = {}}));
  RepairBench bench(*model, *tokenizer, team);
  std::ofstream out;
  if (!emit.empty()) out.open(emit);
  LATHE_TRY([[maybe_unused]] const Run warm, bench.run(cases.front(), true));
  std::map<std::string, Sums> sums;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const EditCase& edit = cases[i];
    const bool timed = i % every == 0;
    Run plain;
    if (timed) {
      LATHE_TRY(plain, bench.run(edit, false));
    }
    LATHE_TRY(const Run drafted, bench.run(edit, true));
    for (const std::string& row : {edit.size, std::string("all")}) {
      Sums& sum = sums[row];
      ++sum.cases;
      sum.tokens += drafted.usage.output_tokens - 1;  // the first one comes with the prompt
      sum.steps += drafted.steps;
      sum.accepted += drafted.usage.accepted_drafts;
      sum.rejected += drafted.usage.rejected_drafts;
      if (!timed) continue;
      sum.timed_tokens += plain.usage.output_tokens;
      sum.plain_seconds += plain.seconds;
      sum.drafted_seconds += drafted.seconds;
    }
    if (out.is_open()) {
      const infer::GenerationRequest request = bench.request_of(edit);
      out << dump_json({{"name", edit.name},
                        {"size", edit.size},
                        {"timed", timed},
                        {"prompt", request.prompt.ids()},
                        {"answer", request.replay},
                        {"plain_seconds", plain.seconds},
                        {"drafted_seconds", drafted.seconds},
                        {"steps", drafted.steps}})
          << "\n";
    }
    fmt::print(stderr, "\r{} of {}", i + 1, cases.size());
  }
  fmt::print(stderr, "\r");
  const auto& seconds = bench.step_seconds();
  fmt::print(
      "{} · kernels {} · {} threads · a step of 1, 8, 16, 32 tokens: {:.1f}, {:.1f}, {:.1f}, "
      "{:.1f} ms\n",
      path, infer::best_kernel_table().name, threads, seconds[0] * 1e3, seconds[7] * 1e3,
      seconds[15] * 1e3, seconds[31] * 1e3);
  fmt::print("{:<8} {:>5} {:>7} {:>7} {:>8} {:>10} {:>9} {:>9} {:>9} {:>8}\n", "hunks", "cases",
             "tokens", "steps", "a step", "accepted", "timed", "plain s", "drafted s", "faster");
  for (const char* row : {"small", "medium", "large", "all"}) print_sums(row, sums[row]);
  return {};
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  CLI::App app("What drafts save in a repair lap");
  std::string model, directory = "bench/edits", emit;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::size_t every = 1;
  app.add_option("model", model, "A GGUF file")->required();
  app.add_option("--cases", directory, "Directory of cases.txt and its texts")
      ->capture_default_str();
  app.add_option("--threads", threads)->capture_default_str()->check(CLI::Range(1, 1024));
  app.add_option("--every", every, "Time every N-th case only; the others are only drafted")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--emit", emit, "Write each case's token ids as a line of JSON");
  CLI11_PARSE(app, argc, argv);
  const lathe::Status status = lathe::bench(model, directory, threads, every, emit);
  if (!status) fmt::print(stderr, "error: {}\n", status.error().message);
  return status ? 0 : 1;
}

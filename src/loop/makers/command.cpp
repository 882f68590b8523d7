// The maker that runs any program: its standard output, or a file it writes, is the candidate.
#include <algorithm>

#include "ground/base/text.h"
#include "ground/sys/beneath.h"
#include "ground/sys/sandbox.h"
#include "loop/makers/maker.h"

namespace lathe::loop {
namespace {

constexpr std::uint64_t kMaxArtifactBytes = std::uint64_t{64} << 20;
constexpr std::size_t kMaxVariableBytes = 32'000;  // the kernel takes 128 KiB per string

constexpr OptionSpec kOptions[] = {
    {"command", OptionType::kStrings, kMustBeGiven,
     "the program and its arguments; {key}, {lap}, {n}, {seed} are filled in"},
    {"input", OptionType::kString, "\"{unit}\"",
     "its standard input; {unit}, {critique}, {best} and the names above are filled in"},
    {"files", OptionType::kStrings, "[]", "files it needs, relative to the recipe"},
    {"output", OptionType::kString, "\"\"", "the file it writes; \"\": what it prints"},
    {"media_type", OptionType::kString, "\"text/plain\"", "of what it makes"},
    {"extension", OptionType::kString, "\"txt\"", "of the file a person gets"},
    {"time", OptionType::kDuration, "\"5m\"", "limit of one call"},
    {"memory", OptionType::kBytes, "\"4GiB\"", "limit for all its processes together"},
};

Status check(const Json& options, std::span<const std::string>) {
  const auto command = option_strings(options, "command");
  if (command.empty() || command.front().empty())
    return invalid("command is empty: name a program, like command = [\"python3\", \"make.py\"]");
  const std::string output = option_string(options, "output");
  if (!output.empty() && !is_safe_relative(output))
    return invalid("output '{}' is not a plain relative path", clip_utf8(output, 200));
  const std::string extension = option_string(options, "extension");
  if (!is_safe_relative(extension) || extension.find('/') != extension.npos)
    return invalid("extension '{}' cannot end a file name", clip_utf8(extension, 60));
  return {};
}

std::string critique_text(const MakeTask& task) {
  std::string text;
  for (const Critique& critique : task.critiques)
    text +=
        fmt::format("{}{}{}\n", critique.locus, critique.locus.empty() ? "" : ": ", critique.claim);
  return text;
}

std::string unit_text(const MakeTask& task) {
  std::string text;
  for (const Unit& unit : task.units) text += (text.empty() ? "" : "\n") + unit.text;
  return text;
}

std::string unit_key(const MakeTask& task) {
  return task.units.empty() ? std::string() : task.units.front().key;
}

using Values = std::map<std::string, std::string, std::less<>>;

// One pass, so that braces inside a value stay as they are.
std::string filled_in(std::string_view text, const Values& values) {
  std::string result;
  while (!text.empty()) {
    const auto open = text.find('{');
    result += text.substr(0, open);
    if (open == text.npos) break;
    text.remove_prefix(open);
    const auto close = text.find('}');
    const auto value = close == text.npos ? values.end() : values.find(text.substr(1, close - 1));
    result += value == values.end() ? text.substr(0, 1) : std::string_view(value->second);
    text.remove_prefix(value == values.end() ? 1 : close + 1);
  }
  return result;
}

Command command_for(const MakeTask& task, const MakeContext& context) {
  Values values{{"key", unit_key(task)},
                {"lap", std::to_string(task.lap)},
                {"n", std::to_string(task.n_index)},
                {"seed", std::to_string(task.lap * 1000 + task.n_index)}};
  Command command;
  for (const std::string& argument : option_strings(task.options, "command"))
    command.argv.push_back(filled_in(argument, values));
  const std::string critique = critique_text(task);
  command.env = {{"LATHE_UNIT", clip_utf8(values["key"], kMaxVariableBytes)},
                 {"LATHE_LAP", values["lap"]},
                 {"LATHE_N", values["n"]},
                 {"LATHE_SEED", values["seed"]},
                 {"LATHE_CRITIQUE", clip_utf8(replace_all(critique, std::string_view("\0", 1), " "),
                                              kMaxVariableBytes)}};
  values["unit"] = unit_text(task);
  values["critique"] = critique;
  values["best"] = task.best.value_or("");
  command.input = filled_in(option_string(task.options, "input"), values);
  command.max_output = kMaxArtifactBytes;
  command.time_limit =
      std::min(Milliseconds(option_duration_ms(task.options, "time")), context.time_limit);
  return command;
}

Result<std::string> artifact(const MakeTask& task, const SandboxedExit& result,
                             const fs::path& tree) {
  const std::string name = option_strings(task.options, "command").front();
  const Exit& exit = result.exit;
  if (exit.stopped) return fail(ErrorKind::kCancelled, "command: {} was stopped", name);
  if (!exit.ok() || !result.contained.empty()) {
    const ErrorKind kind = exit.timed_out                         ? ErrorKind::kTimeout
                           : exit.code == 126 || exit.code == 127 ? ErrorKind::kUnavailable
                                                                  : ErrorKind::kInvalid;
    return fail(kind, "command: {} ended with {}{}{}: {}", name, exit.describe(),
                result.contained.empty() ? "" : ", ", result.contained,
                clip_utf8(make_valid_utf8(trim(exit.err)), 600));
  }
  if (const std::string output = option_string(task.options, "output"); !output.empty()) {
    auto bytes = read_beneath(tree, output, kMaxArtifactBytes);
    if (!bytes) return invalid("command: {} left no usable file: {}", name, bytes.error().message);
    return bytes;
  }
  if (exit.output_cut)
    return invalid("command: {} printed more than {} bytes", name, kMaxArtifactBytes);
  return exit.out;
}

Result<Made> make(const MakeTask& task, const MakeContext& context) {
  LATHE_TRY(const TempDir tree, TempDir::make("lathe-command"));
  LATHE_TRY_STATUS(
      lay_recipe_files(context.place, option_strings(task.options, "files"), tree.path()));
  Sandbox sandbox;
  sandbox.tree = tree.path();
  sandbox.limits.memory_bytes = option_bytes(task.options, "memory");
  sandbox.unsafe_none = context.place.unsafe_no_sandbox;
  LATHE_TRY(const SandboxedExit result,
            run_sandboxed(sandbox, command_for(task, context), context.stop));
  LATHE_TRY(std::string bytes, artifact(task, result, tree.path()));
  if (bytes.empty()) return invalid("command: the program made nothing");
  return Made{std::move(bytes),
              option_string(task.options, "media_type"),
              option_string(task.options, "extension"),
              {{"ms", result.exit.wall.count()}}};
}

}  // namespace

extern const MakerKind kCommandMaker;
const MakerKind kCommandMaker{
    .name = "command",
    .summary = "runs any program; what it prints or writes is the candidate",
    .options = kOptions,
    .check = check,
    .propose = propose_by_model,
    .make = make,
};

}  // namespace lathe::loop

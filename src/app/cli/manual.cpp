// `lathe manual` and `lathe completion SHELL`: what the descriptors say, as roff and as shell
// scripts.
#include "app/cli/manual.h"

#include <fmt/format.h>

#include "app/cli/app.h"
#include "ground/base/text.h"
#include "ground/base/version.h"

namespace lathe::app {
namespace {

std::vector<const CLI::App*> commands_below(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App* each) { return !each->get_name().empty(); });
}

// What a person may type: an option without a group is not shown by --help either. Every command
// has --help; it is said once.
std::vector<const CLI::Option*> shown_options(const CLI::App& command, bool positional) {
  return command.get_options([&, positional](const CLI::Option* each) {
    const bool help = command.get_parent() && each == command.get_help_ptr();
    return !each->get_group().empty() && each->get_positional() == positional && !help;
  });
}

std::vector<std::string> flags_of(const CLI::Option& option) {
  std::vector<std::string> flags;
  for (const std::string& name : option.get_snames()) flags.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) flags.push_back("--" + name);
  return flags;
}

// No backslash acts, no line begins with a request, and hyphens can be copied into a shell.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '\n')
      out += ' ';
    else
      out += c;
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string option_entry(const CLI::Option& option) {
  std::string head;
  if (option.get_positional()) {
    head = fmt::format("\\fI{}\\fR", roff(option.get_name()));
  } else {
    for (const std::string& flag : flags_of(option))
      head += fmt::format("{}\\fB{}\\fR", head.empty() ? "" : ", ", roff(flag));
    if (option.get_type_size() != 0)
      head += fmt::format(" \\fI{}\\fR", roff(option.get_type_name()));
  }
  std::string preset = option.get_default_str();
  if (preset.starts_with('/')) preset.clear();  // a place of whoever makes the page
  return fmt::format(".TP\n{}\n{}{}\n", head, roff(option.get_description()),
                     preset.empty() ? "" : fmt::format(" [{}]", roff(preset)));
}

std::string entries_of(const CLI::App& command) {
  std::string out;
  for (const bool positional : {true, false})
    for (const CLI::Option* option : shown_options(command, positional))
      out += option_entry(*option);
  return out;
}

std::string synopsis_of(const CLI::App& command, std::string_view path) {
  std::string out = fmt::format("\\fBlathe {}\\fR", roff(path));
  for (const CLI::Option* option : shown_options(command, true)) {
    const std::string name = roff(option->get_name());
    out += option->get_required() ? fmt::format(" \\fI{}\\fR", name)
                                  : fmt::format(" [\\fI{}\\fR]", name);
  }
  return out + " [\\fIoptions\\fR]";
}

std::string sections_of(const CLI::App& command, const std::string& path) {
  std::string out =
      fmt::format(".SS {}\n{}\n", synopsis_of(command, path), roff(command.get_description()));
  out += entries_of(command);
  for (const CLI::App* below : commands_below(command))
    out += sections_of(*below, path + " " + below->get_name());
  return out;
}

// Every command with what may be typed behind it: " judge run" → its options and commands.
struct Place {
  std::string path;
  const CLI::App* command;
};

void add_places(const CLI::App& command, const std::string& path, std::vector<Place>& places) {
  places.push_back({path, &command});
  for (const CLI::App* below : commands_below(command))
    add_places(*below, path + " " + below->get_name(), places);
}

std::string words_at(const Place& place, const CLI::App& root) {
  std::vector<std::string> words;
  for (const CLI::App* below : commands_below(*place.command)) words.push_back(below->get_name());
  std::vector<const CLI::App*> owners{place.command};
  if (place.command != &root) owners.push_back(&root);  // its options may stand behind any command
  for (const CLI::App* owner : owners)
    for (const CLI::Option* option : shown_options(*owner, false))
      for (const std::string& flag : flags_of(*option))
        if (flag.starts_with("--")) words.push_back(flag);
  return join(words, " ");
}

std::string bash_script(const CLI::App& cli) {
  std::vector<Place> places;
  add_places(cli, "", places);
  std::vector<std::string> paths;
  std::string cases;
  for (const Place& place : places) {
    if (!place.path.empty()) paths.push_back(fmt::format("\"{}\"", place.path));
    cases += fmt::format("    \"{}\") words=\"{}\" ;;\n", place.path, words_at(place, cli));
  }
  return fmt::format(R"(_lathe() {{
  local path="" words="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path ${{COMP_WORDS[i]}}" in
      {}) path+=" ${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$path" in
{}  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _lathe lathe
)",
                     join(paths, "|"), cases);
}

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}

std::string fish_script(const CLI::App& cli) {
  std::vector<Place> places;
  add_places(cli, "", places);
  std::string out;
  for (const Place& place : places) {
    std::string condition = "__fish_use_subcommand";
    if (!place.path.empty())
      condition = "__fish_seen_subcommand_from " + place.path.substr(place.path.rfind(' ') + 1);
    for (const CLI::App* below : commands_below(*place.command))
      out += fmt::format("complete -c lathe -n {} -a {} -d {}\n", fish_quoted(condition),
                         below->get_name(), fish_quoted(below->get_description()));
    for (const CLI::Option* option : shown_options(*place.command, false)) {
      out += fmt::format("complete -c lathe -n {}", fish_quoted(condition));
      for (const std::string& name : option->get_snames()) out += " -s " + name;
      for (const std::string& name : option->get_lnames()) out += " -l " + name;
      out += fmt::format("{} -d {}\n", option->get_type_size() != 0 ? " -r" : "",
                         fish_quoted(option->get_description()));
    }
  }
  return out;
}

}  // namespace

std::string man_page(const CLI::App& cli) {
  std::string out = fmt::format(
      ".TH LATHE 1 \"\" \"lathe {}\" \"User Commands\"\n.SH NAME\nlathe \\- generate, judge and "
      "repair until the work passes\n.SH SYNOPSIS\n.B lathe\n\\fIcommand\\fR [\\fIoptions\\fR]\n"
      ".SH DESCRIPTION\n{}\n.SH OPTIONS\n{}.SH COMMANDS\n",
      program_version(), roff(cli.get_description()), entries_of(cli));
  for (const CLI::App* command : commands_below(cli))
    out += sections_of(*command, command->get_name());
  return out +
         ".SH EXIT STATUS\n.TP\n0\nPassed, or done.\n.TP\n1\nJudged, and not passed.\n.TP\n2\n"
         "Wrong input; also a worker that is missing or misspelt, before any work.\n.TP\n3\nNot "
         "judged: no server answered, or a judge could not tell.\n.TP\n130\nStopped; \\fBlathe "
         "resume\\fR goes on.\n.SH FILES\n.TP\n.I ~/.local/share/lathe\nThe journal of runs.\n.TP\n"
         ".I ~/.config/lathe\nWorkers and models that you named.\n";
}

Result<std::string> completion_script(const CLI::App& cli, std::string_view shell) {
  if (shell == "bash") return bash_script(cli);
  if (shell == "zsh")
    return "#compdef lathe\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script(cli);
  if (shell == "fish") return fish_script(cli);
  return invalid("there is no completion for '{}'; choose bash, zsh or fish", shell);
}

void add_manual(CLI::App& cli, App&, Action& action) {
  cli.add_subcommand("manual", "Print the manual page: lathe manual | man -l -")->callback([&] {
    action = [&] {
      print_raw(man_page(cli));
      return kExitPassed;
    };
  });
}

void add_completion(CLI::App& cli, App& app, Action& action) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = cli.add_subcommand(
      "completion", "Print a shell's completion script: source <(lathe completion bash)");
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required();
  command->callback([&, shell] {
    action = [&, shell] {
      const auto script = completion_script(cli, *shell);
      if (!script) return report_error(app, script.error());
      print_raw(*script);
      return static_cast<int>(kExitPassed);
    };
  });
}

}  // namespace lathe::app

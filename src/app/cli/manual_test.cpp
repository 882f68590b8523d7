// The manual page through groff, the completion through bash: the programs that read them judge.
#include "app/cli/manual.h"

#include <gmock/gmock.h>

#include <cstdio>

#include "ground/base/file.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct SmallProgram {
  CLI::App cli{"Does it.\n.Second line", "lathe"};
  std::string text;
  bool flag = false;
  SmallProgram() {
    cli.add_option("--journal", text, "Where \\ it's kept");
    CLI::App* loop = cli.add_subcommand("loop", "Run a recipe — “all” of it");
    loop->add_option("RECIPE", text, "Its name")->required();
    loop->add_option("-i,--input", text, "The text");
    loop->add_flag("--quick", flag, "Less of it");
    loop->add_flag("--inner", flag, "Not for people")->group("");
    CLI::App* judge = cli.add_subcommand("judge", "Judges");
    judge->add_subcommand("list", "All of them");
    judge->add_subcommand("run", "One of them")->add_flag("--quiet", flag, "No word");
  }
};

// What a shell's command line prints; its standard error too.
std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (std::size_t got; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    out.append(buffer, got);
  out += ::pclose(pipe) == 0 ? "" : "\nfailed";
  return out;
}

std::vector<std::string> offered(const std::string& script, const std::string& words, int at) {
  const TempDir dir = TempDir::make().value();
  EXPECT_TRUE(write_file_atomic(dir.path() / "lathe.bash", script));
  const std::string out = output_of(
      fmt::format("bash -c 'source {}/lathe.bash; COMP_WORDS=({}); COMP_CWORD={}; _lathe; printf "
                  "\"%s\\n\" \"${{COMPREPLY[@]}}\"'",
                  dir.path().string(), words, at));
  std::vector<std::string> lines = split(out, '\n');
  std::erase(lines, "");
  return lines;
}

TEST(Manual, GroffReadsItWithoutAWarning) {
  const SmallProgram program;
  const TempDir dir = TempDir::make().value();
  ASSERT_TRUE(write_file_atomic(dir.path() / "lathe.1", man_page(program.cli)));
  EXPECT_THAT(output_of("groff -k -man -ww -Tutf8 -z " + (dir.path() / "lathe.1").string()),
              IsEmpty());
}

TEST(Manual, SaysWhatHelpSays) {
  const SmallProgram program;
  const std::string page = man_page(program.cli);
  EXPECT_THAT(page, HasSubstr("\\fBlathe loop\\fR \\fIRECIPE\\fR [\\fIoptions\\fR]"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-i\\fR, \\fB\\-\\-input\\fR \\fITEXT\\fR\nThe text"));
  EXPECT_THAT(page, HasSubstr("\\fBlathe judge run\\fR"));
  EXPECT_THAT(page, HasSubstr("Where \\e it's kept"));
  EXPECT_THAT(page, Not(HasSubstr("\n.Second")));
  EXPECT_THAT(page, Not(HasSubstr("inner")));
  EXPECT_EQ(page.find("\\-\\-help"), page.rfind("\\-\\-help"));  // once, not with each command
}

TEST(Completion, BashOffersWhatFits) {
  const SmallProgram program;
  const auto script = completion_script(program.cli, "bash");
  ASSERT_TRUE(script);
  EXPECT_THAT(offered(*script, "lathe lo", 1), ElementsAre("loop"));
  EXPECT_THAT(offered(*script, "lathe judge \"\"", 2),
              ElementsAre("list", "run", "--help", "--journal"));
  EXPECT_THAT(offered(*script, "lathe loop --i", 2), ElementsAre("--input"));
  EXPECT_THAT(offered(*script, "lathe --journal here judge run --q", 5), ElementsAre("--quiet"));
  EXPECT_THAT(offered(*script, "lathe loop x", 2), IsEmpty());  // bash goes on with file names
}

TEST(Completion, FishLinesNameCommandOptionAndMeaning) {
  const SmallProgram program;
  const auto script = completion_script(program.cli, "fish");
  ASSERT_TRUE(script);
  EXPECT_THAT(*script, HasSubstr("complete -c lathe -n '__fish_seen_subcommand_from loop' -s i -l "
                                 "input -r -d 'The text'\n"));
  EXPECT_THAT(*script, HasSubstr("-l journal -r -d 'Where \\\\ it\\'s kept'"));
}

TEST(Completion, AnotherShellIsRefused) {
  const SmallProgram program;
  EXPECT_THAT(completion_script(program.cli, "tcsh").error().message,
              HasSubstr("bash, zsh or fish"));
}

}  // namespace
}  // namespace lathe::app

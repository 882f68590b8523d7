// lathe talk WORKER: a talk with a model that answers aloud while it thinks; what it would say
// passes a hook first.
#include <unistd.h>

#include <iostream>

#include "app/cli/drive.h"
#include "app/cli/line_editor.h"
#include "app/cli/loudspeaker.h"
#include "app/cli/output_file.h"
#include "app/cli/talk_ears.h"
#include "app/cli/talk_log.h"
#include "app/cli/tool_desk.h"
#include "app/talk/talker.h"
#include "app/talk/tool_user.h"
#include "ground/base/text.h"
#include "ground/media/sound_encode.h"
#include "loop/senses/media_pool.h"
#include "serve/speech/voice_names.h"

namespace lathe::app {
namespace {

constexpr std::string_view kSystem =
    "You are spoken to, and what you answer is read out. Answer in a few short sentences, without "
    "lists, headings, code or signs that nobody would say.";

constexpr Milliseconds kVoiceLimit{60'000};

struct TalkFlags {
  std::string worker, listen, out, voice, system;
  std::string instead = "I would rather not say that.";
  std::string on_hold = "replace";
  std::vector<std::string> hook{"rules:no_secrets"};
  bool no_hook = false, barge_in = false, force = false;
  int budget_ms = 400, max_tokens = 400;
  double speed = 1;
  std::optional<std::int64_t> seed;
  ToolFlagsOfRun tools;
  DriveFlags drive;
};

class Loudspeaker : public Mouth {
 public:
  Status play(const Sound& sound, const StopFlag& stop) override { return play_sound(sound, stop); }
};

// All answers, one behind the other.
class SoundFile : public Mouth {
 public:
  static Result<std::unique_ptr<SoundFile>> open(const fs::path& file) {
    auto mouth = std::make_unique<SoundFile>();
    mouth->file_ = file;
    LATHE_TRY(mouth->writer_, SoundWriter::open(SoundFormat::kWav, false));
    return mouth;
  }
  Status play(const Sound& sound, const StopFlag&) override { return writer_->write(sound); }
  Status finish() {
    LATHE_TRY_STATUS(writer_->finish());
    return write_file_atomic(file_, writer_->bytes());
  }

 private:
  fs::path file_;
  std::unique_ptr<SoundWriter> writer_;
};

// What the person says next; nullopt: no more.
using Listen = std::function<Result<std::optional<std::string>>()>;

Listen typed_lines(const App& app) {
  if (!app.terminal || ::isatty(STDIN_FILENO) != 1)
    return []() -> Result<std::optional<std::string>> {
      for (std::string line; std::getline(std::cin, line);)
        if (!trim(line).empty()) return std::string(trim(line));
      return std::nullopt;
    };
  const auto editor = std::make_shared<LineEditor>(app, app.journal_dir / "talk_history");
  return [editor]() -> Result<std::optional<std::string>> {
    while (true) {
      const TypedLine line = editor->read("you: ");
      if (line.end == TypedLine::End::kClosed) return std::nullopt;
      if (trim(line.text).empty()) continue;
      (void)editor->remember(line.text);
      return std::string(trim(line.text));
    }
  };
}

bool ask_at_terminal(const std::string& sentence, const std::string& why) {
  print(fmt::format("held back ({}): {}\nspeak it? [y/N] ", why, sentence));
  std::string answer;
  return std::getline(std::cin, answer) && (answer == "y" || answer == "yes");
}

// Shows and writes down what happens.
Status tell(const App& app, TalkLog& log, const Json& event) {
  LATHE_TRY_STATUS(log.append(event));
  if (app.json) {
    print_json(event);
  } else if (json_string(event, "event") == "sentence") {
    if (!json_at(event, "passed").get<bool>())
      print_note(
          fmt::format("held back by {}: {}", json_string(event, "by"), json_string(event, "why")));
    if (const std::string spoken = json_string(event, "spoken"); !spoken.empty())
      print(spoken + "\n");
  } else if (json_string(event, "event") == "tool") {
    print_note(clip_utf8(
        fmt::format("calls {} {}", json_string(event, "tool"), json_string(event, "arguments")),
        200));
  }
  return {};
}

// A call of a tool, as the talk has it.
Json tool_event(int turn, const FunctionCall& call, const ToolAnswer& answer, Milliseconds took) {
  return {{"event", "tool"},   {"turn", turn},
          {"tool", call.name}, {"arguments", call.arguments},
          {"ok", answer.ok},   {"answer", answer_for_prompt(answer)},
          {"ms", took.count()}};
}

Status talk(const App& app, const TalkFlags& flags) {
  const auto on_hold = parse_on_hold(flags.on_hold);
  if (!on_hold) return invalid("--on-hold is replace, stop or ask, not '{}'", flags.on_hold);
  if (*on_hold == OnHold::kAsk && !(app.terminal && flags.listen.empty()))
    return invalid("--on-hold ask needs a terminal and a talk that is typed");
  if (flags.barge_in && flags.listen.empty())
    return invalid("--barge-in needs --listen: nobody hears you otherwise");
  LATHE_TRY(const std::vector<ToolServer> servers, tool_servers(flags.tools));
  if (!flags.out.empty()) LATHE_TRY_STATUS(check_output(flags.out, {flags.listen}, flags.force));
  loop::VoiceSetting voice;
  LATHE_TRY(voice.voice, serve::find_voice(flags.voice));
  voice.stretch = 1 / flags.speed;
  std::error_code ignored;
  const fs::path here = fs::current_path(ignored);
  const std::vector<std::string> steps = flags.no_hook ? std::vector<std::string>{} : flags.hook;
  LATHE_TRY(loop::Hook hook, loop::parse_hook(steps, here));
  hook.budget = Milliseconds(flags.budget_ms);
  LATHE_TRY(const auto setup, DriveSetup::make(app, flags.drive, Reach::kAny, nullptr));
  Worker* thinker = setup->bench().worker(flags.worker);
  if (!thinker)
    return fail(
        ErrorKind::kNotFound,
        "there is no worker '{0}': give one with --worker {0}=…, name it in workers.toml, or "
        "start `lathe serve` with a model of that name",
        flags.worker);
  LATHE_TRY_STATUS(thinker->ready(*app.stop));
  std::unique_ptr<TalkEars> ears;
  if (!flags.listen.empty()) {
    LATHE_TRY(ears, TalkEars::open(app, flags.listen));
  }
  const Listen listen = ears ? [&] { return ears->listen(app); } : typed_lines(app);
  loop::MediaPool voices(app.program, 1);
  Loudspeaker loudspeaker;
  std::unique_ptr<SoundFile> file;
  if (!flags.out.empty()) {
    LATHE_TRY(file, SoundFile::open(flags.out));
  }
  LATHE_TRY(serve::ConsentGate consent, consent_gate_of(app, kConsentWait));
  // Each server was given what it has by a flag.
  ToolDesk desk(app, {.unsafe_no_sandbox = flags.drive.unsafe_no_sandbox,
                      .most = Reach::kAny,
                      .consent = std::move(consent)});
  LATHE_TRY(const auto tools, desk.open(servers, *app.stop));
  for (const std::string& note : tools->left_out()) print_note("note: left out: " + note);
  LATHE_TRY(const auto log, TalkLog::begin(app));
  int turn = 1;
  ToolUser with_tools(*thinker, *tools,
                      [&](const FunctionCall& call, const ToolAnswer& answer, Milliseconds took) {
                        return tell(app, *log, tool_event(turn, call, answer, took));
                      });
  loop::Place place;
  place.program = app.program;
  place.recipe_dir = here;
  place.unsafe_no_sandbox = flags.drive.unsafe_no_sandbox;
  TalkSetup aloud{
      .thinker = servers.empty() ? *thinker : with_tools,
      .hooked = {.place = place, .stop = *app.stop, .worker = setup->bench().worker},
      .hook = std::move(hook),
      .on_hold = *on_hold,
      .instead = flags.instead,
      .voices = voices,
      .voice = voice,
      .mouth = file ? static_cast<Mouth&>(*file) : loudspeaker,
      .record = [&](const Json& event) { return tell(app, *log, event); },
  };
  if (*on_hold == OnHold::kAsk) aloud.ask = ask_at_terminal;
  if (flags.barge_in) aloud.interrupted = [&] { return ears->interrupted(); };
  LATHE_TRY_STATUS(aloud.record({{"event", "begun"},
                                 {"worker", flags.worker},
                                 {"voice", voice.voice},
                                 {"hook", steps},
                                 {"on_hold", flags.on_hold}}));
  // So that the first sentence does not wait for the voice's process.
  LATHE_TRY_STATUS(loop::speak_text(voices, "Yes.", voice, kVoiceLimit, *app.stop,
                                    [](const Sound&) { return Status(); }));
  Talk said;
  said.messages = {{"system", flags.system.empty() ? std::string(kSystem) : flags.system}};
  for (;; ++turn) {
    LATHE_TRY(const auto heard, listen());
    if (!heard) break;
    LATHE_TRY_STATUS(aloud.record({{"event", "heard"}, {"turn", turn}, {"text", *heard}}));
    said.messages.push_back({"user", *heard});
    Request request;
    request.ask = said;
    request.max_tokens = flags.max_tokens;
    request.sampling.seed = flags.seed;
    request.keep_prefix = true;
    if (flags.barge_in) LATHE_TRY_STATUS(ears->stay_open());
    auto answered = answer_aloud(aloud, std::move(request), turn, *app.stop);
    // Ctrl-C ends an answer; where none is spoken, the talk.
    const bool goes_on = !app.stop->raised() || clear_interrupt(app);
    if (!answered) return std::unexpected(answered.error());
    std::ranges::move(with_tools.take_calls(), std::back_inserter(said.messages));
    said.messages.push_back({"assistant", answered->text});
    if (!goes_on) break;
  }
  if (file) LATHE_TRY_STATUS(file->finish());
  if (!app.json) print_note("what was said: " + log->file().string());
  return {};
}

}  // namespace

void add_talk(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<TalkFlags>();
  CLI::App* command =
      cli.add_subcommand("talk", "Talk with a model that answers aloud while it thinks");
  command
      ->add_option("worker", flags->worker,
                   "Who thinks: a model of the running server, or a worker's name")
      ->required();
  command->add_option("--listen", flags->listen,
                      "Hear the person through the microphone, with this Whisper model (default: "
                      "lines that are typed)");
  command->add_flag("--barge-in", flags->barge_in,
                    "Speaking to it ends what it says; with headphones, or a microphone that "
                    "cancels echoes");
  command->add_option("--out", flags->out, "A WAV file for the voice, instead of the loudspeaker");
  command->add_option("--voice", flags->voice, "As of `lathe speak` (default: flite:rms)");
  command->add_option("--speed", flags->speed, "Above 1 is faster (default: 1)")
      ->check(CLI::Range(0.25, 4.0));
  command->add_option("--hook", flags->hook,
                      "What each sentence has to pass before it is spoken: rules:no_secrets, "
                      "command:PROGRAM, judge:FILE.toml (default: rules:no_secrets)");
  command->add_flag("--no-hook", flags->no_hook, "Speak everything");
  command->add_option("--on-hold", flags->on_hold,
                      "What happens instead of a sentence that does not pass: replace, stop or ask "
                      "(default: replace)");
  command->add_option("--instead", flags->instead,
                      "What is spoken in its place (default: I would rather not say that.)");
  command
      ->add_option("--budget", flags->budget_ms,
                   "Milliseconds that the hook has for a sentence (default: 400)")
      ->check(CLI::Range(1, 600'000));
  command->add_option("--system", flags->system, "What the model is told before the talk");
  command->add_option("--max-tokens", flags->max_tokens, "Of an answer (default: 400)")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--seed", flags->seed, "Of what is drawn (default: another each time)");
  add_run_tool_flags(*command, flags->tools);
  add_force_flag(*command, flags->force);
  add_drive_flags(*command, flags->drive);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = talk(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app

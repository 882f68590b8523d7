// lathe doctor: what this machine has, and what to do about what it lacks.
#include "app/cli/app.h"
#include "app/cli/journals.h"
#include "app/cli/running_server.h"
#include "app/cli/shown.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "ground/sys/energy.h"
#include "ground/sys/machine.h"
#include "ground/sys/sandbox.h"
#include "loop/senses/page.h"

namespace lathe::app {
namespace {

struct Finding {
  std::string what;
  enum Grade { kOk, kNote, kProblem } grade = kOk;
  std::string found;
  std::string remedy = {};
};

Finding program(const std::string& name, const std::string& what, const std::string& package,
                bool needed) {
  const auto path = find_program(name);
  if (path) return {what, Finding::kOk, path->string()};
  return {what, needed ? Finding::kProblem : Finding::kNote, "not installed",
          "apt-get install " + package};
}

Finding file(const fs::path& path, const std::string& what, const std::string& package) {
  std::error_code ignored;
  if (fs::exists(path, ignored)) return {what, Finding::kOk, path.string()};
  return {what, Finding::kProblem, "not installed", "apt-get install " + package};
}

Finding sandbox() {
  const auto works = sandbox_works();
  if (works)
    return {
        "sandbox", Finding::kOk,
        "generated code and tests run confined; their memory and disk are counted from outside, "
        "100 and 10 times a second"};
  return {"sandbox", Finding::kProblem, works.error().message,
          "judges that run code refuse until this is mended"};
}

Finding browser() {
  const auto chromium = loop::find_chromium();
  if (chromium) return {"browser", Finding::kOk, chromium->string()};
  return {"browser", Finding::kNote, "not installed: recipes that make pages refuse",
          "apt-get install chromium-headless-shell"};
}

Finding workers(const App& app) {
  const fs::path file = app.config_dir / "workers.toml";
  std::error_code ignored;
  if (fs::exists(file, ignored)) return {"workers", Finding::kOk, file.string()};
  return {"workers", Finding::kNote, file.string() + " is not there",
          "it keeps what --worker says: [worker.coder] url = \"http://127.0.0.1:8080/v1\""};
}

Finding server(const App& app) {
  const auto base = running_server(app);
  if (!base)
    return {"server", Finding::kNote, "none runs here", "lathe serve FILE.gguf starts one"};
  const auto models = server_models(app, {.base = *base});
  if (!models) return {"server", Finding::kNote, models.error().message, "is it still there?"};
  return {"server", Finding::kOk, fmt::format("{}: {}", *base, join(*models, ", "))};
}

Finding journal(const App& app) {
  const auto opened = open_journal(app);
  if (!opened) return {"journal", Finding::kProblem, opened.error().message};
  if (!app.journal_database.empty()) return {"journal", Finding::kOk, journal_place(app)};
  std::error_code error;
  const auto space = fs::space(app.journal_dir, error);
  const std::string found =
      fmt::format("{}, {} free", app.journal_dir.string(), format_bytes(space.available));
  if (!error && space.available < (std::uintmax_t{1} << 30))
    return {"journal", Finding::kNote, found,
            "free some space: audio takes about 2 MiB per minute and take"};
  return {"journal", Finding::kOk, found};
}

std::string or_unknown(const std::optional<std::uint64_t>& bytes) {
  return bytes ? format_bytes(*bytes) : std::string("unknown");
}

std::vector<Finding> machine_findings(const App& app) {
  constexpr std::uint64_t kComfortable = std::uint64_t{2}
                                         << 30;  // two ears and a build of generated code
  const Machine machine = read_machine();
  std::vector<Finding> findings{
      {"processor", Finding::kOk,
       fmt::format("{}, {} cores, {} threads", machine.cpu.empty() ? "unnamed" : machine.cpu,
                   machine.cores ? std::to_string(*machine.cores) : "?",
                   machine.threads ? std::to_string(*machine.threads) : "?")},
      {"instructions", Finding::kOk, join(machine.isa, " ")},
      {"memory", Finding::kOk,
       fmt::format("{}, {} available{}", or_unknown(machine.memory_bytes),
                   or_unknown(machine.available_bytes),
                   machine.memory_limit_bytes
                       ? fmt::format(", limited to {} by its control group",
                                     format_bytes(*machine.memory_limit_bytes))
                       : "")},
  };
  if (machine.available_bytes.value_or(kComfortable) < kComfortable) {
    findings.back().grade = Finding::kNote;
    findings.back().remedy = "close other programs, or run with --parallel 1";
  }
  for (const char* kind : {"gpu", "npu"}) {
    bool found = false;
    for (const Accelerator& each : machine.accelerators) {
      if (each.kind != kind) continue;
      found = true;
      findings.push_back(
          {kind, Finding::kOk,
           fmt::format("{}, driver {}{}", each.name, each.driver.empty() ? "unknown" : each.driver,
                       each.memory_bytes ? ", " + format_bytes(*each.memory_bytes) : "")});
      if (each.kind != "npu") continue;
      findings.back().grade = Finding::kNote;
      findings.back().remedy =
          "nothing of Lathe computes on it; its vendor's server does, as a worker: in " +
          (app.config_dir / "workers.toml").string() +
          ", [worker.npu] command = [\"its-server\", \"--port\", \"{port}\"], memory = "
          "\"8GiB\"; in models.toml of `lathe serve`, [model.npu] alike. Lathe starts and stops "
          "it; one that runs already joins with --worker NAME=URL or --remote NAME=URL";
    }
    if (!found)
      findings.push_back({kind, Finding::kNote, "none found",
                          "nothing here needs one; if the box has one, install its driver"});
  }
  EnergyMeter meter;
  if (meter.joules())
    findings.push_back({"energy", Finding::kOk,
                        fmt::format("{} ({})", meter.description(), scope_name(meter.scope()))});
  else
    findings.push_back(
        {"energy", Finding::kNote, meter.description(),
         "runs go on without it: RAPL needs root, a virtual machine often has no counter at all"});
  return findings;
}

constexpr std::string_view kGrades[] = {"ok", "note", "problem"};

std::vector<Finding> findings_of(const App& app) {
  std::vector<Finding> findings{
      program("bwrap", "bubblewrap", "bubblewrap", true),
      sandbox(),
      file("/usr/share/pocketsphinx/model/en-us/en-us.lm.bin", "ear's model", "pocketsphinx-en-us"),
      program("ctags", "finder of functions", "universal-ctags", true),
      program("espeak-ng", "second voice", "espeak-ng", false),
      program("python3", "python3", "python3", false),
      program("pdftotext", "reader of PDF", "poppler-utils", false),
      program("pandoc", "reader of DOCX", "pandoc", false),
      browser(),
      workers(app),
      server(app),
      journal(app),
  };
  std::ranges::move(machine_findings(app), std::back_inserter(findings));
  return findings;
}

Json finding_json(const Finding& finding) {
  return {{"what", finding.what},
          {"grade", kGrades[finding.grade]},
          {"found", finding.found},
          {"remedy", finding.remedy}};
}

int doctor(const App& app) {
  bool sound = true;
  for (const Finding& finding : findings_of(app)) {
    sound &= finding.grade != Finding::kProblem;
    if (app.json)
      print_json(finding_json(finding));
    else
      print(fmt::format(
          "{:<8} {:<14} {}{}\n", kGrades[finding.grade], finding.what, finding.found,
          finding.remedy.empty() ? "" : "\n" + std::string(24, ' ') + "→ " + finding.remedy));
  }
  return sound ? kExitPassed : kExitFailed;
}

}  // namespace

Json doctor_shown(const App& app) {
  Json findings = Json::array();
  for (const Finding& finding : findings_of(app)) findings.push_back(finding_json(finding));
  return findings;
}

void add_doctor(CLI::App& cli, App& app, Action& action) {
  cli.add_subcommand("doctor", "Check this machine, with a remedy for each finding")->callback([&] {
    action = [&] { return doctor(app); };
  });
}

}  // namespace lathe::app

// How well the ear tells good takes from spoiled ones, and what that costs.
//
//   lathe_ears_bench SET.tsv [--json FILE] [--threads N] [--verbose]
//
// SET.tsv has good lines and, below each, texts that it is spoiled with (swap, drop, insert; pair
// for minimal pairs, counted apart). Every good line is spoken by every voice. The spoiled texts
// and the faults put into good takes (end cut, dropout, noise, too fast, wrong line, word cut out)
// take turns through the voices.
#include <sys/resource.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "ground/base/file.h"
#include "ground/base/text.h"
#include "loop/judges/ears.h"
#include "loop/senses/media_worker.h"
#include "loop/senses/spoken.h"
#include "loop/senses/voice.h"
#include "loop/senses/word_fault.h"

namespace lathe {
namespace {

constexpr Milliseconds kLimit{120'000};

struct Line {
  std::string text;
  std::vector<std::pair<std::string, std::string>> spoiled;  // kind, text
};

struct Take {
  std::string kind;  // good, swap, …, end_cut, …
  std::size_t line = 0;
  std::string voice;
  std::string text;  // what is spoken; the line's own for faults put into the sound
};

struct Outcome1 {
  bool made = false;
  bool accepted = false;
  bool named = false;  // the right word, with a time
  double seconds = 0;
  std::string detail;
};

struct Place1 {
  double from = -1, to = -1;  // where the sound was harmed
};

Result<std::vector<Line>> load(const fs::path& file) {
  LATHE_TRY(const std::string text, read_file(file));
  std::vector<Line> lines;
  for (const std::string_view row : split_lines(text)) {
    const auto tab = row.find('\t');
    if (tab == row.npos || row.starts_with('#')) continue;
    const std::string kind(row.substr(0, tab)), said(row.substr(tab + 1));
    if (kind == "good")
      lines.push_back({said, {}});
    else if (!lines.empty())
      lines.back().spoiled.emplace_back(kind, said);
  }
  if (lines.empty()) return invalid("{}: no good line in it", file.string());
  return lines;
}

std::vector<Take> plan(const std::vector<Line>& lines) {
  const auto voices = loop::default_voices();
  std::vector<Take> takes;
  std::size_t turn = 0;
  const auto next_voice = [&] { return std::string(voices[turn++ % voices.size()]); };
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (const std::string_view voice : voices)
      takes.push_back({"good", i, std::string(voice), lines[i].text});
    for (const auto& [kind, text] : lines[i].spoiled)
      takes.push_back({kind, i, next_voice(), text});
    for (const char* kind : {"end_cut", "dropout", "noise", "too_fast", "cut_out"})
      takes.push_back({kind, i, next_voice(), lines[i].text});
    takes.push_back({"wrong_line", i, next_voice(), lines[(i + 7) % lines.size()].text});
  }
  return takes;
}

// Puts a fault into a good take.
Result<Place1> harm(Sound& sound, const Take& take, const loop::Hearing& hearing) {
  auto& s = sound.samples;
  const loop::SignalFacts facts = loop::signal_facts(sound);
  const auto at = [&](double seconds) {
    return std::min(static_cast<std::size_t>(std::max(seconds, 0.0) * kSoundRate), s.size());
  };
  const double length = facts.speech_end - facts.speech_start;
  std::minstd_rand random(static_cast<unsigned>(take.line + 1));
  if (take.kind == "end_cut") {
    const double cut = facts.speech_end - 0.15 * length;
    s.resize(at(cut));
    return Place1{cut, facts.speech_end};
  }
  if (take.kind == "dropout") {
    const double from =
        facts.speech_start + (0.2 + 0.005 * static_cast<double>(random() % 100)) * length;
    std::fill(s.begin() + static_cast<std::ptrdiff_t>(at(from)),
              s.begin() + static_cast<std::ptrdiff_t>(at(from + 0.4)), std::int16_t{0});
    return Place1{from, from + 0.4};
  }
  if (take.kind == "noise") {  // as loud as the speech, or 10 dB below
    double energy = 0;
    for (const std::int16_t v : s) energy += static_cast<double>(v) * v;
    const double rms = std::sqrt(energy / static_cast<double>(s.size()));
    const double level = take.line % 2 == 0 ? rms : rms / 3.16;
    std::normal_distribution<double> noise(0, level);
    for (std::int16_t& v : s)
      v = static_cast<std::int16_t>(std::clamp(v + noise(random), -32768.0, 32767.0));
    return Place1{};
  }
  if (take.kind == "too_fast") {
    std::vector<float> samples;
    for (const std::int16_t v : s) samples.push_back(static_cast<float>(v) / 32768);
    LATHE_TRY(sound, make_sound(samples, 1, static_cast<int>(kSoundRate * 1.8)));
    return Place1{};
  }
  if (take.kind == "cut_out") {  // a whole word leaves the sound without a trace
    if (!hearing.aligned) return invalid("no alignment to cut a word out by");
    std::size_t longest = 0;
    for (std::size_t i = 0; i < hearing.expected.size(); ++i)
      if (hearing.expected[i].end - hearing.expected[i].start >
          hearing.expected[longest].end - hearing.expected[longest].start)
        longest = i;
    const auto& word = hearing.expected[longest];
    s.erase(s.begin() + static_cast<std::ptrdiff_t>(at(word.start)),
            s.begin() + static_cast<std::ptrdiff_t>(at(word.end)));
    return Place1{word.start, word.start};
  }
  return Place1{};
}

// The words in which two lines differ: of the first, or of the second when it only adds some.
std::set<std::string> changed_words(const std::string& line, const std::string& spoiled) {
  const auto a = loop::words_of(loop::spoken_text(line)),
             b = loop::words_of(loop::spoken_text(spoiled));
  std::size_t head = 0, tail = 0;
  while (head < std::min(a.size(), b.size()) && a[head] == b[head]) ++head;
  while (tail < std::min(a.size(), b.size()) - head &&
         a[a.size() - 1 - tail] == b[b.size() - 1 - tail])
    ++tail;
  std::set<std::string> words(a.begin() + static_cast<std::ptrdiff_t>(head),
                              a.end() - static_cast<std::ptrdiff_t>(tail));
  if (words.empty())
    for (std::size_t i = head; i + tail < b.size(); ++i) words.insert("+" + b[i]);
  return words;
}

bool named(const Take& take, const Line& line, const Place1& place,
           const std::vector<loop::Critique>& critiques) {
  const std::set<std::string> changed =
      take.text == line.text ? std::set<std::string>() : changed_words(line.text, take.text);
  const bool inserted = !changed.empty() && changed.begin()->starts_with('+');
  for (const loop::Critique& critique : critiques) {
    const auto at = critique.locus.rfind(" @ ");
    if (at == critique.locus.npos) continue;
    const std::string word = critique.locus.substr(0, at);
    const double time = std::atof(critique.locus.c_str() + at + 3);
    const auto dash = critique.locus.find('-', at);
    const double end =
        dash == critique.locus.npos ? time : std::atof(critique.locus.c_str() + dash + 1);
    if (take.kind == "wrong_line" || place.from < 0) {
      if (take.kind == "wrong_line" || changed.empty()) return true;
      if (inserted
              ? word.starts_with('+') || critique.claim.find("not understood") != std::string::npos
              : changed.contains(word) || std::ranges::any_of(split(word, ' '), [&](const auto& w) {
                  return changed.contains(w);
                }))
        return true;
    } else if (time <= place.to + 0.35 && end >= place.from - 0.35) {
      return true;
    }
  }
  return false;
}

class Bench {
 public:
  Bench(std::vector<Line> lines, int threads)
      : lines_(std::move(lines)), pool_("/proc/self/exe", threads) {
    for (const Line& line : lines_)
      script_.lines.push_back(loop::words_of(loop::spoken_text(line.text)));
  }

  Result<Outcome1> run(const Take& take) {
    const StopFlag stop;
    const Line& line = lines_[take.line];
    const auto words = loop::words_of(loop::spoken_text(line.text));
    loop::VoiceSetting setting;
    setting.voice = take.voice;
    LATHE_TRY(Sound sound,
              loop::speak_take(pool_, loop::spoken_text(take.text), setting, kLimit, stop));
    loop::Hearing hearing;
    if (take.kind == "cut_out") {
      LATHE_TRY(hearing, pool_.hear(script_, sound, words, kLimit, stop));
    }
    LATHE_TRY(const Place1 place, harm(sound, take, hearing));
    LATHE_TRY(const Decoded decoded, pool_.decode(wav_bytes(sound), kLimit, stop));
    LATHE_TRY(hearing, pool_.hear(script_, decoded.sound, words, kLimit, stop));
    const loop::Finding finding =
        loop::judge_words(decoded, hearing, loop::spoken_text(line.text), loop::kWordsHeardLimits);
    Outcome1 outcome;
    outcome.made = true;
    outcome.accepted = finding.score >= 0.9;
    outcome.named = named(take, line, place, finding.critiques);
    outcome.seconds = sound.seconds();
    for (const loop::Critique& critique : finding.critiques)
      outcome.detail +=
          fmt::format("[{} | {} | {}] ", critique.locus, critique.claim, critique.evidence);
    double worst = 1e9, least = 1;
    for (const auto& word : hearing.expected) worst = std::min(worst, word.acoustic);
    for (const auto& word : hearing.heard) least = std::min(least, word.posterior);
    outcome.detail += fmt::format("acoustic {:.1f} posterior {:.2f}", worst, least);
    return outcome;
  }

 private:
  std::vector<Line> lines_;
  loop::MediaPool pool_;
  loop::EarScript script_;
};

double cpu_seconds() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    sum += static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  }
  return sum;
}

int main_of(const std::vector<std::string>& args) {
  std::string set, json_file;
  int threads = 1;
  bool verbose = false;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--json" && i + 1 < args.size())
      json_file = args[++i];
    else if (args[i] == "--threads" && i + 1 < args.size())
      threads = std::max(1, std::atoi(args[++i].c_str()));
    else if (args[i] == "--verbose")
      verbose = true;
    else
      set = args[i];
  }
  auto lines = load(set);
  if (!lines) {
    fmt::print(
        stderr,
        "error: {}\nusage: lathe_ears_bench SET.tsv [--json FILE] [--threads N] [--verbose]\n",
        lines.error().message);
    return 2;
  }
  const std::vector<Take> takes = plan(*lines);
  std::vector<Outcome1> outcomes(takes.size());
  {
    Bench bench(*lines, threads);
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> team;
    for (int t = 0; t < threads; ++t)
      team.emplace_back([&] {
        for (std::size_t i = next++; i < takes.size(); i = next++) {
          auto outcome = bench.run(takes[i]);
          if (outcome)
            outcomes[i] = std::move(*outcome);
          else
            outcomes[i].detail = outcome.error().message;
        }
      });
    for (std::thread& thread : team) thread.join();
  }
  struct Row {
    int takes = 0, accepted = 0, named = 0, unmade = 0;
  };
  std::map<std::string, Row> rows;
  for (std::size_t i = 0; i < takes.size(); ++i) {
    const std::string kind = takes[i].kind == "good" ? "good " + takes[i].voice : takes[i].kind;
    Row& row = rows[kind];
    if (!outcomes[i].made) {
      ++row.unmade;
      fmt::print(stderr, "not made: {} {} {}: {}\n", takes[i].kind, takes[i].voice, takes[i].text,
                 outcomes[i].detail);
      continue;
    }
    ++row.takes;
    row.accepted += outcomes[i].accepted;
    row.named += !outcomes[i].accepted && outcomes[i].named;
    const bool right = outcomes[i].accepted == (takes[i].kind == "good");
    if (verbose)
      fmt::print(
          "{} {} {} | {} | {}\n",
          right ? (takes[i].kind == "good" || outcomes[i].named ? "ok   " : "NONAM") : "WRONG",
          takes[i].kind, takes[i].voice, takes[i].text, outcomes[i].detail);
  }
  Row good, spoiled;
  fmt::print("{:<28} {:>6} {:>9} {:>9} {:>7}\n", "kind", "takes", "accepted", "rejected", "named");
  Json kinds = Json::object();
  for (const auto& [kind, row] : rows) {
    fmt::print("{:<28} {:>6} {:>9} {:>9} {:>7}\n", kind, row.takes, row.accepted,
               row.takes - row.accepted, row.named);
    kinds[kind] = {{"takes", row.takes},
                   {"accepted", row.accepted},
                   {"named", row.named},
                   {"unmade", row.unmade}};
    if (kind == "pair") continue;
    Row& sum = kind.starts_with("good") ? good : spoiled;
    sum.takes += row.takes;
    sum.accepted += row.accepted;
    sum.named += row.named;
  }
  const auto share = [](int part, int whole) { return whole ? 100.0 * part / whole : 0; };
  fmt::print(
      "good accepted {}/{} = {:.1f} %; spoiled rejected {}/{} = {:.1f} %, with the word and its "
      "time {:.1f} %\n",
      good.accepted, good.takes, share(good.accepted, good.takes), spoiled.takes - spoiled.accepted,
      spoiled.takes, share(spoiled.takes - spoiled.accepted, spoiled.takes),
      share(spoiled.named, spoiled.takes));

  // The cost of the whole loop, one thread, the ear's start included.
  double seconds = 0;
  const double before = cpu_seconds();
  const auto started = system_clock().monotonic();
  {
    Bench bench(*lines, 1);
    for (const Take& take : takes)
      if (take.kind == "good" && (take.voice == "flite:rms" || take.voice == "flite:slt"))
        if (const auto outcome = bench.run(take)) seconds += outcome->seconds;
  }
  const double cpu = cpu_seconds() - before;
  const double wall = static_cast<double>((system_clock().monotonic() - started).count()) / 1000;
  fmt::print(
      "speak + hear + score: {:.2f} CPU s and {:.2f} wall s for {:.2f} s of sound: {:.3f} and "
      "{:.3f} of real time\n",
      cpu, wall, seconds, cpu / seconds, wall / seconds);
  if (!json_file.empty()) {
    const Json out{{"set", set},
                   {"kinds", kinds},
                   {"good_accepted", share(good.accepted, good.takes)},
                   {"spoiled_rejected", share(spoiled.takes - spoiled.accepted, spoiled.takes)},
                   {"spoiled_named", share(spoiled.named, spoiled.takes)},
                   {"cpu_per_second", cpu / seconds},
                   {"wall_per_second", wall / seconds}};
    if (auto written = write_file_atomic(json_file, dump_json(out, 2) + "\n"); !written) {
      fmt::print(stderr, "error: {}\n", written.error().message);
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (!args.empty() && args[0] == "media-worker")
    return lathe::loop::media_worker_main(std::span(args).subspan(1));
  return lathe::main_of(args);
}

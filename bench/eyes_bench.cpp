// How well the eyes tell good pictures from faulty ones, and what that costs.
//
//   lathe_eyes_bench [--seed N] [--each N] [--good N] [--keep DIR] [--verbose]
//
// Draws N pictures of every kind of fault and N good ones by chance (tests/pictures), judges them
// through the confined workers as a run does, and prints a table. Thresholds were chosen on seed 1;
// every other seed is held out.
#include <sys/resource.h>

#include <cstdio>

#include "ground/base/file.h"
#include "ground/base/text.h"
#include "loop/judges/eyes.h"
#include "loop/senses/box_text.h"
#include "loop/senses/media_worker.h"
#include "picture_set.h"

namespace lathe {
namespace {

struct Options {
  unsigned seed = 20261121;
  unsigned each = 10, good = 180;
  std::string keep;
  bool verbose = false;
};

struct Row {
  int pictures = 0, right = 0, unsure = 0;
  double seconds = 0;
};

double processor_seconds() {
  rusage own{}, children{};
  ::getrusage(RUSAGE_SELF, &own);
  ::getrusage(RUSAGE_CHILDREN, &children);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(own.ru_utime) + seconds(own.ru_stime) + seconds(children.ru_utime) +
         seconds(children.ru_stime);
}

void judge_one(loop::MediaPool& pool, const Options& options, std::string_view kind, unsigned index,
               Row& row) {
  const SetPicture picture = set_picture(kind, options.seed, index);
  if (!options.keep.empty())
    (void)write_file_atomic(fs::path(options.keep) / (picture.name + "." + picture.extension),
                            picture.file);
  const StopFlag go;
  const Milliseconds begin = system_clock().monotonic();
  const auto verdict =
      loop::look_and_judge(pool, picture.file, picture.wanted, Milliseconds(60'000), go);
  row.seconds += static_cast<double>((system_clock().monotonic() - begin).count()) / 1000;
  ++row.pictures;
  const bool right = verdict && judged_right(picture, *verdict);
  row.right += right;
  if (verdict && verdict->flaws.empty() && !verdict->unsure.empty()) ++row.unsure;
  if (right && !options.verbose) return;
  std::string found;
  if (!verdict) found = verdict.error().message;
  if (verdict) {
    for (const loop::Flaw& flaw : verdict->flaws)
      found += fmt::format("\n      {} {} {:.2f}/{:.2f} {}", loop::flaw_name(flaw.kind),
                           loop::to_text(flaw.box), flaw.value, flaw.bar, flaw.claim);
    for (const std::string& unsure : verdict->unsure) found += "\n      unsure: " + unsure;
  }
  fmt::print("  {} {} ({}; wants '{}'){}\n", right ? "right" : "WRONG", picture.name, picture.look,
             join(picture.wanted.phrases, "|"), found);
}

int measure(const Options& options, const fs::path& self) {
  loop::MediaPool pool(self, 1);
  std::vector<std::pair<std::string, Row>> rows;
  const auto run = [&](std::string_view kind, unsigned count) {
    Row row;
    for (unsigned i = 0; i < count; ++i) judge_one(pool, options, kind, i, row);
    rows.emplace_back(kind, row);
    std::fflush(stdout);
  };
  for (const std::string_view kind : fault_kinds()) run(kind, options.each);
  run("good", options.good);

  Row faults;
  fmt::print("\n{:<16} {:>8} {:>8} {:>8} {:>10}\n", "kind", "pictures", "right", "unsure",
             "s/picture");
  for (const auto& [kind, row] : rows) {
    fmt::print("{:<16} {:>8} {:>8} {:>8} {:>10.2f}\n", kind, row.pictures, row.right, row.unsure,
               row.seconds / std::max(1, row.pictures));
    if (kind == "good") continue;
    faults.pictures += row.pictures;
    faults.right += row.right;
  }
  const Row& good = rows.back().second;
  fmt::print("\nfaults caught with the right reason: {} of {} ({:.1f} %)\n", faults.right,
             faults.pictures, 100.0 * faults.right / std::max(1, faults.pictures));
  fmt::print("false alarms on good pictures:       {} of {} ({:.1f} %), not told: {}\n",
             good.pictures - good.right - good.unsure, good.pictures,
             100.0 * (good.pictures - good.right - good.unsure) / std::max(1, good.pictures),
             good.unsure);
  fmt::print("processor time of this program, drawing included: {:.1f} s\n", processor_seconds());
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (!args.empty() && args[0] == "media-worker")
    return lathe::loop::media_worker_main(std::span(args).subspan(1));
  lathe::Options options;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const auto number = [&] {
      return static_cast<unsigned>(i + 1 < args.size() ? std::stoul(args[++i]) : 0);
    };
    if (args[i] == "--seed") {
      options.seed = number();
    } else if (args[i] == "--each") {
      options.each = number();
    } else if (args[i] == "--good") {
      options.good = number();
    } else if (args[i] == "--keep" && i + 1 < args.size()) {
      options.keep = args[++i];
    } else if (args[i] == "--verbose") {
      options.verbose = true;
    } else {
      fmt::print(stderr,
                 "usage: lathe_eyes_bench [--seed N] [--each N] [--good N] [--keep DIR] "
                 "[--verbose]\n");
      return 2;
    }
  }
  return lathe::measure(options, std::filesystem::read_symlink("/proc/self/exe"));
}

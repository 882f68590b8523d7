// Carries one order out: files and the tree from their blobs, then the maker or the judge itself.
#include "loop/orders/carry_out.h"

#include <fstream>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "ground/base/version.h"
#include "loop/orders/answer.h"
#include "loop/orders/strict_json.h"
#include "loop/terms/labelled_worker.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMostTreeFiles = 20'000;
constexpr std::uint64_t kMostTreeBytes = std::uint64_t{256} << 20;

// What `path` names below `directory` becomes the blob, as it comes: how many bytes that were. Not
// durable on purpose: a scratch copy.
Result<std::uint64_t> lay_file(OrderBlobs& blobs, const std::string& blob, std::uint64_t max_bytes,
                               const StopFlag& stop, const fs::path& directory,
                               const std::string& path, bool executable) {
  if (!is_safe_relative(path)) return invalid("order: '{}' leads outside", clip(path));
  const fs::path target = directory / path;
  LATHE_TRY_STATUS(make_directories(target.parent_path()));
  std::ofstream out;
  std::uint64_t size = 0;
  LATHE_TRY_STATUS(fetch_checked(blobs, blob, max_bytes, stop,
                                 [&](std::uint64_t at, std::string_view piece) -> Status {
                                   if (at == 0) {
                                     if (out.is_open()) out.close();
                                     out.open(target, std::ios::binary);
                                   }
                                   out << piece;
                                   size = at + piece.size();
                                   return {};
                                 }));
  out.close();
  if (!out)
    return fail(ErrorKind::kUnavailable, "{}: cannot write it; is the disk full?", target.string());
  std::error_code ignored;
  if (executable)
    fs::permissions(target, fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec,
                    fs::perm_options::add, ignored);
  return size;
}

Status lay_tree(OrderBlobs& blobs, const std::string& manifest, const StopFlag& stop,
                const fs::path& directory) {
  LATHE_TRY(const std::string text, checked_blob(blobs, manifest, stop));
  LATHE_TRY(const Json json, parse_json(text));
  LATHE_TRY(const Json files, strict_list(json, "files"));
  if (files.size() > kMostTreeFiles)
    return invalid("order: its tree has more than {} files", kMostTreeFiles);
  std::uint64_t left = kMostTreeBytes;
  for (const Json& file : files) {
    LATHE_TRY(const std::string path, strict_text(file, "path"));
    LATHE_TRY(const std::string blob, strict_blob(file, "blob"));
    LATHE_TRY(const std::uint64_t size, lay_file(blobs, blob, left, stop, directory, path,
                                                 json_bool(file, "executable", false)));
    left -= size;
  }
  return {};
}

// Carries out one order: what it needs of blobs is fetched before anything runs.
class Errand {
 public:
  Errand(const Order& order, OrderBlobs& blobs, const OrderBench& bench, TempDir files)
      : order_(order), blobs_(blobs), bench_(bench), files_(std::move(files)) {
    place_.program = bench.program;
    place_.unsafe_no_sandbox = bench.unsafe_no_sandbox;
    place_.media = bench.media;
    place_.recipe_dir = files_.path();
    if (order.tree)
      place_.checkout = [this](const fs::path& directory) {
        return lay_tree(blobs_, *order_.tree, bench_.stop, directory);
      };
  }

  Status make(const MakeOrder& make, OrderAnswer& answer) {
    MakeTask task{order_.options, order_.units};
    task.move = make.move;
    task.lap = make.lap;
    task.n_index = make.n;
    task.rung = make.rung;
    task.setting = make.setting;
    task.critiques = make.critiques;
    LATHE_TRY(task.prefix, blob(make.prefix));
    LATHE_TRY(task.tail, blob(make.tail));
    if (make.best) {
      LATHE_TRY(task.best, blob(*make.best));
    }
    const std::vector<std::string> ladder{make.rung};
    if (make.maker->check) LATHE_TRY_STATUS(make.maker->check(order_.options, ladder));
    if (asks_worker(*make.maker, make.rung)) LATHE_TRY_STATUS(ask(make.rung));
    const MakeContext context{.place = place_,
                              .worker = labelled_ ? &*labelled_ : nullptr,
                              .stop = bench_.stop,
                              .time_limit = order_.time_limit,
                              .progress = bench_.progress,
                              .usage = &answer.usage,
                              .proposals = make.proposals ? &answer.proposals : nullptr};
    auto made = make.maker->make(task, context);
    LATHE_TRY_STATUS(note_asked(answer));
    if (!made) {
      answer.made = std::unexpected(std::move(made).error());
      return {};
    }
    MadeThere there;
    LATHE_TRY(there.blob, blobs_.put(made->bytes, bench_.stop));
    there.media_type = made->media_type;
    there.extension = made->extension;
    there.facts = made->facts;
    answer.made = std::move(there);
    return {};
  }

  Status judge(const JudgeOrder& judge, OrderAnswer& answer) {
    LATHE_TRY(const std::string all, blob(judge.all_units));
    LATHE_TRY(const std::vector<Unit> all_units, read_units(all));
    std::vector<Part> parts;
    for (const JudgeOrder::Part& each : judge.parts) {
      Part& part = parts.emplace_back();
      part.unit = each.unit;
      part.passed = each.passed;
      part.candidate = each.candidate;
      part.media_type = each.media_type;
      part.judgements = each.judgements;
      if (each.candidate.empty()) continue;
      LATHE_TRY(part.bytes, blob(each.candidate));
    }
    std::string bytes;
    if (judge.scope == Scope::kUnit) {
      LATHE_TRY(bytes, blob(judge.candidate));
    }
    if (judge.judge->check) LATHE_TRY_STATUS(judge.judge->check(order_.options));
    if (judge.judge->needs_worker) LATHE_TRY_STATUS(ask(option_string(order_.options, "worker")));
    JudgeTask task{order_.options};
    task.units = order_.units;
    task.all_units = all_units;
    task.scope = judge.scope;
    task.candidate = judge.candidate;
    task.bytes = bytes;
    task.media_type = judge.media_type;
    task.parts = parts;
    task.discovered = judge.discovered;
    const JudgeContext context{.place = place_,
                               .worker = labelled_ ? &*labelled_ : nullptr,
                               .stop = bench_.stop,
                               .time_limit = order_.time_limit,
                               .progress = bench_.progress};
    answer.judgement = judge_closed(*judge.judge, task, context);
    answer.usage = answer.judgement->usage;
    return note_asked(answer);
  }

 private:
  Result<std::string> blob(const std::string& sha256) {
    return checked_blob(blobs_, sha256, bench_.stop);
  }

  // The worker must be no farther away than the order may travel.
  Status ask(const std::string& name) {
    Worker* worker = bench_.worker ? bench_.worker(name) : nullptr;
    if (worker == nullptr)
      return fail(ErrorKind::kUnavailable, "this node has no worker '{}'", clip(name));
    if (worker->info().reach > order_.privacy)
      return fail(ErrorKind::kDenied,
                  "the worker '{}' of this node reaches '{}', and the order may go as far as '{}'",
                  clip(name), reach_name(worker->info().reach), reach_name(order_.privacy));
    labelled_.emplace(
        *worker, std::map<std::string, std::string>{{"run", order_.run}, {"call", order_.call}});
    return {};
  }

  Status note_asked(OrderAnswer& answer) {
    if (!labelled_) return {};
    answer.asked = labelled_->info();
    const auto sent = labelled_->sent();
    if (!sent) return {};
    LATHE_TRY(answer.prompt, blobs_.put(*sent, bench_.stop));
    return {};
  }

  const Order& order_;
  OrderBlobs& blobs_;
  const OrderBench& bench_;
  const TempDir files_;
  Place place_;
  std::optional<LabelledWorker> labelled_;
};

Status check_numerics(const Order& order) {
  if (order.numerics == kNumerics) return {};
  return invalid(
      "the order comes from {} with numerics {}, and this node has numerics {}: it would get other "
      "bits; have the same lathe on both",
      clip(order.build), order.numerics, kNumerics);
}

// What was cut off is no answer.
bool was_cut_off(const OrderAnswer& answer, const StopFlag& stop) {
  return stop.raised() && (answer.judgement ? answer.judgement->outcome == Outcome::kError
                                            : !answer.made.has_value());
}

// Only where nothing but the order decides the bytes. A model's answer is none of these: nodes may
// have different files under one name, and a difference would then be no machine's fault.
bool same_everywhere(const Order& order) {
  const auto* make = std::get_if<MakeOrder>(&order.what);
  return make != nullptr && make->maker->repeat == "pure" && !asks_worker(*make->maker, make->rung);
}

}  // namespace

Result<books::UnitResult> carry_out(const std::string& unit_id, OrderBlobs& blobs,
                                    const OrderBench& bench) {
  LATHE_TRY(const UnitName name, parse_unit_id(unit_id));
  LATHE_TRY(const std::string text, checked_blob(blobs, name.order, bench.stop, kMaxOrderBytes));
  LATHE_TRY(const Order order, read_order(text));
  if (order.call != name.call)
    return invalid("the unit {} names the order of another call, {}", clip(unit_id),
                   clip(order.call));
  LATHE_TRY_STATUS(check_numerics(order));

  LATHE_TRY(TempDir files, TempDir::make("lathe-order"));
  for (const Order::File& file : order.files) {
    LATHE_TRY_STATUS(
        lay_file(blobs, file.blob, kMaxFileBytes, bench.stop, files.path(), file.path, false));
  }

  OrderAnswer answer;
  answer.order = name.order;
  answer.build = bench.build;
  const auto begun = system_clock().monotonic();
  Errand errand(order, blobs, bench, std::move(files));
  if (const auto* make = std::get_if<MakeOrder>(&order.what))
    LATHE_TRY_STATUS(errand.make(*make, answer));
  else
    LATHE_TRY_STATUS(errand.judge(std::get<JudgeOrder>(order.what), answer));
  answer.ms = (system_clock().monotonic() - begun).count();
  if (was_cut_off(answer, bench.stop)) return fail(ErrorKind::kCancelled, "the node was stopped");

  books::UnitResult result;
  if (same_everywhere(order) && answer.made) result.hash = answer.made->blob;
  LATHE_TRY(std::string kept, blobs.put(answer_text(answer), bench.stop));
  result.body = {{"answer", std::move(kept)}};
  return result;
}

std::vector<std::string> program_caps() {
  std::vector<std::string> caps;
  for (const MakerKind* maker : maker_kinds()) caps.push_back(fmt::format("maker:{}", maker->name));
  for (const JudgeKind* judge : judge_kinds()) caps.push_back(fmt::format("judge:{}", judge->name));
  return caps;
}

}  // namespace lathe::loop

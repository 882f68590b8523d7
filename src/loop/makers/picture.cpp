// The picture maker: a worker makes a picture after a prompt, and mends it where a judge has found
// a fault in it.
#include "loop/makers/picture.h"

#include <algorithm>

#include "loop/makers/ask.h"
#include "loop/senses/box_text.h"
#include "loop/senses/media_pool.h"

namespace lathe::loop {

extern const MakerKind kPictureMaker;

namespace {

constexpr OptionSpec kOptions[] = {
    {"prompt", OptionType::kString, "\"{unit}\"", "what is asked for; {unit} is the unit's text"},
    {"size", OptionType::kString, "\"1024x1024\"", "pixels that are asked for"},
};

constexpr std::size_t kMostFaults = 8;
constexpr int kMargin = 12;  // of a change, around each fault: pixels

std::string faults_text(std::span<const Critique> critiques) {
  std::string text;
  for (const Critique& critique : critiques.first(std::min(critiques.size(), kMostFaults)))
    text += fmt::format("\n- {}", critique.claim);
  return text.empty() ? text : "\n\nThe last picture had these faults. Mend them:" + text;
}

bool all_have_places(std::span<const Critique> critiques) {
  return !critiques.empty() && std::ranges::all_of(critiques, [](const Critique& critique) {
    return parse_box(critique.locus).has_value();
  });
}

std::string size_text(const Picture& picture) {
  return fmt::format("{}x{}", picture.width, picture.height);
}

// The best picture, to be changed where its faults are.
Status ask_for_change(const MakeTask& task, const MakeContext& context, MediaPool& pool,
                      PictureRequest& request) {
  LATHE_TRY(const OpenedPicture best,
            pool.open_picture(*task.best, context.time_limit, context.stop));
  std::vector<Box> open;
  for (const Critique& critique : task.critiques)
    if (const auto box = parse_box(critique.locus)) open.push_back(grown(*box, kMargin));
  request.picture = *task.best;
  request.mask = mask_png(best.picture.width, best.picture.height, open);
  return {};
}

Status check(const Json& options, std::span<const std::string>) {
  LATHE_TRY_STATUS(picture_size(option_string(options, "size")));
  return {};
}

Result<Made> make(const MakeTask& task, const MakeContext& context) {
  const Unit& unit = task.units.front();
  const std::string prompt =
      json_string(unit.data, "prompt", option_string(task.options, "prompt"));
  LATHE_TRY(const Box size,
            picture_size(json_string(unit.data, "size", option_string(task.options, "size"))));
  return paint_picture({replace_all(prompt, "{unit}", unit.text), size}, task, context);
}

}  // namespace

Result<Box> picture_size(std::string_view text) {
  const auto size = parse_box(fmt::format("box 0,0 {}", text));
  if (!size || size->w < 64 || size->h < 64 || size->area() > 16'000'000)
    return invalid("size = \"{}\" must be like \"1280x720\", from 64 to 16 million pixels",
                   clip_utf8(text, 40));
  return *size;
}

std::optional<Proposal> propose_picture(const ProposeTask& task) {
  std::optional<Proposal> next = propose_by_model(task);
  if (!next) return next;
  // The same change of the same picture would come to the same.
  if (next->move == Move::kRepair && task.attempts.back().move == Move::kRepair &&
      !task.attempts.back().gained)
    next = Proposal{Move::kResample,
                    next->rung,
                    task.best_of,
                    {},
                    "the repair made it no better: fresh samples"};
  const int lap = task.attempts.empty() ? 1 : task.attempts.back().lap + 1;
  const auto own = task.units.empty() ? std::nullopt : own_seed(task.units.front());
  next->setting = {{"seed", own ? *own + (lap - 1) * 1000 : lap * 1000}};
  const auto best = std::ranges::find_if(task.attempts.rbegin(), task.attempts.rend(),
                                         [](const Attempt& each) { return each.gained; });
  if (next->move != Move::kRepair || best == task.attempts.rend() ||
      !all_have_places(best->critiques))
    return next;
  next->setting["change"] = true;
  next->setting["seed"] = json_int(best->setting, "seed", lap * 1000) + best->n;
  return next;
}

Result<Made> paint_picture(const PictureBrief& brief, const MakeTask& task,
                           const MakeContext& context) {
  if (!context.worker) return invalid("picture: needs a worker; name one in make.ladder");
  const auto pool = media_pool(context.place.media, context.place.program);
  PictureRequest request;
  request.prompt = brief.prompt + faults_text(task.critiques);
  request.width = brief.size.w;
  request.height = brief.size.h;
  request.seed = json_at(task.setting, "seed").is_number_integer()
                     ? json_int(task.setting, "seed", 0) + task.n_index
                     : seed_of(task);
  request.labels = labels_of({"make", task.lap, task.n_index});
  request.time_limit = context.time_limit;
  if (json_bool(task.setting, "change", false) && task.best)
    LATHE_TRY_STATUS(ask_for_change(task, context, *pool, request));

  if (context.progress) context.progress("painting with " + task.rung);
  auto painted = context.worker->paint(request, context.stop);
  if (!painted && painted.error().code == kChangesNoPictures) {
    request.picture.clear();
    request.mask.clear();
    request.seed = seed_of(task);  // the same one would paint the same faults
    painted = context.worker->paint(request, context.stop);
  }
  if (!painted) return at("picture", painted.error());
  if (context.usage) *context.usage += painted->usage;
  const auto opened = pool->open_picture(*painted->picture.bytes, context.time_limit, context.stop);
  if (!opened) return at("picture: what " + task.rung + " made", opened.error());

  Made made;
  made.bytes = *painted->picture.bytes;
  made.media_type = painted->picture.media_type;
  made.extension = made.media_type == "image/jpeg" ? "jpg" : made.media_type.substr(6);
  made.facts = {{"model", painted->model},
                {"seed", *request.seed},
                {"changed", !request.picture.empty()},
                {"size", size_text(opened->picture)},
                {"asked_size", fmt::format("{}x{}", brief.size.w, brief.size.h)}};
  return made;
}

const MakerKind kPictureMaker = {
    .name = "picture",
    .summary = "a worker that paints makes a picture, and mends it where a fault has a place",
    .options = kOptions,
    .needs_worker = true,
    .check = check,
    .propose = propose_picture,
    .make = make,
};

}  // namespace lathe::loop

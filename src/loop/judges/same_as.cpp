// The same_as judge: how far a page or a picture is from a reference picture.
#include "ground/base/text.h"
#include "loop/judges/candidate_picture.h"
#include "loop/judges/eyes.h"
#include "loop/senses/box_text.h"
#include "loop/senses/difference.h"

namespace lathe::loop {
namespace {

constexpr OptionSpec kOptions[] = {
    {"reference", OptionType::kString, kMustBeGiven, "the picture, relative to the recipe", true},
    {"min", OptionType::kBar, "0.8", "the similarity that passes; 1 is the same"},
    {"part_max", OptionType::kNumber, "0.7",
     "how far off a part of the picture may be, from 0 to 1"},
};
constexpr std::size_t kMostParts = 6;  // named in critiques; the heat map shows all
constexpr double kAspectSlack = 0.03;

Status check_same_as(const Json& options) {
  if (const double most = option_number(options, "part_max"); !(most > 0 && most <= 1))
    return invalid("part_max must lie above 0 and up to 1");
  return {};
}

std::string where(const Box& box, const Picture& picture) {
  const auto third = [](int middle, int side, std::string_view a, std::string_view b,
                        std::string_view c) {
    return 3 * middle < side ? a : 3 * middle < 2 * side ? b : c;
  };
  const std::string_view row = third(box.y + box.h / 2, picture.height, "top", "middle", "bottom");
  const std::string_view column =
      third(box.x + box.w / 2, picture.width, "left", "centre", "right");
  return fmt::format("{} {}", row, column);
}

std::string mean_colour(const Picture& picture, const Box& box) {
  std::int64_t sum[3] = {};
  const Box inside = common(box, picture.box());
  for (int y = inside.y; y < inside.bottom(); ++y)
    for (int x = inside.x; x < inside.right(); ++x)
      for (int c = 0; c < 3; ++c) sum[c] += picture.at(x, y)[c];
  const std::int64_t n = std::max<std::int64_t>(1, inside.area());
  return fmt::format("#{:02x}{:02x}{:02x}", sum[0] / n, sum[1] / n, sum[2] / n);
}

Verdict compared(const Picture& picture, const Picture& reference, const Json& options) {
  const double min = option_bar(options, "min"), most = option_number(options, "part_max");
  Verdict verdict;
  const Difference difference = difference_of(picture, reference);
  const Picture fitting = scaled(picture, reference.width, reference.height);
  verdict.facts["similarity"] = difference.similarity;
  const double aspect =
      static_cast<double>(picture.width) / picture.height * reference.height / reference.width;
  if (std::abs(aspect - 1) > kAspectSlack)
    verdict.flaws.push_back(
        {FlawKind::kSize, picture.box(), "size",
         fmt::format("it is {}x{} pixels, the reference {}x{}: make it as high", picture.width,
                     picture.height, reference.width, reference.height),
         aspect, 1});
  if (difference.similarity < min)
    verdict.flaws.push_back(
        {FlawKind::kDifferent,
         {},
         "whole",
         fmt::format("it is {:.0f} % like the reference, and {:.0f} % are needed",
                     100 * difference.similarity, 100 * min),
         difference.similarity,
         min});
  // The parts that are farthest off, worst first.
  std::vector<std::pair<double, Box>> parts;
  for (int row = 0; row < difference.rows; ++row)
    for (int column = 0; column < difference.columns; ++column) {
      const double off = difference.parts[static_cast<unsigned>(row * difference.columns + column)];
      const auto at = [](int side, int i, int n) { return side * i / n; };
      const int x = at(reference.width, column, difference.columns);
      const int y = at(reference.height, row, difference.rows);
      if (off > (verdict.flaws.empty() ? most : most / 2))
        parts.emplace_back(off, Box{x, y, at(reference.width, column + 1, difference.columns) - x,
                                    at(reference.height, row + 1, difference.rows) - y});
    }
  std::ranges::stable_sort(parts, std::greater<>(), &std::pair<double, Box>::first);
  for (std::size_t i = 0; i < std::min(parts.size(), kMostParts); ++i) {
    const auto& [off, box] = parts[i];
    verdict.flaws.push_back(
        {FlawKind::kDifferent, box, to_text(box),
         fmt::format("differs at the {}: the reference is {} on average there, this is {}",
                     where(box, reference), mean_colour(reference, box), mean_colour(fitting, box)),
         off, most});
  }
  Json view = view_json("difference from the reference", fitting, boxes_of(verdict.flaws));
  view["heat"] = {
      {"columns", difference.columns}, {"rows", difference.rows}, {"values", difference.parts}};
  verdict.facts["views"] =
      Json::array({std::move(view), view_json("the reference", reference, {})});
  return verdict;
}

Result<Judgement> judge_same_as(const JudgeTask& task, const JudgeContext& context) {
  const std::string name = option_string(task.options, "reference");
  LATHE_TRY(const std::string file, read_file(context.place.recipe_dir / name));
  const auto pool = media_pool(context.place.media, context.place.program);
  auto reference = pool->open_picture(file, context.time_limit, context.stop);
  if (!reference) return at(fmt::format("the reference {}", name), reference.error());
  auto picture = candidate_picture(task, context, *pool, reference->picture.box());
  if (!picture && picture.error().kind == ErrorKind::kInvalid)
    return failed(task, FlawKind::kUnreadable, "file", picture.error().message);
  if (!picture) return std::unexpected(picture.error());
  const Verdict verdict = compared(*picture, reference->picture, task.options);
  Judgement judgement = concluded(task, verdict);
  const double similarity = json_number(verdict.facts, "similarity", 0);
  judgement.bar = option_bar(task.options, "min");
  judgement.score =
      verdict.flaws.empty() ? similarity : std::min(similarity, judgement.bar * 0.999);
  return judgement;
}

}  // namespace

extern const JudgeKind kSameAsJudge;
const JudgeKind kSameAsJudge = {
    .name = "same_as",
    .summary = "compares a page or a picture with a reference picture, part by part",
    .options = kOptions,
    .needs_worker = false,
    .stage = Stage::kMeasure,
    .check = check_same_as,
    .judge = judge_same_as,
    .exhibits = picture_exhibits,
};

}  // namespace lathe::loop

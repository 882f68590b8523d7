// Facts in a unit's data, in a prompt, and in an answer.
#include "loop/terms/remembered.h"

#include <fmt/format.h>

#include <algorithm>

#include "ground/base/fence.h"
#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr const char* kFacts = "facts";
constexpr std::string_view kMark = "REMEMBER:";
constexpr std::size_t kMaxBytes = 500;

}  // namespace

void put_recalled(std::span<const RecalledBlob> facts, Unit& unit) {
  Json list = Json::array();
  for (const RecalledBlob& fact : facts) list.push_back({{"id", fact.id}, {"blob", fact.blob}});
  unit.data[kFacts] = std::move(list);
}

std::vector<RecalledBlob> recalled_of(std::span<const Unit> units) {
  std::vector<RecalledBlob> facts;
  for (const Unit& unit : units)
    for (const Json& each : json_at(unit.data, kFacts)) {
      const std::int64_t id = json_int(each, "id", 0);
      if (std::ranges::find(facts, id, &RecalledBlob::id) == facts.end())
        facts.push_back({id, json_string(each, "blob")});
    }
  return facts;
}

std::string remembered_text(std::span<const std::string> facts, bool may_propose) {
  std::string text;
  if (!facts.empty()) text += "Known from earlier work:\n";
  for (const std::string& fact : facts) text += "- " + replace_all(fact, "\n", " ") + "\n";
  if (may_propose)
    text += fmt::format(
        "Behind everything else you may propose what later work should know and will still be true "
        "then, a line each, like \"{} the port: 8080\". It is looked at before it counts. Propose "
        "no secrets.\n",
        kMark);
  return text.empty() ? text : text + "\n";
}

std::string without_proposals(std::string_view answer, std::vector<std::string>& proposals) {
  std::string kept;
  std::string_view fence;
  for (const std::string_view line : split_lines(answer)) {
    if (fence.empty())
      fence = fence_of(line);
    else if (closes_fence(line, fence))
      fence = {};
    const std::string_view said = trim(line);
    if (!fence.empty() || !said.starts_with(kMark)) {
      kept.append(line).append("\n");
      continue;
    }
    const std::string_view fact = trim(said.substr(kMark.size()));
    if (!fact.empty() && fact.size() <= kMaxBytes && proposals.size() < kMostProposals)
      proposals.emplace_back(fact);
  }
  if (!answer.ends_with('\n') && !kept.empty()) kept.pop_back();
  return proposals.empty() ? std::string(answer) : kept;
}

}  // namespace lathe::loop

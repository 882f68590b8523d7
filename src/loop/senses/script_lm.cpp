// A language model of one script, for the ear.
#include "loop/senses/script_lm.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <map>

namespace lathe::loop {
namespace {

constexpr double kDiscount = 0.5;
constexpr double kNever = -99;  // ARPA's log10 of zero
constexpr std::size_t kOrder = 3;

using Gram = std::vector<std::string>;

struct Context {
  double total = 0;
  int kinds = 0;  // different words that followed
};

std::string text_of(const Gram& gram) {
  return fmt::format("{}", fmt::join(gram, " "));
}

Gram head_of(const Gram& gram) {
  return Gram(gram.begin(), gram.end() - 1);
}

}  // namespace

std::string script_language_model(const std::vector<std::vector<std::string>>& lines) {
  std::array<std::map<Gram, double>, kOrder + 1> counts;
  for (const auto& line : lines) {
    if (line.empty()) continue;
    Gram words{"<s>"};
    words.insert(words.end(), line.begin(), line.end());
    words.emplace_back("</s>");
    for (std::size_t order = 1; order <= kOrder; ++order)
      for (std::size_t i = 0; i + order <= words.size(); ++i) {
        const auto from = words.begin() + static_cast<std::ptrdiff_t>(i);
        counts[order][Gram(from, from + static_cast<std::ptrdiff_t>(order))] += 1;
      }
  }
  std::map<Gram, Context> contexts;
  for (std::size_t order = 1; order <= kOrder; ++order)
    for (const auto& [gram, count] : counts[order]) {
      if (order == 1 && gram[0] == "<s>") continue;  // it begins a line and follows nothing
      Context& context = contexts[head_of(gram)];
      context.total += count;
      context.kinds += 1;
    }

  std::map<Gram, double> probability;
  const auto backed_off = [&](const Gram& context) {
    const auto it = contexts.find(context);
    return it == contexts.end() ? 1.0 : kDiscount * it->second.kinds / it->second.total;
  };
  std::string out = "\\data\\\n";
  for (std::size_t order = 1; order <= kOrder; ++order)
    out += fmt::format("ngram {}={}\n", order, counts[order].size());
  for (std::size_t order = 1; order <= kOrder; ++order) {
    out += fmt::format("\n\\{}-grams:\n", order);
    for (const auto& [gram, count] : counts[order]) {
      const Gram context = head_of(gram);
      double p = 0;
      if (order > 1 || gram[0] != "<s>") {
        const double shorter =
            order == 1 ? 1.0 / static_cast<double>(counts[1].size() - 1)  // "<s>" follows nothing
                       : probability.at(Gram(gram.begin() + 1, gram.end()));
        p = (count - kDiscount) / contexts.at(context).total + backed_off(context) * shorter;
      }
      probability[gram] = p;
      out += fmt::format("{:.6f} {}", p > 0 ? std::log10(p) : kNever, text_of(gram));
      if (order < kOrder) out += fmt::format(" {:.6f}", std::log10(backed_off(gram)));
      out += '\n';
    }
  }
  return out + "\n\\end\\\n";
}

}  // namespace lathe::loop

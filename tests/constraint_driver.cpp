// Walks of a constraint, for tests/schema_oracle_test.py: reads one JSON object a line from
// standard input,
//   {"schema": …, "strict": false, "seed": 1, "count": 20, "texts": ["…"]}
// and answers each with one line: {"error": "…"}, or {"written": ["…"], "accepted": [true],
// "unkept": []}: random texts that the grammar of the schema allows, whether it allows the given
// ones, and what of the schema it does not keep. The walk takes
// any allowed token, and the longer it gets, the likelier one that closes what is open.
#include <iostream>
#include <random>

#include "infer/constraints/constraint.h"
#include "infer/models/vocabulary.h"

namespace {

using namespace lathe;

constexpr std::size_t kLongest = 3000;  // tokens; what is longer is given up

class Walker {
 public:
  Walker(const infer::Tokenizer& tokenizer, std::uint64_t seed)
      : tokenizer_(tokenizer), random_(seed), mask_((tokenizer.size() + 31) / 32) {}

  std::optional<std::string> write(const std::shared_ptr<const infer::Grammar>& grammar) {
    auto constraint = infer::Constraint::start(grammar);
    std::string text;
    const std::size_t patience = 5 + random_() % 60;
    for (std::size_t step = 0; step < kLongest; ++step) {
      const bool tired = step > patience;
      if (constraint->complete() && (tired || random_() % 4 == 0)) return text;
      std::vector<infer::TokenId> allowed = allowed_tokens(*constraint);
      if (allowed.empty()) {
        if (constraint->complete()) return text;
        return {};
      }
      if (tired) prefer_closing(allowed);
      const infer::TokenId token = allowed[random_() % allowed.size()];
      if (!constraint->accept(token)) return "a token of the mask was refused";
      text += tokenizer_.piece(token, false);
    }
    return {};
  }

 private:
  std::vector<infer::TokenId> allowed_tokens(infer::Constraint& constraint) {
    std::vector<infer::TokenId> allowed;
    constraint.mask(mask_);
    for (std::size_t i = 0; i < tokenizer_.size(); ++i) {
      const auto id = static_cast<infer::TokenId>(i);
      if ((mask_[i / 32] >> i % 32 & 1) != 0 && !tokenizer_.is_end(id)) allowed.push_back(id);
    }
    return allowed;
  }

  // Leaves only the tokens of the first of these sets that has any, most of the time.
  void prefer_closing(std::vector<infer::TokenId>& allowed) {
    if (random_() % 8 == 0) return;
    for (const std::string_view set : {"\"", "]", "}", ":", "ntf", "0123456789"}) {
      std::vector<infer::TokenId> closing;
      for (const infer::TokenId id : allowed) {
        const std::string piece = tokenizer_.piece(id, false);
        if (piece.size() == 1 && set.find(piece[0]) != set.npos) closing.push_back(id);
      }
      if (closing.empty()) continue;
      allowed = std::move(closing);
      return;
    }
  }

  const infer::Tokenizer& tokenizer_;
  std::mt19937_64 random_;
  std::vector<std::uint32_t> mask_;
};

bool accepts(const std::shared_ptr<const infer::Grammar>& grammar,
             const infer::Tokenizer& tokenizer, const std::string& text) {
  auto constraint = infer::Constraint::start(grammar);
  for (const infer::TokenId token : tokenizer.encode(text, false, false)) {
    if (!constraint->accept(token)) return false;
  }
  return constraint->complete();
}

Json answer(const Json& task, const infer::Tokenizer& tokenizer) {
  const auto grammar =
      infer::Grammar::from_schema(task["schema"], tokenizer, task.value("strict", false));
  if (!grammar) return {{"error", grammar.error().message}};
  Walker walker(tokenizer, task["seed"].get<std::uint64_t>());
  Json written = Json::array(), accepted = Json::array();
  for (std::size_t i = 0; i < task["count"].get<std::size_t>(); ++i) {
    if (auto text = walker.write(*grammar)) written.push_back(*text);
  }
  for (const Json& text : task["texts"])
    accepted.push_back(accepts(*grammar, tokenizer, text.get<std::string>()));
  return {{"written", std::move(written)},
          {"accepted", std::move(accepted)},
          {"unkept", (*grammar)->unkept()}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: constraint_driver MODEL\n";
    return 2;
  }
  const auto file = infer::Gguf::open(argv[1]);
  if (!file) {
    std::cerr << file.error().message << "\n";
    return 2;
  }
  auto vocabulary = infer::read_vocabulary(*file);
  if (!vocabulary) {
    std::cerr << vocabulary.error().message << "\n";
    return 2;
  }
  const auto tokenizer = infer::Tokenizer::make(std::move(*vocabulary));
  if (!tokenizer) {
    std::cerr << tokenizer.error().message << "\n";
    return 2;
  }
  for (std::string line; std::getline(std::cin, line);) {
    const auto task = parse_json(line);
    if (!task) {
      std::cerr << task.error().message << "\n";
      return 2;
    }
    std::cout << dump_json(answer(*task, **tokenizer)) << "\n";
  }
  return 0;
}

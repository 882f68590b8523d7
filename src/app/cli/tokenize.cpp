// lathe tokenize MODEL: standard input as the ids a model sees.
#include "app/cli/model_library.h"
#include "ground/base/text.h"
#include "infer/models/vocabulary.h"

namespace lathe::app {
namespace {

// In quotes, one line, no byte lost: what is no valid UTF-8 as \xNN.
std::string in_quotes(std::string_view bytes) {
  std::string out = "\"";
  while (!bytes.empty()) {
    const auto byte = static_cast<unsigned char>(bytes[0]);
    const std::size_t length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    const std::string_view character = bytes.substr(0, length);
    if (byte == '"' || byte == '\\')
      out += fmt::format("\\{}", bytes[0]);
    else if (byte == '\n')
      out += "\\n";
    else if (byte < 0x20 || byte == 0x7F || find_invalid_utf8(character) != character.npos)
      out += fmt::format("\\x{:02X}", byte);
    else
      out += character;
    const bool whole = find_invalid_utf8(character) == character.npos;
    bytes.remove_prefix(whole ? character.size() : 1);
  }
  return out + "\"";
}

struct TokenizeFlags {
  std::string path;
  bool special = false, pieces = false;
};

Status tokenize(const App& app, const TokenizeFlags& flags) {
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(model_path(app, flags.path)));
  LATHE_TRY(infer::VocabularySpec spec, infer::read_vocabulary(file));
  LATHE_TRY(const auto tokenizer, infer::Tokenizer::make(std::move(spec)));
  LATHE_TRY(const std::string text, read_standard_input());
  const std::vector<infer::TokenId> ids = tokenizer->encode(text, false, flags.special);
  if (app.json) {
    Json line{{"ids", ids}};
    if (flags.pieces) {
      line["pieces"] = Json::array();
      for (const infer::TokenId id : ids) line["pieces"].push_back(tokenizer->piece(id, true));
    }
    print_json(line);
    return {};
  }
  std::string out;
  for (const infer::TokenId id : ids) {
    if (flags.pieces)
      out += fmt::format("{:>7} {}\n", id, in_quotes(tokenizer->piece(id, true)));
    else
      out += fmt::format("{}{}", out.empty() ? "" : " ", id);
  }
  print(flags.pieces ? out : out + "\n");
  return {};
}

}  // namespace

void add_tokenize(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command =
      cli.add_subcommand("tokenize", "Print the token ids of standard input, as a model sees it");
  command->add_option("MODEL", flags->path, "A GGUF file")->required();
  command->add_flag("--special", flags->special,
                    "Control tokens may be named in the text, like <|im_start|>");
  command->add_flag("--pieces", flags->pieces, "One token a line: its id and its text");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = tokenize(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app

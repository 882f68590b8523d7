// Hugging Face's tokenizer files to GGUF's vocabulary.
#include "infer/convert/hf_vocabulary.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "ground/base/text.h"
#include "infer/convert/json_object.h"
#include "infer/convert/pre_tokenizer.h"
#include "infer/formats/input_file.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMaxTokens = std::size_t{1} << 22;
constexpr std::string_view kSpace = "\u2581";  // what SentencePiece writes for a space

// tokenizer.ggml.token_type
enum Kind : std::int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

bool is_byte_token(std::string_view token) {
  constexpr std::string_view kHex = "0123456789ABCDEFabcdef";
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>') &&
         kHex.find(token[3]) != kHex.npos && kHex.find(token[4]) != kHex.npos;
}

class VocabularyReader {
 public:
  VocabularyReader(const fs::path& directory, const JsonObject& tokenizer, const JsonObject& model,
                   std::size_t size)
      : directory_(directory), tokenizer_(tokenizer), model_(model), size_(size) {}

  Result<GgufMetadata> read() {
    LATHE_TRY_STATUS(check_model());
    LATHE_TRY_STATUS(read_tokens());
    LATHE_TRY_STATUS(read_added_tokens());
    pad();
    LATHE_TRY_STATUS(read_merges());
    if (fallback_) {
      set("model", std::string("llama"));
      set("pre", std::string("default"));
      set("scores", scores());
      set("add_space_prefix", prefixes_space());
    } else {
      set("model", std::string("gpt2"));
      LATHE_TRY(std::string pre, identify_pre_tokenizer(tokenizer_));
      set("pre", std::move(pre));
      set("merges", std::move(merges_));
    }
    set("tokens", tokens_);
    set("token_type", kinds_);
    LATHE_TRY_STATUS(read_special_tokens());
    return std::move(out_);
  }

 private:
  void set(std::string_view key, GgufValue value) {
    out_.emplace_back(fmt::format("tokenizer.ggml.{}", key), std::move(value));
  }

  Status check_model() {
    LATHE_TRY(const std::string type,
              model_.text("type", std::string(model_.has("merges") ? "BPE" : "")));
    if (type != "BPE")
      return invalid("{}: \"type\" is '{}'; Lathe imports BPE tokenizers", model_.place(),
                     shown(type));
    LATHE_TRY(fallback_, model_.flag("byte_fallback", false));
    return {};
  }

  Status place_token(std::string_view where, const std::string& token, const SortedJson& id,
                     Kind kind) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= size_)
      return invalid("{}: token '{}' has the id {}; the embedding has {} rows", where, shown(token),
                     shown(id.dump(-1, ' ', true, SortedJson::error_handler_t::replace)), size_);
    const auto at = id.get<std::size_t>();
    if (taken_[at] && tokens_[at] != token)
      return invalid("{}: the id {} belongs to '{}' and to '{}'", where, at, shown(tokens_[at]),
                     shown(token));
    taken_[at] = true;
    tokens_[at] = token;
    kinds_[at] = kind;
    ids_[token] = at;
    return {};
  }

  Status read_tokens() {
    const SortedJson& vocabulary = model_["vocab"];
    if (!vocabulary.is_object() || vocabulary.empty())
      return invalid("{}: \"vocab\" is not an object of tokens and ids", model_.place());
    tokens_.resize(size_);
    kinds_.assign(size_, kUnused);
    taken_.assign(size_, false);
    LATHE_TRY(const std::string unknown, model_.text("unk_token", ""));
    for (const auto& [token, id] : vocabulary.items()) {
      const Kind kind = !fallback_             ? kNormal
                        : token == unknown     ? kUnknown
                        : is_byte_token(token) ? kByte
                                               : kNormal;
      LATHE_TRY_STATUS(place_token(model_.place(), token, id, kind));
    }
    return {};
  }

  Status read_added_tokens() {
    const SortedJson& added = tokenizer_["added_tokens"];
    if (added.is_null()) return {};
    if (!added.is_array()) return invalid("{}: \"added_tokens\" is not a list", tokenizer_.place());
    for (const SortedJson& entry : added) {
      const SortedJson* content = member(entry, "content");
      const SortedJson* id = member(entry, "id");
      const SortedJson* special = member(entry, "special");
      if (!content || !content->is_string() || !id)
        return invalid("{}: \"added_tokens\" holds an entry without \"content\" or \"id\"",
                       tokenizer_.place());
      std::string token = content->get<std::string>();
      const auto before = ids_.find(token);
      // The unknown token of SentencePiece is listed as an added one, too.
      if (before != ids_.end() && kinds_[before->second] == kUnknown) continue;
      const bool control = special && special->is_boolean() && special->get<bool>();
      if (fallback_ && !control && before == ids_.end()) token = replace_all(token, kSpace, " ");
      LATHE_TRY_STATUS(
          place_token(tokenizer_.place(), token, *id, control ? kControl : kUserDefined));
    }
    return {};
  }

  static const SortedJson* member(const SortedJson& object, const char* key) {
    if (!object.is_object()) return nullptr;
    const auto it = object.find(key);
    return it == object.end() ? nullptr : &*it;
  }

  void pad() {
    for (std::size_t i = 0; i < size_; ++i)
      if (!taken_[i]) tokens_[i] = fmt::format("[PAD{}]", i);
  }

  // "left right", or since 2024 ["left", "right"], whose parts may hold spaces.
  Status read_merges() {
    const SortedJson& merges = model_["merges"];
    if (merges.is_null()) return {};
    if (!merges.is_array()) return invalid("{}: \"merges\" is not a list", model_.place());
    for (const SortedJson& merge : merges) {
      if (merge.is_string()) {
        merges_.push_back(merge.get<std::string>());
        continue;
      }
      if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string())
        return invalid("{}: \"merges\"[{}] is neither a string nor a pair of strings",
                       model_.place(), merges_.size());
      // Byte-level symbols hold no spaces; where one does, it is written as its byte-level letter.
      merges_.push_back(replace_all(merge[0].get<std::string>(), " ", "\u0120") + " " +
                        replace_all(merge[1].get<std::string>(), " ", "\u0120"));
    }
    return {};
  }

  // SentencePiece merges by the score of what comes out: the earlier a merge is listed, the better.
  std::vector<double> scores() const {
    std::vector<double> scores(size_, 0);
    std::vector<bool> merged(size_, false);
    for (std::size_t rank = 0; rank < merges_.size(); ++rank) {
      std::string token = merges_[rank];
      const std::size_t space = token.find(' ', 1);
      if (space == token.npos) continue;
      token.erase(space, 1);
      const auto it = ids_.find(token);
      if (it == ids_.end() || merged[it->second]) continue;
      merged[it->second] = true;
      scores[it->second] = -static_cast<double>(rank);
    }
    // Single characters and whole pieces that no merge makes come last.
    for (std::size_t i = 0; i < size_; ++i)
      if (!merged[i] && kinds_[i] == kNormal) scores[i] = -static_cast<double>(merges_.size());
    return scores;
  }

  // Whether a text is given a leading space: by the normalizer or, in newer files, by Metaspace.
  bool prefixes_space() const {
    const auto any = [](const SortedJson& part, auto&& test) {
      const SortedJson* inner = member(part, "normalizers");
      if (!inner) inner = member(part, "pretokenizers");
      if (!inner || !inner->is_array()) return test(part);
      return std::ranges::any_of(*inner, test);
    };
    const auto is = [](const SortedJson& part, const char* key, std::string_view value) {
      const SortedJson* text = member(part, key);
      return text && text->is_string() && text->get_ref<const std::string&>() == value;
    };
    return any(tokenizer_["normalizer"],
               [&](const SortedJson& part) { return is(part, "type", "Prepend"); }) ||
           any(tokenizer_["pre_tokenizer"], [&](const SortedJson& part) {
             const SortedJson* older = member(part, "add_prefix_space");
             return is(part, "type", "Metaspace") &&
                    (is(part, "prepend_scheme", "first") || is(part, "prepend_scheme", "always") ||
                     (!member(part, "prepend_scheme") && older && older->is_boolean() &&
                      older->get<bool>()));
           });
  }

  // The token that `role` ("bos_token") names: a string or {"content": …} in one of two files, or
  // an id in config.json.
  Result<std::optional<std::uint64_t>> find_special(const std::string& role) const {
    for (const std::optional<JsonObject>* file : {&settings_, &special_map_}) {
      if (!*file) continue;
      const SortedJson& value = (**file)[role];
      const SortedJson* content = value.is_string() ? &value : member(value, "content");
      if (!content || !content->is_string()) continue;
      if (const auto it = ids_.find(content->get<std::string>()); it != ids_.end())
        return std::optional<std::uint64_t>(it->second);
    }
    for (const std::optional<JsonObject>* file : {&generation_, &config_}) {
      const std::vector<std::uint64_t> ids = listed_ids(*file, role + "_id");
      if (!ids.empty()) return std::optional<std::uint64_t>(ids.front());
    }
    return std::optional<std::uint64_t>();
  }

  // "eos_token_id" may be a number or a list.
  std::vector<std::uint64_t> listed_ids(const std::optional<JsonObject>& file,
                                        std::string_view key) const {
    std::vector<std::uint64_t> ids;
    if (!file) return ids;
    const SortedJson& value = (*file)[key];
    const auto take = [&](const SortedJson& id) {
      if (id.is_number_unsigned() && id.get<std::uint64_t>() < size_)
        ids.push_back(id.get<std::uint64_t>());
    };
    if (value.is_array())
      std::ranges::for_each(value, take);
    else
      take(value);
    return ids;
  }

  Status read_special_tokens() {
    constexpr std::size_t kMembers = 1 << 20;  // added_tokens_decoder
    LATHE_TRY(settings_, JsonObject::read_if_there(directory_ / "tokenizer_config.json", kMembers));
    LATHE_TRY(special_map_,
              JsonObject::read_if_there(directory_ / "special_tokens_map.json", kMembers));
    LATHE_TRY(generation_,
              JsonObject::read_if_there(directory_ / "generation_config.json", kMembers));
    LATHE_TRY(config_, JsonObject::read_if_there(directory_ / "config.json", kMembers));
    constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kRoles = {
        {{"bos_token", "bos_token_id"},
         {"eos_token", "eos_token_id"},
         {"unk_token", "unknown_token_id"},
         {"pad_token", "padding_token_id"}}};
    std::map<std::string_view, std::uint64_t> found;
    for (const auto& [role, key] : kRoles) {
      LATHE_TRY(const auto id, find_special(std::string(role)));
      if (!id) continue;
      found[role] = *id;
      set(key, *id);
    }
    // GGUF has one end of sequence and one end of turn; more of them are known by their names.
    for (const std::uint64_t id : listed_ids(generation_, "eos_token_id")) {
      if (!found.contains("eos_token") || id == found["eos_token"]) continue;
      set("eot_token_id", id);
      break;
    }
    LATHE_TRY_STATUS(read_add_flag("add_bos_token", "bos_token", found, true));
    LATHE_TRY_STATUS(read_add_flag("add_eos_token", "eos_token", found, false));
    return read_templates();
  }

  // Said in tokenizer_config.json, or by what the post-processor puts around a text.
  Status read_add_flag(std::string_view key, std::string_view role,
                       const std::map<std::string_view, std::uint64_t>& found, bool first) {
    if (settings_ && settings_->has(key)) {
      LATHE_TRY(const bool add, settings_->flag(key, false));
      set(key, add);
      return {};
    }
    const auto id = found.find(role);
    const SortedJson* post = &tokenizer_["post_processor"];
    if (const SortedJson* inner = member(*post, "processors"); inner && inner->is_array()) {
      for (const SortedJson& part : *inner)
        if (member(part, "single")) post = &part;
    }
    const SortedJson* single = member(*post, "single");
    bool add = false;
    if (single && single->is_array() && !single->empty() && id != found.end()) {
      const SortedJson* special = member(first ? single->front() : single->back(), "SpecialToken");
      const SortedJson* name = special ? member(*special, "id") : nullptr;
      add = name && name->is_string() && name->get_ref<const std::string&>() == tokens_[id->second];
    }
    set(key, add);
    return {};
  }

  // One template, or a list of named ones; newer models keep it in a file of its own.
  Status read_templates() {
    constexpr std::string_view kKey = "tokenizer.chat_template";
    const fs::path own = directory_ / "chat_template.jinja";
    std::error_code error;
    if (fs::exists(own, error)) {
      LATHE_TRY(std::string text, read_file(own));
      out_.emplace_back(kKey, std::move(text));
      return {};
    }
    if (!settings_) return {};
    const SortedJson& value = (*settings_)["chat_template"];
    if (value.is_string()) out_.emplace_back(kKey, value.get<std::string>());
    if (!value.is_array()) return {};
    for (const SortedJson& entry : value) {
      const SortedJson* name = member(entry, "name");
      const SortedJson* text = member(entry, "template");
      if (!name || !name->is_string() || !text || !text->is_string())
        return invalid("{}: \"chat_template\" holds an entry without \"name\" or \"template\"",
                       settings_->place());
      const std::string key = name->get<std::string>() == "default"
                                  ? std::string(kKey)
                                  : fmt::format("{}.{}", kKey, name->get<std::string>());
      out_.emplace_back(key, text->get<std::string>());
    }
    return {};
  }

  const fs::path& directory_;
  const JsonObject& tokenizer_;
  const JsonObject& model_;
  std::size_t size_;
  bool fallback_ = false;
  std::vector<std::string> tokens_, merges_;
  std::vector<std::int64_t> kinds_;
  std::vector<bool> taken_;
  std::map<std::string, std::size_t, std::less<>> ids_;
  std::optional<JsonObject> settings_, special_map_, generation_, config_;
  GgufMetadata out_;
};

}  // namespace

Result<GgufMetadata> read_hf_vocabulary(const fs::path& directory, std::size_t size) {
  LATHE_TRY(const JsonObject tokenizer, JsonObject::read(directory / "tokenizer.json", kMaxTokens));
  LATHE_TRY(const JsonObject model, tokenizer.object("model"));
  return VocabularyReader(directory, tokenizer, model, size).read();
}

}  // namespace lathe::infer

// Reads a model's header, turns requests into prompts and constraints.
#include "serve/pool/model_front.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>

#include "ground/base/clock.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "infer/encoders/prompt_pieces.h"
#include "infer/models/vocabulary.h"

namespace lathe::serve {
namespace {

// For files that bring no template.
constexpr std::string_view kPlainTemplate =
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

constexpr std::size_t kSamples = 256, kSampleBytes = 4096;

// Not a hash of all bytes: of a model of 60 GB that would take longer than its load.
Result<std::string> identity_of(const infer::Gguf& file) {
  struct stat status = {};
  if (::stat(file.path().c_str(), &status) != 0)
    return fail(ErrorKind::kUnavailable, "{}: is gone", file.path().string());
  std::string text =
      fmt::format("{} {} {}", file.file_bytes(), status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  std::uint64_t all = 0;
  for (const infer::GgufTensor& tensor : file.tensors()) {
    text += fmt::format(" {} {} {}", tensor.name, tensor.offset, tensor.bytes);
    all += tensor.bytes;
  }
  const std::uint64_t stride = std::max<std::uint64_t>(1, all / kSamples);
  std::uint64_t passed = 0, next = 0;
  std::vector<std::byte> sample(kSampleBytes);
  for (const infer::GgufTensor& tensor : file.tensors()) {
    for (; next < passed + tensor.bytes; next += stride) {
      const std::uint64_t from = next - passed;
      const auto bytes = std::span(sample).first(
          static_cast<std::size_t>(std::min<std::uint64_t>(kSampleBytes, tensor.bytes - from)));
      LATHE_TRY_STATUS(file.read(tensor, from, bytes));
      text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    passed += tensor.bytes;
  }
  return sha256_hex(text);
}

// The catalog's, over those of the engine.
Sampling defaults_of(const Sampling& catalog) {
  const infer::SamplerParams engine;
  Sampling sampling = catalog;
  const auto fill = [](auto& out, double value) {
    if (!out) out = static_cast<std::remove_reference_t<decltype(*out)>>(value);
  };
  fill(sampling.temperature, static_cast<double>(engine.temperature));
  fill(sampling.top_p, static_cast<double>(engine.top_p));
  fill(sampling.min_p, static_cast<double>(engine.min_p));
  fill(sampling.top_k, static_cast<double>(engine.top_k));
  return sampling;
}

// Whether answers may come with thinking, by the words of the template.
bool thinks(std::string_view source) {
  const auto& marks = infer::format_info(infer::answer_format_of(source)).thoughts;
  return source.contains("enable_thinking") || source.contains("<|channel|>analysis") ||
         std::ranges::any_of(marks, [&](const auto& mark) { return source.contains(mark.first); });
}

ModelInfo info_of(const CatalogModel& model, const infer::Gguf& file,
                  const infer::Blueprint& blueprint, const std::string& template_source,
                  const SensesFile* senses) {
  ModelInfo info;
  info.name = model.name;
  info.aliases = model.aliases;
  info.architecture = blueprint.architecture;
  info.quantization = quantization_of(file);
  info.file_bytes = file.file_bytes();
  for (const infer::GgufTensor& tensor : file.tensors()) info.parameters += tensor.elements();
  struct stat status = {};
  if (::stat(file.path().c_str(), &status) == 0) info.modified = status.st_mtim.tv_sec;
  info.context = model.context == 0 ? blueprint.context : model.context;
  info.trained_context = blueprint.context;
  info.embedding = blueprint.text_width();
  info.shortens = blueprint.shortens;
  info.sampling = defaults_of(model.sampling);
  info.chat_template = template_source;
  info.tools = info.chat_template.find("tools") != std::string::npos;
  info.thinking = thinks(template_source);
  info.vision = senses != nullptr && senses->sees;
  info.audio = senses != nullptr && senses->hears;
  info.pinned = model.pinned;
  return info;
}

// As OpenAI's API has it, but arguments as an object.
Json template_message(const Message& message, MediaMarks& marks) {
  Json json = {{"role", message.role == "developer" ? "system" : message.role},
               {"content", marks.text_of(message.content)}};
  if (!message.reasoning.empty()) json["reasoning_content"] = message.reasoning;
  for (const FunctionCall& call : message.calls) {
    auto arguments = parse_json(call.arguments);
    json["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function",
          {{"name", call.name},
           {"arguments", arguments ? std::move(*arguments) : Json(call.arguments)}}}});
  }
  if (!message.call_id.empty()) json["tool_call_id"] = message.call_id;
  if (!message.name.empty()) json["name"] = message.name;
  return json;
}

infer::SamplerParams sampler_of(const Sampling& asked, const Sampling& defaults) {
  infer::SamplerParams params;
  const auto set = [](auto& out, const auto& first, const auto& second) {
    using T = std::remove_reference_t<decltype(out)>;
    if (first || second) out = static_cast<T>(first ? *first : *second);
  };
  set(params.temperature, asked.temperature, defaults.temperature);
  set(params.top_p, asked.top_p, defaults.top_p);
  set(params.min_p, asked.min_p, defaults.min_p);
  set(params.typical_p, asked.typical_p, defaults.typical_p);
  set(params.top_k, asked.top_k, defaults.top_k);
  set(params.repeat_penalty, asked.repeat_penalty, defaults.repeat_penalty);
  set(params.frequency_penalty, asked.frequency_penalty, defaults.frequency_penalty);
  set(params.presence_penalty, asked.presence_penalty, defaults.presence_penalty);
  for (const auto& [id, bias] : asked.logit_bias)
    params.logit_bias.emplace_back(id, static_cast<float>(bias));
  return params;
}

// The same schema where it stands at `place` of another one: what it refers to stands there too.
void move_references(Json& schema, const std::string& place) {
  if (schema.is_array())
    for (Json& each : schema) move_references(each, place);
  if (!schema.is_object()) return;
  for (auto& [key, value] : schema.items()) {
    // These hold values, not schemas.
    if (key == "const" || key == "enum" || key == "default" || key == "examples") continue;
    const bool pointer = key == "$ref" && value.is_string();
    const std::string target = pointer ? value.get<std::string>() : "";
    if (target == "#" || target.starts_with("#/"))
      value = place + target.substr(1);
    else
      move_references(value, place);
  }
}

bool may_be_called(const Tool& tool, const MustCall& must) {
  return must.tool.empty() || tool.name == must.tool;
}

// One call of one of the tools, as JSON.
Result<Json> call_schema(const std::vector<Tool>& tools, const MustCall& must) {
  Json calls = Json::array();
  const bool one = !must.tool.empty() || tools.size() == 1;
  for (const Tool& tool : tools) {
    if (!may_be_called(tool, must)) continue;
    Json parameters = tool.parameters;
    if (!parameters.is_object() || parameters.empty()) parameters = Json{{"type", "object"}};
    move_references(parameters, fmt::format("{}/properties/arguments",
                                            one ? "#" : fmt::format("#/anyOf/{}", calls.size())));
    calls.push_back(
        {{"type", "object"},
         {"properties", {{"name", {{"const", tool.name}}}, {"arguments", std::move(parameters)}}},
         {"required", {"name", "arguments"}},
         {"additionalProperties", false}});
  }
  if (calls.empty()) {
    return invalid("tool_choice asks for {}, and there is no such tool",
                   must.tool.empty() ? std::string("a tool") : "'" + must.tool + "'");
  }
  return one ? calls[0] : Json{{"anyOf", std::move(calls)}};
}

// One that clients can give back: they read numbers as doubles.
std::uint64_t any_seed() {
  std::random_device random;
  return std::uint64_t{random()} | std::uint64_t{random() & 0xfffff} << 32;
}

// Marks where the last message ends, for the render that is to be cut there. No text of a model has
// it.
constexpr std::string_view kContinues = "\xEF\xBF\xBElathe continues here\xEF\xBF\xBE";

// Ends the parts before `mark`; false: it is not there.
bool cut_at(std::vector<infer::PromptPart>& parts, std::string_view mark) {
  for (std::size_t i = parts.size(); i-- > 0;) {
    const std::size_t at = parts[i].text.rfind(mark);
    if (at == std::string::npos) continue;
    parts[i].text.resize(at);
    parts.resize(i + 1);
    return true;
  }
  return false;
}

// The tools whose calls the answer may hold of its own accord: none under a form, and none of what
// is no talk.
std::vector<Tool> tools_of(const Request& request) {
  const Talk* talk = request.talk();
  const bool none = talk == nullptr || std::holds_alternative<NoCall>(talk->tool_choice) ||
                    !std::holds_alternative<FreeForm>(request.form);
  return none ? std::vector<Tool>() : talk->tools;
}

Json tools_json(const std::vector<Tool>& tools) {
  Json list = Json::array();
  for (const Tool& tool : tools) list.push_back(to_json(tool));
  return list;
}

std::vector<infer::OfferedTool> offered(const std::vector<Tool>& tools) {
  std::vector<infer::OfferedTool> all;
  for (const Tool& tool : tools) all.push_back({tool.name, tool.parameters});
  return all;
}

// Whether the model is told to think; nothing: neither that nor the opposite.
std::optional<bool> thinking_asked(const Talk& talk) {
  Json variables =
      talk.template_variables.is_object() ? talk.template_variables : Json(Json::object());
  infer::complete_thinking(variables);
  const Json& asked = json_at(variables, "enable_thinking");
  return asked.is_boolean() ? std::optional(asked.get<bool>()) : std::nullopt;
}

// A talk that ends with words of the assistant is gone on with from there.
bool goes_on(const Talk& talk) {
  return !talk.messages.empty() && talk.messages.back().role == "assistant" &&
         talk.messages.back().calls.empty() && !talk.messages.back().content.empty();
}

// The one call that the whole answer is to be; null: it may say what it likes.
const MustCall* must_call(const Request& request) {
  const Talk* talk = request.talk();
  return talk == nullptr ? nullptr : std::get_if<MustCall>(&talk->tool_choice);
}

// Whether a tool is to be given no other arguments than its schema's.
bool is_strict(const Tool& tool) {
  return tool.strict.value_or(false);
}

// The schemas of the tools' arguments, by the tools' names.
std::map<std::string, Json> parameters_of(const std::vector<Tool>& tools,
                                          bool (*wanted)(const Tool&)) {
  std::map<std::string, Json> schemas;
  for (const Tool& tool : tools)
    if (wanted(tool) && tool.parameters.is_object()) schemas[tool.name] = tool.parameters;
  return schemas;
}

// Bytes of a text that one token stands for, at most. A word that a WordPiece does not know is one
// token however long it is, and white space is none.
std::size_t longest_token(const infer::VocabularySpec& spec) {
  constexpr std::size_t kAnyLength = std::size_t{1} << 20;
  std::size_t longest = 4;  // an unknown character
  for (const std::string& token : spec.tokens) longest = std::max(longest, token.size());
  return spec.model == "bert" ? kAnyLength : longest;
}

// What a prompt of so many bytes may take to be rendered.
infer::TemplateLimits limits_for(std::size_t bytes, const StopFlag& stop) {
  constexpr std::size_t kSteps = 4'000'000, kMemory = std::size_t{16} << 20;
  infer::TemplateLimits limits;
  limits.steps = std::min<std::uint64_t>(limits.steps, kSteps + bytes);
  limits.output_bytes = bytes;
  limits.memory_bytes = kMemory + 4 * bytes;
  limits.stop = &stop;
  return limits;
}

// What messages may hold.
std::string_view taken(const SensesFile* senses) {
  if (senses == nullptr) return "text";
  if (!senses->hears) return "texts and pictures";
  return senses->sees ? "texts, pictures and sounds" : "texts and sounds";
}

}  // namespace

Result<std::unique_ptr<ModelFront>> ModelFront::open(const CatalogModel& model,
                                                     const std::vector<CatalogAdapter>& adapters) {
  std::unique_ptr<ModelFront> front(new ModelFront());
  front->catalog_ = model;
  LATHE_TRY(infer::Gguf file, infer::Gguf::open(model.file));
  front->file_ = std::make_unique<infer::Gguf>(std::move(file));
  LATHE_TRY(front->blueprint_, infer::read_runnable_blueprint(*front->file_));
  LATHE_TRY(infer::VocabularySpec vocabulary, infer::read_vocabulary(*front->file_));
  auto tokenizer = infer::Tokenizer::make(std::move(vocabulary));
  if (!tokenizer) return at(model.file.string(), tokenizer.error());
  front->tokenizer_ = std::move(*tokenizer);
  LATHE_TRY(front->template_source_, front->file_->text_or("tokenizer.chat_template", ""));
  LATHE_TRY(front->rerank_template_, infer::read_rerank_template(*front->file_));
  auto parsed = infer::ChatTemplate::parse(
      front->template_source_.empty() ? std::string(kPlainTemplate) : front->template_source_);
  if (!parsed) return at(model.file.string() + ": chat template", parsed.error());
  front->template_ = std::move(*parsed);
  front->format_ = infer::answer_format_of(front->template_source_);
  front->message_form_ = infer::message_form_of(*front->template_);
  front->kv_ = infer::find_kv_type(model.kv).value_or(infer::KvType::kF16);
  front->context_ = model.context == 0 ? front->blueprint_.context : model.context;
  if (auto status = infer::check_context(front->blueprint_, front->context_); !status)
    return at(model.name, status.error());
  if (auto status = infer::check_kv(front->blueprint_, front->kv_); !status)
    return at(model.name, status.error());
  if (front->linked()) {
    const auto plan = infer::choose_plan(
        *front->file_, front->blueprint_, infer::best_kernel_table(),
        model.link_rows ? infer::LinkSplit::kRows : infer::LinkSplit::kLayers, model.link_layers);
    if (!plan) return at(model.name, plan.error());
    front->link_ = *plan;
    if (model.draft == DraftSource::kOwn)
      return invalid("{}: a model on two machines has no layer that predicts", model.name);
  }
  if (!model.draft.empty()) {
    LATHE_TRY(front->draft_, DraftSource::read(model.draft, *front->file_, front->blueprint_,
                                               *front->tokenizer_, front->context_));
  }
  front->longest_token_ = longest_token(front->tokenizer_->spec());
  front->text_limit_ =
      std::min(infer::TemplateLimits().output_bytes, front->context_ * front->longest_token_);
  LATHE_TRY(front->identity_, identity_of(*front->file_));
  if (!model.eyes.empty()) {
    if (auto senses = Senses::open(model.eyes, front->blueprint_))
      front->senses_ = std::move(*senses);
    else
      front->senses_problem_ =
          without_place(model.eyes, model.eyes.filename(), senses.error()).message;
  }
  front->info_ = info_of(model, *front->file_, front->blueprint_, front->template_source_,
                         front->senses_.get());
  front->load_adapters(adapters);
  return front;
}

Result<ModelInfo> ModelFront::facts(const CatalogModel& model) {
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(model.file));
  LATHE_TRY(const infer::Blueprint blueprint, infer::read_runnable_blueprint(file));
  LATHE_TRY(const std::string template_source, file.text_or("tokenizer.chat_template", ""));
  std::unique_ptr<SensesFile> senses;
  if (!model.eyes.empty())
    if (auto opened = Senses::open(model.eyes, blueprint)) senses = std::move(*opened);
  return info_of(model, file, blueprint, template_source, senses.get());
}

std::string quantization_of(const infer::Gguf& file) {
  std::map<std::string_view, std::uint64_t> bytes;
  for (const infer::GgufTensor& tensor : file.tensors())
    bytes[infer::tensor_type_info(tensor.type).name] += tensor.bytes;
  const auto most = std::ranges::max_element(bytes, {}, [](const auto& row) { return row.second; });
  return most == bytes.end() ? std::string() : std::string(most->first);
}

Error without_place(const fs::path& file, const std::string& name, Error error) {
  error.message = replace_all(error.message, file.string(), "'" + name + "'");
  // The other parts of a split file.
  if (file.has_parent_path())
    error.message = replace_all(error.message, file.parent_path().string() + "/", "");
  return error;
}

void ModelFront::load_adapters(const std::vector<CatalogAdapter>& adapters) {
  for (const CatalogAdapter& adapter : adapters) {
    Result<std::shared_ptr<const infer::Adapter>> loaded;
    if (const auto file = infer::Gguf::open(adapter.file))
      loaded = infer::Adapter::load(*file, blueprint_);
    else
      loaded = std::unexpected(file.error());
    if (loaded)
      adapter_bytes_ += (*loaded)->bytes();
    else
      loaded = std::unexpected(without_place(adapter.file, adapter.name, loaded.error()));
    adapters_.emplace(adapter.name, std::move(loaded));
  }
}

Result<std::shared_ptr<const infer::Adapter>> ModelFront::adapter(const std::string& name) const {
  const auto found = adapters_.find(name);
  if (found != adapters_.end() && found->second) return *found->second;
  const std::string why = found == adapters_.end() ? "" : ": " + found->second.error().message;
  return std::unexpected(Error{ErrorKind::kInvalid,
                               fmt::format("'{}' has no adapter '{}'{}", catalog_.name, name, why),
                               "model_not_found"});
}

std::unexpected<Error> ModelFront::too_long(std::string_view size) const {
  return std::unexpected(
      Error{ErrorKind::kInvalid,
            fmt::format("{}, and the context of '{}' holds {} tokens of at most {} bytes each; "
                        "shorten the prompt",
                        size, catalog_.name, context_, longest_token_),
            "context_length_exceeded"});
}

Result<std::vector<infer::TokenId>> ModelFront::tokens_of(std::string_view text, bool add_special,
                                                          bool parse_special) const {
  if (text.size() > text_limit_) return too_long(fmt::format("the text has {} bytes", text.size()));
  return tokenizer_->encode(text, add_special, parse_special);
}

Result<std::vector<infer::TokenId>> ModelFront::pair_of(std::string_view query,
                                                        std::string_view document,
                                                        std::size_t index) const {
  if (query.size() + document.size() > text_limit_)
    return too_long(fmt::format("the query and document {} have {} bytes", index,
                                query.size() + document.size()));
  std::vector<infer::TokenId> tokens =
      infer::pair_tokens(*tokenizer_, rerank_template_, query, document);
  if (tokens.size() <= context_) return tokens;
  return std::unexpected(
      Error{ErrorKind::kInvalid,
            fmt::format("the query and document {} have {} tokens; the context of '{}' holds {}",
                        index, tokens.size(), catalog_.name, context_),
            "context_length_exceeded"});
}

Status ModelFront::check_content(const std::vector<Message>& messages) const {
  for (const Message& message : messages) {
    for (const Media* media : message.content.media())
      if (senses_ == nullptr || !senses_->takes(media->kind))
        return std::unexpected(Error{
            ErrorKind::kInvalid,
            fmt::format("'{}' takes {} only, and a message of the {} holds {}; leave it out, or "
                        "ask a model that knows what to do with it{}",
                        catalog_.name, taken(senses_.get()), message.role, media->name(),
                        senses_problem_.empty() ? "" : " (its encoder: " + senses_problem_ + ")"),
            "unsupported_messages"});
    if (!message.content.documents().empty())
      return std::unexpected(Error{
          ErrorKind::kInvalid,
          fmt::format("a message of the {} holds a document that nobody has read; send its text",
                      message.role),
          "unsupported_messages"});
    if (const std::size_t size = message.content.text().size(); size > text_limit_)
      return too_long(fmt::format("a message has {} bytes", size));
  }
  return {};
}

Result<std::vector<infer::PromptPart>> ModelFront::render(const Talk& talk, bool constrained,
                                                          MediaMarks& marks,
                                                          const StopFlag& stop) const {
  LATHE_TRY_STATUS(check_content(talk.messages));
  Json variables =
      talk.template_variables.is_object() ? talk.template_variables : Json(Json::object());
  variables["messages"] = Json::array();
  for (const Message& message : talk.messages)
    variables["messages"].push_back(template_message(message, marks));
  if (!talk.tools.empty() && !std::holds_alternative<NoCall>(talk.tool_choice))
    variables["tools"] = tools_json(talk.tools);
  // SmolLM's name for them: what stands within each.
  if (variables.contains("tools") && template_source_.contains("xml_tools"))
    for (const Json& tool : variables["tools"]) variables["xml_tools"].push_back(tool["function"]);
  if (constrained && !thinking_asked(talk)) variables["enable_thinking"] = false;
  infer::complete_thinking(variables);
  const bool continues = goes_on(talk);
  if (continues) variables["messages"].back()["content"].get_ref<std::string&>() += kContinues;
  variables["messages"] = infer::shaped(std::move(variables["messages"]), message_form_);
  variables["add_generation_prompt"] = !continues;
  const auto name = [&](infer::TokenId id) {
    return id == infer::kNoToken ? std::string() : tokenizer_->piece(id, true);
  };
  variables["bos_token"] = name(tokenizer_->spec().bos);
  variables["eos_token"] = name(tokenizer_->spec().eos);
  auto parts = template_->render(variables, system_clock().unix_ms() / 1000,
                                 limits_for(text_limit_ + kContinues.size() + marks.bytes(), stop));
  if (!parts && parts.error().kind == ErrorKind::kCancelled)
    return fail(ErrorKind::kCancelled, "the request was cancelled");
  if (!parts && parts.error().code == "too_long")
    return too_long(fmt::format("the chat template makes more than {} bytes of this", text_limit_));
  if (!parts) {
    return std::unexpected(Error{ErrorKind::kInvalid,
                                 "the model's chat template refuses these messages: " +
                                     clip_utf8(parts.error().message, 1000),
                                 "unsupported_messages"});
  }
  if (continues && !cut_at(*parts, kContinues))
    return invalid(
        "the model's chat template leaves out the last message, of the assistant, so that it "
        "cannot "
        "be continued; end the talk with a message of the user");
  return parts;
}

Result<ModelFront::Prompt> ModelFront::prompt_of(const TokenPrompt& asked) const {
  for (const infer::TokenId id : asked.ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= tokenizer_->size())
      return invalid("the prompt names token {}; the vocabulary has {}", id, tokenizer_->size());
  }
  return Prompt{.ids = infer::Prompt(asked.ids)};
}

Result<ModelFront::Prompt> ModelFront::prompt_of(const TextPrompt& asked) const {
  const infer::VocabularySpec& spec = tokenizer_->spec();
  if (asked.suffix.empty()) {
    LATHE_TRY(std::vector<infer::TokenId> tokens, tokens_of(asked.text, true, false));
    const bool opened = !tokens.empty() && (tokens[0] == spec.bos || tokens[0] == spec.cls);
    return Prompt{.ids = infer::Prompt(std::move(tokens)), .added = opened ? 1U : 0U};
  }
  if (spec.fim_prefix == infer::kNoToken || spec.fim_suffix == infer::kNoToken ||
      spec.fim_middle == infer::kNoToken)
    return std::unexpected(Error{
        ErrorKind::kInvalid,
        fmt::format("'{}' was not made to fill gaps: its vocabulary has no tokens for 'suffix'",
                    catalog_.name),
        "unsupported_suffix"});
  Prompt prompt{.ids = infer::Prompt({spec.fim_prefix})};
  for (const auto& [text, marker] :
       {std::pair(asked.text, spec.fim_suffix), std::pair(asked.suffix, spec.fim_middle)}) {
    LATHE_TRY(const std::vector<infer::TokenId> ids, tokens_of(text, false, false));
    prompt.ids.add(ids);
    prompt.ids.add(std::vector{marker});
  }
  return prompt;
}

Result<ModelFront::Prompt> ModelFront::prompt_of(const Request& request, const Percepts& percepts,
                                                 const StopFlag& stop) const {
  if (const auto* ids = std::get_if<TokenPrompt>(&request.ask)) return prompt_of(*ids);
  if (const auto* text = std::get_if<TextPrompt>(&request.ask)) return prompt_of(*text);
  const Talk& talk = std::get<Talk>(request.ask);
  // An answer under a grammar had better not think, unless that is asked for.
  const bool constrained =
      must_call(request) != nullptr || !std::holds_alternative<FreeForm>(request.form);
  MediaMarks marks;
  LATHE_TRY(const std::vector<infer::PromptPart> parts, render(talk, constrained, marks, stop));
  Prompt prompt;
  std::string tail;
  for (const infer::PromptPart& part : parts)
    tail = part.trusted ? tail + part.text : std::string();
  if (!goes_on(talk)) prompt.lead = infer::answer_lead(format_, tail, thinking_asked(talk));
  if (marks.count() != percepts.size())
    return std::unexpected(Error{ErrorKind::kInvalid,
                                 "what a picture or sound becomes is no tokens: leave it out",
                                 "unsupported_messages"});
  auto stretches = marks.split(parts);
  if (!stretches)
    return std::unexpected(
        Error{ErrorKind::kInvalid, stretches.error().message, "unsupported_messages"});
  prompt.ids = assembled(*stretches, percepts);
  return prompt;
}

infer::Prompt ModelFront::assembled(const std::vector<MediaMarks::Stretch>& stretches,
                                    const Percepts& percepts) const {
  infer::Prompt prompt;
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    const MediaMarks::Stretch& stretch = stretches[i];
    if (i == 0 || !stretch.text.empty()) prompt.add(tokenizer_->encode(stretch.text, i == 0));
    if (stretch.medium) infer::add(prompt, *tokenizer_, *percepts.at(*stretch.medium));
  }
  return prompt;
}

Status ModelFront::check_size(std::size_t size, bool no_answer) const {
  if (size + (no_answer ? 0 : 1) <= context_) return {};
  return std::unexpected(Error{
      ErrorKind::kInvalid,
      fmt::format("the prompt has {} tokens and the context of '{}' holds {}, at least one of "
                  "them for the answer; shorten the prompt",
                  size, catalog_.name, context_),
      "context_length_exceeded"});
}

// One of the tools is called, in the form of the model's family, else as plain JSON.
Status ModelFront::constrain_calls(const Talk& talk, const MustCall& must,
                                   const infer::AnswerLead& lead, Prepared& prepared) const {
  std::vector<Tool> tools;
  std::ranges::copy_if(talk.tools, std::back_inserter(tools),
                       [&](const Tool& tool) { return may_be_called(tool, must); });
  const bool strict = std::ranges::any_of(tools, is_strict);
  const auto& form = infer::format_info(format_).form;
  Result<std::shared_ptr<const infer::Grammar>> grammar;
  if (form && !tools.empty()) {
    grammar = infer::Grammar::from_calls(
        *form, offered(tools),
        {.several = talk.parallel_calls && must.tool.empty(), .strict = strict, .lead = lead},
        *tokenizer_);
  } else {
    prepared.answer.one_call = true;
    const auto schema = call_schema(talk.tools, must);
    grammar = schema ? infer::Grammar::from_schema(*schema, *tokenizer_, strict, lead)
                     : std::unexpected(schema.error());
  }
  if (!grammar)
    return std::unexpected(
        Error{ErrorKind::kInvalid, grammar.error().message, "unsupported_tools"});
  prepared.generation.grammar = std::move(*grammar);
  if (!prepared.generation.grammar->unkept().empty())
    prepared.check.arguments = parameters_of(tools, [](const Tool&) { return true; });
  return {};
}

// Text and thinking are free, and a call keeps to a strict tool's schema once it is opened. What
// the grammar cannot keep is checked when the answer is there.
Status ModelFront::constrain_free_calls(const Talk& talk, const infer::AnswerLead& lead,
                                        Prepared& prepared) const {
  const infer::FormatInfo& info = infer::format_info(format_);
  std::optional<infer::FreeText> free = infer::free_text(format_);
  if (!free) return {};
  std::vector<infer::OfferedTool> tools = offered(talk.tools);
  for (std::size_t i = 0; i < tools.size(); ++i) tools[i].free = !is_strict(talk.tools[i]);
  // The text holds thinking anyway where messages or a call end that.
  const bool within = info.calls_end_thinking || !free->opens.empty();
  auto grammar = infer::Grammar::from_calls(*info.form, tools,
                                            {.several = talk.parallel_calls,
                                             .lead = within ? infer::AnswerLead() : lead,
                                             .free = std::move(free)},
                                            *tokenizer_);
  if (!grammar)
    return std::unexpected(
        Error{ErrorKind::kInvalid, grammar.error().message, "unsupported_tools"});
  prepared.generation.grammar = std::move(*grammar);
  return {};
}

Status ModelFront::constrain(const Request& request, const infer::AnswerLead& lead,
                             Prepared& prepared) const {
  const auto use = [&](Result<std::shared_ptr<const infer::Grammar>> grammar,
                       std::string code) -> Status {
    if (!grammar)
      return std::unexpected(Error{ErrorKind::kInvalid, grammar.error().message, std::move(code)});
    prepared.generation.grammar = std::move(*grammar);
    prepared.answer.held = true;
    return {};
  };
  if (const MustCall* must = must_call(request))
    return constrain_calls(*request.talk(), *must, lead, prepared);
  if (const auto* form = std::get_if<SchemaForm>(&request.form)) {
    LATHE_TRY_STATUS(use(infer::Grammar::from_schema(form->schema, *tokenizer_, form->strict, lead),
                         "unsupported_schema"));
    if (!prepared.generation.grammar->unkept().empty()) prepared.check.schema = form->schema;
    return {};
  }
  if (const auto* form = std::get_if<GrammarForm>(&request.form))
    return use(infer::Grammar::from_gbnf(form->gbnf, *tokenizer_, lead), "unsupported_grammar");
  if (std::holds_alternative<AnyJsonForm>(request.form))
    return use(infer::Grammar::any_json(*tokenizer_, lead), "unsupported_schema");
  // Calls that the model writes of its own accord are free text until they are there.
  const std::vector<Tool> tools = tools_of(request);
  prepared.check.arguments = parameters_of(tools, is_strict);
  if (std::ranges::none_of(tools, is_strict) || goes_on(*request.talk())) return {};
  return constrain_free_calls(*request.talk(), lead, prepared);
}

Result<Prepared> ModelFront::prepare(const HostRequest& request, const Percepts& percepts,
                                     std::size_t answer_limit, const StopFlag& stop) const {
  if (const Status generates = infer::check_generates(blueprint_); !generates)
    return std::unexpected(
        Error{ErrorKind::kInvalid,
              fmt::format("'{}': {}; ask {}", catalog_.name, generates.error().message,
                          blueprint_.ranks ? "/v1/rerank" : "/v1/embeddings"),
              "unsupported_value"});
  LATHE_TRY(Prompt prompt, prompt_of(request, percepts, stop));
  const std::size_t size = prompt.ids.size();
  if (size == 0) return invalid("the prompt is empty; it needs at least one token");
  LATHE_TRY_STATUS(check_size(size, request.no_answer));
  Prepared prepared;
  // What is gone on with is text, whatever it looks like.
  if (request.talk() != nullptr)
    prepared.answer = {.format = format_,
                       .starts_thinking = prompt.lead.opened,
                       .tools = offered(tools_of(request))};
  infer::GenerationRequest& generation = prepared.generation;
  const std::size_t limit =
      request.max_tokens > 0 ? static_cast<std::size_t>(request.max_tokens) : answer_limit;
  generation.max_tokens = request.no_answer ? 0 : std::min(limit, context_ - size);
  prepared.score = request.prompt_logprobs || request.no_answer;
  prepared.no_answer = request.no_answer;
  prepared.added = prompt.added;
  generation.candidates = static_cast<std::size_t>(std::max(1, request.candidates));
  generation.sampler = sampler_of(request.sampling, catalog_.sampling);
  // As with every other server: who wants the same answer again gives a seed.
  const std::int64_t asked_seed = request.sampling.seed.value_or(-1);
  generation.sampler.seed = asked_seed >= 0 ? static_cast<std::uint64_t>(asked_seed) : any_seed();
  generation.stop = request.stop;
  generation.top_logprobs = request.top_logprobs;
  if (!request.prediction.empty())
    generation.draft = tokenizer_->encode(
        std::string_view(request.prediction).substr(0, text_limit_), false, false);
  if (request.keep_prefix) generation.keep_prefix = std::chrono::hours(24);
  generation.prompt = std::move(prompt.ids);
  if (const Status fine = infer::check_sampler(generation.sampler, blueprint_.vocabulary); !fine) {
    // Ranges are checked before it comes here: only ids are left to be wrong.
    return std::unexpected(Error{ErrorKind::kInvalid, fine.error().message,
                                 generation.sampler.logit_bias.empty() ? "" : "unsupported_bias"});
  }
  LATHE_TRY_STATUS(constrain(request, prompt.lead, prepared));
  return prepared;
}

}  // namespace lathe::serve

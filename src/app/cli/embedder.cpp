// Embeddings from a model file, or from the running server.
#include "app/cli/embedder.h"
#include "app/cli/consent_gate.h"

#include <future>

#include "app/cli/pool_flags.h"
#include "app/cli/running_server.h"
#include "ground/base/text.h"
#include "serve/net/forwarded.h"
#include "serve/net/http_call.h"
#include "work/cloud_names.h"

namespace lathe::app {
namespace {

using Vectors = std::vector<std::vector<float>>;

constexpr std::size_t kLeastText = 200;  // bytes: a model that has no room for so few has none

// --- A file ---

Result<Vectors> vectors_of(serve::Pool& pool, const std::string& model,
                           const std::vector<std::string>& texts, const StopFlag& stop) {
  std::vector<TextInput> inputs;
  for (const std::string& text : texts) inputs.push_back({text, {}});
  const auto made = std::make_shared<std::promise<Result<Embeddings>>>();
  auto answer = made->get_future();
  const auto id = pool.embed(model, std::move(inputs), true, {},
                             [made](Result<Embeddings> all) { made->set_value(std::move(all)); });
  while (answer.wait_for(Milliseconds(100)) != std::future_status::ready)
    if (stop.raised()) pool.cancel(id);
  LATHE_TRY(Embeddings embeddings, answer.get());
  return std::move(embeddings.vectors);
}

Result<books::Embedder> of_file(const App& app, const std::string& name) {
  std::error_code wrong;
  const fs::path file = fs::absolute(name, wrong).lexically_normal();
  const auto bytes = fs::file_size(file, wrong);
  if (wrong) return fail(ErrorKind::kNotFound, "{}: {}", file.string(), wrong.message());
  const auto changed = fs::last_write_time(file, wrong).time_since_epoch().count();
  LATHE_TRY(serve::PoolOptions options, local_pool_options(app));
  const std::vector<fs::path> files{file};
  LATHE_TRY(serve::Catalog catalog, serve::Catalog::read(files));
  auto pool = std::make_shared<serve::Pool>(std::move(catalog), std::move(options));
  LATHE_TRY(std::string model, pool->find(file.stem().string()));
  return books::Embedder{file.string(), fmt::format("{}:{}:{}", file.string(), bytes, changed),
                         [pool, model, stop = app.stop](const std::vector<std::string>& texts) {
                           return vectors_of(*pool, model, texts, *stop);
                         }};
}

// --- A server ---

struct Served {
  const App& app;
  ServerAddress server;
  std::string model;
  serve::ConsentGate consent;
};

Result<Vectors> ask(const Served& served, const std::vector<std::string>& texts) {
  serve::HttpCall call{
      .url = served.server.base + "/v1/embeddings",
      .body = dump_json({{"model", served.model}, {"input", texts}}),
      .headers = {fmt::format("{}: {}", serve::kReachHeader, reach_name(served.server.allowed))},
      .allowed = served.server.allowed,
      .contacts = served.app.contacts.get(),
      .allowed_by = served.server.allowed_by,
      .consent = served.consent,
      .model = served.model};
  call.prompt_tokens = static_cast<std::int64_t>(call.body.size()) / 3;
  if (const std::string key = server_key(); !key.empty())
    call.headers.push_back("Authorization: Bearer " + key);
  LATHE_TRY(const serve::HttpAnswer answer, serve::http_call(call, *served.app.stop));
  const auto json = parse_json(answer.body);
  if (answer.status != 200 || !json) {
    const Json& error = json ? json_at(*json, "error") : Json();
    return std::unexpected(Error{
        ErrorKind::kUnavailable,
        fmt::format("{}: no embeddings (status {}): {}", call.url, answer.status,
                    clip_utf8(make_valid_utf8(json_string(error, "message", answer.body)), 300)),
        json_string(error, "code")});
  }
  Vectors vectors;
  for (const Json& each : json_at(*json, "data")) {
    auto& vector = vectors.emplace_back();
    for (const Json& number : json_at(each, "embedding"))
      vector.push_back(number.is_number() ? number.get<float>() : 0);
  }
  return vectors;
}

// A text that has no room alone is cut in half until it does.
Result<Vectors> ask_with_cuts(const Served& served, const std::vector<std::string>& texts) {
  const auto too_long = [](const Result<Vectors>& answer) {
    return !answer && answer.error().code == "context_length_exceeded";
  };
  auto all = ask(served, texts);
  if (!too_long(all)) return all;
  Vectors vectors;
  for (std::string text : texts) {
    auto one = ask(served, {text});
    while (too_long(one) && text.size() > kLeastText) {
      text = clip_utf8(text, text.size() / 2);
      one = ask(served, {text});
    }
    if (!one) return one;
    vectors.insert(vectors.end(), one->begin(), one->end());
  }
  return vectors;
}

Result<books::Embedder> of_server(const App& app, const std::string& name, Reach allowed) {
  LATHE_TRY(ServerAddress server, find_server(app, {}));
  if (server.allowed > allowed)
    return fail(ErrorKind::kDenied,
                "{}: is beyond this machine ('{}'), and these texts may go as far as '{}'",
                server.base, reach_name(server.allowed), reach_name(allowed));
  if (allowed != Reach::kAny && is_asked_of_a_cloud(name))
    return fail(ErrorKind::kDenied, "{}: by its name this model is asked of a cloud", name);
  LATHE_TRY(serve::ConsentGate consent, consent_gate_of(app, kConsentWait));
  return books::Embedder{
      name, name,
      [served = Served{app, std::move(server), name, std::move(consent)}](
          const std::vector<std::string>& texts) { return ask_with_cuts(served, texts); }};
}

}  // namespace

Result<books::Embedder> open_embedder(const App& app, const std::string& name, Reach allowed) {
  return name.ends_with(".gguf") ? of_file(app, name) : of_server(app, name, allowed);
}

}  // namespace lathe::app

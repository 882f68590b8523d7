// GET /consents, GET and POST /consents/{id}
#include "app/cli/served_consents.h"

#include "app/cli/consent_gate.h"
#include "ground/base/text.h"
#include "serve/runs/answers.h"
#include "serve/server/fields.h"

namespace lathe::app {
namespace {

using serve::ApiError;
using serve::or_api_error;

constexpr std::size_t kMostListed = 200, kMostText = 1 << 20;

serve::ApiResult<void> check_owner(const serve::Call& call) {
  if (call.owner) return {};
  return std::unexpected(ApiError{
      403, "what may leave this machine is for whoever runs the server: with the owner's key"});
}

}  // namespace

// The newest first.
serve::Handled list_of_consents(const App& app, const serve::Call& call) {
  LATHE_TRY_STATUS(check_owner(call));
  LATHE_TRY(const auto table, or_api_error(consents_of(app).all()));
  Json rows = Json::array();
  std::size_t open = 0;
  for (std::size_t i = table.size(); i-- > 0;) {
    open += table[i].decision == books::Decision::kAsked ? 1 : 0;
    if (rows.size() < kMostListed) rows.push_back(consent_json(table[i]));
  }
  return serve::json_reply({{"data", std::move(rows)}, {"open", open}});
}

// The exact text, as far as a page can show it; "whole": that is all of it, byte for byte.
serve::Handled consent_text(const App& app, const serve::Call& call) {
  LATHE_TRY_STATUS(check_owner(call));
  const books::Consents consents = consents_of(app);
  LATHE_TRY(const books::Approval consent, or_api_error(consents.find(call.names.front())));
  LATHE_TRY(const std::string body, or_api_error(consents.body(consent)));
  Json json = consent_json(consent);
  json["text"] =
      body.size() > kMostText ? clip_utf8(make_valid_utf8(body), kMostText) : make_valid_utf8(body);
  json["whole"] = json["text"] == body;
  return serve::json_reply(json);
}

serve::Handled decide_consent(const App& app, const serve::Call& call) {
  LATHE_TRY_STATUS(check_owner(call));
  serve::Fields body(call.body);
  const std::string decision = body.text("decision").value_or("");
  if (decision != "allow" && decision != "deny")
    body.refuse("decision", "must be \"allow\" or \"deny\"", "unsupported_value");
  std::vector<std::string> secret_ok;
  const Json& named = body.raw("secret_ok");
  if (named.is_array())
    for (const Json& each : named)
      if (each.is_string()) secret_ok.push_back(each.get<std::string>());
  LATHE_TRY_STATUS(body.status());
  const std::string& id = call.names.front();
  const books::Consents consents = consents_of(app);
  const auto said = decision == "allow" ? books::Decision::kAllowed : books::Decision::kRefused;
  if (auto decided = consents.decide(id, said, secret_ok, system_clock().unix_ms()); !decided)
    return std::unexpected(serve::api_error(decided.error()));
  LATHE_TRY(const books::Approval consent, or_api_error(consents.find(id)));
  return serve::json_reply(consent_json(consent));
}

}  // namespace lathe::app

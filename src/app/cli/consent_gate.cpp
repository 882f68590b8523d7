// The gate before a cloud: what stands is looked up, and where nothing does, a person is waited
// for.
#include "app/cli/consent_gate.h"

#include <thread>

#include "app/cli/money.h"
#include "app/cli/tool_desk.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kLookAgain{250};

std::string member(const std::map<std::string, std::string>& texts, const char* name) {
  const auto found = texts.find(name);
  return found == texts.end() ? std::string() : found->second;
}

std::optional<std::int64_t> price_at_most(const serve::CloudBody& body,
                                          std::span<const books::PriceTable> tables,
                                          std::string& currency) {
  const books::Price* price = books::find_price(tables, body.model);
  if (price == nullptr || body.answer_tokens < 0) return std::nullopt;
  currency = price->currency;
  return books::cost_of(*price,
                        {.fresh = body.prompt_tokens, .cached = 0, .out = body.answer_tokens});
}

books::ConsentQuestion question_of(const serve::CloudBody& body, const ConsentTerms& terms) {
  books::Outgoing outgoing;
  outgoing.body = body.bytes;
  outgoing.destination = body.destination;
  outgoing.model = body.model;
  outgoing.prompt_tokens = body.prompt_tokens;
  outgoing.answer_tokens = body.answer_tokens;
  outgoing.nano = price_at_most(body, terms.prices, outgoing.currency);
  outgoing.about = body.labels;
  if (const auto files = outgoing.about.find("files"); files != outgoing.about.end()) {
    outgoing.paths =
        files->second.empty() ? std::vector<std::string>() : split(files->second, '\n');
    outgoing.about.erase(files);
  }
  return books::Consents::question(std::move(outgoing), system_clock().unix_ms());
}

void say_waiting(const App& app, const ConsentTerms& terms, const books::Approval& row) {
  terms.alone([&] {
    if (app.json) {
      Json event = consent_json(row);
      event["kind"] = "consent";
      event["wait_ms"] = terms.wait.count();
      print_json(event);
      return;
    }
    print_note(fmt::format(
        "waits for consent {} ({}), at most {}; lathe consent show {} shows the exact text, lathe "
        "consent approve {} lets it go, lathe consent deny {} does not",
        row.id(), consent_words(row), format_duration(terms.wait), row.id(), row.id(), row.id()));
  });
}

Error without_consent(const books::ConsentQuestion& question, books::ConsentSaid::Kind kind,
                      Milliseconds wait) {
  const std::string id = question.row.id();
  const std::string& place = question.outgoing.destination;
  if (kind == books::ConsentSaid::Kind::kSecret)
    return {ErrorKind::kDenied,
            fmt::format("denied: secret: what was to go to {} holds {}, so nothing was sent; "
                        "`lathe consent show {}` shows it, `lathe consent approve {} --secret-ok "
                        "\"{}\"` lets it go all the same",
                        place, join(question.secrets, ", "), id, id, question.secrets.front()),
            "consent_secret"};
  if (kind == books::ConsentSaid::Kind::kRefused)
    return {ErrorKind::kDenied,
            fmt::format("consent {} was denied, so nothing was sent to {}; `lathe consent approve "
                        "{}` changes that",
                        id, place, id),
            "consent_denied"};
  return {
      ErrorKind::kDenied,
      fmt::format("consent {} was asked for and not given{}, so nothing was sent to {}; `lathe "
                  "consent show {}` shows the exact text, `lathe consent approve {}` lets it go",
                  id, wait.count() > 0 ? " within " + format_duration(wait) : "", place, id, id),
      "consent_wanted"};
}

// For the record of the run whose call asks.
Status note_asked(const ConsentTerms& terms, const serve::CloudBody& body,
                  const books::Approval& row) {
  if (!terms.notes) return {};
  return terms.notes->write(body.labels, [&](const loop::CallId& call) -> loop::Event {
    return loop::ConsentAsked{call, row.id(), consent_words(row)};
  });
}

Status note_answered(const ConsentTerms& terms, const serve::CloudBody& body,
                     const books::Approval& row, const books::ConsentSaid& said) {
  if (!terms.notes) return {};
  return terms.notes->write(body.labels, [&](const loop::CallId& call) -> loop::Event {
    return loop::ConsentAnswered{call, row.id(), said.kind == books::ConsentSaid::Kind::kAllowed,
                                 said.by};
  });
}

// Until somebody says something, the time is up or the call is over.
Result<std::string> wait_for_consent(const App& app, const ConsentTerms& terms,
                                     const serve::CloudBody& body, const StopFlag& stop) {
  using Kind = books::ConsentSaid::Kind;
  const books::Consents consents = consents_of(app);
  const books::ConsentQuestion question = question_of(body, terms);
  const Milliseconds begun = system_clock().monotonic();
  for (bool told = false;; told = true) {
    LATHE_TRY(const books::ConsentSaid said, consents.look(question, system_clock().unix_ms()));
    const Milliseconds waited = system_clock().monotonic() - begun;
    const bool over = said.kind != Kind::kAsked || waited >= terms.wait;
    if (over && told) LATHE_TRY_STATUS(note_answered(terms, body, question.row, said));
    if (said.kind == Kind::kAllowed) return said.by;
    if (over) return std::unexpected(without_consent(question, said.kind, terms.wait));
    if (!told) {
      LATHE_TRY_STATUS(note_asked(terms, body, question.row));
      say_waiting(app, terms, question.row);
    }
    const Milliseconds until =
        system_clock().monotonic() + std::min(kLookAgain, terms.wait - waited);
    while (system_clock().monotonic() < until && !stop.raised())
      std::this_thread::sleep_for(Milliseconds(20));
    if (stop.raised())
      return fail(ErrorKind::kCancelled, "stopped while it waited for consent {}",
                  question.row.id());
  }
}

}  // namespace

books::Consents consents_of(const App& app) {
  return {approvals_of(app), app.config_dir / "consents"};
}

std::string consent_words(const books::Approval& consent) {
  const std::string secrets = member(consent.facts, "secrets");
  return fmt::format("{} bytes to {}, model '{}', tokens {}, price {}{}",
                     member(consent.subject, "bytes"), member(consent.subject, "destination"),
                     clip_utf8(member(consent.subject, "model"), 100),
                     member(consent.subject, "tokens"), member(consent.subject, "price"),
                     secrets.empty() ? "" : ", HOLDS " + replace_all(secrets, ";", ", "));
}

Json consent_json(const books::Approval& consent) {
  Json json = {{"id", consent.id()},
               {"decision", decision_name(consent.decision)},
               {"at", format_utc(consent.at_ms)}};
  for (const auto& [name, value] : consent.subject) json[name] = value;
  json["secrets"] = Json::array();
  if (const std::string secrets = member(consent.facts, "secrets"); !secrets.empty())
    json["secrets"] = split(secrets, ';');
  for (const char* name : {"run", "call", "purpose", "files"})
    json[name] = member(consent.facts, name);
  return json;
}

serve::ConsentGate consent_gate(const App& app, ConsentTerms terms) {
  return [&app, terms = std::make_shared<const ConsentTerms>(std::move(terms))](
             const serve::CloudBody& body, const StopFlag& stop) {
    return wait_for_consent(app, *terms, body, stop);
  };
}

Result<serve::ConsentGate> consent_gate_of(
    const App& app, const std::string& wait,
    std::function<void(const std::function<void()>& work)> alone, loop::CallNotes* notes) {
  ConsentTerms terms;
  terms.notes = notes;
  auto waited = parse_duration(wait);
  if (!waited) return at("--consent-wait", std::move(waited).error());
  terms.wait = *waited;
  LATHE_TRY(terms.prices, load_prices(app));
  terms.alone = std::move(alone);
  return consent_gate(app, std::move(terms));
}

}  // namespace lathe::app

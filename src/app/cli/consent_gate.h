// Consent at the command line: what asks a person before bytes go to a cloud, and waits for their
// word. The table is CONFIG/approvals.json, the bytes lie in CONFIG/consents.
#pragma once

#include "app/cli/app.h"
#include "books/approvals/consents.h"
#include "books/prices/price_table.h"
#include "loop/conductor/call_notes.h"
#include "serve/net/http_call.h"

namespace lathe::app {

inline constexpr const char* kConsentWait = "10m";

books::Consents consents_of(const App& app);
// "POST of 1234 bytes to https://… for the model 'big', about 300 tokens in, …": one line.
std::string consent_words(const books::Approval& consent);
// As --json has it, without the text.
Json consent_json(const books::Approval& consent);

struct ConsentTerms {
  Milliseconds wait{0};  // for a person's word, at most; 0: not at all
  std::vector<books::PriceTable> prices = {};
  loop::CallNotes* notes = nullptr;  // of the runs whose calls ask; null: none is told
  // Keeps everybody else from the terminal while `work` says what is waited for.
  std::function<void(const std::function<void()>& work)> alone =
      [](const std::function<void()>& work) { work(); };
};
// `app` outlives it. Any thread.
serve::ConsentGate consent_gate(const App& app, ConsentTerms terms);
// With the tables of prices there are; `wait`: as people write it.
Result<serve::ConsentGate> consent_gate_of(
    const App& app, const std::string& wait,
    std::function<void(const std::function<void()>& work)> alone =
        [](const std::function<void()>& work) { work(); },
    loop::CallNotes* notes = nullptr);

}  // namespace lathe::app

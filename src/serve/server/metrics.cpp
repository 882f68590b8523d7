// GET /metrics, in Prometheus' text format
#include "serve/server/endpoints.h"

namespace lathe::serve {
namespace {

class MetricsText {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP lathe_{0} {2}\n# TYPE lathe_{0} {1}\n", name, type, help);
  }
  template <class Number>
  void value(Number value, std::string_view labels = {}) {
    text_ += fmt::format("lathe_{}{} {}\n", name_, labels, value);
  }
  template <class Number>
  void one(std::string_view name, std::string_view type, std::string_view help, Number number) {
    family(name, type, help);
    value(number);
  }
  std::string text() && { return std::move(text_); }

 private:
  std::string_view name_;
  std::string text_;
};

// A label's value: names come from people.
std::string label(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + '"';
}

void counters(MetricsText& out, const HostCounters& sums) {
  constexpr std::string_view kCounter = "counter";
  out.one("requests_total", kCounter, "Requests to models.", sums.requests);
  out.one("requests_failed_total", kCounter, "Requests that failed.", sums.failed);
  out.one("requests_cancelled_total", kCounter, "Requests whose client went.", sums.cancelled);
  out.one("requests_refused_total", kCounter, "Requests that were not taken.", sums.refused);
  out.one("prompt_tokens_total", kCounter, "Tokens of prompts, cached ones included.",
          sums.prompt_tokens);
  out.one("cached_tokens_total", kCounter, "Tokens of prompts that were remembered.",
          sums.cached_tokens);
  out.one("completion_tokens_total", kCounter, "Tokens written.", sums.completion_tokens);
  out.one("draft_accepted_tokens_total", kCounter, "Tokens of drafts that were taken over.",
          sums.accepted_tokens);
  out.one("draft_rejected_tokens_total", kCounter, "Tokens of drafts that were not.",
          sums.rejected_tokens);
  out.one("model_loads_total", kCounter, "Models brought in.", sums.loads);
  out.one("model_evictions_total", kCounter, "Models that made room for others.", sums.evictions);
  out.one("preemptions_total", kCounter, "Background requests that gave way to people's.",
          sums.preemptions);
  out.one("recomputed_tokens_total", kCounter, "Tokens computed again after that.",
          sums.recomputed_tokens);
  out.one("media_encoded_total", kCounter, "Pictures and sounds of requests that were encoded.",
          sums.media_encoded);
  out.one("media_remembered_total", kCounter,
          "Pictures and sounds of requests that were known already.", sums.media_remembered);
  out.one("step_microseconds_total", kCounter, "What steps of models took.", sums.step_us);
  out.one("busy_microseconds_total", kCounter, "Of that, shares of requests that have ended.",
          sums.busy_us);
  out.one("recomputed_microseconds_total", kCounter, "Of that, what was computed again.",
          sums.recomputed_us);
  if (sums.millijoules)
    out.one("energy_millijoules_total", kCounter, "Shares of requests that have ended.",
            *sums.millijoules);
}

void models(MetricsText& out, const std::vector<ModelInfo>& models) {
  out.family("model_bytes", "gauge", "Memory booked for a model.");
  for (const ModelInfo& model : models)
    for (const auto& [tag, bytes] : {std::pair("weights", model.weights),
                                     {"kv", model.kv},
                                     {"prefix", model.prefix},
                                     {"scratch", model.scratch},
                                     {"media", model.media},
                                     {"program", model.program}})
      out.value(bytes, fmt::format("{{model={},tag=\"{}\"}}", label(model.name), tag));
  out.family("program_used_bytes", "gauge",
             "Memory of the machine that a model's program was last seen to use.");
  for (const ModelInfo& model : models)
    if (model.used) out.value(*model.used, fmt::format("{{model={}}}", label(model.name)));
  const auto each = [&](std::string_view name, std::string_view help, auto&& number) {
    out.family(name, "gauge", help);
    for (const ModelInfo& model : models)
      out.value(number(model), fmt::format("{{model={}}}", label(model.name)));
  };
  each("model_ready", "Whether a model is in memory.",
       [](const ModelInfo& model) { return model.state == ModelState::kReady ? 1 : 0; });
  each("model_running", "Requests under way.",
       [](const ModelInfo& model) { return model.running; });
  each("model_waiting", "Requests that wait.",
       [](const ModelInfo& model) { return model.waiting; });
  each("model_tokens_per_second", "Tokens written a second, lately.",
       [](const ModelInfo& model) { return model.tokens_per_second; });
}

void devices(MetricsText& out, const HostStatus& status) {
  out.family("device_limit_bytes", "gauge", "The memory budget, by device.");
  for (const auto& [device, bytes] : status.limits)
    out.value(bytes, fmt::format("{{device={}}}", label(device)));
  out.family("device_booked_bytes", "gauge", "Booked of the budget, by device.");
  for (const auto& [device, bytes] : status.limits)
    out.value(status.booked.of(device), fmt::format("{{device={}}}", label(device)));
}

}  // namespace

Handled metrics(ModelHost& host, Call&) {
  const HostStatus status = host.status();
  MetricsText out;
  counters(out, status.counters);
  out.one("memory_limit_bytes", "gauge", "The memory budget.", status.limits.total());
  out.one("memory_booked_bytes", "gauge", "Booked of the budget.", status.booked.total());
  out.one("memory_resident_bytes", "gauge", "The process's resident memory.", status.resident);
  out.one("queue_length", "gauge", "Requests that wait for memory or a model.", status.queued);
  devices(out, status);
  models(out, status.models);
  return HttpReply{200, std::move(out).text(), "text/plain; version=0.0.4; charset=utf-8"};
}

}  // namespace lathe::serve

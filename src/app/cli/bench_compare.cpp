// Two records of benchmarks beside each other.
#include "app/cli/bench_flags.h"

namespace lathe::app {
namespace {

struct Comparable {
  std::string what, unit;
  std::int64_t size = 0;
  double median = 0;
  bool noisy = false;
};

Result<Json> read_record(const std::string& path) {
  LATHE_TRY(const std::string text, read_file(path));
  auto record = parse_record(text);
  if (!record) return at(path, record.error());
  return json_at(*record, "models");
}

double number_at(const Json& json, std::string_view key) {
  return parse_decimal(json_string(json, key)).value_or(0);
}

// The rows of a model, and what the closed loops of its turns came to.
std::vector<Comparable> comparables(const Json& model) {
  std::vector<Comparable> list;
  for (const Json& row : json_at(model, "rows"))
    list.push_back({json_string(row, "what"), json_string(row, "unit"), json_int(row, "size", 0),
                    number_at(row, "median"), json_bool(row, "noisy", false)});
  for (const Json& turn : json_at(model, "turns"))
    for (const Json& point : json_at(json_at(turn, "serve"), "closed"))
      list.push_back({"at once, " + json_string(turn, "target"), "tok/s",
                      json_int(json_at(point, "arrival"), "people", 0),
                      number_at(json_at(point, "summary"), "tokens_per_second")});
  return list;
}

}  // namespace

// What both records measure the same way, B as a multiple of A.
Status compare_records(const App& app, const std::string& a_path, const std::string& b_path) {
  LATHE_TRY(const Json a, read_record(a_path));
  LATHE_TRY(const Json b, read_record(b_path));
  if (a.size() != b.size())
    return invalid("{} has {} models, {} has {}: measure the same ones in the same order", a_path,
                   a.size(), b_path, b.size());
  Json out = Json::array();
  std::string text;
  for (std::size_t i = 0; i < a.size(); ++i) {
    text +=
        fmt::format("A {} {}\nB {} {}\n", json_string(a[i], "model"), json_string(a[i], "kernels"),
                    json_string(b[i], "model"), json_string(b[i], "kernels"));
    const std::vector<Comparable> others = comparables(b[i]);
    for (const Comparable& from : comparables(a[i])) {
      for (const Comparable& to : others) {
        if (from.what != to.what || from.size != to.size || from.median <= 0) continue;
        out.push_back({{"what", from.what},
                       {"size", from.size},
                       {"a", from.median},
                       {"b", to.median},
                       {"ratio", to.median / from.median},
                       {"noisy", from.noisy || to.noisy}});
        text += fmt::format("{:<28} {:>6}  {:>10.2f} {:>10.2f} {:<6} ×{:.3f}{}\n", from.what,
                            from.size, from.median, to.median, from.unit, to.median / from.median,
                            from.noisy || to.noisy ? " noisy" : "");
      }
    }
  }
  if (out.empty()) return invalid("{} and {} measure nothing the same", a_path, b_path);
  if (app.json)
    print_json(out);
  else
    print(text);
  return {};
}

}  // namespace lathe::app

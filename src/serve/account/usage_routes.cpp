// GET /usage?by=key&from=2026-01-01&to=2026-01-31&format=csv
#include "serve/account/usage_routes.h"

#include "books/ledger/totals.h"
#include "ground/base/clock.h"
#include "ground/base/text.h"

namespace lathe::serve {
namespace {

struct Question {
  books::Grouping by = books::Grouping::kModel;
  books::RowRange range = {};
  bool csv = false;
};

// Days are whole, the last one included.
ApiResult<Question> read_question(std::string_view query) {
  Question question;
  for (const std::string& part : split(query, '&')) {
    if (part.empty()) continue;
    const auto equals = part.find('=');
    const std::string key = part.substr(0, equals);
    const std::string value = equals == part.npos ? "" : part.substr(equals + 1);
    if (key == "by") {
      const auto by = books::parse_grouping(value);
      if (!by) return refuse("'by' must be model, key, recipe or day", "by");
      question.by = *by;
    } else if (key == "from" || key == "to") {
      const auto day = parse_day(value);
      if (!day) return refuse(fmt::format("'{}': {}", key, day.error().message), key);
      (key == "from" ? question.range.from_ms : question.range.to_ms) =
          key == "from" ? *day : *day + kDayMs;
    } else if (key == "format") {
      if (value != "csv" && value != "json") return refuse("'format' must be json or csv", key);
      question.csv = value == "csv";
    } else {
      return refuse("there is no such parameter; by, from, to and format are", key);
    }
  }
  if (question.range.from_ms >= question.range.to_ms)
    return refuse("'from' is later than 'to'", "from");
  return question;
}

}  // namespace

RouteTable usage_routes(Bookkeeper& books, std::function<Result<books::Journal>()> open,
                        std::function<bool(const Call& call)> sees_all) {
  const auto answer = [&books, open = std::move(open),
                       sees_all = std::move(sees_all)](Call& call) -> Handled {
    LATHE_TRY(const Question question, read_question(call.exchange->request().query));
    const bool all = sees_all(call);
    // What has just been answered is in it.
    Status fine = books.flush();
    books::Totals totals(question.by);
    if (fine) {
      const auto journal = open();
      fine = journal ? journal->rows(question.range,
                                     [&](const books::LedgerRow& row) {
                                       if (all || (row.served() && row.key == call.caller.key))
                                         totals.add(row);
                                     })
                     : std::unexpected(journal.error());
    }
    if (!fine) return std::unexpected(api_error(fine.error()));
    const std::vector<books::Total> list = totals.list();
    if (question.csv) return HttpReply{200, books::to_csv(list), "text/csv; charset=utf-8"};
    Json data = Json::array();
    for (const books::Total& total : list) data.push_back(to_json(total));
    return json_reply(
        {{"object", "list"}, {"by", books::grouping_name(question.by)}, {"data", std::move(data)}});
  };
  RouteTable table;
  table.rows.push_back({"GET", "/usage", answer});
  return table;
}

}  // namespace lathe::serve

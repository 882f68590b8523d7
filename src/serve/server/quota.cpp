// Quotas: counted at the end of each request, asked at the beginning.
#include "serve/server/quota.h"

namespace lathe::serve {
namespace {

constexpr std::int64_t kDaySeconds = 24 * 60 * 60;
constexpr int kNoRoomSeconds = 1;

std::unexpected<ApiError> exceeded(std::string message, std::int64_t seconds) {
  return std::unexpected(
      ApiError{429, std::move(message), {}, "quota_exceeded", static_cast<int>(seconds)});
}

}  // namespace

QuotaMeter::Used& QuotaMeter::today(const std::string& key) {
  const std::int64_t day = clock_->unix_ms() / 1000 / kDaySeconds;
  Used& used = used_[key];
  if (day > used.day) {
    used.day = day;
    used.tokens = used.millijoules = 0;
  }
  return used;
}

std::int64_t QuotaMeter::seconds_to_reset(const Used& used) const {
  return (used.day + 1) * kDaySeconds - clock_->unix_ms() / 1000;
}

ApiResult<std::shared_ptr<QuotaMeter::Ticket>> QuotaMeter::admit(const Key& key) {
  const std::scoped_lock lock(mutex_);
  Used& used = today(key.name);
  const auto of_day = [&](std::string_view what, std::int64_t quota, std::int64_t taken) {
    return exceeded(
        fmt::format("the key '{}' has used {} of its {} {} of today; they count anew in {}",
                    key.name, taken, quota, what,
                    format_duration(std::chrono::seconds(seconds_to_reset(used)))),
        seconds_to_reset(used));
  };
  if (key.tokens_day && used.tokens >= *key.tokens_day)
    return of_day("tokens", *key.tokens_day, used.tokens);
  if (key.joules_day && used.millijoules >= *key.joules_day * 1000)
    return of_day("joules", *key.joules_day, used.millijoules / 1000);
  if (key.parallel && used.under_way >= *key.parallel)
    return exceeded(fmt::format("the key '{}' has {} requests under way, as many as it may; wait "
                                "for one of them",
                                key.name, used.under_way),
                    kNoRoomSeconds);
  ++used.under_way;
  return std::shared_ptr<Ticket>(new Ticket(shared_from_this(), key.name));
}

void QuotaMeter::seed(const std::string& key, std::int64_t day, std::int64_t tokens,
                      std::int64_t millijoules) {
  const std::scoped_lock lock(mutex_);
  Used& used = used_[key];
  if (day < used.day) return;
  if (day > used.day) used = {.day = day, .under_way = used.under_way};
  used.tokens += tokens;
  used.millijoules += millijoules;
}

QuotaMeter::Ticket::~Ticket() {
  const std::scoped_lock lock(meter_->mutex_);
  --meter_->used_.at(key_).under_way;
}

void QuotaMeter::Ticket::count(const Usage& usage) {
  const std::scoped_lock lock(meter_->mutex_);
  Used& used = meter_->today(key_);
  used.tokens += usage.prompt_tokens + usage.completion_tokens;
  used.millijoules += usage.millijoules.value_or(0);
}

}  // namespace lathe::serve

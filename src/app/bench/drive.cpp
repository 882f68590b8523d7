// The loop of a point: what is due is sent, what comes is written down.
#include "app/bench/drive.h"

#include <algorithm>
#include <map>
#include <queue>
#include <set>

#include "ground/base/hash.h"
#include "work/finish.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostUnderWay = 512;
// A server is given up after so many failures and so long without an answer: one that has too much
// to do refuses some, and answers others.
constexpr std::size_t kMostFailuresInARow = 20;
constexpr std::int64_t kSilentUs = 5'000'000;
constexpr std::int64_t kLookUs = 100'000;          // how often `stop` is looked at
constexpr std::int64_t kAfterFailureUs = 100'000;  // people who are refused ask again

class Driver {
 public:
  Driver(Target& target, const Load& load, const Questions& questions, const StopFlag& stop,
         const std::function<void(std::int64_t)>& heard)
      : target_(target), load_(load), questions_(questions), stop_(stop), heard_(heard) {}

  Point run() {
    start_us_ = target_.now_us();
    window_us_ = static_cast<std::int64_t>(load_.seconds * 1e6);
    plan();
    while (!due_.empty() || !under_way_.empty()) {
      const std::int64_t now = target_.now_us() - start_us_;
      if (!stopped_ && (stop_.raised() || silent(now))) give_up(now);
      send(now);
      const std::int64_t next_due = due_.empty() ? now + kLookUs : due_.top().at_us;
      if (auto event = target_.next(start_us_ + std::min(next_due, now + kLookUs))) take(*event);
    }
    Point point{.load = load_, .window_us = window_us_, .wall_us = target_.now_us() - start_us_};
    // What was broken off by us says nothing of the target.
    for (std::size_t n = 0; n < samples_.size(); ++n)
      if (!broken_off_.contains(n)) point.samples.push_back(std::move(samples_[n]));
    point.stopped = stopped_;
    return point;
  }

 private:
  struct Due {
    std::int64_t at_us;
    std::size_t person;
    bool operator>(const Due& other) const {
      return std::pair(at_us, person) > std::pair(other.at_us, other.person);
    }
  };

  void plan() {
    if (const auto* poisson = std::get_if<Poisson>(&load_.arrival)) {
      std::size_t n = 0;
      for (const std::int64_t at : arrivals(*poisson, load_.seconds, load_.seed))
        due_.push({at, n++});
      return;
    }
    thought_.resize(std::get<ClosedLoop>(load_.arrival).people);
    for (std::size_t person = 0; person < thought_.size(); ++person) think(person, 0);
  }

  // The person's next question, if there is still time for one.
  void think(std::size_t person, std::int64_t from_us) {
    const auto& loop = std::get<ClosedLoop>(load_.arrival);
    const std::int64_t at = from_us + app::think_us(loop, load_.seed, person, thought_[person]++);
    if (at < window_us_ && !stopped_) due_.push({at, person});
  }

  void send(std::int64_t now) {
    while (!due_.empty() && due_.top().at_us <= now) {
      const Due due = due_.top();
      due_.pop();
      const std::size_t n = samples_.size();
      const Question question = questions_(n);
      Sample& sample = samples_.emplace_back();
      sample.due_us = due.at_us;
      sample.sent_us = sample.end_us = now;
      sample.fixed = question.fixed;
      if (under_way_.size() >= kMostUnderWay) {
        sample.error = fmt::format("not sent: {} requests were under way", kMostUnderWay);
        continue;
      }
      under_way_[n] = due.person;
      target_.ask(n, question.request);
    }
  }

  void take(const TargetEvent& event) {
    const auto asked = under_way_.find(static_cast<std::size_t>(event.id));
    if (asked == under_way_.end()) return;
    Sample& sample = samples_[asked->first];
    const std::int64_t at = event.at_us - start_us_;
    sample.end_us = at;
    if (event.kind == TargetEvent::Kind::kText) {
      sample.pieces_us.push_back(at);
      if (heard_) heard_(at);
    } else if (event.kind == TargetEvent::Kind::kEmpty) {
      if (sample.pieces_us.empty() && sample.empty_us < 0) sample.empty_us = at;
    } else {
      end(sample, event);
      const std::size_t person = asked->second;
      if (stopped_ && !sample.answered()) broken_off_.insert(asked->first);
      under_way_.erase(asked);
      if (!thought_.empty()) think(person, at + (sample.answered() ? 0 : kAfterFailureUs));
    }
  }

  void end(Sample& sample, const TargetEvent& event) {
    sample.error = event.error;
    failures_ = sample.answered() ? 0 : failures_ + 1;
    sample.counted = event.usage.counted;
    sample.prompt_tokens = event.usage.prompt_tokens;
    sample.cached_tokens = event.usage.cached_tokens;
    sample.answer_tokens = event.usage.completion_tokens;
    if (!sample.answered()) return;
    answered_us_ = sample.end_us;
    sample.finish = finish_name(event.finish);
    sample.text = sha256_hex(event.text).substr(0, 16);
  }

  bool silent(std::int64_t now) const {
    return failures_ >= kMostFailuresInARow && now - answered_us_ >= kSilentUs;
  }

  // What is not sent yet never is; the time counts as far as it came.
  void give_up(std::int64_t now) {
    stopped_ = true;
    window_us_ = std::clamp<std::int64_t>(now, 1, window_us_);
    due_ = {};
    target_.cancel();
  }

  Target& target_;
  const Load& load_;
  const Questions& questions_;
  const StopFlag& stop_;
  const std::function<void(std::int64_t)>& heard_;
  std::int64_t start_us_ = 0, window_us_ = 0;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::map<std::size_t, std::size_t> under_way_;  // request → person
  std::vector<std::size_t> thought_;              // of each person, how often; Poisson: nobody
  std::vector<Sample> samples_;
  std::set<std::size_t> broken_off_;
  std::size_t failures_ = 0;      // in a row
  std::int64_t answered_us_ = 0;  // the last time
  bool stopped_ = false;
};

}  // namespace

Result<Point> drive(Target& target, const Load& load, const Questions& questions, const Slo& slo,
                    const StopFlag& stop, const std::function<void(std::int64_t)>& heard) {
  LATHE_TRY_STATUS(check(load));
  if (!(slo.first_ms > 0) || !(slo.gap_ms > 0))
    return invalid("an SLO of {} ms to the first token and {} ms between two: both must be above 0",
                   slo.first_ms, slo.gap_ms);
  Point point = Driver(target, load, questions, stop, heard).run();
  point.summary = summarize(point.samples, point.window_us, slo);
  return point;
}

}  // namespace lathe::app

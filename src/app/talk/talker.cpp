// Three threads with a queue between each two: one thinks, one asks the hook and speaks, one plays.
#include "app/talk/talker.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "app/talk/sentences.h"
#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "loop/senses/spoken.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kSentenceLimit{120'000};

// Between two threads. What waits when it is closed is still handed out.
template <class T>
class Queue {
 public:
  void put(T value) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(value));
    changed_.notify_one();
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  std::optional<T> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !waiting_.empty(); });
    if (waiting_.empty()) return std::nullopt;
    std::optional<T> value = std::move(waiting_.front());
    waiting_.pop_front();
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> waiting_;
  bool closed_ = false;
};

struct Spoken {
  int n = 0;
  std::string text;  // as written
  Sound sound;
};

class Answering {
 public:
  Answering(const TalkSetup& setup, Request request, int turn, const StopFlag& stop)
      : setup_(setup), request_(std::move(request)), turn_(turn), stop_(stop) {}

  Result<Answered> run() {
    std::thread watcher([this] { watch(); });
    std::thread thinker([this] { think(); });
    std::thread player([this] { play(); });
    speak();
    cut_.raise();  // nothing more is wanted of the thinker; of one that is done, nothing is
    thinker.join();
    player.join();
    over_.raise();
    watcher.join();
    const std::lock_guard lock(mutex_);
    answered_.interrupted = spoken_into_;
    answered_.whole = problem_.has_value() && !held_ && !stopped();
    Json event = {{"event", "answer"},        {"turn", turn_},
                  {"text", answered_.text},   {"whole", answered_.whole},
                  {"usage", to_json(usage_)}, {"ms", since()}};
    if (first_sound_ms_) event["first_sound_ms"] = *first_sound_ms_;
    if (stopped_at_) {
      event["stopped_after_ms"] = (now() - *stopped_at_).count();
      event["stopped_by"] = spoken_into_ ? "voice" : "key";
    }
    LATHE_TRY_STATUS(setup_.record(event));
    if (!problem_ && !stopped()) return std::unexpected(problem_.error());
    return answered_;
  }

 private:
  Milliseconds now() const { return system_clock().monotonic(); }
  std::int64_t since() const { return (now() - begun_).count(); }

  bool stopped() const { return stop_.raised() || spoken_into_; }

  // The first thing that went wrong ends all of it.
  void fail_with(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (problem_) problem_ = std::unexpected(error);
    quiet_.raise();
  }

  // Hands a stop on: to the mouth at once, to the thinker beside it.
  void watch() {
    while (!over_.raised()) {
      if (!quiet_.raised() && setup_.interrupted && setup_.interrupted()) spoken_into_ = true;
      if (stopped() && !quiet_.raised()) {
        stopped_at_ = now();
        quiet_.raise();
      }
      if (quiet_.raised()) cut_.raise();
      std::this_thread::sleep_for(Milliseconds(10));
    }
  }

  void think() {
    SentenceCutter cutter;
    const auto put = [&](std::vector<std::string> sentences) {
      for (std::string& sentence : sentences) sentences_.put(std::move(sentence));
    };
    const auto reply = setup_.thinker.complete(request_, cut_, [&](const Delta& delta) {
      if (!delta.text.empty()) put(cutter.add(delta.text));
    });
    if (reply) put(cutter.end());
    {
      const std::lock_guard lock(mutex_);
      thought_ = true;
      if (reply)
        usage_ += reply->usage;
      else if (problem_ && !cut_.raised())
        problem_ = std::unexpected(reply.error());
    }
    sentences_.close();
  }

  void speak() {
    for (int n = 1; !quiet_.raised() && !held_; ++n) {
      const auto sentence = sentences_.take();
      if (!sentence) break;
      if (const Status status = speak_one(n, *sentence); !status) fail_with(status.error());
    }
    sounds_.close();
  }

  Status speak_one(int n, const std::string& sentence) {
    const loop::HookAnswer answer = loop::ask_hook(setup_.hook, sentence, setup_.hooked);
    Json event = {
        {"event", "sentence"}, {"turn", turn_},           {"n", n},
        {"text", sentence},    {"passed", answer.passed}, {"hook_ms", answer.took.count()}};
    std::string spoken = sentence;
    if (!answer.passed) {
      event["by"] = answer.by;
      event["why"] = answer.why;
      spoken = instead_of(sentence, answer.why);
    }
    event["spoken"] = spoken;
    {
      const std::lock_guard lock(mutex_);
      usage_ += answer.usage;
    }
    LATHE_TRY_STATUS(setup_.record(event));
    if (spoken.empty()) return {};
    std::vector<Sound> sounds;
    LATHE_TRY_STATUS(loop::speak_text(setup_.voices, spoken, setup_.voice, kSentenceLimit, quiet_,
                                      [&](const Sound& sound) -> Status {
                                        sounds.push_back(sound);
                                        return {};
                                      }));
    sounds_.put({n, spoken, joined(sounds, 0)});
    return {};
  }

  std::string instead_of(const std::string& sentence, const std::string& why) {
    if (stopped()) return "";
    if (setup_.on_hold == OnHold::kReplace) return setup_.instead;
    if (setup_.on_hold == OnHold::kAsk && setup_.ask && setup_.ask(sentence, why)) return sentence;
    if (setup_.on_hold == OnHold::kStop) held_ = true;
    return "";
  }

  void play() {
    while (const auto next = sounds_.take()) {
      if (quiet_.raised()) continue;
      if (!first_sound_ms_) first_sound_ms_ = since();
      Status played = setup_.record({{"event", "sound"},
                                     {"turn", turn_},
                                     {"n", next->n},
                                     {"seconds", next->sound.seconds()},
                                     {"at_ms", since()},
                                     {"thinking", !is_thought()}});
      if (played) played = setup_.mouth.play(next->sound, quiet_);
      if (!played && !quiet_.raised()) fail_with(played.error());
      if (!played) continue;  // of what was cut off nobody knows how much was heard
      const std::lock_guard lock(mutex_);
      answered_.text += (answered_.text.empty() ? "" : " ") + next->text;
    }
  }

  bool is_thought() {
    const std::lock_guard lock(mutex_);
    return thought_;
  }

  const TalkSetup& setup_;
  const Request request_;
  const int turn_;
  const StopFlag& stop_;
  const Milliseconds begun_ = system_clock().monotonic();
  StopFlag quiet_;  // not a sound more
  StopFlag cut_;    // the thinker may end
  StopFlag over_;
  Queue<std::string> sentences_;
  Queue<Spoken> sounds_;
  std::atomic<bool> held_{false};               // the hook ended the answer
  std::atomic<bool> spoken_into_{false};        // somebody spoke
  std::optional<Milliseconds> stopped_at_;      // the watcher's, read when it has ended
  std::optional<std::int64_t> first_sound_ms_;  // the player's, likewise
  std::mutex mutex_;                            // guards what follows
  Status problem_;
  Usage usage_;
  Answered answered_;
  bool thought_ = false;
};

}  // namespace

std::optional<OnHold> parse_on_hold(std::string_view name) {
  if (name == "replace") return OnHold::kReplace;
  if (name == "stop") return OnHold::kStop;
  if (name == "ask") return OnHold::kAsk;
  return std::nullopt;
}

Result<Answered> answer_aloud(const TalkSetup& setup, Request request, int turn,
                              const StopFlag& stop) {
  return Answering(setup, std::move(request), turn, stop).run();
}

}  // namespace lathe::app

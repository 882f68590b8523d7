// Draws pages and SVGs for the server.
#include "app/cli/served_pictures.h"

#include <algorithm>

#include "loop/judges/candidate_picture.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostWaiting = 32, kMostKept = 64, kMostKeptBytes = std::size_t{64} << 20;
constexpr Milliseconds kLongest{60'000};
constexpr Box kWindow{0, 0, 1280, 800};

}  // namespace

ServedPictures::ServedPictures(const App& app)
    : app_(app), media_(app.program, 1), thread_([this] { run(); }) {}

ServedPictures::~ServedPictures() {
  stop_.raise();
  woken_.notify_all();
  thread_.join();
}

serve::DrawArtifact ServedPictures::drawer() {
  return [this](const std::string& sha256, std::shared_ptr<const std::string> bytes,
                std::function<void(Result<Png>)> done) {
    {
      const std::lock_guard lock(mutex_);
      if (!stop_.raised() && wanted_.size() < kMostWaiting) {
        wanted_.push_back({sha256, std::move(bytes), std::move(done)});
        return woken_.notify_all();
      }
    }
    done(fail(ErrorKind::kUnavailable, "{} pictures are being drawn already; try again later",
              kMostWaiting));
  };
}

void ServedPictures::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    // A flag that is raised outside of the lock is seen by itself.
    woken_.wait_for(lock, Milliseconds(200), [this] { return stop_.raised() || !wanted_.empty(); });
    if (wanted_.empty()) {
      if (stop_.raised()) return;
      continue;
    }
    const Wanted wanted = std::move(wanted_.front());
    wanted_.pop_front();
    lock.unlock();
    wanted.done(picture_of(wanted));
    lock.lock();
  }
}

Result<ServedPictures::Png> ServedPictures::picture_of(const Wanted& wanted) {
  if (stop_.raised()) return fail(ErrorKind::kUnavailable, "the server is shutting down");
  const auto known = std::ranges::find(kept_, wanted.sha256, &decltype(kept_)::value_type::first);
  if (known != kept_.end()) return known->second;
  LATHE_TRY(Png png, draw(*wanted.bytes));
  kept_.emplace_back(wanted.sha256, png);
  const auto bytes = [this] {
    std::size_t sum = 0;
    for (const auto& [name, picture] : kept_) sum += picture->size();
    return sum;
  };
  while (kept_.size() > kMostKept || (kept_.size() > 1 && bytes() > kMostKeptBytes))
    kept_.pop_front();
  return png;
}

Result<ServedPictures::Png> ServedPictures::draw(const std::string& bytes) {
  loop::Place place;
  place.program = app_.program;
  const Json options = Json::object();
  loop::JudgeTask task{options};
  task.bytes = bytes;
  task.media_type = loop::looks_like_svg(bytes) ? "image/svg+xml" : "text/html";
  const loop::JudgeContext context{
      .place = place, .stop = stop_, .time_limit = kLongest, .progress = {}, .output = {}};
  LATHE_TRY(const Picture picture, loop::candidate_picture(task, context, media_, kWindow));
  return std::make_shared<const std::string>(png_bytes(picture));
}

}  // namespace lathe::app

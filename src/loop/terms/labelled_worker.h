// A worker whose requests say which run and call they are for, and that knows what it was asked. It
// lives as long as one call.
#pragma once

#include <mutex>

#include "ground/base/text.h"
#include "loop/terms/prompt_text.h"

namespace lathe::loop {

class LabelledWorker : public Worker {
 public:
  LabelledWorker(Worker& worker, std::map<std::string, std::string> labels)
      : worker_(worker), labels_(std::move(labels)) {}

  WorkerInfo info() const override { return worker_.info(); }
  Status ready(const StopFlag& stop) override { return worker_.ready(stop); }
  Result<bool> sees() const override { return worker_.sees(); }
  Result<Reply> complete(const Request& request, const StopFlag& stop,
                         const std::function<void(const Delta&)>& on_delta) override {
    note(prompt_text(request));
    return worker_.complete(labelled(request), stop, on_delta);
  }
  Result<Likelihood> likelihood(const Continuation& asked, const StopFlag& stop) override {
    return worker_.likelihood(labelled(asked), stop);
  }
  Result<Transcription> transcribe(const SoundRequest& asked, const StopFlag& stop) override {
    return worker_.transcribe(labelled(asked), stop);
  }

  Result<Painted> paint(const PictureRequest& asked, const StopFlag& stop) override {
    note(make_valid_utf8(asked.prompt));
    return worker_.paint(labelled(asked), stop);
  }

  Result<SpokenFile> speak(const SpeechRequest& asked, const StopFlag& stop) override {
    note(make_valid_utf8(asked.text));
    return worker_.speak(labelled(asked), stop);
  }

  // The last request; nullopt: there was none.
  std::optional<std::string> sent() const {
    const std::lock_guard lock(mutex_);
    return sent_;
  }

 private:
  template <class Asked>
  Asked labelled(Asked asked) const {
    asked.labels.insert(labels_.begin(), labels_.end());
    return asked;
  }
  void note(std::string sent) {
    const std::lock_guard lock(mutex_);
    sent_ = std::move(sent);
  }

  Worker& worker_;
  const std::map<std::string, std::string> labels_;
  mutable std::mutex mutex_;
  std::optional<std::string> sent_;
};

}  // namespace lathe::loop

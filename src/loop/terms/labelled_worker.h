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
  Status sees() const override { return worker_.sees(); }
  Result<Reply> complete(const Request& request, const StopFlag& stop,
                         const std::function<void(const Delta&)>& on_delta) override {
    {
      const std::lock_guard lock(mutex_);
      sent_ = prompt_text(request);
    }
    Request labelled = request;
    labelled.labels.insert(labels_.begin(), labels_.end());
    return worker_.complete(labelled, stop, on_delta);
  }
  Result<Likelihood> likelihood(const Continuation& asked, const StopFlag& stop) override {
    Continuation labelled = asked;
    labelled.labels.insert(labels_.begin(), labels_.end());
    return worker_.likelihood(labelled, stop);
  }
  Result<Transcription> transcribe(const SoundRequest& asked, const StopFlag& stop) override {
    SoundRequest labelled = asked;
    labelled.labels.insert(labels_.begin(), labels_.end());
    return worker_.transcribe(labelled, stop);
  }

  Result<Painted> paint(const PictureRequest& asked, const StopFlag& stop) override {
    {
      const std::lock_guard lock(mutex_);
      sent_ = make_valid_utf8(asked.prompt);
    }
    PictureRequest labelled = asked;
    labelled.labels.insert(labels_.begin(), labels_.end());
    return worker_.paint(labelled, stop);
  }

  Result<SpokenFile> speak(const SpeechRequest& asked, const StopFlag& stop) override {
    {
      const std::lock_guard lock(mutex_);
      sent_ = make_valid_utf8(asked.text);
    }
    SpeechRequest labelled = asked;
    labelled.labels.insert(labels_.begin(), labels_.end());
    return worker_.speak(labelled, stop);
  }

  // The last request; nullopt: there was none.
  std::optional<std::string> sent() const {
    const std::lock_guard lock(mutex_);
    return sent_;
  }

 private:
  Worker& worker_;
  const std::map<std::string, std::string> labels_;
  mutable std::mutex mutex_;
  std::optional<std::string> sent_;
};

}  // namespace lathe::loop

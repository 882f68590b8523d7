// What a person says into the microphone, written down by a Whisper model: up to a pause, and while
// a voice speaks.
#pragma once

#include "app/cli/app.h"
#include "app/cli/microphone.h"
#include "infer/whisper/model.h"
#include "infer/whisper/tokens.h"

namespace lathe::app {

class TalkEars {
 public:
  static Result<std::unique_ptr<TalkEars>> open(const App& app, const std::string& model);

  // What is said next. nullopt: the talk ends.
  Result<std::optional<std::string>> listen(const App& app);
  // Opens the microphone for interrupted(), and what is said then is the next listen()'s.
  Status stay_open();
  // Whether the person speaks. One thread.
  bool interrupted();

 private:
  std::unique_ptr<infer::ThreadTeam> team_;
  std::unique_ptr<infer::Gguf> file_;
  std::unique_ptr<infer::WhisperModel> model_;
  infer::WhisperTokens tokens_;
  std::unique_ptr<Microphone> microphone_;  // null: nobody is listened to
  std::size_t from_ = 0;                    // samples before it have been heard
};

}  // namespace lathe::app

// What the microphone hears, recorded by a program of the system: ALSA's arecord or PipeWire's
// pw-record. It ends with this.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/stop.h"
#include "ground/media/sound.h"

namespace lathe::app {

class Microphone {
 public:
  // An error: neither program is there.
  static Result<std::unique_ptr<Microphone>> start();
  ~Microphone();

  // So far, from that sample on. An error: the program has ended by itself, and what it said.
  Result<Sound> heard(std::size_t from = 0) const;
  // Ends the recording: the whole of it.
  Result<Sound> stop();

 private:
  Microphone(TempDir place, std::vector<std::string> argv);
  Result<Sound> read(std::size_t from) const;

  const TempDir place_;
  const fs::path file_;
  StopFlag stop_;
  mutable std::mutex mutex_;
  Status ended_;  // under mutex_: why it ended, if it did so by itself
  std::thread thread_;
};

}  // namespace lathe::app

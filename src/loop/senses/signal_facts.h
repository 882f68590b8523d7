// What the samples themselves tell about a take: cut ends, drop-outs, clipping, noise, level. Pure.
#pragma once

#include "loop/senses/loudness.h"

namespace lathe::loop {

struct Gap {
  double at = 0, seconds = 0;
};

struct SignalFacts {
  double seconds = 0;
  bool silent = true;       // nothing rises above the floor
  double speech_start = 0;  // of what is loud enough to be speech, in seconds
  double speech_end = 0;
  double range_db = 0;        // between loud and quiet 10 ms frames (95 % and 10 %)
  double end_db = -100;       // loudest of the last 30 ms, against the 95 % frame
  double start_db = -100;     // the first 30 ms
  std::vector<Gap> dropouts;  // runs of exact zeros inside speech that begin or end hard
  double silence_s = 0;       // longest quiet stretch between the first and the last speech
  double silence_at = 0;
  int clipped_runs = 0;  // of four or more samples at full scale
  Loudness loudness;
};

SignalFacts signal_facts(const Sound& sound);

// The loudest 10 ms between two times, against the take's loud frames: 0 is as loud as its speech.
double level_between(const Sound& sound, double start, double end);

}  // namespace lathe::loop

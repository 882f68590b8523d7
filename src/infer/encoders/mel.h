// Log-mel spectrograms, as the encoders of sounds were trained on them: frames of a sound, their
// spectrum in bands that widen with the frequency, on a logarithmic scale. Frames are made as they
// are asked for, so that memory does not grow with the length of the sound.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "infer/encoders/fourier.h"
#include "infer/tensor/thread_team.h"

namespace lathe::infer {

struct MelSpec {
  std::size_t rate = 16000;                        // samples a second
  std::size_t fft = 400, window = 400, hop = 160;  // samples; the window stands first in the fft
  std::size_t bins = 80;
  // Bands by Slaney's scale (linear to 1 kHz, then logarithmic), all of one area, or by HTK's, all
  // of one height.
  enum class Scale : std::uint8_t { kSlaney, kHtk } scale = Scale::kSlaney;
  bool magnitude = false;  // of the spectrum; else its square, the power
  // Before and behind the sound stand so many samples more: it itself mirrored, or silence.
  std::size_t front = 200, back = 200;
  bool mirror_front = true, mirror_back = true;
  std::size_t span = 400;  // of samples that a frame needs to be one
  // log10 from `floor` on, at most 8 below the loudest band of the sound, + 4, / 4; or ln.
  enum class Log : std::uint8_t { kLog10BelowLoudest, kLn } log = Log::kLog10BelowLoudest;
  double floor = 0x1p-24;

  std::size_t frames_of(std::size_t samples) const;
};

// Whisper's, with half a minute of silence behind the sound; of Qwen3's and of Gemma 4's encoders.
MelSpec whisper_mel(std::size_t bins);
MelSpec qwen3_mel(std::size_t bins);
MelSpec gemma4_mel(std::size_t bins);

// A spectrum's bands. Immutable; any thread, each with a Work of its own.
class MelBank {
 public:
  explicit MelBank(const MelSpec& spec);
  // With the filters of a file: (bins, fft/2 + 1).
  MelBank(const MelSpec& spec, std::span<const float> filters);
  const MelSpec& spec() const { return spec_; }

  struct Work {
    std::vector<double> samples;   // (fft)
    std::vector<double> energies;  // (bins)
    Fourier::Work fourier;
  };
  // Of work.samples, to work.energies.
  void energies(Work& work) const;

 private:
  struct Band {
    std::size_t first = 0;
    std::vector<double> weights;
  };
  void add_band(std::span<const double> weights);
  MelSpec spec_;
  Fourier fourier_;
  std::vector<double> window_;  // Hann's, periodic
  std::vector<Band> bands_;
};

struct MelFrames {
  std::size_t frames = 0, bins = 0;
  std::vector<float> values;  // (frames, bins)
};

// One thread at a time, but for what the team is given.
class MelReader {
 public:
  // All of them must outlive it. The whole sound is read once for how loud it is.
  MelReader(std::span<const std::int16_t> samples, const MelBank& bank, ThreadTeam& team);

  std::size_t frames() const { return frames_; }
  // Frames [first, first + count); zeros behind the last one.
  MelFrames read(std::size_t first, std::size_t count) const;

 private:
  double sample(std::size_t at) const;
  void each_frame(std::size_t first, std::size_t count,
                  const std::function<void(std::size_t, std::span<const double>)>& take) const;
  std::span<const std::int16_t> samples_;
  const MelBank* bank_;
  ThreadTeam* team_;
  std::size_t frames_ = 0;
  double least_ = 0;  // of a logarithm
};

}  // namespace lathe::infer

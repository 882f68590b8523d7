// Sounds as log-mel frames.
#include "infer/encoders/mel.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ground/base/result.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kFramesAtOnce = 1024;
constexpr double kSampleScale = 1.0 / 32768;

// Slaney's Auditory Toolbox (1998), and HTK's book.
double mel_of(double hz, MelSpec::Scale scale) {
  if (scale == MelSpec::Scale::kHtk) return 2595 * std::log10(1 + hz / 700);
  return hz < 1000 ? hz * 3 / 200 : 15 + std::log(hz / 1000) * 27 / std::log(6.4);
}

double hz_of(double mel, MelSpec::Scale scale) {
  if (scale == MelSpec::Scale::kHtk) return 700 * (std::pow(10, mel / 2595) - 1);
  return mel < 15 ? mel * 200 / 3 : 1000 * std::exp((mel - 15) * std::log(6.4) / 27);
}

std::vector<double> hann(std::size_t size) {
  std::vector<double> window(size);
  for (std::size_t i = 0; i < size; ++i)
    window[i] = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) /
                                     static_cast<double>(size));
  return window;
}

}  // namespace

std::size_t MelSpec::frames_of(std::size_t samples) const {
  const std::size_t all = front + samples + back;
  return all < span ? 0 : (all - span) / hop + 1;
}

MelSpec whisper_mel(std::size_t bins) {
  MelSpec spec;
  spec.bins = bins;
  spec.back += 30 * spec.rate;
  spec.mirror_back = false;
  return spec;
}

MelSpec qwen3_mel(std::size_t bins) {
  MelSpec spec;
  spec.bins = bins;
  return spec;
}

MelSpec gemma4_mel(std::size_t bins) {
  MelSpec spec;
  spec.fft = 512;
  spec.window = 320;
  spec.bins = bins;
  spec.scale = MelSpec::Scale::kHtk;
  spec.magnitude = true;
  spec.front = 160;
  spec.back = 0;
  spec.mirror_front = spec.mirror_back = false;
  spec.span = 321;
  spec.log = MelSpec::Log::kLn;
  spec.floor = 1e-3;
  return spec;
}

// A band rises from the middle of the one before to its own, and falls to that of the next one.
MelBank::MelBank(const MelSpec& spec)
    : spec_(spec), fourier_(spec.fft), window_(hann(spec.window)) {
  const double top = mel_of(static_cast<double>(spec.rate) / 2, spec.scale);
  const auto middle = [&](std::size_t i) {
    return hz_of(top * static_cast<double>(i) / static_cast<double>(spec.bins + 1), spec.scale);
  };
  std::vector<double> weights(spec.fft / 2 + 1);
  for (std::size_t band = 0; band < spec.bins; ++band) {
    const double before = middle(band), own = middle(band + 1), next = middle(band + 2);
    const double height = spec.scale == MelSpec::Scale::kSlaney ? 2 / (next - before) : 1;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double hz = static_cast<double>(i * spec.rate) / static_cast<double>(spec.fft);
      const double rise = (hz - before) / (own - before), fall = (next - hz) / (next - own);
      weights[i] = height * std::max(0.0, std::min(rise, fall));
    }
    add_band(weights);
  }
}

MelBank::MelBank(const MelSpec& spec, std::span<const float> filters)
    : spec_(spec), fourier_(spec.fft), window_(hann(spec.window)) {
  const std::size_t width = spec.fft / 2 + 1;
  LATHE_CHECK(filters.size() == spec.bins * width);
  for (std::size_t band = 0; band < spec.bins; ++band) {
    const auto row = filters.subspan(band * width, width);
    add_band(std::vector<double>(row.begin(), row.end()));
  }
}

// Only the part that is not zero.
void MelBank::add_band(std::span<const double> weights) {
  const auto set = [](double weight) { return weight != 0; };
  const auto first = std::ranges::find_if(weights, set);
  auto last = weights.end();
  while (last != first && !set(*(last - 1))) --last;
  bands_.push_back({static_cast<std::size_t>(first - weights.begin()), {first, last}});
}

void MelBank::energies(Work& work) const {
  for (std::size_t i = 0; i < spec_.fft; ++i) work.samples[i] *= i < spec_.window ? window_[i] : 0;
  fourier_.transform(work.samples, work.fourier);
  for (std::size_t b = 0; b < bands_.size(); ++b) {
    const Band& band = bands_[b];
    double sum = 0;
    for (std::size_t i = 0; i < band.weights.size(); ++i) {
      const double power = std::norm(work.fourier.output[band.first + i]);
      sum += band.weights[i] * (spec_.magnitude ? std::sqrt(power) : power);
    }
    work.energies[b] = sum;
  }
}

MelReader::MelReader(std::span<const std::int16_t> samples, const MelBank& bank, ThreadTeam& team)
    : samples_(samples),
      bank_(&bank),
      team_(&team),
      frames_(bank.spec().frames_of(samples.size())) {
  const MelSpec& spec = bank.spec();
  if (spec.log != MelSpec::Log::kLog10BelowLoudest) return;
  // Behind what is heard there is silence.
  const std::size_t heard = std::min(frames_, (spec.front + samples.size()) / spec.hop + 1);
  double loudest = spec.floor;
  std::vector<double> each(kFramesAtOnce);
  for (std::size_t first = 0; first < heard; first += kFramesAtOnce) {
    const std::size_t count = std::min(kFramesAtOnce, heard - first);
    each_frame(first, count, [&](std::size_t i, std::span<const double> energies) {
      each[i] = std::ranges::max(energies);
    });
    loudest = std::max(
        loudest,
        *std::max_element(each.begin(), each.begin() + static_cast<std::ptrdiff_t>(count)));
  }
  least_ = std::log10(loudest) - 8;
}

MelFrames MelReader::read(std::size_t first, std::size_t count) const {
  const MelSpec& spec = bank_->spec();
  MelFrames mel{.frames = count, .bins = spec.bins, .values = {}};
  mel.values.resize(count * spec.bins);
  const std::size_t there = first < frames_ ? std::min(count, frames_ - first) : 0;
  each_frame(first, there, [&](std::size_t i, std::span<const double> energies) {
    for (std::size_t b = 0; b < spec.bins; ++b) {
      const double energy = std::max(energies[b], spec.floor);
      mel.values[i * spec.bins + b] = static_cast<float>(
          spec.log == MelSpec::Log::kLn ? std::log(energy)
                                        : (std::max(std::log10(energy), least_) + 4) / 4);
    }
  });
  return mel;
}

// Of the sound with what stands before and behind it.
double MelReader::sample(std::size_t at) const {
  const MelSpec& spec = bank_->spec();
  const std::size_t n = samples_.size();
  std::size_t index = 0;
  if (at < spec.front) {
    if (!spec.mirror_front) return 0;
    index = spec.front - at;
  } else if (at - spec.front < n) {
    index = at - spec.front;
  } else {
    const std::size_t behind = at - spec.front - n;  // 0: the first one
    if (!spec.mirror_back || behind + 2 > n) return 0;
    index = n - 2 - behind;
  }
  return index < n ? samples_[index] * kSampleScale : 0;
}

void MelReader::each_frame(
    std::size_t first, std::size_t count,
    const std::function<void(std::size_t, std::span<const double>)>& take) const {
  const MelSpec& spec = bank_->spec();
  std::vector<MelBank::Work> work(static_cast<std::size_t>(team_->size()));
  for (MelBank::Work& own : work) {
    own.samples.resize(spec.fft);
    own.energies.resize(spec.bins);
  }
  team_->run(count, [&](std::size_t i, int thread) {
    MelBank::Work& own = work[static_cast<std::size_t>(thread)];
    for (std::size_t s = 0; s < spec.fft; ++s) own.samples[s] = sample((first + i) * spec.hop + s);
    bank_->energies(own);
    take(i, own.energies);
  });
}

}  // namespace lathe::infer

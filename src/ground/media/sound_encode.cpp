// Samples to files; what is packed is written by libsndfile.
#include "ground/media/sound_encode.h"

#include <sndfile.h>

#include <algorithm>
#include <cstring>

namespace lathe {
namespace {

struct FormatRow {
  SoundFormat format;
  std::string_view name, media_type;
  int code;  // libsndfile's; 0: written here
};
constexpr FormatRow kFormats[] = {
    {SoundFormat::kWav, "wav", "audio/wav", 0},
    {SoundFormat::kPcm, "pcm", "audio/pcm", 0},
    {SoundFormat::kFlac, "flac", "audio/flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16},
    {SoundFormat::kOpus, "opus", "audio/ogg", SF_FORMAT_OGG | SF_FORMAT_OPUS},
    {SoundFormat::kMp3, "mp3", "audio/mpeg", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III},
};
constexpr std::size_t kWavHead = 44;

const FormatRow& row_of(SoundFormat format) {
  return kFormats[static_cast<std::size_t>(format)];
}

void put_samples(std::span<const std::int16_t> samples, std::string& out) {
  out.reserve(out.size() + 2 * samples.size());
  for (const std::int16_t sample : samples) {
    const auto bits = static_cast<std::uint16_t>(sample);
    out += static_cast<char>(bits & 0xFFU);
    out += static_cast<char>(bits >> 8U);
  }
}

class WavWriter final : public SoundWriter {
 public:
  // A length that is not known yet is the largest one, as other programs write it to a pipe.
  WavWriter(bool streamed, int rate) : streamed_(streamed), rate_(rate) {
    bytes_ = wav_head(UINT32_MAX, rate);
  }

  Status write(std::span<const std::int16_t> samples) override {
    put_samples(samples, bytes_);
    return {};
  }
  Status finish() override {
    if (!streamed_)
      bytes_.replace(0, kWavHead,
                     wav_head(static_cast<std::uint32_t>(bytes_.size() - kWavHead), rate_));
    return {};
  }

 private:
  const bool streamed_;
  const int rate_;
};

class PcmWriter final : public SoundWriter {
 public:
  explicit PcmWriter(int rate) : rate_(rate) {}

  Status write(std::span<const std::int16_t> samples) override {
    if (rate_ == kPcmRate) {
      put_samples(samples, bytes_);
      return {};
    }
    LATHE_TRY(const std::vector<std::int16_t> faster, samples_at(samples, rate_, kPcmRate));
    put_samples(faster, bytes_);
    return {};
  }
  Status finish() override { return {}; }

 private:
  const int rate_;
};

// libsndfile writes into bytes_, wherever it likes.
class FileWriter final : public SoundWriter {
 public:
  Status open(const FormatRow& row, bool streamed, int rate) {
    SF_VIRTUAL_IO io{length, seek, read, write_bytes, tell};
    SF_INFO info{};
    info.samplerate = rate;
    info.channels = 1;
    info.format = row.code;
    file_.reset(sf_open_virtual(&io, SFM_WRITE, &info, this));
    if (!file_)
      return fail(ErrorKind::kUnavailable, "{} cannot be written: {}", row.name,
                  sf_strerror(nullptr));
    streamed_ = streamed;
    // Without a head that counts its frames, a reader takes an MP3 to be as long as frames of the
    // first one's size would be.
    int mode = SF_BITRATE_MODE_CONSTANT;
    if (streamed && row.format == SoundFormat::kMp3)
      sf_command(file_.get(), SFC_SET_BITRATE_MODE, &mode, sizeof mode);
    return {};
  }

  Status write(std::span<const std::int16_t> samples) override {
    const auto count = static_cast<sf_count_t>(samples.size());
    if (sf_write_short(file_.get(), samples.data(), count) == count) return {};
    return fail(ErrorKind::kUnavailable, "the sound cannot be written: {}",
                sf_strerror(file_.get()));
  }
  Status finish() override {
    const int failed = sf_close(file_.release());
    if (failed == 0) return {};
    return fail(ErrorKind::kUnavailable, "the sound cannot be ended: {}", sf_error_number(failed));
  }

 private:
  static FileWriter& self(void* user) { return *static_cast<FileWriter*>(user); }
  static sf_count_t length(void* user) { return std::ssize(self(user).bytes_); }
  static sf_count_t tell(void* user) { return static_cast<sf_count_t>(self(user).at_); }
  static sf_count_t seek(sf_count_t offset, int whence, void* user) {
    FileWriter& own = self(user);
    const auto size = std::ssize(own.bytes_);
    const sf_count_t base = whence == SEEK_SET   ? 0
                            : whence == SEEK_CUR ? static_cast<sf_count_t>(own.at_)
                                                 : size;
    own.at_ = static_cast<std::size_t>(std::clamp<sf_count_t>(base + offset, 0, size));
    return static_cast<sf_count_t>(own.at_);
  }
  static sf_count_t read(void* to, sf_count_t count, void* user) {
    FileWriter& own = self(user);
    const std::size_t n = std::min(static_cast<std::size_t>(count), own.bytes_.size() - own.at_);
    std::memcpy(to, own.bytes_.data() + own.at_, n);
    own.at_ += n;
    return static_cast<sf_count_t>(n);
  }
  static sf_count_t write_bytes(const void* from, sf_count_t count, void* user) {
    FileWriter& own = self(user);
    const auto n = static_cast<std::size_t>(count);
    const std::size_t over = std::min(n, own.bytes_.size() - own.at_);
    // What a reader has got already stays as it is.
    if (!own.streamed_) own.bytes_.replace(own.at_, over, static_cast<const char*>(from), over);
    own.bytes_.append(static_cast<const char*>(from) + over, n - over);
    own.at_ += n;
    return count;
  }

  struct Close {
    void operator()(SNDFILE* file) const { sf_close(file); }
  };
  std::size_t at_ = 0;
  bool streamed_ = false;
  std::unique_ptr<SNDFILE, Close> file_;  // writes to what stands above when it is closed
};

}  // namespace

std::string_view sound_format_name(SoundFormat format) {
  return row_of(format).name;
}

std::optional<SoundFormat> parse_sound_format(std::string_view name) {
  for (const FormatRow& row : kFormats)
    if (row.name == name) return row.format;
  return std::nullopt;
}

std::string_view sound_media_type(SoundFormat format) {
  return row_of(format).media_type;
}

Status can_write(SoundFormat format) {
  const FormatRow& row = row_of(format);
  if (row.code == 0) return {};
  SF_INFO info{};
  info.samplerate = kSoundRate;
  info.channels = 1;
  info.format = row.code;
  if (sf_format_check(&info) != 0) return {};
  return invalid("{} cannot be written here: this system's libsndfile ({}) does not know how",
                 row.name, sf_version_string());
}

Result<std::unique_ptr<SoundWriter>> SoundWriter::open(SoundFormat format, bool streamed,
                                                       int rate) {
  if (format == SoundFormat::kWav) return std::make_unique<WavWriter>(streamed, rate);
  if (format == SoundFormat::kPcm) return std::make_unique<PcmWriter>(rate);
  LATHE_TRY_STATUS(can_write(format));
  auto writer = std::make_unique<FileWriter>();
  LATHE_TRY_STATUS(writer->open(row_of(format), streamed, rate));
  return writer;
}

Result<std::string> encode_sound(const Sound& sound, SoundFormat format) {
  LATHE_TRY(const auto writer, SoundWriter::open(format, false));
  LATHE_TRY_STATUS(writer->write(sound));
  LATHE_TRY_STATUS(writer->finish());
  return writer->bytes();
}

}  // namespace lathe

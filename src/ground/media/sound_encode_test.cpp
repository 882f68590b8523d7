// What is written is read back by the decoder, as long and as loud as it was.
#include "ground/media/sound_encode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "ground/media/sound_decode.h"

namespace lathe {
namespace {

Sound chord(double seconds) {
  Sound sound;
  sound.samples.resize(static_cast<std::size_t>(seconds * kSoundRate));
  for (std::size_t i = 0; i < sound.samples.size(); ++i)
    sound.samples[i] = static_cast<std::int16_t>(
        9000 * std::sin(2 * std::numbers::pi * 440 * static_cast<double>(i) / kSoundRate));
  return sound;
}

double level_of(const Sound& sound) {
  double sum = 0;
  for (const std::int16_t sample : sound.samples) sum += static_cast<double>(sample) * sample;
  return std::sqrt(sum / static_cast<double>(sound.samples.size()));
}

constexpr SoundFormat kFiles[] = {SoundFormat::kWav, SoundFormat::kFlac, SoundFormat::kOpus,
                                  SoundFormat::kMp3};

TEST(SoundEncode, DecodesToTheSameLength) {
  const Sound sound = chord(2.5);
  for (const SoundFormat format : kFiles) {
    if (!can_write(format)) continue;
    const auto file = encode_sound(sound, format);
    ASSERT_TRUE(file) << sound_format_name(format) << ": " << file.error().message;
    const auto decoded = decode_sound(*file);
    ASSERT_TRUE(decoded) << sound_format_name(format);
    EXPECT_NEAR(decoded->sound.seconds(), sound.seconds(), 1e-3) << sound_format_name(format);
    EXPECT_NEAR(level_of(decoded->sound), level_of(sound), 400) << sound_format_name(format);
    if (format == SoundFormat::kWav || format == SoundFormat::kFlac) {
      EXPECT_EQ(decoded->sound.samples, sound.samples);
    }
  }
  EXPECT_EQ(*encode_sound(sound, SoundFormat::kWav), wav_bytes(sound));
  EXPECT_NEAR(static_cast<double>(encode_sound(sound, SoundFormat::kPcm)->size()),
              2.5 * kPcmRate * 2, 200);
}

// Bytes that have left are never changed, and what came is a whole file.
TEST(SoundEncode, StreamsGrow) {
  const Sound sound = chord(1);
  for (const SoundFormat format : kFiles) {
    if (!can_write(format)) continue;
    const auto writer = SoundWriter::open(format, true);
    ASSERT_TRUE(writer) << writer.error().message;
    std::string sent;
    const auto check = [&] {
      EXPECT_TRUE((*writer)->bytes().starts_with(sent)) << sound_format_name(format);
      sent = (*writer)->bytes();
    };
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE((*writer)->write(sound));
      check();
    }
    ASSERT_TRUE((*writer)->finish());
    check();
    const auto decoded = decode_sound(sent);
    ASSERT_TRUE(decoded) << sound_format_name(format) << ": " << decoded.error().message;
    EXPECT_NEAR(decoded->sound.seconds(), 4, 0.15) << sound_format_name(format);
  }
}

TEST(SoundEncode, KeepsTheRateOfWhatIsWritten) {
  const Sound sound = chord(3);  // two seconds at 24 kHz
  for (const SoundFormat format : kFiles) {
    if (!can_write(format)) continue;
    const auto writer = *SoundWriter::open(format, false, 24000);
    ASSERT_TRUE(writer->write(std::span(sound.samples)));
    ASSERT_TRUE(writer->finish());
    const auto decoded = decode_sound(writer->bytes(), 24000);
    ASSERT_TRUE(decoded) << sound_format_name(format) << ": " << decoded.error().message;
    EXPECT_NEAR(static_cast<double>(decoded->sound.samples.size()), 48000, 3000);
    if (format == SoundFormat::kWav) {
      EXPECT_EQ(decoded->sound.samples, sound.samples);
    }
  }
  const auto raw = *SoundWriter::open(SoundFormat::kPcm, true, kPcmRate);
  ASSERT_TRUE(raw->write(std::span(sound.samples)));
  EXPECT_EQ(raw->bytes().size(), 2 * sound.samples.size());
}

TEST(SoundEncode, NamesAreRead) {
  for (const SoundFormat format : {SoundFormat::kWav, SoundFormat::kPcm, SoundFormat::kFlac,
                                   SoundFormat::kOpus, SoundFormat::kMp3})
    EXPECT_EQ(parse_sound_format(sound_format_name(format)), format);
  EXPECT_EQ(parse_sound_format("aac"), std::nullopt);
}

}  // namespace
}  // namespace lathe

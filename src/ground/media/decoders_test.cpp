// Foreign files through confined decoders: what is read back, and what is refused.
#include "ground/media/decoders.h"

#include <gmock/gmock.h>

namespace lathe {
namespace {

using ::testing::HasSubstr;

const fs::path kSelf = "/proc/self/exe";
constexpr Milliseconds kLimit{120'000};
const StopFlag kGo;

std::string le(std::uint32_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFFU);
  return out;
}

// A WAV file whose header says what the arguments say, whatever the data is.
std::string wav(std::uint32_t channels, std::uint32_t rate, std::uint32_t bits,
                std::uint32_t claimed, const std::string& data) {
  return "RIFF" + le(claimed + 36, 4) + "WAVEfmt " + le(16, 4) + le(1, 2) + le(channels, 2) +
         le(rate, 4) + le(rate * channels * bits / 8, 4) + le(channels * bits / 8, 2) +
         le(bits, 2) + "data" + le(claimed, 4) + data;
}

TEST(Decoders, ReadsBackWhatItWrote) {
  Sound sound;
  for (int i = 0; i < 5000; ++i) sound.samples.push_back(static_cast<std::int16_t>(i * 7 - 16000));
  const auto decoded = decode_sound_file(kSelf, wav_bytes(sound), kLimit, kGo);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->sound.samples, sound.samples);
  EXPECT_EQ(decoded->source_rate, kSoundRate);
  EXPECT_EQ(decoded->source_channels, 1);
  const auto faster = decode_samples_file(kSelf, wav_bytes(sound), 24000, kLimit, kGo);
  ASSERT_TRUE(faster) << faster.error().message;
  EXPECT_NEAR(static_cast<double>(faster->size()), 7500, 30);
}

TEST(Decoders, RefusesFilesThatAreNoSound) {
  const std::string some(4000, '\x11');
  std::string random;
  for (unsigned i = 0, x = 1; i < 50'000; ++i)
    random += static_cast<char>((x = x * 69069 + 1) >> 24);
  const std::pair<const char*, std::string> files[] = {
      {"empty", ""},
      {"text", "this is no sound"},
      {"random", random},
      {"only a header", wav(1, 16000, 16, 0, "")},
      {"half a header", wav(1, 16000, 16, 4000, some).substr(0, 30)},
      {"24 channels", wav(24, 16000, 16, 4000, some)},
      {"no channels", wav(0, 16000, 16, 4000, some)},
      {"1 sample a second", wav(1, 1, 16, 4000, some)},
      {"a billion samples a second", wav(1, 1'000'000'000, 16, 4000, some)},
      {"riff of riffs", "RIFF" + le(0xFFFFFFFF, 4) + "WAVERIFF" + le(0xFFFFFFFF, 4) + some},
      {"flac magic", "fLaC" + random},
      {"ogg magic", "OggS" + random},
      {"mp3 magic", "ID3\x04" + random},
      {"m4a magic", std::string("\0\0\0\x20"
                                "ftypM4A ",
                                12) +
                        random},
  };
  for (const auto& [name, bytes] : files) {
    const auto decoded = decode_sound_file(kSelf, bytes, kLimit, kGo);
    ASSERT_FALSE(decoded) << name;
    EXPECT_EQ(decoded.error().kind, ErrorKind::kInvalid) << name;
    EXPECT_THAT(decoded.error().message, HasSubstr("unreadable sound file")) << name;
  }
}

TEST(Decoders, BelievesTheDataAndNotTheSizes) {
  const std::string data(4000, '\x11');
  for (const std::uint32_t claimed : {0x7ffff000U, 0xfffffff0U, 8000U}) {
    const auto decoded = decode_sound_file(kSelf, wav(1, 16000, 16, claimed, data), kLimit, kGo);
    ASSERT_TRUE(decoded) << claimed << ": " << decoded.error().message;
    EXPECT_EQ(decoded->sound.samples.size(), 2000U) << claimed;
  }
}

TEST(Decoders, RefusesALongFileBeforeAnythingIsStarted) {
  const auto decoded =
      decode_sound_file("/no/such/program", std::string(kMaxSoundFile + 1, 'x'), kLimit, kGo);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().kind, ErrorKind::kInvalid);
}

TEST(Decoders, APngComesBackAsItWas) {
  Picture picture = blank_picture(61, 47);
  for (std::size_t i = 0; i < picture.rgb.size(); ++i)
    picture.rgb[i] = static_cast<std::uint8_t>(i * 7 + i / 97);
  const auto decoded = decode_picture_file(kSelf, png_bytes(picture), kLimit, kGo);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->width, 61);
  EXPECT_EQ(decoded->rgb, picture.rgb);
}

TEST(Decoders, FilesThatAreNoPictureAreRefused) {
  const std::string png = png_bytes(blank_picture(8, 8));
  const std::pair<const char*, std::string> files[] = {
      {"empty", ""},
      {"text", "this is no picture at all"},
      {"cut off", png.substr(0, png.size() / 2)},
      {"a gif", "GIF89a" + std::string(40, 'x')},
      {"svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"},
      // The width of a PNG stands at byte 16.
      {"a bomb", png.substr(0, 16) + std::string("\0\0\x75\x30", 4) + png.substr(20)}};
  for (const auto& [name, bytes] : files) {
    const auto decoded = decode_picture_file(kSelf, bytes, kLimit, kGo);
    ASSERT_FALSE(decoded) << name;
    EXPECT_EQ(decoded.error().kind, ErrorKind::kInvalid) << name;
    EXPECT_THAT(decoded.error().message, HasSubstr("unreadable picture")) << name;
  }
  const auto huge =
      decode_picture_file("/no/such/program", std::string(kMaxPictureFile + 1, 'x'), kLimit, kGo);
  ASSERT_FALSE(huge);
  EXPECT_EQ(huge.error().kind, ErrorKind::kInvalid) << "before anything is started";
}

int three(std::span<const std::string>) {
  return 3;
}

int given(std::span<const std::string> arguments) {
  return arguments[0] == "x" ? 4 : 5;
}

TEST(WorkerRoles, AreFoundInAllTables) {
  constexpr WorkerRole first[] = {{"one", 0, three}}, second[] = {{"two", 1, given}};
  const auto run = [&](std::vector<std::string> args) { return run_worker(args, {first, second}); };
  EXPECT_EQ(run({"one"}), 3);
  EXPECT_EQ(run({"two", "x"}), 4);
  EXPECT_EQ(run({"two", "y"}), 5);
  for (const auto& args : std::vector<std::vector<std::string>>{
           {}, {"three"}, {"one", "x"}, {"two"}, {"two", "x", "y"}, {""}})
    EXPECT_EQ(run(args), 2);
}

}  // namespace
}  // namespace lathe

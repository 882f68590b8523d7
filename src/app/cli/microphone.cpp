// A recorder that writes a file, and the file as it grows.
#include "app/cli/microphone.h"

#include <cstdlib>
#include <fstream>

#include "ground/base/text.h"
#include "ground/media/sound_decode.h"
#include "ground/sys/subprocess.h"

namespace lathe::app {
namespace {

constexpr std::string_view kFile = "microphone.wav";

}  // namespace

Result<std::unique_ptr<Microphone>> Microphone::start() {
  LATHE_TRY(TempDir place, TempDir::make());
  const std::string file = (place.path() / kFile).string();
  std::vector<std::string> argv;
  if (find_program("arecord"))
    argv = {
        "arecord", "-q", "-t", "wav", "-f",    "S16_LE", "-r",
        "16000",   "-c", "1",  "-F",  "20000",  // microseconds of sound that are written at once
        file};
  else if (find_program("pw-record"))
    argv = {"pw-record", "--rate", "16000",     "--channels", "1",
            "--format",  "s16",    "--latency", "20ms",       file};
  else
    return fail(ErrorKind::kNotFound,
                "there is no program that records; install alsa-utils (arecord) or pipewire-bin "
                "(pw-record)");
  return std::unique_ptr<Microphone>(new Microphone(std::move(place), std::move(argv)));
}

Microphone::Microphone(TempDir place, std::vector<std::string> argv)
    : place_(std::move(place)), file_(place_.path() / kFile) {
  thread_ = std::thread([this, argv = std::move(argv)] {
    Command command;
    command.argv = argv;
    command.env = plain_environment();
    // PipeWire's socket is found by this.
    if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"))
      command.env["XDG_RUNTIME_DIR"] = runtime;
    command.time_limit = Milliseconds(static_cast<std::int64_t>(kMaxSoundSeconds * 1000));
    const auto exit = run_command(command, stop_);
    const std::scoped_lock lock(mutex_);
    if (!exit)
      ended_ = std::unexpected(exit.error());
    else if (!exit->stopped && !exit->timed_out)
      ended_ = fail(ErrorKind::kUnavailable, "{}: {} {}", argv[0], exit->describe(),
                    clip_utf8(make_valid_utf8(trim(exit->err)), 200));
  });
}

Microphone::~Microphone() {
  stop_.raise();
  if (thread_.joinable()) thread_.join();
}

// Behind the head, which says how long it is only at the end.
Result<Sound> Microphone::read(std::size_t from) const {
  constexpr std::size_t kMostHead = 4096;
  Sound sound;
  std::ifstream file(file_, std::ios::binary);
  std::string head(kMostHead, '\0');
  file.read(head.data(), kMostHead);
  head.resize(static_cast<std::size_t>(file.gcount()));
  const std::size_t data = head.find("data");
  if (data == head.npos || head.size() < data + 8) return sound;
  file.clear();
  file.seekg(static_cast<std::streamoff>(data + 8 + 2 * from));
  std::string bytes;
  char piece[65536];
  while (file.read(piece, sizeof piece) || file.gcount() > 0)
    bytes.append(piece, static_cast<std::size_t>(file.gcount()));
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
    sound.samples.push_back(static_cast<std::int16_t>(
        static_cast<unsigned char>(bytes[i]) | static_cast<unsigned char>(bytes[i + 1]) << 8U));
  return sound;
}

Result<Sound> Microphone::heard(std::size_t from) const {
  {
    const std::scoped_lock lock(mutex_);
    LATHE_TRY_STATUS(ended_);
  }
  return read(from);
}

Result<Sound> Microphone::stop() {
  stop_.raise();
  thread_.join();
  return read(0);
}

}  // namespace lathe::app

// ffmpeg and ffprobe as programs in the sandbox: films read, scenes made and joined.
#include "loop/senses/film.h"

#include <charconv>
#include <cmath>

#include "ground/base/text.h"
#include "ground/sys/beneath.h"
#include "ground/sys/sandbox.h"

namespace lathe::loop {
namespace {

constexpr std::uint64_t kMostWritten = std::uint64_t{512} << 20;
constexpr std::uint64_t kMostNotes = std::uint64_t{16} << 20;  // of a detector, of captions
constexpr int kMostSide = 4096;
constexpr std::size_t kMostStreams = 32, kMostCaptions = 2000;
constexpr int kLookWidth = 1920;  // a wider frame is looked at reduced
constexpr int kBarHeight = 16;
constexpr const char* kInput = "input";
// The containers that films come in; what ffmpeg takes for anything else (playlists, text as
// pictures, lists of other files) is none.
constexpr const char* kContainers = "mov,matroska,webm,avi,mpegts,mpeg,ogg,flv,nut";

double number_in(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && std::isfinite(value) ? value : 0;
}

double number_of(const Json& json, const char* key) {
  return std::max(0.0, number_in(json_string(json, key)));
}

std::string seconds_text(double seconds) {
  return fmt::format("{:.3f}", seconds);
}

// Runs it in `tree`, which is its working directory; its standard error comes back.
Result<Exit> run_film_tool(const fs::path& tree, bool unsafe, std::vector<std::string> argv,
                           Milliseconds limit, const StopFlag& stop) {
  if (auto found = find_program(argv.front()); !found)
    return fail(ErrorKind::kUnavailable, "{}", found.error().message);
  const std::string program = argv.front();
  Sandbox sandbox;
  sandbox.tree = tree;
  sandbox.limits.memory_bytes = std::uint64_t{2} << 30;
  sandbox.limits.file_bytes = kMostWritten;
  sandbox.limits.disk_bytes = 2 * kMostWritten;
  sandbox.limits.processes = 64;
  sandbox.unsafe_none = unsafe;
  Command command;
  command.argv = std::move(argv);
  command.max_output = 1 << 20;
  command.time_limit = limit;
  LATHE_TRY(SandboxedExit ran, run_sandboxed(sandbox, command, stop));
  if (ran.exit.stopped) return fail(ErrorKind::kCancelled, "stopped");
  if (!ran.contained.empty()) return invalid("{} was stopped: {}", program, ran.contained);
  if (!ran.exit.ok())
    return invalid("{}: {}: {}", program, ran.exit.describe(),
                   clip_utf8(make_valid_utf8(trim(ran.exit.err)), 300));
  return std::move(ran.exit);
}

constexpr const char* kFrameFiles = "frame%03d.png";

// Of each time the first frame that is not before it: an expression of ffmpeg's.
std::string first_frames_at(const std::vector<double>& times) {
  std::string wanted;
  for (const double at : times)
    wanted +=
        fmt::format("{0}gte(t,{1:.3f})*not(gte(prev_t,{1:.3f}))", wanted.empty() ? "" : "+", at);
  return wanted.empty() ? "0" : wanted;
}

std::vector<std::string> written_frames(const fs::path& directory, std::size_t most) {
  std::vector<std::string> frames;
  for (std::size_t i = 0; i < most; ++i)
    if (auto png = read_beneath(directory, fmt::format("frame{:03}.png", i), kMostNotes))
      frames.push_back(*std::move(png));
  return frames;
}

std::vector<std::string> ffmpeg() {
  return {"ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y"};
}

void append(std::vector<std::string>& argv, std::initializer_list<std::string> more) {
  argv.insert(argv.end(), more.begin(), more.end());
}

void read_stream(const Json& stream, FilmProbe& probe) {
  const std::string type = json_string(stream, "codec_type"),
                    codec = json_string(stream, "codec_name");
  const int index = static_cast<int>(json_int(stream, "index", -1));
  if (codec.empty() || index < 0 || index >= static_cast<int>(kMostStreams)) return;
  const bool still = json_int(json_at(stream, "disposition"), "attached_pic", 0) != 0;
  if (type == "video" && probe.picture < 0 && !still) {
    probe.picture = index;
    probe.picture_seconds = number_of(stream, "duration");
    probe.width =
        static_cast<int>(std::clamp<std::int64_t>(json_int(stream, "width", 0), 0, 1 << 20));
    probe.height =
        static_cast<int>(std::clamp<std::int64_t>(json_int(stream, "height", 0), 0, 1 << 20));
  } else if (type == "audio" && probe.sound < 0) {
    probe.sound = index;
    probe.sound_seconds = number_of(stream, "duration");
  } else if (type == "subtitle" && probe.captions < 0) {
    constexpr std::string_view kTexts[] = {"mov_text", "subrip", "ass", "ssa", "webvtt", "text"};
    probe.captions = index;
    probe.text_captions = std::ranges::find(kTexts, codec) != std::end(kTexts);
  }
}

Result<FilmProbe> probe_from(const Json& json) {
  FilmProbe probe;
  const Json& streams = json_at(json, "streams");
  for (const Json& stream : streams) read_stream(stream, probe);
  // Some containers say only how long all of it is.
  const double whole = number_of(json_at(json, "format"), "duration");
  if (probe.picture_seconds <= 0) probe.picture_seconds = whole;
  if (probe.sound_seconds <= 0) probe.sound_seconds = whole;
  for (const Json& chapter : json_at(json, "chapters"))
    if (const Stretch each{number_of(chapter, "start_time"), number_of(chapter, "end_time")};
        each.end > each.start && probe.chapters.size() < kMaxFrames / 3)
      probe.chapters.push_back(each);
  probe.source = json_string(json_at(json_at(json, "format"), "tags"), "comment");
  if (probe.picture < 0) return invalid("it has no moving picture");
  if (probe.width < 16 || probe.height < 16 || probe.width > kMostSide || probe.height > kMostSide)
    return invalid("its picture is {}x{} pixels: 16 to {} a side can be judged", probe.width,
                   probe.height, kMostSide);
  if (std::max(probe.picture_seconds, probe.sound_seconds) > kMaxFilmSeconds)
    return invalid("it is longer than {:.0f} minutes", kMaxFilmSeconds / 60);
  return probe;
}

// The value of a line "KEY=0.48" of what ffmpeg's metadata filters print.
std::optional<double> noted(std::string_view line, std::string_view key) {
  if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != '=')
    return std::nullopt;
  return number_in(line.substr(key.size() + 1));
}

// Stretches between lines that note a start and those that note an end; the last may be open.
std::vector<Stretch> noted_stretches(std::string_view notes, std::string_view start,
                                     std::string_view end, double film_end, double least) {
  std::vector<Stretch> all;
  double open = -1;
  const auto close = [&](double at) {
    if (open >= 0 && least > 0 && at - open >= least - 0.5 / kFrameRate) all.push_back({open, at});
    open = -1;
  };
  for (const std::string_view line : split_lines(notes)) {
    if (const auto at = noted(line, start); at && open < 0) open = std::max(0.0, *at);
    if (const auto at = noted(line, end)) close(*at);
  }
  close(film_end);
  return all;
}

// Where the last frame ends, by what the framecrc writer says: "0, dts, pts, duration, size, crc".
double decoded_end(std::string_view lines) {
  double unit = 0, end = 0;
  for (const std::string_view line : split_lines(lines)) {
    if (line.starts_with("#tb 0: ")) {
      const std::string_view ratio = line.substr(7);
      const auto slash = ratio.find('/');
      const double below = slash == ratio.npos ? 0 : number_in(ratio.substr(slash + 1));
      unit = below > 0 ? number_in(ratio.substr(0, slash)) / below : 0;
    }
    const std::vector<std::string> fields = split(std::string(line), ',');
    if (line.starts_with('#') || fields.size() < 5) continue;
    end = std::max(end, unit * (number_in(trim(fields[2])) + number_in(trim(fields[3]))));
  }
  return end;
}

double srt_time(std::string_view text) {  // 00:00:01,250
  double value = 0;
  if (text.size() != 12) return -1;
  value = 3600 * number_in(text.substr(0, 2)) + 60 * number_in(text.substr(3, 2)) +
          number_in(text.substr(6, 2)) + number_in(text.substr(9, 3)) / 1000;
  return value;
}

std::string srt_time_text(double seconds) {
  const auto ms = static_cast<std::int64_t>(std::llround(1000 * std::max(0.0, seconds)));
  return fmt::format("{:02}:{:02}:{:02},{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60,
                     ms % 1000);
}

// Captions as players mark them up: "<i>", "{\an8}".
std::string without_marks(std::string_view text) {
  std::string out;
  char closing = 0;
  for (const char c : text) {
    if (closing)
      closing = c == closing ? '\0' : closing;
    else if (c == '<' || c == '{')
      closing = c == '<' ? '>' : '}';
    else
      out += c;
  }
  return out;
}

}  // namespace

Stretch common(const Stretch& a, const Stretch& b) {
  const Stretch both{std::max(a.start, b.start), std::min(a.end, b.end)};
  return both.end > both.start ? both : Stretch{both.start, both.start};
}

std::string srt_of(const std::vector<Caption>& captions) {
  std::string srt;
  for (std::size_t i = 0; i < captions.size(); ++i)
    srt += fmt::format("{}\n{} --> {}\n{}\n\n", i + 1, srt_time_text(captions[i].start),
                       srt_time_text(captions[i].end), captions[i].text);
  return srt;
}

std::vector<Caption> captions_of_srt(std::string_view srt) {
  std::vector<Caption> captions;
  bool open = false;
  for (const std::string_view raw : split_lines(srt)) {
    const std::string_view line = trim(raw);
    const auto arrow = line.find(" --> ");
    if (arrow != line.npos) {
      const double start = srt_time(line.substr(0, arrow)), end = srt_time(line.substr(arrow + 5));
      open = start >= 0 && end >= start && captions.size() < kMostCaptions;
      if (open) captions.push_back({start, end, ""});
    } else if (line.empty()) {
      open = false;
    } else if (open) {
      std::string& text = captions.back().text;
      if (!text.empty()) text += ' ';
      text += trim(without_marks(make_valid_utf8(line)));
    }
  }
  return captions;
}

Result<Film> Film::open(std::string_view bytes, const Place& place, Milliseconds limit,
                        const StopFlag& stop) {
  if (bytes.empty()) return invalid("the file is empty");
  if (bytes.size() > kMaxFilmFile)
    return invalid("the film is larger than {} MiB", kMaxFilmFile >> 20);
  LATHE_TRY(TempDir directory, TempDir::make("lathe-film"));
  LATHE_TRY_STATUS(write_file_atomic(directory.path() / kInput, bytes));
  LATHE_TRY(const Exit exit,
            run_film_tool(directory.path(), place.unsafe_no_sandbox,
                          {"ffprobe", "-v", "error", "-format_whitelist", kContainers, "-of",
                           "json", "-show_format", "-show_streams", "-show_chapters", kInput},
                          limit, stop));
  LATHE_TRY(const Json json, parse_json(make_valid_utf8(exit.out)));
  Film film(std::move(directory), place.unsafe_no_sandbox);
  LATHE_TRY(film.probe_, probe_from(json));
  return film;
}

Result<std::vector<double>> Film::cuts(Milliseconds limit, const StopFlag& stop) const {
  constexpr const char* kNotes = "cuts.txt";
  std::vector<std::string> argv = ffmpeg();
  append(argv, {"-format_whitelist", kContainers, "-i", kInput, "-map",
                fmt::format("0:{}", probe_.picture), "-vf",
                fmt::format("scale=320:-2,scdet=threshold=5,metadata=mode=print:key=lavfi.scd.time:"
                            "file={}",
                            kNotes),
                "-t", seconds_text(kMaxFilmSeconds), "-f", "null", "-"});
  LATHE_TRY_STATUS(run_film_tool(directory_.path(), unsafe_, std::move(argv), limit, stop));
  LATHE_TRY(const std::string notes, read_beneath(directory_.path(), kNotes, kMostNotes));
  std::vector<double> cuts;
  for (const std::string_view line : split_lines(notes))
    if (const auto at = noted(line, "lavfi.scd.time"); at && cuts.size() < kMaxFrames)
      cuts.push_back(*at);
  return cuts;
}

std::vector<double> sample_times(double seconds, int most) {
  const int count = std::clamp(static_cast<int>(std::ceil(seconds)), 1, most);
  std::vector<double> times;
  for (int i = 0; i < count; ++i) times.push_back((i + 0.5) * seconds / count);
  return times;
}

Result<std::vector<std::string>> Film::frames(const std::vector<double>& times, int most,
                                              Milliseconds limit, const StopFlag& stop) const {
  std::vector<std::string> argv = ffmpeg();
  append(argv, {"-format_whitelist", kContainers, "-t", seconds_text(kMaxFilmSeconds), "-i", kInput,
                "-map", fmt::format("0:{}", probe_.picture), "-vf",
                fmt::format("select='{0}',scale='min({1},iw)':'min({1},ih)':"
                            "force_original_aspect_ratio=decrease",
                            first_frames_at(times), most),
                "-vsync", "passthrough", "-start_number", "0", "-f", "image2", kFrameFiles});
  LATHE_TRY_STATUS(run_film_tool(directory_.path(), unsafe_, std::move(argv), limit, stop));
  return written_frames(directory_.path(), times.size());
}

Result<FilmSight> Film::look(const std::vector<double>& times, const FilmLimits& limits,
                             Milliseconds limit, const StopFlag& stop) const {
  // A detector whose length is 0 is asked all the same; what it notes is not read.
  const auto length = [](double seconds) { return seconds > 0 ? seconds : 1.0; };
  std::string graph = fmt::format(
      "[0:{}]split=2[look][see];[look]select='{}',scale='min({},iw)':-2[frames];"
      "[see]blackdetect=d=0.1:pix_th=0.10,freezedetect=n=0.001:d={:.3f},"
      "metadata=mode=print:file=seen.txt[seen]",
      probe_.picture, first_frames_at(times), kLookWidth, length(limits.frozen));
  if (probe_.sound >= 0)
    graph += fmt::format(
        ";[0:{}]silencedetect=n=-45dB:d={:.3f}:mono=0,ametadata=mode=print:file=heard.txt,"
        "aresample=16000[heard]",
        probe_.sound, std::min(0.3, length(limits.silent)));
  std::vector<std::string> argv = ffmpeg();
  const std::string most = seconds_text(kMaxFilmSeconds);
  append(argv, {"-format_whitelist",
                kContainers,
                "-t",
                most,
                "-i",
                kInput,
                "-filter_complex",
                graph,
                "-map",
                "[frames]",
                "-vsync",
                "passthrough",
                "-start_number",
                "0",
                "-f",
                "image2",
                kFrameFiles,
                "-map",
                "[seen]",
                "-f",
                "framecrc",
                "frames.txt"});
  if (probe_.sound >= 0)
    append(argv, {"-map", "[heard]", "-ac", "1", "-c:a", "pcm_s16le", "-f", "wav", "sound.wav"});
  if (probe_.captions >= 0 && probe_.text_captions)
    append(argv, {"-map", fmt::format("0:{}", probe_.captions), "-c:s", "srt", "-f", "srt",
                  "captions.srt"});
  LATHE_TRY(const Exit exit,
            run_film_tool(directory_.path(), unsafe_, std::move(argv), limit, stop));

  FilmSight sight;
  sight.damage = clip_utf8(make_valid_utf8(trim(exit.err)), 300);
  const auto text_of_file = [&](const char* name) {
    return read_beneath(directory_.path(), name, kMostNotes).value_or("");
  };
  sight.picture_end = decoded_end(text_of_file("frames.txt"));
  sight.frames = written_frames(directory_.path(), times.size());
  const std::string seen = text_of_file("seen.txt"), heard = text_of_file("heard.txt");
  sight.black = noted_stretches(seen, "lavfi.black_start", "lavfi.black_end", sight.picture_end,
                                limits.black);
  sight.frozen = noted_stretches(seen, "lavfi.freezedetect.freeze_start",
                                 "lavfi.freezedetect.freeze_end", sight.picture_end, limits.frozen);
  if (probe_.sound >= 0) {
    LATHE_TRY(sight.wav, read_beneath(directory_.path(), "sound.wav", kMostWritten));
    constexpr std::size_t kHead = 44;
    sight.sound_end = static_cast<double>(sight.wav.size() - std::min(kHead, sight.wav.size())) /
                      (2 * kSoundRate);
    sight.silent = noted_stretches(heard, "lavfi.silence_start", "lavfi.silence_end",
                                   sight.sound_end, limits.silent);
  }
  sight.captions = captions_of_srt(text_of_file("captions.srt"));
  return sight;
}

namespace {

// As ffmpeg's form of metadata has it.
std::string metadata_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (std::string_view("=;#\\\n").find(c) != std::string_view::npos) escaped += '\\';
    escaped += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
  }
  return escaped;
}

// What keeps one scene's bytes the same wherever and whenever they are made. `notes`: the input
// with what is said of the film; "-1": nothing is.
void exact_output(std::vector<std::string>& argv, const char* file, const char* notes = "-1") {
  append(argv, {"-map_metadata:g", notes, "-fflags", "+bitexact", "-flags:v", "+bitexact",
                "-flags:a", "+bitexact", "-movflags", "+faststart", "-f", "mp4", file});
}

}  // namespace

Result<std::string> film_of(const ScenePicture& picture, const Sound& sound,
                            const std::vector<Caption>& captions, const Place& place,
                            Milliseconds limit, const StopFlag& stop) {
  LATHE_TRY(const TempDir directory, TempDir::make("lathe-film"));
  const fs::path& tree = directory.path();
  LATHE_TRY_STATUS(write_file_atomic(tree / "picture.png", picture.png));
  LATHE_TRY_STATUS(write_file_atomic(tree / "sound.wav", wav_bytes(sound)));
  LATHE_TRY_STATUS(write_file_atomic(tree / "captions.srt", srt_of(captions)));
  const std::string source =
      picture.source.empty() ? "" : "comment=" + metadata_text(picture.source) + "\n";
  LATHE_TRY_STATUS(write_file_atomic(tree / "notes.txt", ";FFMETADATA1\n" + source));
  const std::string length = seconds_text(picture.seconds);
  std::vector<std::string> argv = ffmpeg();
  append(argv,
         {"-filter_complex_threads",
          "1",
          "-loop",
          "1",
          "-framerate",
          std::to_string(kFrameRate),
          "-i",
          "picture.png",
          "-i",
          "sound.wav",
          "-i",
          "captions.srt",
          "-f",
          "ffmetadata",
          "-i",
          "notes.txt",
          "-filter_complex",
          fmt::format("color=c={}:s={}x{}:r={}[bar];"
                      "[0:v][bar]overlay=x='-W+W*t/{}':y=H-h,format=yuv420p[v];"
                      "[1:a]aresample=48000,apad[a]",
                      "0x" + picture.bar.substr(1), picture.width, kBarHeight, kFrameRate, length),
          "-map",
          "[v]",
          "-map",
          "[a]",
          "-map",
          "2:s",
          "-t",
          length,
          "-threads",
          "1",
          "-c:v",
          "libx264",
          "-preset",
          "veryfast",
          "-crf",
          "20",
          "-tune",
          "stillimage",
          "-c:a",
          "aac",
          "-b:a",
          "96k",
          "-ac",
          "1",
          "-c:s",
          "mov_text"});
  exact_output(argv, "scene.mp4", source.empty() ? "-1" : "3");
  LATHE_TRY_STATUS(run_film_tool(tree, place.unsafe_no_sandbox, std::move(argv), limit, stop));
  return read_beneath(tree, "scene.mp4", kMaxFilmFile);
}

namespace {

// ffmpeg's own form of chapters.
std::string chapters_text(const std::vector<ScenePart>& parts, const std::vector<double>& lengths) {
  std::string text = ";FFMETADATA1\n";
  double at = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string title = metadata_text(parts[i].title);
    text += fmt::format("[CHAPTER]\nTIMEBASE=1/1000\nSTART={:.0f}\nEND={:.0f}\ntitle={}\n",
                        1000 * at, 1000 * (at + lengths[i]), title);
    at += lengths[i];
  }
  return text;
}

}  // namespace

Result<JoinedFilm> joined_film(const std::vector<ScenePart>& parts, const Place& place,
                               Milliseconds limit, const StopFlag& stop) {
  LATHE_TRY(const TempDir directory, TempDir::make("lathe-film"));
  const fs::path& tree = directory.path();
  std::vector<double> lengths;
  std::string list = "ffconcat version 1.0\n";
  for (const ScenePart& part : parts) {
    LATHE_TRY(const Film film, Film::open(part.film, place, limit, stop));
    const std::string name = fmt::format("scene{:03}.mp4", lengths.size());
    LATHE_TRY_STATUS(write_file_atomic(tree / name, part.film));
    lengths.push_back(film.probe().picture_seconds);
    list += fmt::format("file {}\nduration {}\n", name, seconds_text(lengths.back()));
  }
  LATHE_TRY_STATUS(write_file_atomic(tree / "scenes.txt", list));
  LATHE_TRY_STATUS(write_file_atomic(tree / "chapters.txt", chapters_text(parts, lengths)));
  std::vector<std::string> argv = ffmpeg();
  // The sound is encoded anew: every scene's own encoding begins with samples that are to be
  // skipped, and a copy of the packets would play them.
  append(argv,
         {"-f",         "concat", "-i",           "scenes.txt", "-f",
          "ffmetadata", "-i",     "chapters.txt", "-map",       "0:v:0",
          "-map",       "0:a:0",  "-map",         "0:s:0",      "-map_chapters",
          "1",          "-c:v",   "copy",         "-af",        "aresample=async=1:first_pts=0",
          "-c:a",       "aac",    "-b:a",         "96k",        "-threads",
          "1",          "-c:s",   "mov_text"});
  exact_output(argv, "clip.mp4");
  append(argv, {"-map", "0:s:0", "-c:s", "srt", "-f", "srt", "clip.srt"});
  LATHE_TRY_STATUS(run_film_tool(tree, place.unsafe_no_sandbox, std::move(argv), limit, stop));
  JoinedFilm joined;
  LATHE_TRY(joined.mp4, read_beneath(tree, "clip.mp4", kMaxFilmFile));
  LATHE_TRY(joined.srt, read_beneath(tree, "clip.srt", kMostNotes));
  return joined;
}

}  // namespace lathe::loop

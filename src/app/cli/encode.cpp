// lathe encode MMPROJ FILE --out E.f32: what a model is given in place of a picture or a sound: the
// rows of its encoder as raw float32, for checks against other engines.
#include "app/cli/open_encoder.h"
#include "app/cli/output_file.h"
#include "ground/base/part_file.h"
#include "ground/base/text.h"
#include "ground/media/decoders.h"
#include "infer/encoders/picture_encoder.h"
#include "infer/encoders/sound_encoder.h"
#include "infer/whisper/model.h"
#include "work/content.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kDecodeLimit{300'000};

struct EncodeFlags {
  std::string encoder, file, out, input, kernels;
  int threads = 0;
  bool force = false;
};

// A file of numbers that may not be asked for.
class NumberFile {
 public:
  static Result<NumberFile> create(const std::string& path) {
    NumberFile file;
    if (path.empty()) return file;
    LATHE_TRY(file.file_, PartFile::create(path));
    return file;
  }
  void write(std::span<const float> values) {
    if (file_ && status_) status_ = file_->write(std::as_bytes(values));
  }
  Status commit() {
    LATHE_TRY_STATUS(std::move(status_));
    return file_ ? file_->commit() : Status{};
  }

 private:
  std::optional<PartFile> file_;
  Status status_;
};

Json to_json(const infer::EncodedPiece& piece) {
  if (piece.rows == nullptr) return {{"words", piece.words}};
  const infer::RowShape& shape = piece.rows->shape();
  Json json{{"rows", piece.rows->rows()}, {"mutual", shape.mutual}};
  if (shape.grid_columns != 0) json["grid_columns"] = shape.grid_columns;
  return json;
}

std::string to_text(const infer::EncodedPiece& piece) {
  if (piece.rows == nullptr) return join(piece.words, "");
  const infer::RowShape& shape = piece.rows->shape();
  return fmt::format(
      "{} rows{}{}", piece.rows->rows(),
      shape.grid_columns == 0 ? "" : fmt::format(", a grid of {} columns", shape.grid_columns),
      shape.mutual ? ", which see each other" : "");
}

// What is written and said of the pieces, as they come.
struct Outcome {
  NumberFile out, input;
  std::size_t width = 0, rows = 0;
  Json inputs = Json::array(), pieces = Json::array();
  std::string lines;

  void take(const infer::EncodedPiece& piece) {
    pieces.push_back(to_json(piece));
    lines += to_text(piece) + "\n";
    if (piece.rows == nullptr) return;
    out.write({piece.rows->row(0), piece.rows->rows() * piece.rows->width()});
    rows += piece.rows->rows();
  }
  void hear(const infer::MelFrames& mel) {
    inputs.push_back({{"frames", mel.frames}, {"bins", mel.bins}});
    std::vector<float> by_bins(mel.values.size());
    for (std::size_t i = 0; i < mel.values.size(); ++i)
      by_bins[i % mel.bins * mel.frames + i / mel.bins] = mel.values[i];
    input.write(by_bins);
  }
};

Status encode_picture(const App& app, const EncodeFlags& flags, const infer::Gguf& file,
                      infer::ThreadTeam& team, Outcome& outcome) {
  LATHE_TRY(const auto encoder,
            open_encoder<infer::PictureEncoder>(app, flags.kernels, file, team));
  outcome.width = encoder->width();
  LATHE_TRY(const std::string bytes, read_file(flags.file, kMaxPictureFile));
  const auto picture = decode_picture_file(app.program, bytes, kDecodeLimit, *app.stop);
  if (!picture) return at(flags.file, picture.error());
  const auto pieces = encoder->encode(*picture, app.stop, [&](const infer::PixelPlanes& pixels) {
    outcome.inputs.push_back({{"width", pixels.size.width}, {"height", pixels.size.height}});
    outcome.input.write(pixels.values);
  });
  if (!pieces) return at(flags.file, pieces.error());
  for (const infer::EncodedPiece& piece : *pieces) outcome.take(piece);
  return {};
}

Result<Sound> read_sound(const App& app, const EncodeFlags& flags) {
  LATHE_TRY(const std::string bytes, read_file(flags.file, kMaxSoundFile));
  auto decoded = decode_sound_file(app.program, bytes, kDecodeLimit, *app.stop);
  if (!decoded) return at(flags.file, decoded.error());
  return std::move(decoded->sound);
}

Status encode_sound(const App& app, const EncodeFlags& flags, const infer::Gguf& file,
                    infer::ThreadTeam& team, Outcome& outcome) {
  LATHE_TRY(const auto encoder, open_encoder<infer::SoundEncoder>(app, flags.kernels, file, team));
  outcome.width = encoder->width();
  LATHE_TRY(const Sound sound, read_sound(app, flags));
  const auto take = [&](const infer::EncodedPiece& piece) {
    outcome.take(piece);
    return Status{};
  };
  const auto hear = [&](const infer::MelFrames& mel) { outcome.hear(mel); };
  const Status encoded = encoder->encode(sound.samples, app.stop, take, hear);
  return encoded ? Status{} : at(flags.file, encoded.error());
}

// Whisper has its encoder in its own file: half minute by half minute, as far as the sound goes.
Status encode_whisper(const App& app, const EncodeFlags& flags, const infer::Gguf& file,
                      infer::ThreadTeam& team, Outcome& outcome) {
  LATHE_TRY(const auto model, open_encoder<infer::WhisperModel>(app, flags.kernels, file, team));
  outcome.width = model->sizes().width;
  LATHE_TRY(const Sound sound, read_sound(app, flags));
  const infer::MelReader reader(sound.samples, model->mel(), team);
  const std::size_t frames = 2 * model->sizes().sound_rows;
  const std::size_t heard = sound.samples.size() / model->mel().spec().hop;
  for (std::size_t at = 0; at < std::max<std::size_t>(1, heard); at += frames) {
    const infer::MelFrames mel = reader.read(at, frames);
    outcome.hear(mel);
    LATHE_TRY_STATUS(model->encode(mel, app.stop));
    outcome.out.write(model->sound());
    outcome.rows += model->sizes().sound_rows;
  }
  return {};
}

// A file may have encoders of both: then the medium tells.
Result<bool> is_sound(const infer::Gguf& file, const EncodeFlags& flags) {
  LATHE_TRY(const bool sees, has_encoder(file, infer::kVisionPart));
  LATHE_TRY(const bool hears, has_encoder(file, infer::kAudioPart));
  if (sees != hears) return hears;
  LATHE_TRY(std::string bytes, read_file(flags.file, kMaxSoundFile));
  const auto media = Media::of_file(std::move(bytes));
  return media && media->kind == Media::Kind::kSound;
}

Status encode(const App& app, const EncodeFlags& flags) {
  for (const std::string& out : {flags.out, flags.input})
    if (!out.empty()) LATHE_TRY_STATUS(check_output(out, {flags.encoder, flags.file}, flags.force));
  if (flags.out == flags.input) return invalid("--out and --input name the same file");
  LATHE_TRY(const int threads, choose_threads(flags.threads));
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(flags.encoder));
  infer::ThreadTeam team(threads);
  Outcome outcome;
  LATHE_TRY(outcome.out, NumberFile::create(flags.out));
  LATHE_TRY(outcome.input, NumberFile::create(flags.input));
  if (infer::WhisperModel::is_one(file)) {
    LATHE_TRY_STATUS(encode_whisper(app, flags, file, team, outcome));
  } else {
    LATHE_TRY(const bool sound, is_sound(file, flags));
    LATHE_TRY_STATUS((sound ? encode_sound : encode_picture)(app, flags, file, team, outcome));
  }
  LATHE_TRY_STATUS(outcome.out.commit());
  LATHE_TRY_STATUS(outcome.input.commit());
  if (app.json) {
    print_json({{"rows", outcome.rows},
                {"width", outcome.width},
                {"inputs", outcome.inputs},
                {"pieces", outcome.pieces},
                {"out", flags.out}});
  } else {
    print(fmt::format("{}{}: {} rows × {}, float32\n", outcome.lines, flags.out, outcome.rows,
                      outcome.width));
  }
  return {};
}

}  // namespace

void add_encode(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<EncodeFlags>();
  CLI::App* command = cli.add_subcommand(
      "encode", "Write what a model is given in place of a picture or sound as raw float32");
  command
      ->add_option("encoder", flags->encoder,
                   "The encoder: an mmproj GGUF file, or a Whisper model")
      ->required();
  command
      ->add_option("file", flags->file,
                   "The picture (PNG, JPEG or WebP) or sound (WAV, MP3, FLAC, Ogg)")
      ->required();
  command->add_option("--out", flags->out, "File: rows × width float32, little endian")->required();
  command->add_option("--input", flags->input,
                      "File: what goes into the encoder, input by input, float32: of pictures (3, "
                      "height, width), of "
                      "sounds mel frames (bins, frames)");
  command->add_option("--threads", flags->threads, "Threads that compute (default: one a core)");
  command->add_option("--kernels", flags->kernels, "Instruction set (default: the best one)");
  add_force_flag(*command, flags->force);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = encode(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app

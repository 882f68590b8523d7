// Tiny encoders of every kind with random weights, against another program's pixels, bit for bit,
// and an independent float64 evaluation of the same weights. The same bits on every kernel table
// and any number of threads.
#include "infer/encoders/encoder_test.h"

#include <fstream>

#include "ground/base/json.h"

namespace lathe::infer {
namespace {

constexpr double kTolerance = 5e-5;
constexpr const char* kProjectors[] = {"gemma3",         "gemma4v",  "qwen2.5vl_merger",
                                       "qwen3vl_merger", "idefics3", "internvl",
                                       "pixtral",        "mlp",      "lfm2"};
constexpr const char* kPictures[] = {"97x61", "230x180"};

fs::path encoder_file(const std::string& projector) {
  return media(projector + ".mmproj.gguf");
}

// The published order of the class token, where the other program has another one.
std::vector<float> truth_of(const std::string& name) {
  const fs::path published = media(name + ".embd.classfirst.f32");
  return read_floats(fs::exists(published) ? published : media(name + ".embd.truth.f32"));
}

class KnownAnswers : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Projectors, KnownAnswers, testing::ValuesIn(kProjectors),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

TEST_P(KnownAnswers, RowsAreTheTruth) {
  const std::string projector = GetParam();
  TestEncoder encoder(encoder_file(projector));
  ASSERT_TRUE(encoder.ok());
  for (const std::string size : kPictures)
    EXPECT_LT(relative_error(encoder.rows(stored_picture(size)), truth_of(projector + "." + size)),
              kTolerance)
        << size;
}

// pixels.txt: the SHA-256 of each input's numbers.
TEST_P(KnownAnswers, InputsAreTheOtherProgramsToTheBit) {
  const std::string projector = GetParam();
  TestEncoder encoder(encoder_file(projector));
  ASSERT_TRUE(encoder.ok());
  for (const std::string size : kPictures) {
    std::string ours, theirs;
    static_cast<void>(encoder.rows(stored_picture(size)));
    for (const PixelPlanes& input : encoder.inputs) {
      const auto* bytes = reinterpret_cast<const char*>(input.values.data());
      ours += fmt::format("{}.{} {} {} {}\n", projector, size, input.size.width, input.size.height,
                          sha256_hex({bytes, input.values.size() * sizeof(float)}));
    }
    std::ifstream lines(media("pixels.txt"));
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with(projector + "." + size + " ")) theirs += line + "\n";
    EXPECT_EQ(ours, theirs);
  }
}

// The rows stand in the prompt in as many pieces, and look at each other as there.
TEST_P(KnownAnswers, PiecesAreTheOtherPrograms) {
  const std::string projector = GetParam();
  TestEncoder encoder(encoder_file(projector));
  ASSERT_TRUE(encoder.ok());
  for (const std::string size : kPictures) {
    const Json expected = *parse_json(*read_file(media(projector + "." + size + ".json")));
    std::vector<EncodedPiece> pieces = encoder.pieces(stored_picture(size));
    std::erase_if(pieces, [](const EncodedPiece& piece) { return piece.rows == nullptr; });
    std::size_t i = 0;
    for (const Json& chunk : expected["chunks"]) {
      if (chunk["type"] != "image") continue;
      ASSERT_LT(i, pieces.size());
      const RowBlock& rows = *pieces[i++].rows;
      EXPECT_EQ(rows.rows(), chunk["n_tokens"].get<std::size_t>());
      EXPECT_EQ(rows.width(), expected["n_embd_in"].get<std::size_t>());
      EXPECT_EQ(rows.shape().mutual, chunk["non_causal"] == 1);
      if (!chunk.contains("pos_t_y_x")) {
        EXPECT_EQ(rows.shape().grid_columns, 0u);
        continue;
      }
      const std::size_t columns = rows.shape().grid_columns, first = chunk["pos0"];
      ASSERT_NE(columns, 0u);
      for (std::size_t t = 0; t < rows.rows(); ++t)
        EXPECT_EQ(chunk["pos_t_y_x"][t], (Json{first, first + t / columns, first + t % columns}));
    }
    EXPECT_EQ(i, pieces.size());
  }
}

TEST_P(KnownAnswers, TheSameBitsOnEveryTableAndNumberOfThreads) {
  const Picture picture = made_picture(97, 150);
  const std::vector<float> expected =
      TestEncoder(encoder_file(GetParam()), *kernel_tables().front(), 1).rows(picture);
  ASSERT_FALSE(expected.empty());
  for (const KernelTable* kernels : kernel_tables())
    for (const int threads : {1, 2, 4}) {
      TestEncoder encoder(encoder_file(GetParam()), *kernels, threads);
      EXPECT_EQ(encoder.rows(picture), expected) << kernels->name << " × " << threads;
    }
}

}  // namespace
}  // namespace lathe::infer

// Tiny encoders of every kind with random weights, against another program's pixels, bit for bit,
// and an independent float64 evaluation of the same weights. The same bits on every kernel table
// and any number of threads.
#include "infer/encoders/encoder_test.h"

#include <fstream>

#include "ground/base/json.h"
#include "infer/encoders/prompt_pieces.h"
#include "infer/models/vocabulary.h"

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

class KnownAnswers : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Projectors, KnownAnswers, ::testing::ValuesIn(kProjectors),
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

// Of each input its size and the SHA-256 of its numbers, as pixels.txt has them.
std::string told(const std::string& name, const std::vector<PixelPlanes>& inputs) {
  std::string lines;
  for (const PixelPlanes& input : inputs) {
    const auto* bytes = reinterpret_cast<const char*>(input.values.data());
    lines += fmt::format("{} {} {} {}\n", name, input.size.width, input.size.height,
                         sha256_hex({bytes, input.values.size() * sizeof(float)}));
  }
  return lines;
}

std::string kept(const std::string& name) {
  std::string lines;
  std::ifstream file(media("pixels.txt"));
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + " ")) lines += line + "\n";
  EXPECT_FALSE(lines.empty()) << name;
  return lines;
}

TEST_P(KnownAnswers, InputsAreTheOtherProgramsToTheBit) {
  const std::string projector = GetParam();
  TestEncoder encoder(encoder_file(projector));
  ASSERT_TRUE(encoder.ok());
  for (const std::string size : kPictures) {
    static_cast<void>(encoder.pieces(stored_picture(size)));
    const std::string name = projector + "." + size;
    EXPECT_EQ(told(name, encoder.inputs), kept(name));
  }
}

// What stands in the place of a picture in a prompt: the same tokens and rows, in the same shape.
TEST_P(KnownAnswers, PromptsAreTheOtherPrograms) {
  const std::string projector = GetParam();
  TestEncoder encoder(encoder_file(projector));
  ASSERT_TRUE(encoder.ok());
  const auto tokenizer =
      *Tokenizer::make(*read_vocabulary(*Gguf::open(media(projector + ".llm.gguf"))));
  for (const std::string size : kPictures) {
    Prompt ours;
    ours.add(tokenizer->encode("Hi ", false, false));
    add(ours, *tokenizer, encoder.pieces(stored_picture(size)));
    ours.add(tokenizer->encode(" what is it?", false, false));
    const Json theirs = *parse_json(*read_file(media(projector + "." + size + ".json")));
    std::vector<TokenId> ids;
    std::size_t block = 0;
    for (const Json& chunk : theirs["chunks"]) {
      if (chunk["type"] == "text") {
        for (const Json& id : chunk["ids"]) ids.push_back(id);
        continue;
      }
      ASSERT_LT(block, ours.rows().size());
      const RowBlock& rows = *ours.rows()[block++].block;
      EXPECT_EQ(rows.rows(), chunk["n_tokens"].get<std::size_t>());
      EXPECT_EQ(rows.width(), theirs["n_embd_in"].get<std::size_t>());
      EXPECT_EQ(rows.shape().mutual, chunk["non_causal"] == 1);
      EXPECT_EQ(rows.shape().grid_columns != 0, chunk.contains("pos_t_y_x"));
      if (const std::size_t columns = rows.shape().grid_columns; columns != 0) {
        const std::size_t first = chunk["pos0"];
        for (std::size_t t = 0; t < rows.rows(); ++t)
          EXPECT_EQ(chunk["pos_t_y_x"][t], (Json{first, first + t / columns, first + t % columns}));
      }
      ids.insert(ids.end(), rows.rows(), kNoToken);
    }
    EXPECT_EQ(block, ours.rows().size());
    EXPECT_EQ(ours.ids(), ids);
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

// A file like one of the others, and what is another in it.
struct Variant {
  const char* name;
  const char* base;
  void (*edit)(EditedFile& file);
};
constexpr Variant kVariants[] = {
    {"qwen2vl_merger", "qwen2.5vl_merger",
     [](EditedFile& file) {
       file.set("clip.projector_type", std::string("qwen2vl_merger"));
       file.set("clip.use_silu", false);
       file.drop_key("clip.vision.n_wa_pattern");
       std::erase_if(file.tensors, [](const EditedFile::Tensor& tensor) {
         return tensor.name.find("ffn_gate") != tensor.name.npos;
       });
     }},
    {"llava16", "mlp",
     [](EditedFile& file) {
       file.set("clip.vision.image_grid_pinpoints",
                std::vector<std::int64_t>{56, 112, 112, 56, 112, 112, 168, 56});
     }},
    {"pixtral-unmerged", "pixtral",
     [](EditedFile& file) {
       file.set("clip.vision.spatial_merge_size", std::uint64_t{1});
       file.drop("mm.patch_merger.weight");
       file.drop("mm.input_norm.weight");
     }},
};

// Pictures of borderline shapes, made by a formula: pixels and rows as an independent evaluation
// has them.
TEST(MadePictures, InputsAndRowsAreTheTruth) {
  std::vector<std::pair<std::string, fs::path>> encoders;
  for (const char* projector : kProjectors)
    encoders.emplace_back(projector, encoder_file(projector));
  for (const Variant& variant : kVariants) {
    EditedFile file = EditedFile::of(encoder_file(variant.base));
    variant.edit(file);
    encoders.emplace_back(variant.name, file.write(variant.name));
  }
  for (const auto& [name, path] : encoders) {
    TestEncoder encoder(path);
    ASSERT_TRUE(encoder.ok()) << name;
    // The tiny Gemma 4 has positions of 40 patches a side.
    const std::pair<int, int> wide = name == "gemma4v" ? std::pair{201, 143} : std::pair{300, 41};
    for (const auto& [width, height] : {std::pair{1, 1}, wide}) {
      const std::string made = fmt::format("{}.made{}x{}", name, width, height);
      const std::vector<float> rows = encoder.rows(made_picture(width, height));
      EXPECT_EQ(told(made, encoder.inputs), kept(made));
      EXPECT_LT(relative_error(rows, read_floats(media(made + ".f32"))), kTolerance) << made;
    }
  }
}

// Files of old converters have the two names the wrong way round; the shapes tell.
TEST(PictureEncoder, ReadsOldFilesWhoseFeedForwardNamesAreSwapped) {
  EditedFile file = EditedFile::of(encoder_file("gemma3"));
  for (EditedFile::Tensor& tensor : file.tensors) {
    const std::size_t up = tensor.name.find("ffn_up"), down = tensor.name.find("ffn_down");
    if (up != std::string::npos)
      tensor.name.replace(up, 6, "ffn_down");
    else if (down != std::string::npos)
      tensor.name.replace(down, 8, "ffn_up");
  }
  TestEncoder plain(encoder_file("gemma3")), swapped(file.write("swapped"));
  ASSERT_TRUE(swapped.ok());
  EXPECT_EQ(swapped.rows(stored_picture("97x61")), plain.rows(stored_picture("97x61")));
}

// Matrices as quantized integers stay close to the truth, and have the same bits everywhere.
TEST(PictureEncoder, QuantizedWeightsStayClose) {
  for (const std::string projector : {"gemma3", "qwen3vl_merger", "pixtral"}) {
    EditedFile file = EditedFile::of(encoder_file(projector));
    const TensorTypeInfo& q8 = tensor_type_info(TensorType::kQ8_0);
    std::size_t changed = 0;
    for (EditedFile::Tensor& tensor : file.tensors) {
      const bool matrix = tensor.name.find("blk.") != std::string::npos && tensor.shape.size() == 2;
      if (!matrix || tensor.shape[0] % 32 != 0) continue;
      const std::size_t count = tensor.shape[0] * tensor.shape[1];
      std::vector<float> values(count);
      tensor_type_info(tensor.type).decode(tensor.bytes.data(), values.data(), count);
      tensor.bytes.resize(count / q8.block * q8.block_bytes);
      q8.encode(values.data(), tensor.bytes.data(), count, {});
      tensor.type = TensorType::kQ8_0;
      ++changed;
    }
    EXPECT_GT(changed, 6u);
    const fs::path path = file.write("q8");
    const std::vector<float> rows = TestEncoder(path).rows(stored_picture("97x61"));
    EXPECT_LT(relative_error(rows, truth_of(projector + ".97x61")), 0.05) << projector;
    EXPECT_GT(relative_error(rows, truth_of(projector + ".97x61")), 1e-5) << projector;
    for (const KernelTable* kernels : kernel_tables())
      EXPECT_EQ(TestEncoder(path, *kernels, 3).rows(stored_picture("97x61")), rows)
          << projector << " " << kernels->name;
  }
}

TEST(PictureEncoder, StopsBetweenLayers) {
  TestEncoder encoder(encoder_file("gemma3"));
  StopFlag stop;
  stop.raise();
  const auto pieces = encoder->encode(stored_picture("97x61"), &stop);
  ASSERT_FALSE(pieces.has_value());
  EXPECT_EQ(pieces.error().kind, ErrorKind::kCancelled);
}

TEST(PictureEncoder, ForetellsFromTheHeaderWhatItTakes) {
  for (const char* projector : kProjectors) {
    const auto foretold =
        picture_encoder_bytes(*Gguf::open(encoder_file(projector)), best_kernel_table(), 2);
    ASSERT_TRUE(foretold.has_value()) << foretold.error().message;
    TestEncoder encoder(encoder_file(projector));
    EXPECT_EQ(foretold->weights, encoder->bytes().weights);
    EXPECT_EQ(foretold->scratch, encoder->bytes().scratch);
    EXPECT_GT(foretold->weights, 32u << 10);
  }
}

}  // namespace
}  // namespace lathe::infer

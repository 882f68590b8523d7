// The thread team, pages, packed matrices and their products, to the bit.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <random>

#include "infer/formats/gguf_writer.h"
#include "infer/tensor/gemm.h"
#include "infer/tensor/matrix.h"

namespace lathe::infer {
namespace {

TEST(ThreadTeam, EveryItemRunsOnceWhateverTheTeam) {
  for (const int size : {1, 2, 3, 8}) {
    ThreadTeam team(size);
    EXPECT_EQ(team.size(), size);
    for (std::size_t count = 0; count < 300; ++count) {
      std::vector<std::atomic<int>> hits(count);
      std::atomic<bool> wrong_thread = false;
      team.run(count, [&](std::size_t i, int thread) {
        hits[i].fetch_add(1);
        if (thread < 0 || thread >= size) wrong_thread = true;
      });
      for (auto& hit : hits) EXPECT_EQ(hit.load(), 1);
      EXPECT_FALSE(wrong_thread);
    }
  }
}

TEST(ThreadTeam, AJobSeesWhatTheLastOneWrote) {
  ThreadTeam team(4);
  std::vector<std::uint64_t> values(64, 1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::uint64_t> next(values.size());
    team.run(values.size(),
             [&](std::size_t i, int) { next[i] = values[i] + values[(i + 1) % values.size()]; });
    values = next;
  }
  EXPECT_TRUE(std::equal(values.begin() + 1, values.end(), values.begin()));
}

TEST(Pages, ComeZeroedAlignedAndGoBack) {
  auto pages = Pages::allocate(std::size_t{5} << 20);
  ASSERT_TRUE(pages.has_value());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pages->data()) % (2 << 20), 0u);
  EXPECT_EQ(pages->data()[pages->size() - 1], std::byte{0});
  Pages moved = std::move(*pages);
  EXPECT_EQ(pages->data(), nullptr);
  moved.data()[0] = std::byte{1};
  EXPECT_FALSE(Pages::allocate(SIZE_MAX - 100).has_value());
  EXPECT_FALSE(Pages::allocate(std::size_t{1} << 62).has_value());
  EXPECT_EQ(Pages::allocate(0)->data(), nullptr);
}

class Loading : public ::testing::Test {
 protected:
  // A file of one matrix with three experts and odd sizes, and a vector.
  void write(TensorType type) {
    const TensorTypeInfo& info = tensor_type_info(type);
    auto writer = GgufWriter::create(path);
    writer->add("general.architecture", std::string("test"));
    const std::uint64_t shape[] = {512, 37, 3};
    writer->add_tensor("m", type, shape);
    ASSERT_TRUE(writer->begin_data().has_value());
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    source.resize(512 * 37 * 3);
    for (float& value : source) value = normal(random);
    std::vector<std::byte> bytes(source.size() / info.block * info.block_bytes);
    for (std::size_t row = 0; row < 37 * 3; ++row) {
      info.encode(source.data() + row * 512,
                  bytes.data() + row * 512 / info.block * info.block_bytes, 512, {});
    }
    info.decode(bytes.data(), source.data(), source.size());
    ASSERT_TRUE(writer->write(bytes).has_value());
    ASSERT_TRUE(writer->finish().has_value());
  }
  TempDir directory = *TempDir::make();
  fs::path path = directory.path() / "m.gguf";
  std::vector<float> source;
};

TEST_F(Loading, EveryRowOfEveryExpertIsThereAndMultiplies) {
  for (const TensorType type :
       {TensorType::kF32, TensorType::kF16, TensorType::kQ8_0, TensorType::kQ4_K}) {
    write(type);
    const auto file = Gguf::open(path);
    ASSERT_TRUE(file.has_value());
    for (const int threads : {1, 3}) {
      ThreadTeam team(threads);
      PackedMatrix matrix;
      const MatrixLoad load{&file->tensors()[0], &matrix};
      std::uint64_t heard = 0;
      const auto arena = load_matrices(
          *file, {&load, 1}, best_kernel_table(), team, [&](std::uint64_t done) { heard = done; },
          nullptr);
      ASSERT_TRUE(arena.has_value());
      EXPECT_EQ(heard, file->tensors()[0].bytes);
      EXPECT_EQ(matrix.experts, 3u);
      EXPECT_EQ(arena->size(),
                (packed_bytes(best_kernel_table(), file->tensors()[0]) + 4095) / 4096 * 4096);
      std::vector<float> row(512);
      for (std::size_t r = 0; r < 37; ++r) {
        matrix.row(r, row.data());
        EXPECT_EQ(std::memcmp(row.data(), source.data() + r * 512, sizeof(float) * 512), 0) << r;
      }
      Activations x;
      ASSERT_TRUE(x.reserve(2, 512).has_value());
      x.shape(512);
      for (std::size_t i = 0; i < 1024; ++i) x.row(0)[i] = static_cast<float>(i % 7) - 3;
      for (std::size_t t = 0; t < 2; ++t) x.quantize(best_kernel_table(), t, 0, 512);
      std::vector<float> out(3 * 2 * 40, -7);
      std::vector<Product> products;
      for (std::size_t e = 0; e < 3; ++e) {
        products.push_back({.matrix = &matrix,
                            .expert = e,
                            .x = &x,
                            .tokens = 2,
                            .out = out.data() + e * 80,
                            .stride = 40});
      }
      multiply(team, products);
      for (std::size_t e = 0; e < 3; ++e) {
        for (std::size_t t = 0; t < 2; ++t) {
          for (std::size_t r = 0; r < 37; ++r) {
            const float* w = source.data() + (e * 37 + r) * 512;
            const double expected = std::inner_product(w, w + 512, x.row(t), 0.0);
            EXPECT_NEAR(out[e * 80 + t * 40 + r], expected,
                        0.8);  // activations of 8 bits: 512 terms of ±0.012
          }
          EXPECT_EQ(out[e * 80 + t * 40 + 37], -7) << "written beyond the rows";
        }
      }
    }
  }
}

TEST_F(Loading, AFileThatShrankIsAnErrorThatNamesIt) {
  write(TensorType::kQ8_0);
  const auto file = Gguf::open(path);
  fs::resize_file(path, fs::file_size(path) - 1000);
  ThreadTeam team(2);
  PackedMatrix matrix;
  const MatrixLoad load{&file->tensors()[0], &matrix};
  const auto arena = load_matrices(*file, {&load, 1}, best_kernel_table(), team, {}, nullptr);
  ASSERT_FALSE(arena.has_value());
  EXPECT_NE(arena.error().message.find(path.string()), std::string::npos) << arena.error().message;
}

TEST_F(Loading, StopsWhenTold) {
  write(TensorType::kQ8_0);
  const auto file = Gguf::open(path);
  ThreadTeam team(2);
  PackedMatrix matrix;
  const MatrixLoad load{&file->tensors()[0], &matrix};
  StopFlag stop;
  stop.raise();
  EXPECT_EQ(load_matrices(*file, {&load, 1}, best_kernel_table(), team, {}, &stop).error().kind,
            ErrorKind::kCancelled);
}

// One accumulator along k for every output, whatever the blocks: the plain loop has the same bits.
TEST(Gemm, IsThePlainLoopBitForBit) {
  std::mt19937 random(1);
  const auto numbers = [&](std::size_t count) {
    std::vector<float> out(count);
    for (float& x : out) x = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 512;
    return out;
  };
  struct Shape {
    std::size_t rows, columns, k;
  };
  for (const Shape s :
       {Shape{1, 1, 1}, {5, 16, 3}, {100, 70, 300}, {12, 32, 256}, {205, 33, 515}}) {
    for (const bool turned : {false, true})
      for (const bool panels : {false, true}) {
        const auto a = numbers(s.rows * s.k), b = numbers(s.k * s.columns);
        const auto start = numbers(s.rows * s.columns);
        Gemm product{.rows = s.rows,
                     .columns = s.columns,
                     .k = s.k,
                     .a = a.data(),
                     .a_row = turned ? 1 : s.k,
                     .a_k = turned ? s.rows : 1,
                     .b = b.data(),
                     .b_k = s.columns,
                     .c_row = s.columns,
                     .add = turned};
        std::vector<float> laid((s.columns + 31) / 32 * 32 * s.k);
        if (panels) {  // b (columns, k) → panels
          product.b = laid.data(), product.b_k = kTileColumns, product.b_panel = kTileColumns * s.k;
          for (std::size_t c = 0; c < s.columns; c += kTileColumns)
            transpose_panel(b.data() + c * s.k, s.k, std::min(kTileColumns, s.columns - c), s.k,
                            laid.data() + c * s.k);
        }
        std::vector<float> want = start;
        for (std::size_t r = 0; r < s.rows; ++r)
          for (std::size_t c = 0; c < s.columns; ++c) {
            float acc = product.add ? want[r * s.columns + c] : 0;
            for (std::size_t i = 0; i < s.k; ++i)
              acc = std::fma(a[r * product.a_row + i * product.a_k],
                             panels ? b[c * s.k + i] : b[i * s.columns + c], acc);
            want[r * s.columns + c] = acc;
          }
        for (const int threads : {1, 3}) {
          ThreadTeam team(threads);
          std::vector<float> got = start;
          product.c = got.data();
          multiply(team, best_kernel_table().train, {&product, 1});
          ASSERT_EQ(got, want) << s.rows << "×" << s.columns << "×" << s.k;
        }
      }
  }
}

}  // namespace
}  // namespace lathe::infer

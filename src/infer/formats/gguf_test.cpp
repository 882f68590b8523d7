// GGUF files that are sound, cut at every byte, wrong in any byte, and hostile.
#include "infer/formats/gguf.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

#include "infer/formats/gguf_writer.h"

namespace lathe::infer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A GGUF file byte by byte, so that every field can be wrong.
class File {
 public:
  template <class T>
  File& put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  File& text(std::string_view value) {
    put(std::uint64_t{value.size()});
    bytes_ += value;
    return *this;
  }
  File& start(std::uint64_t tensors, std::uint64_t metadata) {
    bytes_ += "GGUF";
    return put(std::uint32_t{3}).put(tensors).put(metadata);
  }
  // Value type, then the value.
  template <class T>
  File& key(std::string_view name, std::uint32_t type, T value) {
    return text(name).put(type).put(value);
  }
  File& key(std::string_view name, std::string_view value) {
    return text(name).put(std::uint32_t{8}).text(value);
  }
  File& array(std::string_view name, std::uint32_t element, std::uint64_t count) {
    return text(name).put(std::uint32_t{9}).put(element).put(count);
  }
  File& tensor(std::string_view name, std::vector<std::uint64_t> shape, std::uint32_t type,
               std::uint64_t offset) {
    text(name).put(static_cast<std::uint32_t>(shape.size()));
    for (const std::uint64_t size : shape) put(size);
    return put(type).put(offset);
  }
  File& pad(std::size_t to = 32) {
    bytes_.resize((bytes_.size() + to - 1) / to * to);
    return *this;
  }
  File& data(std::size_t count, char fill = 1) {
    bytes_.append(count, fill);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

constexpr std::uint32_t kU8 = 0, kU16 = 2, kI16 = 3, kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7,
                        kString = 8, kArray = 9, kU64 = 10, kI64 = 11, kF64 = 12;
constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint32_t kTypeF32 = 0, kTypeQ4_0 = 2;

class GgufTest : public ::testing::Test {
 protected:
  fs::path path(std::string_view name = "m.gguf") const { return directory_->path() / name; }
  Result<Gguf> open(const File& file, std::string_view name = "m.gguf") const {
    return open(file.bytes(), name);
  }
  Result<Gguf> open(std::string_view bytes, std::string_view name = "m.gguf") const {
    EXPECT_TRUE(write_file_atomic(path(name), bytes));
    return Gguf::open(path(name));
  }

 private:
  Result<TempDir> directory_ = TempDir::make();
};

File small_file() {
  File file;
  file.start(2, 4);
  file.key("general.architecture", "llama");
  file.key("llama.block_count", kU32, std::uint32_t{2});
  file.array("tokens", kString, 2).text("a").text("bc");
  file.array("scores", kF32, 2).put(1.5f).put(-2.0f);
  file.tensor("first", {8, 3}, kTypeF32, 0);
  file.tensor("second", {64}, kTypeQ4_0, 96);
  file.pad().data(96, 'f').data(36, 's');
  return file;
}

TEST_F(GgufTest, ReadsASmallFile) {
  const auto gguf = open(small_file());
  ASSERT_TRUE(gguf) << gguf.error().message;
  EXPECT_EQ(*gguf->text("general.architecture"), "llama");
  EXPECT_EQ(*gguf->uint("llama.block_count", 1, 512), 2u);
  EXPECT_THAT(*gguf->texts("tokens"), ElementsAre("a", "bc"));
  EXPECT_THAT(*gguf->reals("scores"), ElementsAre(1.5, -2.0));
  ASSERT_EQ(gguf->tensors().size(), 2u);
  EXPECT_EQ(gguf->find_tensor("third"), nullptr);
  const GgufTensor* second = gguf->find_tensor("second");
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->type, TensorType::kQ4_0);
  EXPECT_EQ(second->bytes, 36u);
  EXPECT_EQ(second->elements(), 64u);
  EXPECT_EQ(gguf->find_tensor("first")->rows(), 3u);
  EXPECT_EQ(gguf->file_bytes(), small_file().bytes().size());
  std::array<std::byte, 4> bytes;
  ASSERT_TRUE(gguf->read(*second, 32, bytes));
  EXPECT_EQ(std::to_integer<char>(bytes[3]), 's');
  const auto beyond = gguf->read(*second, 33, bytes);
  ASSERT_FALSE(beyond);
  EXPECT_THAT(beyond.error().message, AllOf(HasSubstr("second"), HasSubstr("37")));
  EXPECT_FALSE(gguf->read(*second, kHuge, bytes));
}

TEST_F(GgufTest, TruncatedAtEveryOffset) {
  const std::string whole = small_file().bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto gguf = open(std::string_view(whole).substr(0, size));
    ASSERT_FALSE(gguf) << "of " << size << " bytes";
    EXPECT_EQ(gguf.error().kind, ErrorKind::kInvalid);
    EXPECT_THAT(gguf.error().message, HasSubstr(path().string()));
  }
  EXPECT_TRUE(open(whole + "anything may follow"));
}

TEST_F(GgufTest, AnyByteMayBeWrong) {
  const std::string whole = small_file().bytes();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char byte : {'\0', '\1', '\x7f', '\xff'}) {
      std::string bytes = whole;
      bytes[at] = byte;
      const auto gguf = open(bytes);
      if (!gguf) continue;
      for (const GgufTensor& tensor : gguf->tensors()) {
        std::vector<std::byte> data(tensor.bytes);
        EXPECT_TRUE(gguf->read(tensor, 0, data));
      }
    }
  }
}

struct Hostile {
  std::string name;
  std::function<void(File&)> make;
  std::vector<std::string> says;
};

std::vector<Hostile> hostile_starts() {
  return {
      {"empty", [](File&) {}, {"truncated", "magic"}},
      {"four_bytes", [](File& f) { f.put(std::uint32_t{0x46554747}); }, {"truncated", "version"}},
      {"magic", [](File& f) { f.put(std::uint32_t{0x04034b50}); }, {"GGUF", "0x04034b50"}},
      {"version_1",
       [](File& f) {
         f.put(std::uint32_t{0x46554747}).put(std::uint32_t{1}).put(std::uint64_t{0});
       },
       {"version 1"}},
      {"version_4",
       [](File& f) {
         f.put(std::uint32_t{0x46554747}).put(std::uint32_t{4}).put(std::uint64_t{0});
       },
       {"version 4"}},
      {"big_endian",
       [](File& f) {
         f.put(std::uint32_t{0x46554747}).put(std::uint32_t{3} << 24).put(std::uint64_t{0});
       },
       {"big-endian", "0x03000000"}},
      {"metadata_count",
       [](File& f) { f.start(0, kHuge).data(64); },
       {"metadata count", "18446744073709551615"}},
      {"metadata_count_of_two",
       [](File& f) { f.start(0, 2).key("k", kU8, std::uint8_t{1}); },
       {"metadata count 2"}},
      {"tensor_count_negative",
       [](File& f) { f.start(kHuge, 0).data(64); },
       {"tensor count", "18446744073709551615", "1000000"}},
      {"tensor_count", [](File& f) { f.start(999999, 0).data(64); }, {"tensor count 999999", "64"}},
  };
}

std::vector<Hostile> hostile_metadata() {
  return {
      {"key_length",
       [](File& f) { f.start(0, 1).put(kHuge).data(64); },
       {"key 0", "18446744073709551615"}},
      {"key_over_64_KiB",
       [](File& f) { f.start(0, 1).text(std::string(65537, 'k')).data(64); },
       {"key 0", "65537", "65536"}},
      {"key_empty", [](File& f) { f.start(0, 1).key("", kU32, 1u).data(8); }, {"key 0", "empty"}},
      {"key_twice",
       [](File& f) { f.start(0, 2).key("a.b", kU32, 1u).key("a.b", kU32, 1u); },
       {"a.b", "twice"}},
      {"value_type", [](File& f) { f.start(0, 1).key("a.b", 13, 1u).data(8); }, {"a.b", "13"}},
      {"string_length",
       [](File& f) { f.start(0, 1).text("a.b").put(kString).put(kHuge - 7).data(64); },
       {"a.b", "18446744073709551608", "64"}},
      {"array_count",
       [](File& f) { f.start(0, 1).array("a.b", kU32, kHuge / 4 + 2).data(64); },
       {"a.b", "4611686018427387905", "64"}},
      {"array_count_by_one",
       [](File& f) { f.start(0, 1).array("a.b", kU32, 17).data(64); },
       {"a.b", "17"}},
      {"array_of_strings_count",
       [](File& f) { f.start(0, 1).array("a.b", kString, 9).data(64, 0); },
       {"a.b", "9"}},
      {"array_string_length",
       [](File& f) { f.start(0, 1).array("a.b", kString, 2).text("x").put(kHuge).data(64); },
       {"a.b", "18446744073709551615"}},
      {"array_of_arrays",
       [](File& f) { f.start(0, 1).array("a.b", kArray, 1).data(64); },
       {"a.b", "array of arrays"}},
      {"element_type", [](File& f) { f.start(0, 1).array("a.b", 77, 1).data(64); }, {"a.b", "77"}},
      {"alignment_zero",
       [](File& f) { f.start(0, 1).key("general.alignment", kU32, 0u); },
       {"general.alignment is 0"}},
      {"alignment_odd",
       [](File& f) { f.start(0, 1).key("general.alignment", kU32, 24u); },
       {"general.alignment is 24"}},
      {"alignment_large",
       [](File& f) { f.start(0, 1).key("general.alignment", kU32, 131072u); },
       {"general.alignment is 131072", "65536"}},
      {"alignment_negative",
       [](File& f) { f.start(0, 1).key("general.alignment", kI32, -32); },
       {"general.alignment is -32"}},
      {"alignment_text",
       [](File& f) { f.start(0, 1).key("general.alignment", "32"); },
       {"general.alignment is a string"}},
      {"control_characters_are_not_printed",
       [](File& f) { f.start(0, 1).key("a\x1b[2J\n", 13, 1u).data(8); },
       {"a?[2J?"}},
  };
}

std::vector<Hostile> hostile_tensors() {
  const auto one = [](std::string name, std::vector<std::uint64_t> shape, std::uint32_t type,
                      std::uint64_t offset = 0) {
    return [=](File& f) { f.start(1, 0).tensor(name, shape, type, offset).pad().data(128); };
  };
  const auto two = [](std::uint64_t second) {
    return [=](File& f) {
      f.start(2, 0).tensor("a", {3}, kTypeF32, 0).tensor("b", {8}, kTypeF32, second);
      f.pad().data(128);
    };
  };
  return {
      {"name_empty", one("", {8}, kTypeF32), {"name of tensor 0", "empty"}},
      {"name_of_64", one(std::string(64, 'n'), {8}, kTypeF32), {"name of tensor 0", "64", "63"}},
      {"dimensions_none", one("t", {}, kTypeF32), {"'t'", "0 dimensions"}},
      {"dimensions_five", one("t", {1, 1, 1, 1, 1}, kTypeF32), {"'t'", "5 dimensions"}},
      {"dimensions_huge",
       [](File& f) { f.start(1, 0).text("t").put(0xffffffffu).data(64); },
       {"'t'", "4294967295 dimensions"}},
      {"size_zero", one("t", {8, 0, 2}, kTypeF32), {"'t'", "size 0", "dimension 1"}},
      {"size_negative", one("t", {kHuge}, kTypeF32), {"'t'", "18446744073709551615"}},
      {"product_wraps",
       one("t", {1u << 31, 1u << 31, 1u << 31, 8}, kTypeF32),
       {"'t'", "2147483648"}},
      {"product_is_zero_in_64_bits",
       one("t", {std::uint64_t{1} << 32, std::uint64_t{1} << 32}, kTypeF32),
       {"'t'", "too large"}},
      {"bytes_wrap", one("t", {std::uint64_t{1} << 62}, kTypeF32), {"'t'", "larger than the file"}},
      {"type_unknown", one("t", {8}, 43), {"'t'", "unknown type 43"}},
      {"type_not_supported", one("t", {256}, 15), {"'t'", "Q8_K"}},
      {"type_removed", one("t", {32}, 4), {"'t'", "Q4_2"}},
      {"row_not_whole_blocks", one("t", {48, 32}, kTypeQ4_0), {"'t'", "48", "32", "Q4_0"}},
      {"beyond_the_end", one("t", {33}, kTypeF32), {"'t'", "truncated"}},
      {"offset_outside", one("t", {8}, kTypeF32, 1u << 20), {"'t'", "1048576"}},
      {"offset_wraps", one("t", {8}, kTypeF32, kHuge - 31), {"'t'", "18446744073709551584"}},
      {"gap", two(64), {"'b'", "64", "32"}},
      {"overlap", two(0), {"'b'", "offset 0", "32"}},
      {"not_aligned", two(12), {"'b'", "12", "32"}},
      {"twice",
       [](File& f) {
         f.start(2, 0).tensor("a", {8}, kTypeF32, 0).tensor("a", {8}, kTypeF32, 32);
         f.pad().data(128);
       },
       {"'a'", "twice"}},
  };
}

TEST_F(GgufTest, HostileFilesAreRefusedWithFieldAndValue) {
  for (const auto& table : {hostile_starts(), hostile_metadata(), hostile_tensors()}) {
    for (const Hostile& hostile : table) {
      SCOPED_TRACE(hostile.name);
      File file;
      hostile.make(file);
      const auto gguf = open(file);
      ASSERT_FALSE(gguf);
      EXPECT_EQ(gguf.error().kind, ErrorKind::kInvalid);
      EXPECT_THAT(gguf.error().message, HasSubstr(path().string()));
      for (const std::string& part : hostile.says)
        EXPECT_THAT(gguf.error().message, HasSubstr(part));
    }
  }
}

// The file claims 2^24 strings and has the (sparse) bytes for their lengths: what is allocated must
// follow what was read.
TEST_F(GgufTest, CountsAloneAllocateNothing) {
  File file;
  file.start(0, 1).array("a.b", kString, std::uint64_t{1} << 24).put(kHuge);
  ASSERT_TRUE(write_file_atomic(path(), file.bytes()));
  ASSERT_EQ(::truncate(path().c_str(), off_t{1} << 40), 0);
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto gguf = Gguf::open(path());
  ::getrusage(RUSAGE_SELF, &after);
  ASSERT_FALSE(gguf);
  EXPECT_THAT(gguf.error().message, HasSubstr("a.b"));
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 << 10);  // KiB
}

TEST_F(GgufTest, TheHeaderIsLimitedInASparseFile) {
  for (const std::uint64_t length : {(std::uint64_t{64} << 20) + 1, std::uint64_t{1} << 30}) {
    File file;
    file.start(0, 1).text("a.b").put(kString).put(length);
    ASSERT_TRUE(write_file_atomic(path(), file.bytes()));
    ASSERT_EQ(::truncate(path().c_str(), off_t{1} << 40), 0);
    const auto gguf = Gguf::open(path());
    ASSERT_FALSE(gguf);
    EXPECT_THAT(gguf.error().message, AllOf(HasSubstr("a.b"), HasSubstr("67108864")));
  }
  File file;
  file.start(0, 1).array("a.b", kU8, (1u << 24) + 1);
  ASSERT_TRUE(write_file_atomic(path(), file.bytes()));
  ASSERT_EQ(::truncate(path().c_str(), off_t{1} << 40), 0);
  EXPECT_THAT(Gguf::open(path()).error().message, HasSubstr("16777217"));
}

TEST_F(GgufTest, WhatIsNotAFileIsRefused) {
  const auto absent = Gguf::open(path("absent.gguf"));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(absent.error().message, HasSubstr("absent.gguf"));
  EXPECT_THAT(Gguf::open(path("")).error().message, HasSubstr("directory"));
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(Gguf::open(path("pipe")).error().message, HasSubstr("regular"));
  EXPECT_THAT(Gguf::open("/dev/zero").error().message, HasSubstr("regular"));
}

TEST_F(GgufTest, AFileThatShrinksIsAnErrorNotASignal) {
  const auto gguf = open(small_file());
  ASSERT_TRUE(gguf);
  ASSERT_EQ(::truncate(path().c_str(), 100), 0);
  std::array<std::byte, 36> bytes;
  const auto read = gguf->read(gguf->tensors()[1], 0, bytes);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, AllOf(HasSubstr(path().string()), HasSubstr("changed")));
}

TEST_F(GgufTest, VersionTwoOddAlignmentAndEmptyFilesAreRead) {
  File two;
  two.put(std::uint32_t{0x46554747}).put(std::uint32_t{2}).put(std::uint64_t{0});
  two.put(std::uint64_t{0});
  EXPECT_TRUE(open(two));
  for (const std::uint32_t alignment : {1u, 8u, 65536u}) {
    File file;
    file.start(2, 1).key("general.alignment", kU32, alignment);
    file.tensor("a", {3}, kTypeF32, 0)
        .tensor("b", {2}, kTypeF32, (12 + alignment - 1) / alignment * alignment);
    file.pad(alignment).data(12, 'a').pad(alignment).data(8, 'b');
    const auto gguf = open(file);
    ASSERT_TRUE(gguf) << gguf.error().message;
    std::array<std::byte, 8> bytes;
    ASSERT_TRUE(gguf->read(*gguf->find_tensor("b"), 0, bytes));
    EXPECT_EQ(std::to_integer<char>(bytes[0]), 'b');
  }
}

TEST_F(GgufTest, GettersTakeAnyIntegerWidth) {
  File file;
  file.start(0, 9);
  file.key("u8", kU8, std::uint8_t{200}).key("i16", kI16, std::int16_t{-3});
  file.key("u64", kU64, kHuge).key("i64", kI64, std::int64_t{7}).key("bool", kBool, '\2');
  file.key("f64", kF64, 0.5).key("nan", kF32, std::nanf("")).key("text", "x");
  file.array("list", kU16, 2).put(std::uint16_t{3}).put(std::uint16_t{4});
  const auto gguf = open(file);
  ASSERT_TRUE(gguf) << gguf.error().message;
  EXPECT_EQ(*gguf->uint("u8", 0, 200), 200u);
  EXPECT_EQ(*gguf->uint("i64", 0, 7), 7u);
  EXPECT_EQ(*gguf->uint("u64", 0, kHuge), kHuge);
  EXPECT_EQ(*gguf->uint_or("none", 5, 0, 1), 5u);
  EXPECT_EQ(*gguf->real("f64"), 0.5);
  EXPECT_EQ(*gguf->real("i16"), -3.0);
  EXPECT_EQ(*gguf->real_or("none", 2.5), 2.5);
  EXPECT_TRUE(*gguf->boolean_or("bool", false));
  EXPECT_EQ(*gguf->text_or("none", "y"), "y");
  EXPECT_TRUE(gguf->texts("none")->empty());
  EXPECT_THAT(*gguf->per_layer("list", 2, 3, 4), ElementsAre(3u, 4u));
  EXPECT_THAT(*gguf->per_layer("u8", 3, 0, 255), ElementsAre(200u, 200u, 200u));
  EXPECT_THAT(*gguf->ints("list"), ElementsAre(3, 4));
  EXPECT_TRUE(gguf->ints("none")->empty());

  const auto says = [](const auto& result, std::vector<std::string> parts) {
    ASSERT_FALSE(result);
    for (const std::string& part : parts) EXPECT_THAT(result.error().message, HasSubstr(part));
  };
  says(gguf->uint("u8", 0, 199), {"'u8' is 200", "199"});
  says(gguf->uint("i16", 0, 9), {"'i16' is -3", "9"});
  says(gguf->uint("none", 0, 9), {"'none' is missing"});
  says(gguf->uint("text", 0, 9), {"'text' is a string", "integer"});
  says(gguf->uint_or("f64", 1, 0, 9), {"'f64' is a number", "integer"});
  says(gguf->uint("bool", 0, 9), {"'bool' is a boolean"});
  says(gguf->real("nan"), {"'nan' is nan", "finite"});
  says(gguf->real("list"), {"'list' is an array of integers"});
  says(gguf->boolean_or("u8", true), {"'u8' is an integer", "boolean"});
  says(gguf->text("u8"), {"'u8' is an integer", "string"});
  says(gguf->texts("list"), {"'list' is an array of integers", "strings"});
  says(gguf->per_layer("list", 3, 0, 9), {"'list' has 2 elements", "3"});
  says(gguf->per_layer("list", 2, 0, 3), {"'list' is 4", "3"});
  says(gguf->ints("u64"), {"'u64' is an integer", "array"});
  says(gguf->reals("list"), {"'list' is an array of integers", "numbers"});
}

// Parts of a model of three tensors: a in the first, b and c in the second.
struct Split {
  std::uint64_t no[2] = {0, 1};
  std::uint64_t count[2] = {2, 2};
  std::uint64_t tensors = 3;
  std::string third = "c";
};

class SplitTest : public GgufTest {
 protected:
  Result<Gguf> open_split(const Split& split) {
    File second;
    second.start(2, 2);
    second.key("split.no", kU16, static_cast<std::uint16_t>(split.no[1]));
    second.key("split.count", kU16, static_cast<std::uint16_t>(split.count[1]));
    second.tensor("b", {8}, kTypeF32, 0).tensor(split.third, {8}, kTypeF32, 32);
    second.pad().data(32, 'b').data(32, 'c');
    EXPECT_TRUE(write_file_atomic(path("m-00002-of-00002.gguf"), second.bytes()));
    File first;
    first.start(1, 4).key("general.architecture", "llama");
    first.key("split.no", kU16, static_cast<std::uint16_t>(split.no[0]));
    first.key("split.count", kU16, static_cast<std::uint16_t>(split.count[0]));
    first.key("split.tensors.count", kI32, static_cast<std::int32_t>(split.tensors));
    first.tensor("a", {8}, kTypeF32, 0).pad().data(32, 'a');
    return open(first, "m-00001-of-00002.gguf");
  }
  void expect_refused(const Split& split, std::vector<std::string> says) {
    const auto gguf = open_split(split);
    ASSERT_FALSE(gguf);
    for (const std::string& part : says) EXPECT_THAT(gguf.error().message, HasSubstr(part));
  }
};

TEST_F(SplitTest, PartsAreOneModel) {
  const auto gguf = open_split({});
  ASSERT_TRUE(gguf) << gguf.error().message;
  ASSERT_EQ(gguf->tensors().size(), 3u);
  for (const GgufTensor& tensor : gguf->tensors()) {
    std::array<std::byte, 32> bytes;
    ASSERT_TRUE(gguf->read(tensor, 0, bytes));
    EXPECT_EQ(std::to_integer<char>(bytes[31]), tensor.name[0]);
  }
  EXPECT_EQ(gguf->find_tensor("c")->part, 1u);
  EXPECT_EQ(gguf->part_path(1), path("m-00002-of-00002.gguf"));
  EXPECT_EQ(gguf->file_bytes(),
            fs::file_size(gguf->part_path(0)) + fs::file_size(gguf->part_path(1)));
}

TEST_F(SplitTest, PartsThatDoNotFitAreRefused) {
  expect_refused({.no = {0, 0}}, {"00002-of", "split.no", "0", "1"});
  expect_refused({.count = {2, 3}}, {"00002-of", "split.count", "3", "2"});
  expect_refused({.tensors = 4}, {"split.tensors.count", "4", "3"});
  expect_refused({.tensors = 2}, {"split.tensors.count", "2", "3"});
  expect_refused({.third = "a"}, {"'a'", "again", "part 2"});
  expect_refused({.third = "b"}, {"'b'", "twice"});
  expect_refused({.count = {3, 3}}, {"split in 3"});
  expect_refused({.no = {1, 1}}, {"part 2 of 2", "m-00001-of-00002.gguf"});
  expect_refused({.count = {1025, 2}}, {"split.count", "1025"});
}

TEST_F(SplitTest, MissingAndRenamedParts) {
  ASSERT_TRUE(open_split({}));
  fs::copy_file(path("m-00001-of-00002.gguf"), path("renamed.gguf"));
  EXPECT_THAT(Gguf::open(path("renamed.gguf")).error().message, HasSubstr("NAME-00001-of-00002"));
  const auto second = Gguf::open(path("m-00002-of-00002.gguf"));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("open the first one, m-00001-of-00002.gguf"));
  fs::remove(path("m-00002-of-00002.gguf"));
  const auto gguf = Gguf::open(path("m-00001-of-00002.gguf"));
  ASSERT_FALSE(gguf);
  EXPECT_EQ(gguf.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(gguf.error().message, HasSubstr("m-00002-of-00002.gguf"));
}

TEST_F(GgufTest, TheWriterWritesWhatIsRead) {
  const std::vector<std::pair<std::string, GgufValue>> metadata = {
      {"s", std::string("text \xff")},
      {"u", std::uint64_t{3}},
      {"large", kHuge},
      {"i", std::int64_t{-5}},
      {"wide", std::numeric_limits<std::int64_t>::min()},
      {"f", 0.25},
      {"b", true},
      {"flags", std::vector{true, false}},
      {"ints", std::vector<std::int64_t>{-1, 2}},
      {"wide ints", std::vector<std::int64_t>{-1, std::int64_t{1} << 40}},
      {"uints", std::vector<std::uint64_t>{1, 2}},
      {"reals", std::vector{0.5, 2.0}},
      {"texts", std::vector<std::string>{"", "x"}},
      {"none", std::vector<std::string>{}},
  };
  auto writer = GgufWriter::create(path());
  ASSERT_TRUE(writer) << writer.error().message;
  for (const auto& [key, value] : metadata) writer->add(key, value);
  const std::uint64_t odd[] = {5, 3}, blocks[] = {64, 2, 2};
  writer->add_tensor("odd", TensorType::kF16, odd);
  writer->add_tensor("blocks", TensorType::kQ4_0, blocks);
  ASSERT_TRUE(writer->begin_data());
  EXPECT_FALSE(fs::exists(path()));  // not before it is complete
  std::vector<std::byte> data(30 + 144);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i);
  ASSERT_TRUE(writer->write(std::span(data).first(7)));
  EXPECT_FALSE(writer->finish());
  ASSERT_TRUE(writer->write(std::span(data).subspan(7, 60)));
  ASSERT_TRUE(writer->write(std::span(data).subspan(67)));
  const auto finished = writer->finish();
  ASSERT_TRUE(finished) << finished.error().message;

  const auto gguf = Gguf::open(path());
  ASSERT_TRUE(gguf) << gguf.error().message;
  ASSERT_EQ(gguf->metadata().size(), metadata.size());
  for (std::size_t i = 0; i < metadata.size(); ++i)
    EXPECT_TRUE(gguf->metadata()[i] == metadata[i]) << metadata[i].first;
  std::vector<std::byte> read(data.size());
  ASSERT_TRUE(gguf->read(gguf->tensors()[0], 0, std::span(read).first(30)));
  ASSERT_TRUE(gguf->read(gguf->tensors()[1], 0, std::span(read).subspan(30)));
  EXPECT_EQ(read, data);
  EXPECT_EQ(gguf->tensors()[1].offset % 32, 0u);
  EXPECT_EQ(gguf->tensors()[1].dimensions, 3);
}

TEST_F(GgufTest, TheWriterLeavesNothingBehind) {
  const auto refused = [this](std::string_view name, TensorType type,
                              std::vector<std::uint64_t> shape) {
    auto writer = GgufWriter::create(path());
    writer->add_tensor("t", TensorType::kF32, std::array{std::uint64_t{1}});
    writer->add_tensor(name, type, shape);
    return !writer->begin_data();
  };
  EXPECT_TRUE(refused("t", TensorType::kF32, {8}));
  EXPECT_TRUE(refused("", TensorType::kF32, {8}));
  EXPECT_TRUE(refused(std::string(64, 'n'), TensorType::kF32, {8}));
  EXPECT_TRUE(refused("u", TensorType::kQ4_0, {48}));
  EXPECT_TRUE(refused("u", TensorType::kF32, {}));
  EXPECT_TRUE(refused("u", TensorType::kF32, {0}));
  EXPECT_TRUE(refused("u", TensorType::kF32, {1, 1, 1, 1, 1}));
  EXPECT_TRUE(refused("u", TensorType::kF32, {kHuge, kHuge}));
  EXPECT_FALSE(refused("u", TensorType::kQ4_0, {32}));
  EXPECT_TRUE(fs::is_empty(path("")));
  EXPECT_FALSE(GgufWriter::create(path("no/such/directory.gguf")));
}

}  // namespace
}  // namespace lathe::infer

// safetensors that are sound, cut at every byte, and hostile.
#include "infer/formats/safetensors.h"

#include <gmock/gmock.h>
#include <unistd.h>

namespace lathe::infer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string file_of(std::string_view header, std::string_view data) {
  const std::uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
  return bytes.append(header).append(data);
}

class SafeTensorsTest : public ::testing::Test {
 protected:
  fs::path path(std::string_view name) const { return directory_->path() / name; }
  void put(std::string_view name, std::string_view bytes) {
    ASSERT_TRUE(write_file_atomic(path(name), bytes));
  }
  Result<SafeTensors> open(std::string_view bytes) {
    put("m.safetensors", bytes);
    return SafeTensors::open_file(path("m.safetensors"));
  }
  // Of 16 bytes of data.
  void expect_refused(std::string_view header, std::vector<std::string> says) {
    const auto model = open(file_of(header, std::string(16, 'x')));
    ASSERT_FALSE(model) << header;
    EXPECT_EQ(model.error().kind, ErrorKind::kInvalid);
    EXPECT_THAT(model.error().message, HasSubstr("m.safetensors"));
    for (const std::string& part : says) EXPECT_THAT(model.error().message, HasSubstr(part));
  }

 private:
  Result<TempDir> directory_ = TempDir::make();
};

constexpr std::string_view kHeader =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,2],"data_offsets":[8,16]},)"
    R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )";

TEST_F(SafeTensorsTest, ReadsWhatIsThere) {
  const auto model = open(file_of(kHeader, "aaaaAAAAbbbbBBBB"));
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ(model->tensors().size(), 2u);
  const SafeTensor* b = model->find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, "BF16");
  EXPECT_THAT(b->shape, ElementsAre(2u, 2u));
  EXPECT_EQ(model->find("c"), nullptr);
  std::string bytes(4, ' ');
  ASSERT_TRUE(model->read(*b, 4, std::as_writable_bytes(std::span(bytes))));
  EXPECT_EQ(bytes, "BBBB");
  EXPECT_FALSE(model->read(*b, 5, std::as_writable_bytes(std::span(bytes))));
  EXPECT_FALSE(model->read(*b, ~std::uint64_t{0}, std::as_writable_bytes(std::span(bytes))));
  ASSERT_EQ(::truncate(path("m.safetensors").c_str(), 20), 0);
  EXPECT_THAT(model->read(*b, 4, std::as_writable_bytes(std::span(bytes))).error().message,
              HasSubstr("changed"));
}

TEST_F(SafeTensorsTest, TruncatedAtEveryOffset) {
  const std::string whole = file_of(kHeader, "aaaaAAAAbbbbBBBB");
  for (std::size_t size = 0; size < whole.size(); ++size)
    ASSERT_FALSE(open(std::string_view(whole).substr(0, size))) << size;
  EXPECT_FALSE(open(whole + "x"));
}

TEST_F(SafeTensorsTest, HostileHeadersAreRefusedWithFieldAndValue) {
  const auto entry = [](std::string_view fields) {
    return fmt::format(R"({{"t":{{{}}}}})", fields);
  };
  expect_refused("[]", {"'{'"});
  expect_refused("", {"'{'"});
  expect_refused("{\"t\":", {"JSON", "byte"});
  expect_refused("{}", {"0", "16"});
  expect_refused(R"({"t":1})", {"'t'", "object"});
  expect_refused(R"({"t":{},"t":{}})", {"\"t\"", "twice"});
  expect_refused(entry(R"("shape":[4],"data_offsets":[0,16])"), {"'t'", "dtype"});
  expect_refused(entry(R"("dtype":"F7","shape":[4],"data_offsets":[0,16])"), {"'t'", "F7"});
  expect_refused(entry(R"("dtype":"F32","shape":4,"data_offsets":[0,16])"), {"'t'", "shape"});
  expect_refused(entry(R"("dtype":"F32","shape":[-4],"data_offsets":[0,16])"), {"'t'", "shape"});
  expect_refused(entry(R"("dtype":"F32","shape":[4.0],"data_offsets":[0,16])"), {"'t'", "shape"});
  expect_refused(entry(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,16])"),
                 {"'t'", "9 dimensions"});
  expect_refused(entry(R"("dtype":"F32","shape":[4],"data_offsets":[0])"), {"'t'", "data_offsets"});
  expect_refused(entry(R"("dtype":"F32","shape":[4],"data_offsets":[16,0])"), {"'t'", "[16, 0]"});
  expect_refused(entry(R"("dtype":"F32","shape":[4],"data_offsets":[0,17])"), {"'t'", "17", "16"});
  expect_refused(entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,16])"), {"'t'", "16", "12"});
  expect_refused(entry(R"("dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0])"),
                 {"'t'"});
  expect_refused(entry(R"("dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4])"),
                 {"'t'"});
  // A hole, an overlap, an end too early.
  expect_refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                 R"("b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})",
                 {"'b'", "8", "4"});
  expect_refused(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},)"
                 R"("b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})",
                 {"'b'", "8", "9"});
  expect_refused(entry(R"("dtype":"U8","shape":[15],"data_offsets":[0,15])"), {"15", "16"});
  expect_refused(std::string(2000, '[').insert(0, "{\"t\":"), {"deeper"});
  const std::uint64_t huge = ~std::uint64_t{0};
  const std::string_view length(reinterpret_cast<const char*>(&huge), sizeof huge);
  EXPECT_THAT(open(length).error().message, HasSubstr("18446744073709551615"));
}

TEST_F(SafeTensorsTest, ADirectoryWithAnIndex) {
  const auto one = [](char name) {
    return file_of(
        fmt::format(R"({{"{}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}}})", name),
        std::string(4, name));
  };
  put("m1.safetensors", one('a'));
  put("m2.safetensors", one('b'));
  const auto with = [this](std::string_view index) {
    put("model.safetensors.index.json", index);
    return SafeTensors::open_directory(path(""));
  };
  const auto model = with(R"({"weight_map":{"a":"m1.safetensors","b":"m2.safetensors"}})");
  ASSERT_TRUE(model) << model.error().message;
  std::string bytes(4, ' ');
  ASSERT_TRUE(model->read(*model->find("b"), 0, std::as_writable_bytes(std::span(bytes))));
  EXPECT_EQ(bytes, "bbbb");

  const auto says = [&](std::string_view index, std::vector<std::string> parts) {
    const auto refused = with(index);
    ASSERT_FALSE(refused) << index;
    for (const std::string& part : parts) EXPECT_THAT(refused.error().message, HasSubstr(part));
  };
  says("{}", {"weight_map"});
  says("[]", {"weight_map"});
  says(R"({"weight_map":{"a":"m1.safetensors","b":"m3.safetensors"}})", {"m3.safetensors"});
  says(R"({"weight_map":{"a":"m1.safetensors","c":"m2.safetensors"}})", {"'c'", "m2.safetensors"});
  says(R"({"weight_map":{"a":"m2.safetensors","b":"m1.safetensors"}})", {"'a'", "m2.safetensors"});
  says(R"({"weight_map":{"a":"../m1.safetensors"}})", {"'a'", "../m1.safetensors"});
  says(R"({"weight_map":{"a":"/etc/passwd"}})", {"'a'", "/etc/passwd"});
  says(R"({"weight_map":{"a":7}})", {"'a'"});
  put("m2.safetensors", one('a'));
  says(R"({"weight_map":{"a":"m1.safetensors","b":"m2.safetensors"}})", {"'a'", "m1.safetensors"});
}

TEST_F(SafeTensorsTest, WhatIsNotThere) {
  EXPECT_EQ(SafeTensors::open_directory(path("")).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(SafeTensors::open_file(path("absent")).error().kind, ErrorKind::kNotFound);
  put("model.safetensors", file_of("{}", ""));
  EXPECT_TRUE(SafeTensors::open_directory(path("")));
}

}  // namespace
}  // namespace lathe::infer

// The decisions of pulling: names, URLs, listings, which files, where a body belongs, when to ask
// again, and notes.
#include "ground/base/hash.h"
#include "serve/hub/choose.h"
#include "serve/hub/download.h"
#include "serve/hub/pull.h"
#include "serve/hub/pulled.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;

const std::string kDigest(64, 'a');

TEST(Source, ReadsAHubsModel) {
  const auto plain = parse_source("Qwen/Qwen3-8B-GGUF");
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->repo, "Qwen/Qwen3-8B-GGUF");
  EXPECT_EQ(plain->wanted, "");
  EXPECT_FALSE(plain->ollama);
  EXPECT_EQ(parse_source("o/r:Q4_K_M")->wanted, "Q4_K_M");
  EXPECT_EQ(parse_source("o/r:below/x.gguf")->wanted, "below/x.gguf");
  EXPECT_EQ(parse_source("https://huggingface.co/o/r:Q8_0")->text(), "o/r:Q8_0");
  EXPECT_EQ(parse_source("hf.co/o/r")->text(), "o/r");
}

TEST(Source, ReadsARegistrysModel) {
  EXPECT_EQ(parse_source("ollama:qwen3")->text(), "ollama:qwen3:latest");
  EXPECT_EQ(parse_source("ollama:qwen3:8b")->repo, "library/qwen3");
  EXPECT_EQ(parse_source("ollama:me/qwen3:8b")->text(), "ollama:me/qwen3:8b");
  EXPECT_EQ(parse_ollama_name("me/qwen3:8b")->text(), "ollama:me/qwen3:8b");
  EXPECT_EQ(parse_ollama_name("hf.co/o/r:Q4_0")->text(), "o/r:Q4_0");
  EXPECT_FALSE(parse_ollama_name("hf.co/o/r:Q4_0")->ollama);
}

TEST(Source, RefusesWhatLeadsElsewhere) {
  for (const char* text : {"",
                           "r",
                           "o/",
                           "/r",
                           "o/r/x",
                           "../r",
                           "o/..",
                           "o/r:",
                           "o/r:/x",
                           "o/r:../x",
                           "o/r:a//b",
                           "o/r:a\\b",
                           "o/r:a\nb",
                           "o/r?x",
                           "o/r#x",
                           "o r/x",
                           "ollama:",
                           "ollama:a/b/c",
                           "ollama:x:..",
                           "ollama:x:a/b",
                           "http://other/o/r"})
    EXPECT_FALSE(parse_source(text)) << text;
}

TEST(Source, WritesUrls) {
  const ModelSource hub = *parse_source("o/r");
  EXPECT_EQ(listing_url("https://h", hub), "https://h/api/models/o/r/revision/main?blobs=true");
  EXPECT_EQ(hub_file_url("https://h", "o/r", "c0ffee", "a b/x%+.gguf"),
            "https://h/o/r/resolve/c0ffee/a%20b/x%25%2B.gguf");
  const ModelSource registry = *parse_source("ollama:x:1b");
  EXPECT_EQ(listing_url("https://h", registry), "https://h/v2/library/x/manifests/1b");
  EXPECT_EQ(blob_url("https://h", registry.repo, kDigest),
            "https://h/v2/library/x/blobs/sha256:" + kDigest);
}

TEST(Listing, TakesSizesAndDigestsOfLargeFiles) {
  const Json answer = {
      {"sha", "c0ffee"},
      {"siblings",
       {{{"rfilename", "README.md"}, {"size", 10}},
        {{"rfilename", "x.gguf"}, {"size", 134}, {"lfs", {{"sha256", kDigest}, {"size", 5000}}}},
        {{"rfilename", "y.gguf"},
         {"size", 7},
         {"lfs", {{"oid", "sha256:" + kDigest}, {"size", 6}}}},
        {{"rfilename", "z.gguf"}, {"size", -7}, {"lfs", {{"sha256", "../x"}, {"size", 1e300}}}}}}};
  const auto listing = read_hub_listing(answer, "o/r");
  ASSERT_TRUE(listing) << listing.error().message;
  ASSERT_EQ(listing->files.size(), 4U);
  EXPECT_EQ(listing->files[0].sha256, "");
  EXPECT_EQ(listing->files[1].bytes, 5000U);
  EXPECT_EQ(listing->files[1].sha256, kDigest);
  EXPECT_EQ(listing->files[2].sha256, kDigest);
  EXPECT_EQ(listing->files[3].sha256, "");
  EXPECT_EQ(listing->files[3].bytes, 0U);
}

TEST(Listing, RefusesWhatIsNone) {
  EXPECT_FALSE(read_hub_listing(Json::object(), "o/r"));
  EXPECT_FALSE(read_hub_listing({{"sha", "c0ffee"}, {"siblings", 3}}, "o/r"));
  EXPECT_FALSE(read_hub_listing({{"sha", "../main"}, {"siblings", Json::array()}}, "o/r"));
}

TEST(Listing, FindsTheModelOfAManifest) {
  const Json model = {{"mediaType", "application/vnd.ollama.image.model"},
                      {"digest", "sha256:" + kDigest},
                      {"size", 9}};
  const Json license = {{"mediaType", "application/vnd.ollama.image.license"}};
  const auto file = read_manifest({{"layers", {license, model}}}, "ollama:x:latest");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->sha256, kDigest);
  EXPECT_EQ(file->bytes, 9U);
  EXPECT_FALSE(read_manifest({{"layers", {license}}}, "x"));
  EXPECT_FALSE(read_manifest({{"layers", {model, model}}}, "x"));
  Json wrong = model;
  wrong["digest"] = "sha256:../../etc/passwd";
  EXPECT_FALSE(read_manifest({{"layers", {wrong}}}, "x"));
  wrong["digest"] = kDigest;  // of which kind?
  EXPECT_FALSE(read_manifest({{"layers", {wrong}}}, "x"));
}

Result<ChosenModel> choose(const std::vector<std::string>& paths, const std::string& wanted) {
  RepoListing listing{"c0ffee", {}};
  for (const std::string& path : paths) listing.files.push_back({path, 10, kDigest});
  return choose_model(listing, {.repo = "o/r", .wanted = wanted});
}

std::string name_of(const std::vector<std::string>& paths, const std::string& wanted) {
  const auto chosen = choose(paths, wanted);
  return chosen ? chosen->name : chosen.error().message;
}

TEST(Choose, AQuantizationIsTheEndOfAName) {
  const std::vector<std::string> paths{"m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m.Q8_0.gguf",
                                       "m-bf16.gguf",   "m-xQ4_0.gguf",  "README.md"};
  EXPECT_EQ(name_of(paths, "q4_k_s"), "m-Q4_K_S");
  EXPECT_EQ(name_of(paths, "Q8_0"), "m.Q8_0");
  EXPECT_EQ(name_of(paths, "BF16"), "m-bf16");
  EXPECT_THAT(name_of(paths, "Q4_0"), HasSubstr("nothing in Q4_0"));
  EXPECT_THAT(name_of(paths, "K_M"), HasSubstr("m-Q4_K_M"));
}

TEST(Choose, TheMiddleWayWhereNobodySays) {
  const std::vector<std::string> paths{"m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q2_K.gguf"};
  const auto chosen = choose(paths, "");
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->name, "m-Q4_K_M");
  EXPECT_TRUE(chosen->by_default);
  EXPECT_EQ(name_of({"m-Q8_0.gguf", "m-Q2_K.gguf"}, ""), "m-Q8_0");
  EXPECT_EQ(name_of({"odd.gguf"}, ""), "odd");
  EXPECT_FALSE(choose({"odd.gguf"}, "")->by_default);
  EXPECT_FALSE(choose({"a-Q2_K.gguf", "b-Q3_K.gguf"}, ""));
}

TEST(Choose, TwoModelsOfOneQuantizationAreNotGuessed) {
  EXPECT_EQ(name_of({"m-UD-Q4_K_XL.gguf", "m-Q4_K_XL.gguf"}, "Q4_K_XL"), "m-Q4_K_XL");
  EXPECT_EQ(name_of({"m-UD-Q4_K_XL.gguf", "m-Q4_K_XL.gguf"}, "UD-Q4_K_XL"), "m-UD-Q4_K_XL");
  EXPECT_FALSE(choose({"m-7b-Q4_0.gguf", "m-13b-Q4_0.gguf"}, "Q4_0"));
  EXPECT_FALSE(choose({"a/m-Q4_0.gguf", "b/m-Q4_0.gguf"}, "Q4_0"));
  EXPECT_EQ(name_of({"a/m-Q4_0.gguf", "b/m-Q4_0.gguf"}, "b/m-Q4_0.gguf"), "m-Q4_0");
}

TEST(Choose, WhatIsNoModelIsLeftOut) {
  EXPECT_EQ(name_of({"m-Q4_0.gguf", "mmproj-m-Q4_0.gguf", "m.imatrix.gguf"}, ""), "m-Q4_0");
  EXPECT_THAT(name_of({"a.safetensors", ".gguf", "x.GGUF"}, ""), HasSubstr("no GGUF file"));
}

TEST(Choose, PartsAreOneModelInOrder) {
  const auto chosen =
      choose({"Q4/m-Q4_0-00002-of-00002.gguf", "Q4/m-Q4_0-00001-of-00002.gguf"}, "Q4_0");
  ASSERT_TRUE(chosen) << chosen.error().message;
  EXPECT_EQ(chosen->name, "m-Q4_0");
  ASSERT_EQ(chosen->files.size(), 2U);
  EXPECT_EQ(chosen->files[0].path, "Q4/m-Q4_0-00001-of-00002.gguf");
  EXPECT_EQ(name_of({"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}, "m-00002-of-00002.gguf"),
            "m");
  EXPECT_THAT(name_of({"m-00001-of-00003.gguf", "m-00003-of-00003.gguf"}, ""),
              HasSubstr("has 3 parts, and 2 of them are there"));
  EXPECT_EQ(name_of({"m-00003-of-00002.gguf"}, ""), "m-00003-of-00002");
}

TEST(Choose, NamesThatAFileMayHave) {
  EXPECT_EQ(kept_name("a/b/c.gguf"), "c.gguf");
  for (const std::string path :
       {"a/.c.gguf", "a b.gguf", "a\\b.gguf", "\x1b.gguf", "\xc3\xa4.gguf"})
    EXPECT_EQ(kept_name(path), "") << path;
  EXPECT_EQ(kept_name(std::string(201, 'x')), "");
}

HttpAnswer head_of(int status, std::vector<std::pair<std::string, std::string>> headers) {
  HttpAnswer head;
  head.status = status;
  head.headers = std::move(headers);
  return head;
}

TEST(BodyStart, AppendsOnlyWhatBelongsThere) {
  const auto part = [](const std::string& range) {
    return body_start(head_of(206, {{"content-range", range}}), 100, 1000, "f");
  };
  EXPECT_EQ(part("bytes 100-999/1000").value_or(1), 100U);
  EXPECT_EQ(part("bytes 100-999/*").value_or(1), 100U);
  for (const char* range :
       {"bytes 99-999/1000", "bytes 0-999/1000", "bytes 100-999/1001", "", "bytes */1000",
        "bytes -/1000", "items 100-999/1000", "bytes 100/1000-2"})
    EXPECT_FALSE(part(range)) << range;
}

TEST(BodyStart, AWholeFileBeginsAgain) {
  EXPECT_EQ(body_start(head_of(200, {}), 100, 1000, "f").value_or(1), 0U);
  EXPECT_EQ(body_start(head_of(200, {{"content-length", "1000"}}), 100, 1000, "f").value_or(1), 0U);
  const auto other = body_start(head_of(200, {{"content-length", "900"}}), 0, 1000, "f");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("900"));
}

TEST(Attempts, AreFewAndWaitAsAsked) {
  EXPECT_EQ(wait_before(1, Milliseconds(-1)), Milliseconds(500));
  EXPECT_EQ(wait_before(4, Milliseconds(0)), Milliseconds(4000));
  EXPECT_EQ(wait_before(1, Milliseconds(9000)), Milliseconds(9000));
  EXPECT_FALSE(wait_before(5, Milliseconds(0)));
  EXPECT_FALSE(wait_before(1, Milliseconds(31'000)));
  for (const int status : {408, 429, 500, 503}) EXPECT_TRUE(may_pass(status)) << status;
  for (const int status : {400, 401, 403, 404, 410, 416}) EXPECT_FALSE(may_pass(status)) << status;
}

TEST(Refusals, SayWhatToDo) {
  const ModelSource hub = *parse_source("o/r");
  const auto said = [&](int status, const std::string& token, const ModelSource& source) {
    return refusal_of(head_of(status, {}), {.base = "https://h", .token = token}, source, "o/r")
        .message;
  };
  EXPECT_THAT(said(401, "", hub), HasSubstr("https://h/o/r"));
  EXPECT_THAT(said(401, "", hub), HasSubstr("HF_TOKEN"));
  EXPECT_THAT(said(401, "secret", hub), HasSubstr("not taken"));
  EXPECT_THAT(said(401, "secret", hub), ::testing::Not(HasSubstr("secret")));
  EXPECT_THAT(said(403, "secret", hub), HasSubstr("accept the terms"));
  EXPECT_THAT(said(401, "", *parse_source("ollama:x")), HasSubstr("registry"));
}

TEST(Rate, IsThatOfTheLastSeconds) {
  RateMeter meter;
  EXPECT_EQ(meter.bytes_per_second(), 0);
  EXPECT_FALSE(meter.left(100));
  for (int second = 0; second <= 100; ++second)
    meter.add(Milliseconds(second * 1000),
              static_cast<std::uint64_t>(second < 50 ? second : 50 + (second - 50) * 10));
  EXPECT_NEAR(meter.bytes_per_second(), 10, 0.01);
  EXPECT_EQ(meter.left(650), Milliseconds(10'000));
  EXPECT_EQ(meter.left(550), Milliseconds(0));
  EXPECT_FALSE(meter.left(1));
}

TEST(Notes, NameWhatMayBeRemoved) {
  const auto dir = TempDir::make();
  ASSERT_TRUE(dir);
  const PulledModel model{.name = "m",
                          .source = "o/r:Q4_0",
                          .revision = "c0ffee",
                          .files = {{"m.gguf", 3, kDigest, true}, {"n.gguf", 4, kDigest}}};
  ASSERT_TRUE(write_note(dir->path(), model));
  ASSERT_TRUE(write_file_atomic(dir->path() / "m.gguf", "abc"));
  ASSERT_TRUE(write_file_atomic(dir->path() / "others.gguf", "abc"));
  const auto notes = read_notes(dir->path());
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_EQ(notes[0].source, "o/r:Q4_0");
  EXPECT_FALSE(notes[0].whole(dir->path()));
  PulledModel done = notes[0];
  ASSERT_TRUE(write_file_atomic(dir->path() / "n.gguf", "abcd"));
  EXPECT_FALSE(done.whole(dir->path())) << "not verified";
  done.files[1].done = true;
  EXPECT_TRUE(done.whole(dir->path()));
  fs::remove(dir->path() / "n.gguf");
  ASSERT_TRUE(write_file_atomic(part_path(dir->path(), "n.gguf"), "ab"));
  ASSERT_TRUE(remove_pulled(dir->path(), notes[0]));
  const auto left = list_files(dir->path());
  ASSERT_TRUE(left);
  EXPECT_THAT(*left, ::testing::ElementsAre("others.gguf"));
}

TEST(Notes, OneThatLeadsElsewhereIsNone) {
  const auto dir = TempDir::make();
  ASSERT_TRUE(dir);
  for (const char* name : {"../x.gguf", "/etc/x", ".x", "a/b", ""})
    ASSERT_TRUE(write_note(
        dir->path(), {.name = "m", .source = "o/r", .revision = {}, .files = {{name, 1, kDigest}}}))
        << name;
  EXPECT_TRUE(read_notes(dir->path()).empty());
}

}  // namespace
}  // namespace lathe::serve

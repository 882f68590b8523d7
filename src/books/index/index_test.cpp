// The index: what it finds, that it always finds the same, and what is left when a process dies.
#include "books/index/index.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>
#include <map>

#include "books/index/vectors.h"

namespace lathe::books {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The same numbers on every machine.
class Numbers {
 public:
  std::size_t below(std::size_t n) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::size_t>(state_ >> 33) % n;
  }

 private:
  std::uint64_t state_ = 42;
};

class Index : public ::testing::Test {
 protected:
  void SetUp() override {
    auto dir = TempDir::make();
    ASSERT_TRUE(dir);
    dir_.emplace(*std::move(dir));
    fs::create_directories(docs());
  }
  fs::path docs() const { return dir_->path() / "docs"; }
  fs::path file() const { return dir_->path() / "index.db"; }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((docs() / path).parent_path());
    std::ofstream(docs() / path) << text;
  }
  DocumentIndex open() const {
    auto index = DocumentIndex::make(file());
    EXPECT_TRUE(index) << index.error().message;
    return *std::move(index);
  }
  IndexChange update(DocumentIndex& index, const Embedder* embedder = nullptr) const {
    auto change = index.update({docs()}, reader_, embedder, stop_);
    EXPECT_TRUE(change) << change.error().message;
    return change.value_or(IndexChange{});
  }
  static std::vector<Hit> search(const DocumentIndex& index, const std::string& query,
                                 const Embedder* embedder = nullptr, std::size_t k = 6) {
    auto hits = index.search(query, k, embedder);
    EXPECT_TRUE(hits) << hits.error().message;
    return hits.value_or(std::vector<Hit>{});
  }
  static std::string said(const std::vector<Hit>& hits) {
    std::string text;
    for (const Hit& hit : hits)
      text += fmt::format("{} {} {}-{} {:a} {}\n", hit.id, hit.file, hit.first_line, hit.last_line,
                          hit.score, hit.text);
    return text;
  }
  static std::string why(const IndexChange& change, const std::string& path) {
    for (const auto& each : change.unread)
      if (each.path == path) return each.why;
    return "";
  }

  std::optional<TempDir> dir_;
  TextReader reader_;
  StopFlag stop_;
};

TEST_F(Index, FindsAChunkWithItsPlace) {
  write("a.md", "# Setup\n\nThe port is 8080.\n\n## Über\n\nZoë's café opens at nine.\n");
  write("deep/b.txt", "Nothing of that.\n");
  DocumentIndex index = open();
  const IndexChange change = update(index);
  EXPECT_EQ(change.files, 2U);
  EXPECT_EQ(change.read, 2U);
  const auto hits = search(index, "zoe CAFE");
  ASSERT_EQ(hits.size(), 1U);
  EXPECT_EQ(hits[0].file, "a.md");
  EXPECT_EQ(hits[0].first_line, 5U);
  EXPECT_EQ(hits[0].last_line, 7U);
  EXPECT_EQ(hits[0].heading, "Setup › Über");
  EXPECT_EQ(hits[0].text, "## Über\n\nZoë's café opens at nine.");
  EXPECT_TRUE(hits[0].id.ends_with(":28-65")) << hits[0].id;
  EXPECT_THAT(search(index, "\" OR * NEAR( \"\" { - ;"), IsEmpty());
  EXPECT_THAT(search(index, "quite another"), IsEmpty());
}

// 200 facts among 20,000 chunks that share the parts of their names (design: agent.md, B5.8).
TEST_F(Index, FindsPlantedFactsByTheirExactNames) {
  Numbers numbers;
  const auto name = [&] {
    return fmt::format("{}{}-{:04}-{}", char('A' + numbers.below(26)),
                       char('A' + numbers.below(26)), numbers.below(10'000),
                       char('A' + numbers.below(26)));
  };
  std::map<std::string, std::string> facts;  // name → value
  while (facts.size() < 200) facts[name()] = fmt::format("value{}", facts.size());
  auto next = facts.begin();
  for (int f = 0; f < 200; ++f) {
    std::string text;
    for (int c = 0; c < 100; ++c) {
      text += fmt::format("## Part {}\n\n", c);
      for (int w = 0; w < 30; ++w) text += fmt::format("w{} ", numbers.below(3000));
      if (c % 3 == 0) text += fmt::format("The setting of device {} is open. ", name());
      if (c == f / 2)
        text += fmt::format("The setting of device {} is {}.", next->first, next->second), ++next;
      text += "\n\n";
    }
    write(fmt::format("f{:03}.md", f), text);
  }
  ASSERT_EQ(next, facts.end());
  DocumentIndex index = open();
  EXPECT_EQ(update(index).chunks, 20'000U);
  int found = 0;
  std::string first, second;
  for (const auto& [device, value] : facts) {
    const auto hits = search(index, fmt::format("What is the setting of device {}?", device));
    first += said(hits);
    found += std::ranges::any_of(
        hits, [&](const Hit& hit) { return hit.text.ends_with(device + " is " + value + "."); });
  }
  EXPECT_GE(found, 198);
  for (const auto& [device, value] : facts)
    second += said(search(index, fmt::format("What is the setting of device {}?", device)));
  EXPECT_EQ(first, second);
}

TEST_F(Index, AnUpdateKeepsWhatHasNotChangedAndAnswersAsANewIndexDoes) {
  Numbers numbers;
  const auto fill = [&](int f) {
    std::string text;
    for (int i = 0; i < 800; ++i)
      text += fmt::format("w{}{}", numbers.below(60), i % 40 == 39 ? "\n\n" : " ");
    write(fmt::format("{}.txt", f), text);
  };
  for (int f = 0; f < 30; ++f) fill(f);
  DocumentIndex index = open();
  update(index);
  for (const int f : {3, 7, 40}) fill(f);
  fs::remove(docs() / "9.txt");
  fs::copy_file(docs() / "1.txt", docs() / "copy.txt");
  EXPECT_THAT(*index.stale(), ElementsAre("3.txt", "7.txt", "9.txt"));
  const IndexChange change = update(index);
  EXPECT_EQ(change.read, 3U);
  EXPECT_EQ(change.kept, 28U);
  EXPECT_EQ(change.gone, 1U);
  EXPECT_EQ(change.files, 31U);
  EXPECT_THAT(*index.stale(), IsEmpty());
  auto fresh = DocumentIndex::make(dir_->path() / "fresh.db");
  ASSERT_TRUE(fresh);
  update(*fresh);
  for (int w = 0; w < 58; ++w) {
    const std::string query = fmt::format("w{} w{} w{}", w, w + 1, w + 2);
    EXPECT_EQ(said(search(index, query)), said(search(*fresh, query)));
  }
}

// Words that a deleted text alone had are in no page of the file.
TEST_F(Index, WhatIsGoneFromTheFilesIsGoneFromTheIndex) {
  write("a.txt", "the secretword of one\n");
  write("b.txt", "the other\n");
  const auto holds = [&] {
    std::string all;
    for (const char* end : {"", "-wal"}) {
      const auto bytes = read_file(file().string() + end);
      if (bytes) all += *bytes;
    }
    return all.contains("secretword") || all.contains("ecretword");
  };
  {
    DocumentIndex index = open();
    update(index);
  }
  EXPECT_TRUE(holds());
  fs::remove(docs() / "a.txt");
  {
    DocumentIndex index = open();
    update(index);
    EXPECT_THAT(search(index, "secretword"), IsEmpty());
  }
  EXPECT_FALSE(holds());
}

TEST_F(Index, NamesWhatIsNotRead) {
  write("good.txt", "fine\n");
  write("bytes.bin", std::string("a\0b", 3));
  write("latin.txt", "caf\xe9\n");
  write(".git/config", "fine\n");
  write(".env", "SECRET=fine\n");
  write("node_modules/x.js", "fine\n");
  std::ofstream(dir_->path() / "outside.txt") << "fine outside\n";
  fs::create_symlink(dir_->path() / "outside.txt", docs() / "link.txt");
  fs::create_directory_symlink(dir_->path(), docs() / "up");
  ASSERT_EQ(::mkfifo((docs() / "pipe").c_str(), 0600), 0);
  std::ofstream(docs() / "large.txt");
  fs::resize_file(docs() / "large.txt", kMaxIndexedFile + 1);
  DocumentIndex index = open();
  const IndexChange change = update(index);
  EXPECT_EQ(change.files, 1U);
  EXPECT_EQ(change.unread.size(), 6U);
  EXPECT_THAT(why(change, "bytes.bin"), HasSubstr("no text"));
  EXPECT_THAT(why(change, "latin.txt"), HasSubstr("no UTF-8 at byte 3"));
  EXPECT_THAT(why(change, "link.txt"), HasSubstr("symbolic link"));
  EXPECT_THAT(why(change, "up"), HasSubstr("symbolic link"));
  EXPECT_THAT(why(change, "pipe"), HasSubstr("no regular file"));
  EXPECT_THAT(why(change, "large.txt"), HasSubstr("64.0 MiB are read at most"));
  EXPECT_THAT(change.ignored, ElementsAre(".env", ".git", "node_modules"));
  EXPECT_EQ(search(index, "fine").size(), 1U);
  EXPECT_FALSE(index.update({dir_->path() / "none"}, reader_, nullptr, stop_));
}

// Two pages, of which the second says where its lines are.
class Paged : public TextReader {
 public:
  Result<DocumentText> read(std::string_view, const std::string&, const StopFlag&) const override {
    DocumentText document;
    document.text = "first page\nmore of it\nsecond page\n\nits end\n";
    document.pages = {0, 22};
    document.lines = {{22, 33, {72, 60, 140, 71}}, {35, 42, {50, 90, 120, 101}}};
    return document;
  }
};

TEST_F(Index, APassageHasItsPageAndItsBox) {
  write("a.pdf", "bytes");
  DocumentIndex index = open();
  ASSERT_TRUE(index.update({docs()}, Paged(), nullptr, stop_));
  const auto hits = search(index, "page");
  ASSERT_EQ(hits.size(), 2U);
  const Hit& first = hits[hits[0].page == 1 ? 0 : 1];
  const Hit& second = hits[hits[0].page == 1 ? 1 : 0];
  EXPECT_EQ(first.text, "first page\nmore of it");
  EXPECT_FALSE(first.box);
  EXPECT_EQ(second.page, 2U);
  EXPECT_EQ(second.first_line, 1U);
  ASSERT_TRUE(second.box);
  EXPECT_THAT(*second.box, ElementsAre(50, 60, 140, 101));
}

// Dies in the middle of an update.
class Deadly : public TextReader {
 public:
  explicit Deadly(int after) : after_(after) {}
  Result<DocumentText> read(std::string_view path, const std::string& bytes,
                            const StopFlag& stop) const override {
    if (after_-- == 0) ::raise(SIGKILL);
    return TextReader::read(path, bytes, stop);
  }

 private:
  mutable int after_;
};

TEST_F(Index, AKilledUpdateLeavesTheOldIndex) {
  for (int i = 0; i < 20; ++i) write(fmt::format("{}.txt", i), fmt::format("old text{}\n", i));
  const auto killed_after = [&](int files) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (auto index = DocumentIndex::make(file()))
        (void)index->update({docs()}, Deadly(files), nullptr, stop_);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
  };
  killed_after(10);
  EXPECT_THAT(search(open(), "old", nullptr, 50), IsEmpty());
  {
    DocumentIndex index = open();
    EXPECT_EQ(update(index).files, 20U);
  }
  for (int i = 0; i < 20; ++i) write(fmt::format("{}.txt", i), fmt::format("new text{}\n", i));
  for (const int files : {0, 1, 19}) {
    killed_after(files);
    EXPECT_EQ(search(open(), "old", nullptr, 50).size(), 20U);
    EXPECT_THAT(search(open(), "new", nullptr, 50), IsEmpty());
  }
  DocumentIndex index = open();
  EXPECT_EQ(update(index).read, 20U);
  EXPECT_EQ(search(index, "new", nullptr, 50).size(), 20U);
  EXPECT_THAT(search(index, "old", nullptr, 50), IsEmpty());
}

TEST_F(Index, AStoppedUpdateLeavesTheOldIndex) {
  write("a.txt", "old\n");
  DocumentIndex index = open();
  update(index);
  write("a.txt", "new\n");
  StopFlag stop;
  stop.raise();
  const auto change = index.update({docs()}, reader_, nullptr, stop);
  ASSERT_FALSE(change);
  EXPECT_EQ(change.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(search(index, "old").size(), 1U);
}

std::vector<float> vector_of(const std::string& text) {
  std::vector<float> vector(16);
  for (std::size_t i = 0; i < text.size(); ++i)
    vector[(i * 7 + static_cast<unsigned char>(text[i])) % 16] +=
        static_cast<float>(text[i] % 13) - 6.0F;
  return vector;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * double{b[i]};
    aa += double{a[i]} * double{a[i]};
    bb += double{b[i]} * double{b[i]};
  }
  return ab / std::sqrt(aa * bb);
}

TEST_F(Index, VectorsAreAllLookedAtAndFusedByRank) {
  int made = 0;
  const Embedder embedder{"tiny", "tiny:1", [&](const std::vector<std::string>& texts) {
                            std::vector<std::vector<float>> vectors;
                            for (const std::string& text : texts)
                              vectors.push_back(vector_of(text));
                            made += static_cast<int>(texts.size());
                            return Result<std::vector<std::vector<float>>>(vectors);
                          }};
  std::vector<std::string> texts;
  for (int i = 0; i < 150; ++i) {
    texts.push_back(fmt::format("entry {} of a list{}", i * i, i % 50 == 0 ? " rare" : ""));
    write(fmt::format("{:03}.txt", i), texts.back());
  }
  DocumentIndex index = open();
  update(index, &embedder);
  EXPECT_EQ(made, 150);
  EXPECT_EQ(index.facts()->embedder, "tiny");
  const std::string query = "rare thing";
  // By hand, in double: the order of angles, and what fusion makes of it.
  std::ranges::sort(texts, std::ranges::greater{}, [&](const std::string& text) {
    return cosine(vector_of(text), vector_of(query));
  });
  std::map<std::string, double> scores;
  for (std::size_t i = 0; i < 100; ++i) scores[texts[i]] = 1.0 / (61.0 + static_cast<double>(i));
  const auto words = search(index, query, nullptr, 50);
  ASSERT_EQ(words.size(), 3U);
  for (std::size_t i = 0; i < words.size(); ++i)
    scores[words[i].text] += 1.0 / (61.0 + static_cast<double>(i));
  for (const Hit& hit : search(index, query, &embedder, 10)) {
    const auto best =
        std::ranges::max_element(scores, {}, [](const auto& each) { return each.second; });
    EXPECT_NEAR(hit.score, best->second, 1e-12);
    EXPECT_NEAR(hit.score, scores[hit.text], 1e-12);
    scores.erase(hit.text);
  }
  // A new text alone is embedded; another model makes all anew; without one there are words alone.
  write("new.txt", "one more");
  made = 0;
  update(index, &embedder);
  EXPECT_EQ(made, 1);
  Embedder other = embedder;
  other.identity = "tiny:2";
  made = 0;
  update(index, &other);
  EXPECT_EQ(made, 151);
  update(index);
  EXPECT_EQ(index.facts()->embedder, "");
  EXPECT_EQ(said(search(index, query, &embedder)), said(search(index, query)));
}

TEST_F(Index, RefusesWhatIsNoIndexAndVectorsThatAreNone) {
  std::ofstream(file()) << "a text that is long enough to be looked at as a header of a database";
  EXPECT_FALSE(DocumentIndex::make(file()));
  fs::remove(file());
  EXPECT_FALSE(DocumentIndex::open(file()));
  EXPECT_FALSE(to_bytes({}));
  EXPECT_FALSE(to_bytes(std::vector<float>{0, 0}));
  EXPECT_FALSE(to_bytes(std::vector<float>{1, std::nanf("")}));
  write("a.txt", "text\n");
  DocumentIndex index = open();
  const Embedder broken{
      "broken", "broken", [](const std::vector<std::string>&) {
        return Result<std::vector<std::vector<float>>>(std::vector<std::vector<float>>{});
      }};
  const auto change = index.update({docs()}, reader_, &broken, stop_);
  ASSERT_FALSE(change);
  EXPECT_THAT(change.error().message, HasSubstr("0 embeddings of 1 texts"));
  EXPECT_THAT(search(index, "text"), IsEmpty());
}

}  // namespace
}  // namespace lathe::books

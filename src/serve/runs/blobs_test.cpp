// Artifacts: byte for byte, in ranges, of the type that they have; and those that are not given.
#include "serve/runs/byte_range.h"
#include "serve/runs/runs_test.h"
#include "serve/runs/sniff.h"

#include <fstream>

namespace lathe::serve {
namespace {

class BlobsTest : public RunsTest {
 protected:
  // A run that names artifacts with these bytes.
  void add_blobs(const std::vector<std::string>& all) const {
    books::Journal own = journal();
    Json named = Json::array();
    for (const std::string& bytes : all) named.push_back({{"blob", own.put_blob(bytes).value()}});
    books::Record record;
    record.kind = "run";
    record.body = {{"all", std::move(named)}};
    ASSERT_TRUE(own.create_run({"r1", "x", "y", 1}, std::vector{record}));
  }
  RawReply blob(const std::string& bytes, std::string_view headers = "") const {
    return get("/v1/blobs/" + sha256_hex(bytes), headers);
  }
};

TEST_F(BlobsTest, GivesWhatWasStored) {
  std::string all(1'500'000, '\0');
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i * 31 % 251);
  add_blobs({"", "plain <b>text</b>", all});
  EXPECT_EQ(blob("").body, "");
  EXPECT_EQ(blob("").status, 200);
  const RawReply text = blob("plain <b>text</b>");
  EXPECT_EQ(text.body, "plain <b>text</b>");
  for (const char* header :
       {"Content-Type: text/plain; charset=utf-8\r\n", "X-Content-Type-Options: nosniff\r\n",
        "Content-Security-Policy: sandbox; default-src 'none'\r\n", "Content-Length: 17\r\n",
        "Accept-Ranges: bytes\r\n", "Cache-Control: no-store\r\n"})
    EXPECT_THAT(text.head, HasSubstr(header));
  EXPECT_THAT(text.head, Not(HasSubstr("attachment")));
  const RawReply bytes = blob(all);
  EXPECT_TRUE(bytes.body == all);
  EXPECT_THAT(bytes.head, HasSubstr("Content-Disposition: attachment\r\n"));
  EXPECT_THAT(bytes.head, HasSubstr("Content-Type: application/octet-stream\r\n"));
}

TEST_F(BlobsTest, GivesARange) {
  add_blobs({"0123456789"});
  const RawReply part = blob("0123456789", "Range: bytes=2-4\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "234");
  EXPECT_THAT(part.head, HasSubstr("Content-Range: bytes 2-4/10\r\n"));
  const RawReply outside = blob("0123456789", "Range: bytes=10-\r\n");
  EXPECT_EQ(outside.status, 416);
  EXPECT_THAT(outside.head, HasSubstr("Content-Range: bytes */10\r\n"));
}

TEST_F(BlobsTest, HeadIsWithoutBody) {
  add_blobs({"0123456789"});
  RawClient client(server->port());
  const std::string path = "/blobs/" + sha256_hex("0123456789");
  client.send("HEAD " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(client.wait_for("\r\n\r\n"));
  client.get(path);
  // The second answer follows the first one's head at once.
  ASSERT_TRUE(client.wait_for("0123456789"));
  EXPECT_THAT(client.input(), HasSubstr("Content-Length: 10\r\n"));
  EXPECT_EQ(client.input().find("\r\n\r\nHTTP/1.1 200"), client.input().find("\r\n\r\n"));
}

// A client that reads slowly keeps one piece here, and gets all of it.
TEST_F(BlobsTest, ASlowReaderGetsAllOfIt) {
  std::string all(12 << 20, 'x');
  for (std::size_t i = 0; i < all.size(); i += 4096)
    all[i] = static_cast<char>('a' + i / 4096 % 26);
  add_blobs({all});
  RawClient client(server->port(), 4096);
  client.get("/blobs/" + sha256_hex(all));
  ASSERT_TRUE(client.wait_for("\r\n\r\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const RawReply reply = client.reply();
  EXPECT_TRUE(reply.whole);
  EXPECT_TRUE(reply.body == all);
}

// What draws gets the bytes that were stored, and what it says becomes the answer.
TEST_F(BlobsTest, APageIsGivenAsItIsDrawn) {
  const std::string page = "<!doctype html><p>page", broken = "<p>never ends", late = "<p>late";
  draw = [&](const std::string& sha256, std::shared_ptr<const std::string> bytes, auto done) {
    EXPECT_EQ(sha256, sha256_hex(*bytes));
    if (*bytes == broken) return done(invalid("the page never finishes"));
    if (*bytes == late) return done(fail(ErrorKind::kUnavailable, "too many"));
    std::thread([bytes, done] {
      done(std::make_shared<const std::string>("PNG of " + *bytes));
    }).detach();
  };
  start({});
  add_blobs({page, broken, late, "plain text", "a < b", std::string("\x89PNG\r\n\x1a\n<p>")});
  const auto path = [](const std::string& bytes) {
    return fmt::format("/v1/blobs/{}/page.png", sha256_hex(bytes));
  };
  const RawReply drawn = get(path(page));
  EXPECT_EQ(drawn.status, 200);
  EXPECT_EQ(drawn.body, "PNG of " + page);
  for (const char* header :
       {"Content-Type: image/png\r\n", "X-Content-Type-Options: nosniff\r\n",
        "Content-Security-Policy: sandbox; default-src 'none'\r\n", "Cache-Control: no-store\r\n"})
    EXPECT_THAT(drawn.head, HasSubstr(header));
  EXPECT_THAT(refusal(path(broken), 422), HasSubstr("never finishes"));
  EXPECT_THAT(refusal(path(late), 503), HasSubstr("too many"));
  for (const std::string& other :
       {std::string("plain text"), std::string("a < b"), std::string("\x89PNG\r\n\x1a\n<p>")})
    EXPECT_THAT(refusal(path(other), 415), HasSubstr("neither a page nor an SVG"));
  refusal(path("unknown"), 404);
}

TEST_F(BlobsTest, WhereNothingDrawsThatIsSaid) {
  add_blobs({"<svg/>"});
  EXPECT_THAT(refusal(fmt::format("/blobs/{}/page.png", sha256_hex("<svg/>")), 503),
              HasSubstr("nothing is drawn here"));
}

TEST_F(BlobsTest, WhatIsNotThereOrNotNamedIsNotGiven) {
  add_blobs({"here"});
  const std::string loose = journal().put_blob("loose").value();
  EXPECT_THAT(refusal("/blobs/" + loose, 404), HasSubstr(loose));
  refusal("/blobs/" + std::string(64, '0'), 404);
  for (const char* name :
       {"x", "..", "%00", "0", "ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD"})
    refusal(fmt::format("/blobs/{}", name), 400);
}

TEST_F(BlobsTest, ChangedBytesAreNotGiven) {
  add_blobs({"here"});
  const std::string name = sha256_hex("here");
  std::ofstream(dir.path() / "blobs" / name.substr(0, 2) / name) << "hers";
  EXPECT_THAT(refusal("/blobs/" + name, 500), HasSubstr("changed after they were stored"));
}

// 2 GiB that take no room on the disk: said before a byte of it is read.
TEST_F(BlobsTest, AHugeOneIsRefusedClearly) {
  add_blobs({"here"});
  const std::string name = sha256_hex("here");
  fs::resize_file(dir.path() / "blobs" / name.substr(0, 2) / name, std::uintmax_t{2} << 30);
  const std::string message = refusal("/blobs/" + name, 413);
  EXPECT_THAT(message, HasSubstr("2.0 GiB"));
  EXPECT_THAT(message, HasSubstr("lathe export"));
}

TEST(SniffTest, MarkupBeginsWithATag) {
  for (const char* markup :
       {"<p>", "<!doctype html>", "\n <svg/>", "\xef\xbb\xbf<html>", "<?xml ?>", "<!-- a --><p>"})
    EXPECT_TRUE(looks_like_markup(markup)) << markup;
  for (const char* other : {"", "<", "< p", "<3", "text <p>", "{}", "<p>\x01"})
    EXPECT_FALSE(looks_like_markup(other)) << other;
}

TEST(ByteRangeTest, IsReadAsRfc9110HasIt) {
  using How = WantedBytes::How;
  const auto wanted = [](const std::string& header) {
    const WantedBytes found = wanted_bytes(&header, 1000);
    return std::tuple(found.how, found.range.from, found.range.to);
  };
  using Found = std::tuple<How, std::size_t, std::size_t>;
  EXPECT_EQ(wanted_bytes(nullptr, 5).how, How::kAll);
  // RFC 9110, 14.1.2 has these.
  EXPECT_EQ(wanted("bytes=0-499"), Found(How::kPart, 0, 500));
  EXPECT_EQ(wanted("bytes=500-999"), Found(How::kPart, 500, 1000));
  EXPECT_EQ(wanted("bytes=-500"), Found(How::kPart, 500, 1000));
  EXPECT_EQ(wanted("bytes=950-"), Found(How::kPart, 950, 1000));
  EXPECT_EQ(wanted("bytes=0-0"), Found(How::kPart, 0, 1));
  EXPECT_EQ(wanted("bytes=-1"), Found(How::kPart, 999, 1000));
  EXPECT_EQ(wanted("bytes=-5000"), Found(How::kPart, 0, 1000));
  EXPECT_EQ(wanted("bytes=5-5000"), Found(How::kPart, 5, 1000));
  for (const char* outside : {"bytes=1000-", "bytes=1000-2000", "bytes=-0"})
    EXPECT_EQ(std::get<0>(wanted(outside)), How::kOutside) << outside;
  for (const char* all : {"bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "items=0-1",
                          "bytes=0-1,5-6", "bytes=99999999999999999999-", "", "bytes"})
    EXPECT_EQ(wanted(all), Found(How::kAll, 0, 1000)) << all;
  const std::string first = "bytes=0-";
  EXPECT_EQ(wanted_bytes(&first, 0).how, How::kOutside);
}

TEST(SniffTest, GoesByTheBytes) {
  const auto is = [](std::string_view bytes) { return std::string(sniffed_media_type(bytes)); };
  EXPECT_EQ(is("\x89PNG\r\n\x1a\n...."), "image/png");
  EXPECT_EQ(is("\xff\xd8\xff\xe0"), "image/jpeg");
  EXPECT_EQ(is(std::string("RIFF\0\0\0\0WAVEfmt ", 16)), "audio/wav");
  EXPECT_EQ(is(std::string("RIFF\0\0\0\0WEBPVP8 ", 16)), "image/webp");
  EXPECT_EQ(is("OggS"), "audio/ogg");
  EXPECT_EQ(is(std::string("\0\0\0\x18"
                           "ftypisom",
                           12)),
            "video/mp4");
  for (const char* text : {"", "hello\n", "<html><script>alert(1)</script>", "<svg onload='x'/>",
                           "{\"a\": 1}", "gr\xC3\xBC\xC3\x9F", "\t\r\n\f"})
    EXPECT_EQ(is(text), "text/plain; charset=utf-8") << text;
  for (const std::string& other : {std::string("a\0b", 3), std::string("\xff\xfe"),
                                   std::string("\x1b[31m"), std::string("%\x80")})
    EXPECT_EQ(is(other), "application/octet-stream");
}

}  // namespace
}  // namespace lathe::serve

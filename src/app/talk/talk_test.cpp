// Sentences as they come, however the text is cut; where an utterance ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/talk/sentences.h"
#include "app/talk/tool_user.h"
#include "app/talk/utterance.h"

namespace lathe::app {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> cut(std::string_view text, std::size_t piece) {
  SentenceCutter cutter;
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size(); at += piece)
    for (std::string& sentence : cutter.add(text.substr(at, piece)))
      all.push_back(std::move(sentence));
  for (std::string& sentence : cutter.end()) all.push_back(std::move(sentence));
  return all;
}

TEST(Sentences, AreTheSameHoweverTheTextComes) {
  constexpr std::string_view kText =
      "Good morning, Dr. Smith! It is 3.5 degrees at 10 a.m. today, isn't it? Yes.\nA new line\n\n"
      "** \n… And the rest";
  const std::vector<std::string> whole = cut(kText, kText.size());
  EXPECT_EQ(whole.front(), "Good morning, Dr. Smith!");
  EXPECT_EQ(whole.back(), "… And the rest");
  for (std::size_t piece = 1; piece < 20; ++piece) EXPECT_EQ(cut(kText, piece), whole) << piece;
}

TEST(Sentences, ComeAsSoonAsTheyAreWhole) {
  SentenceCutter cutter;
  EXPECT_THAT(cutter.add("One."), IsEmpty()) << "it may go on: 1.5, a.m.";
  EXPECT_THAT(cutter.add(" Tw"), ElementsAre("One."));
  EXPECT_THAT(cutter.add("o\nThree"), ElementsAre("Two"));
  EXPECT_THAT(cutter.end(), ElementsAre("Three"));
  EXPECT_THAT(cutter.end(), IsEmpty());
}

TEST(Sentences, HaveALongestLength) {
  std::string words;
  for (int i = 0; i < 400; ++i) words += "word ";
  const auto pieces = cut(words, 7);
  std::string together;
  for (const std::string& piece : pieces) {
    EXPECT_LE(piece.size(), SentenceCutter::kLongest);
    together += piece + " ";
  }
  EXPECT_EQ(together, words);
  // Without a blank: cut between characters.
  std::string letters = "x";
  for (int i = 0; i < 1000; ++i) letters += "ä";
  std::string again;
  for (const std::string& piece : cut(letters, 100)) {
    EXPECT_NE(static_cast<unsigned char>(piece[0]) & 0xC0U, 0x80U);
    again += piece;
  }
  EXPECT_EQ(again, letters);
}

TEST(Utterance, EndsWithAPause) {
  const auto sound = [](double loud_seconds, double quiet_seconds, std::int16_t loud = 3000) {
    std::vector<std::int16_t> samples(static_cast<std::size_t>(loud_seconds * 16000), loud);
    samples.resize(samples.size() + static_cast<std::size_t>(quiet_seconds * 16000));
    return samples;
  };
  EXPECT_TRUE(utterance_ended(sound(1, 1)));
  EXPECT_FALSE(utterance_ended(sound(1, 0.8)));
  EXPECT_FALSE(utterance_ended(sound(0, 5))) << "nobody has spoken";
  EXPECT_FALSE(utterance_ended(sound(0.1, 5))) << "a click";
  EXPECT_FALSE(utterance_ended(sound(1, 1, 300))) << "a fan: −40.8 dB";
  EXPECT_FALSE(utterance_ended({}));
}

TEST(Utterance, AVoiceIsNoticedAndAClickIsNot) {
  std::vector<std::int16_t> samples(16000);
  EXPECT_FALSE(speech_in(samples));
  samples.insert(samples.end(), 1600, 3000);  // a tenth of a second
  EXPECT_FALSE(speech_in(samples));
  samples.insert(samples.end(), 320, 3000);
  ASSERT_TRUE(speech_in(samples));
  EXPECT_LE(*speech_in(samples), 16000U);
  EXPECT_GE(*speech_in(samples), 16000U - 3200U);
  samples.insert(samples.end(), 32000, 300);
  EXPECT_TRUE(speech_in(samples)) << "it is over, and was there";
  EXPECT_FALSE(speech_in(std::span(samples).subspan(18000)));
  EXPECT_FALSE(speech_in({}));
}

// Calls the tool as often as it is told to, with its number, and then answers.
class CallingThinker final : public Worker {
 public:
  explicit CallingThinker(int calls, bool same = false) : calls_(calls), same_(same) {}
  WorkerInfo info() const override { return {"caller", "m", "here"}; }
  Result<Reply> complete(const Request& request, const StopFlag&,
                         const std::function<void(const Delta&)>& on_delta) override {
    seen.push_back(*request.talk());
    Reply reply;
    reply.usage.completion_tokens = 1;
    const int turn = static_cast<int>(seen.size()) - 1;
    reply.text = turn < calls_ ? "Let me see" : "It is so.";
    if (turn < calls_)
      reply.calls.push_back(
          {fmt::format("c{}", turn), "look", fmt::format(R"({{"n": {}}})", same_ ? 0 : turn)});
    on_delta({reply.text, ""});
    return reply;
  }
  std::vector<Talk> seen;

 private:
  const int calls_;
  const bool same_;
};

class Looking final : public ToolSet {
 public:
  std::vector<Tool> tools() const override { return {{.name = "look"}}; }
  bool reads_only(const std::string&) const override { return true; }
  Result<ToolAnswer> call(const FunctionCall& call, const StopFlag&) override {
    ++calls;
    return ToolAnswer{"seen " + call.arguments};
  }
  int calls = 0;
};

TEST(ToolUser, AnswersCallsUntilThereAreWords) {
  CallingThinker thinker(2);
  Looking tools;
  std::vector<std::string> told;
  ToolUser user(thinker, tools, [&](const FunctionCall& call, const ToolAnswer& answer, auto) {
    told.push_back(call.arguments + " " + answer.text);
    return Status();
  });
  Request request;
  request.ask = Talk{{{"user", "is it?"}}};
  std::string heard;
  const auto reply =
      user.complete(request, StopFlag(), [&](const Delta& delta) { heard += delta.text; });
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->text, "Let me see\nLet me see\nIt is so.");
  EXPECT_EQ(heard, reply->text);
  EXPECT_EQ(reply->usage.completion_tokens, 3);
  EXPECT_THAT(told, ElementsAre(R"({"n": 0} seen {"n": 0})", R"({"n": 1} seen {"n": 1})"));
  ASSERT_EQ(thinker.seen.size(), 3U);
  EXPECT_EQ(thinker.seen[0].tools.size(), 1U);
  ASSERT_EQ(thinker.seen[2].messages.size(), 5U);
  EXPECT_EQ(thinker.seen[2].messages[4].call_id, "c1");
  // The talk goes on with what was called; the words beside it are the listener's to say.
  const std::vector<Message> calls = user.take_calls();
  ASSERT_EQ(calls.size(), 4U);
  EXPECT_EQ(calls[0].calls[0].name, "look");
  EXPECT_EQ(calls[0].content.text(), "");
  EXPECT_EQ(calls[1].content.text(), R"(seen {"n": 0})");
  EXPECT_THAT(user.take_calls(), IsEmpty());
}

TEST(ToolUser, EndsWhereNothingNewIsAskedOrNothingCanBeWrittenDown) {
  Request request;
  request.ask = Talk{{{"user", "is it?"}}};
  const auto error_of = [&](CallingThinker thinker, const Status& written) {
    Looking tools;
    ToolUser user(thinker, tools,
                  [&](const FunctionCall&, const ToolAnswer&, auto) { return written; });
    const auto reply = user.complete(request, StopFlag(), [](const Delta&) {});
    EXPECT_LE(tools.calls, 40);
    return reply ? "" : reply.error().message;
  };
  EXPECT_THAT(error_of(CallingThinker(9, true), {}), ::testing::HasSubstr("repeats itself"));
  EXPECT_THAT(error_of(CallingThinker(99), {}), ::testing::HasSubstr("40 times"));
  EXPECT_EQ(error_of(CallingThinker(1), fail(ErrorKind::kUnavailable, "the disk is full")),
            "the disk is full");
}

}  // namespace
}  // namespace lathe::app

// Which names stand for some model, and which are a user's own.
#include "work/cloud_names.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(CloudNames, AreFamiliesAndTheirMembers) {
  for (const char* name : {"gpt-4o", "gpt-3.5-turbo", "claude-sonnet-4-5", "o1", "o1-mini", "o3",
                           "o4-mini", "gemini-2.5-pro"})
    EXPECT_TRUE(is_cloud_name(name)) << name;
  for (const char* name : {"", "o", "o1x", "o10", "gpt4all", "claudette", "qwen3-8b", "my-gpt-4o"})
    EXPECT_FALSE(is_cloud_name(name)) << name;
}

TEST(CloudNames, TagsOfACloud) {
  for (const char* name : {"gpt-oss:120b-cloud", "glm-4.6:cloud"})
    EXPECT_TRUE(is_asked_of_a_cloud(name)) << name;
  for (const char* name : {"", "cloud", "my-cloud", "qwen3:8b", "cloud:8b"})
    EXPECT_FALSE(is_asked_of_a_cloud(name)) << name;
}

}  // namespace
}  // namespace lathe

// Addresses and telephone numbers, read as people read them out. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lathe::loop {

// Markdown's links and pictures as the text that they show, <https://…> without its brackets.
std::string without_links(std::string_view text);

// A URL, a host with a path or a mail address, sign by sign: "http://a.com/x?p=2" → "h t t p colon
// slash slash a dot com slash x question mark p equals two". Nothing for other words.
std::optional<std::string> address_words(std::string_view token);

// How many of the first tokens are one telephone number, and how it is read, digit by digit; 0:
// they are none. `called`: a word like "call" or "phone" stands before it.
struct PhoneNumber {
  std::size_t tokens = 0;
  std::string words;
};
PhoneNumber phone_number(std::span<const std::string> tokens, bool called);

// Single letters, parted: "HTTP" → "h t t p".
std::string spelled(std::string_view letters);

}  // namespace lathe::loop

// Finds what looks like a secret in a text: keys and tokens by the forms that their makers gave
// them, private keys, passwords in addresses and behind their names, numbers of payment cards.
// What has none of these forms is not found. Pure, and linear in the text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe {

struct FoundSecret {
  std::size_t begin = 0, end = 0;  // bytes of the text
  std::string_view kind;           // for people: "a key of AWS"
};

// In order; none of them overlap.
std::vector<FoundSecret> find_secrets(std::string_view text);

// Where the text may go in place of its secrets: each of them is "[a key of AWS]".
std::string without_secrets(std::string_view text);

}  // namespace lathe

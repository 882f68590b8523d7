// An invitation to a fleet: where the inviter is, the fingerprint by which it is known, and a token
// that is good once and for some minutes. As text: lathe-join:HOST:PORT#SHA256-HEX#TOKEN.
#pragma once

#include "ground/base/clock.h"
#include "serve/pairing/address.h"

namespace lathe::serve {

struct Invitation {
  HostPort address;
  std::string fingerprint;  // 64 digits of hex
  std::string token;        // 32 digits of hex
};

std::string to_text(const Invitation& invitation);
// Errors: no fingerprint, what is no invitation.
Result<Invitation> parse_invitation(std::string_view text);

// Cryptographically random, as digits of hex.
Result<std::string> random_hex(std::size_t bytes);

inline constexpr int kMostWrongTokens = 5;

// The inviter's side of a token. Pure but for the clock.
class Token {
 public:
  Token(std::string token, Milliseconds lifetime, const Clock& clock)
      : token_(std::move(token)), until_(clock.monotonic() + lifetime), clock_(clock) {}

  const std::string& text() const { return token_; }
  bool expired() const { return clock_.monotonic() >= until_; }
  bool used() const { return used_; }
  // So many wrong ones came that nobody is believed any more.
  bool spoilt() const { return wrong_ >= kMostWrongTokens; }
  bool open() const { return !expired() && !used_ && !spoilt(); }

  // Whether it is this one and still good. What is compared takes the same time whatever it is.
  // Error::code: "wrong_token", "used_token", "expired_token", "spoilt".
  Status check(std::string_view offered);
  void use() { used_ = true; }

 private:
  std::string token_;
  Milliseconds until_;
  const Clock& clock_;
  int wrong_ = 0;
  bool used_ = false;
};

}  // namespace lathe::serve

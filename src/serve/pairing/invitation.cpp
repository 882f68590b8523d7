// Invitations as text, and what a token is good for.
#include "serve/pairing/invitation.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kScheme = "lathe-join:";
constexpr std::size_t kTokenDigits = 32;

bool is_token(std::string_view text) {
  return text.size() == kTokenDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::unexpected<Error> refused_token(std::string_view code, std::string_view message) {
  return std::unexpected(Error{ErrorKind::kDenied, std::string(message), std::string(code)});
}

}  // namespace

std::string to_text(const Invitation& invitation) {
  return fmt::format("{}{}#{}#{}", kScheme, to_text(invitation.address), invitation.fingerprint,
                     invitation.token);
}

Result<Invitation> parse_invitation(std::string_view text) {
  constexpr std::string_view kRemedy =
      "run `lathe fleet invite` on the machine that invites and give the whole line that it "
      "prints, in quotes: lathe fleet join 'lathe-join:HOST:PORT#FINGERPRINT#TOKEN'";
  const std::string shown = clip_utf8(make_valid_utf8(text), 100);
  std::string_view rest = text;
  if (rest.starts_with(kScheme)) rest.remove_prefix(kScheme.size());
  const std::vector<std::string> parts = split(rest.substr(0, 500), '#');
  if (parts.size() < 2)
    return invalid("'{}' has no fingerprint: whoever answers at that address would be believed; {}",
                   shown, kRemedy);
  if (!text.starts_with(kScheme) || parts.size() != 3 || !is_sha256_hex(parts[1]) ||
      !is_token(parts[2]))
    return invalid("'{}' is no invitation; {}", shown, kRemedy);
  Invitation invitation;
  LATHE_TRY(invitation.address, parse_host_port(parts[0]));
  if (invitation.address.port == 0) return invalid("'{}' has no port; {}", shown, kRemedy);
  invitation.fingerprint = parts[1];
  invitation.token = parts[2];
  return invitation;
}

Result<std::string> random_hex(std::size_t bytes) {
  std::vector<unsigned char> random(bytes);
  if (RAND_priv_bytes(random.data(), static_cast<int>(bytes)) != 1)
    return fail(ErrorKind::kUnavailable, "this machine gives no random bytes");
  std::string text;
  for (const unsigned char byte : random) text += fmt::format("{:02x}", byte);
  return text;
}

Status Token::check(std::string_view offered) {
  const std::string wanted = sha256_hex(token_), given = sha256_hex(offered);
  const bool same = CRYPTO_memcmp(wanted.data(), given.data(), wanted.size()) == 0;
  if (!same && !used_ && !expired()) ++wrong_;
  if (!same)
    return refused_token("wrong_token",
                         "the token is wrong; give the whole line of `lathe fleet invite`");
  if (used_)
    return refused_token("used_token",
                         "the invitation was used already, and is good once: run `lathe fleet "
                         "invite` again");
  if (expired())
    return refused_token("expired_token",
                         "the invitation has expired: run `lathe fleet invite` again");
  if (spoilt())
    return refused_token("spoilt",
                         "the invitation has ended after too many wrong tokens: run `lathe fleet "
                         "invite` again");
  return {};
}

}  // namespace lathe::serve

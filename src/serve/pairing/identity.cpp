// Keys and certificates: made, read, told apart.
#include "serve/pairing/identity.h"

#include <optional>

#include "ground/base/hash.h"
#include "serve/pairing/openssl.h"
#include "serve/pairing/private_file.h"

namespace lathe::serve {
namespace {

constexpr std::uint64_t kMostPemBytes = 16 * 1024;
constexpr std::size_t kIdBytes = 20;

std::unexpected<Error> openssl_failed(std::string_view what) {
  const char* const reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return fail(ErrorKind::kUnavailable, "cannot make {}: {}", what, reason ? reason : "OpenSSL");
}

Openssl<BIO> bio_of(std::string_view text) {
  return Openssl<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

// A key with a pass phrase is none of ours, and nobody is asked for one.
int no_pass_phrase(char*, int, int, void*) {
  return -1;
}

// Signed by the key itself; no day matters, since nobody looks at one.
Result<std::string> certificate_of(EVP_PKEY* key) {
  Openssl<X509> made(X509_new());
  X509* const certificate = made.get();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_NAME* const name = X509_get_subject_name(certificate);
  const auto* const common = reinterpret_cast<const unsigned char*>("lathe node");
  const bool done =
      X509_set_version(certificate, X509_VERSION_3) == 1 &&
      ASN1_TIME_set_string(X509_getm_notBefore(certificate), "19700101000000Z") == 1 &&
      ASN1_TIME_set_string(X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, common, -1, -1, 0) == 1 &&
      X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
      X509_sign(certificate, key, nullptr) > 0;
  const Openssl<BIO> out(BIO_new(BIO_s_mem()));
  if (!done || PEM_write_bio_X509(out.get(), certificate) != 1)
    return openssl_failed("a certificate");
  return text_of(out.get());
}

Result<std::string> new_key() {
  const Openssl<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  const Openssl<BIO> out(BIO_new(BIO_s_mem()));
  if (!key ||
      PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return openssl_failed("a key");
  return text_of(out.get());
}

Result<Openssl<EVP_PKEY>> parse_key(std::string_view pem, const fs::path& place) {
  Openssl<EVP_PKEY> key = key_from_pem(pem);
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519)
    return invalid(
        "{}: is no Ed25519 key as Lathe writes it; put the right one back, or remove it and pair "
        "this machine again",
        place.string());
  return key;
}

// Of a key and a certificate that belong together.
Result<Identity> identity_of(const fs::path& config, std::string key_pem, std::string pem) {
  const fs::path place = config / "node.crt";
  LATHE_TRY(const Openssl<EVP_PKEY> key, parse_key(key_pem, config / "node.key"));
  const Openssl<X509> certificate = certificate_from_pem(pem);
  if (!certificate)
    return invalid("{}: is no certificate; remove it, and it is made again", place.string());
  const bool together = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!together)
    return invalid(
        "{}: the certificate does not belong to the key beside it (node.key); remove the "
        "certificate, and it is made again",
        place.string());
  Identity identity;
  identity.fingerprint = spki_sha256(certificate.get());
  identity.id = node_id_of(identity.fingerprint);
  identity.key_pem = std::move(key_pem);
  identity.certificate_pem = std::move(pem);
  return identity;
}

// What is there, or what `make` gives: then it is kept, unless another process was first.
template <class Make>
Result<std::string> read_or_make(const fs::path& path, const Make& make) {
  for (int tries = 0; tries < 3; ++tries) {
    LATHE_TRY(std::optional<std::string> there, read_private_file(path, kMostPemBytes));
    if (there) return *std::move(there);
    LATHE_TRY(const std::string made, make());
    LATHE_TRY_STATUS(write_private_file(path, made, Existing::kKeep));
  }
  return fail(ErrorKind::kUnavailable, "{}: comes and goes while it is read", path.string());
}

}  // namespace

Openssl<EVP_PKEY> key_from_pem(std::string_view pem) {
  const Openssl<BIO> in = bio_of(pem);
  Openssl<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, no_pass_phrase, nullptr));
  ERR_clear_error();
  return key;
}

Openssl<X509> certificate_from_pem(std::string_view pem) {
  const Openssl<BIO> in = bio_of(pem);
  Openssl<X509> certificate(PEM_read_bio_X509(in.get(), nullptr, no_pass_phrase, nullptr));
  ERR_clear_error();
  return certificate;
}

std::string spki_sha256(const X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return "";
  std::string hash = sha256_hex({reinterpret_cast<char*>(der), static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return hash;
}

bool has_ed25519_key(const X509* certificate) {
  const EVP_PKEY* const key = X509_get0_pubkey(certificate);
  ERR_clear_error();
  return key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519;
}

// RFC 4648's letters, in lower case: five bits each.
std::string node_id_of(std::string_view spki_sha256) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";
  std::string id;
  unsigned bits = 0, held = 0;
  for (std::size_t at = 0; at < 2 * kIdBytes && at < spki_sha256.size(); ++at) {
    const char digit = spki_sha256[at];
    bits = bits << 4 | static_cast<unsigned>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    held += 4;
    if (held < 5) continue;
    held -= 5;
    id += kLetters[bits >> held & 31];
  }
  return id;
}

Result<Identity> new_identity() {
  LATHE_TRY(std::string key_pem, new_key());
  LATHE_TRY(const Openssl<EVP_PKEY> key, parse_key(key_pem, "a new key"));
  LATHE_TRY(std::string pem, certificate_of(key.get()));
  return identity_of({}, std::move(key_pem), std::move(pem));
}

// The key comes first: a certificate can be made of it again at any time.
Result<Identity> own_identity(const fs::path& config) {
  LATHE_TRY(std::string key_pem, read_or_make(config / "node.key", new_key));
  LATHE_TRY(const Openssl<EVP_PKEY> key, parse_key(key_pem, config / "node.key"));
  LATHE_TRY(std::string pem,
            read_or_make(config / "node.crt", [&] { return certificate_of(key.get()); }));
  return identity_of(config, std::move(key_pem), std::move(pem));
}

}  // namespace lathe::serve

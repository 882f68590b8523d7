// OpenSSL's things, freed by themselves, and what it says when something is wrong. Only the files
// of this room that speak to it include this.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

namespace lathe::serve {

struct FreeOpenssl {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* stream) const { SSL_free(stream); }
};
template <class T>
using Openssl = std::unique_ptr<T, FreeOpenssl>;

// nullptr: the text is none.
Openssl<EVP_PKEY> key_from_pem(std::string_view pem);
Openssl<X509> certificate_from_pem(std::string_view pem);
// SHA-256 of the SubjectPublicKeyInfo, in hex; "": it has none that can be written.
std::string spki_sha256(const X509* certificate);
bool has_ed25519_key(const X509* certificate);

}  // namespace lathe::serve

// What a machine is in a fleet: an Ed25519 key, which never leaves it, and a certificate that it
// signed itself. Nobody vouches for it: others know it by the hash of its key alone.
#pragma once

#include "ground/base/file.h"

namespace lathe::serve {

struct Identity {
  std::string id;           // 32 characters of base32, the beginning of the hash
  std::string fingerprint;  // SHA-256 of the certificate's SubjectPublicKeyInfo, in hex
  std::string key_pem, certificate_pem;
};

// Reads `node.key` and `node.crt` of the directory, or makes them; a key that is there is never
// overwritten. Errors: others may read the key, key and certificate do not belong together, what is
// neither.
Result<Identity> own_identity(const fs::path& config);
// The same, kept nowhere.
Result<Identity> new_identity();

// Of the SHA-256 of a SubjectPublicKeyInfo: the id of the node that it belongs to.
std::string node_id_of(std::string_view spki_sha256);

}  // namespace lathe::serve

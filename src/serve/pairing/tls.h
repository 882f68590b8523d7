// TLS 1.3 between two machines that know each other by the hashes of their keys: no authority, no
// names, no days. Nothing here blocks: each call does what can be done now, and wants() says what
// to wait for. Who uses it ignores SIGPIPE.
#pragma once

#include <memory>
#include <optional>

#include "ground/sys/process.h"
#include "serve/pairing/identity.h"

struct ssl_ctx_st;
struct ssl_st;

namespace lathe::serve {

// One side of connections: who it is, and whom it believes.
class TlsSide {
 public:
  // Takes whoever shows one certificate with an Ed25519 key: who that is, its peer asks.
  static Result<TlsSide> inviter(const Identity& identity);
  // Takes only the key of this fingerprint.
  static Result<TlsSide> joiner(const Identity& identity, std::string fingerprint);

 private:
  friend class TlsStream;
  static Result<TlsSide> make(const Identity& identity, std::string fingerprint);
  std::shared_ptr<ssl_ctx_st> context_;
  std::shared_ptr<std::string> fingerprint_;  // "": any
};

class TlsStream {
 public:
  static Result<TlsStream> accept(const TlsSide& side, UniqueFd socket);
  static Result<TlsStream> connect(const TlsSide& side, UniqueFd socket);

  int socket() const { return socket_.get(); }
  short wants() const { return wants_; }  // POLLIN or POLLOUT

  // Each: false, or nullopt: not yet. Errors say why it is over; nothing can be done with it then.
  Result<bool> handshake();
  Result<std::optional<std::string>> read_line(std::size_t most);  // without its '\n'
  Result<bool> write();                                            // what send() was given
  void send(std::string_view text) { out_ += text; }

  // Tells the other side that nothing more comes; what it still sends is thrown away by drained().
  void close_sending();
  // True: the other side has closed, too, or has sent more than it may.
  bool drained();

  // SHA-256 of the key that the other side has proven to hold, once the handshake is done.
  const std::string& peer() const { return peer_; }

 private:
  struct FreeStream {
    void operator()(ssl_st* stream) const;
  };
  static Result<TlsStream> make(const TlsSide& side, UniqueFd socket);
  // What `result` of a call of OpenSSL's means: nothing yet, or over.
  Status not_yet(int result);

  UniqueFd socket_;
  TlsSide side_;
  std::unique_ptr<ssl_st, FreeStream> stream_;
  std::string in_, out_, peer_;
  std::size_t drained_ = 0;
  short wants_ = 0;
};

}  // namespace lathe::serve

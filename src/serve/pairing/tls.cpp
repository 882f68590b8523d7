// OpenSSL's side of pairing: contexts, streams, and the reasons of refusals in words.
#include "serve/pairing/tls.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "ground/base/hash.h"
#include "serve/pairing/openssl.h"

namespace lathe::serve {
namespace {

constexpr long kMostCertificateBytes = 8192;  // that are read at all, of all that are shown
constexpr int kLongestCertificate = 2048;     // ours has a sixth of that
constexpr std::size_t kMostDrained = 64 * 1024;

// Of a certificate that is refused: OpenSSL makes the alert of it that the other side gets.
constexpr int kNotEd25519 = X509_V_ERR_INVALID_PURPOSE;  // "unsupported certificate"
constexpr int kOtherKey = X509_V_ERR_CERT_REJECTED;      // "bad certificate"

// Stands for OpenSSL's own check of chains, names and days.
int check_certificate(X509_STORE_CTX* store, void* wanted) {
  const std::string& fingerprint = *static_cast<const std::string*>(wanted);
  X509* const certificate = X509_STORE_CTX_get0_cert(store);
  const STACK_OF(X509)* const shown = X509_STORE_CTX_get0_untrusted(store);
  const bool alone = !shown || sk_X509_num(shown) <= 1;
  int error = X509_V_OK;
  if (!certificate || !alone || i2d_X509(certificate, nullptr) > kLongestCertificate ||
      !has_ed25519_key(certificate))
    error = kNotEd25519;
  else if (!fingerprint.empty() && spki_sha256(certificate) != fingerprint)
    error = kOtherKey;
  X509_STORE_CTX_set_error(store, error);
  return error == X509_V_OK;
}

struct TlsReason {
  int code;
  std::string_view text;
};
// "reason" of OpenSSL's error, or the alert that came from the other side.
constexpr TlsReason kTlsReasons[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, "the other side does not speak TLS 1.3"},
    {SSL_R_VERSION_TOO_LOW, "the other side does not speak TLS 1.3"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the other side asks for another version of TLS: 1.3"},
    {SSL_R_WRONG_VERSION_NUMBER, "the other side does not speak TLS"},
    {SSL_R_HTTP_REQUEST, "the other side speaks HTTP, not TLS"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the other side shows no certificate"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the other side asks for a certificate"},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, "the other side's certificate is too large"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
     "the other side does not take this certificate: it wants one with an Ed25519 key"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
     "the other side does not take this machine's certificate: it expects another fingerprint"},
};

std::string reason_of(const SSL* stream, unsigned long error) {
  const int reason = ERR_GET_REASON(error);
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    if (SSL_get_verify_result(stream) == kOtherKey)
      return "the fingerprint of the machine there is another: it is not the one that invited, or "
             "its key was made anew; nothing was told to it";
    return "the other side's certificate is not one small one with an Ed25519 key";
  }
  const auto known = std::ranges::find(kTlsReasons, reason, &TlsReason::code);
  if (known != std::end(kTlsReasons)) return std::string(known->text);
  const char* const text = ERR_reason_error_string(error);
  return text ? std::string("TLS: ") + text : "the other side has gone";
}

std::unexpected<Error> tls_failed() {
  const char* const reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return fail(ErrorKind::kUnavailable, "TLS cannot be set up: {}", reason ? reason : "OpenSSL");
}

}  // namespace

Result<TlsSide> TlsSide::make(const Identity& identity, std::string fingerprint) {
  const Openssl<EVP_PKEY> key = key_from_pem(identity.key_pem);
  const Openssl<X509> certificate = certificate_from_pem(identity.certificate_pem);
  TlsSide side;
  side.context_ = std::shared_ptr<SSL_CTX>(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  side.fingerprint_ = std::make_shared<std::string>(std::move(fingerprint));
  SSL_CTX* const context = side.context_.get();
  const bool done = context && key && certificate &&
                    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                    SSL_CTX_use_certificate(context, certificate.get()) == 1 &&
                    SSL_CTX_use_PrivateKey(context, key.get()) == 1 &&
                    SSL_CTX_set_num_tickets(context, 0) == 1;
  if (!done) return tls_failed();
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(context, kMostCertificateBytes);
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context, check_certificate, side.fingerprint_.get());
  return side;
}

Result<TlsSide> TlsSide::inviter(const Identity& identity) {
  return make(identity, "");
}

Result<TlsSide> TlsSide::joiner(const Identity& identity, std::string fingerprint) {
  LATHE_CHECK(!fingerprint.empty());
  return make(identity, std::move(fingerprint));
}

void TlsStream::FreeStream::operator()(ssl_st* stream) const {
  SSL_free(stream);
}

Result<TlsStream> TlsStream::make(const TlsSide& side, UniqueFd socket) {
  TlsStream made;
  made.stream_.reset(SSL_new(side.context_.get()));
  if (!made.stream_ || SSL_set_fd(made.stream_.get(), socket.get()) != 1) return tls_failed();
  made.socket_ = std::move(socket);
  made.side_ = side;
  made.wants_ = POLLIN;
  return made;
}

Result<TlsStream> TlsStream::accept(const TlsSide& side, UniqueFd socket) {
  LATHE_TRY(TlsStream made, make(side, std::move(socket)));
  SSL_set_accept_state(made.stream_.get());
  return made;
}

Result<TlsStream> TlsStream::connect(const TlsSide& side, UniqueFd socket) {
  LATHE_TRY(TlsStream made, make(side, std::move(socket)));
  SSL_set_connect_state(made.stream_.get());
  return made;
}

Status TlsStream::not_yet(int result) {
  const int problem = errno;
  const int what = SSL_get_error(stream_.get(), result);
  if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
    wants_ = what == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    return {};
  }
  const unsigned long error = ERR_peek_error();
  std::string reason = reason_of(stream_.get(), error);
  if (what == SSL_ERROR_SYSCALL && error == 0 && problem != 0) reason = errno_text(problem);
  ERR_clear_error();
  const bool gone = what == SSL_ERROR_SYSCALL || what == SSL_ERROR_ZERO_RETURN;
  return std::unexpected(Error{gone ? ErrorKind::kUnavailable : ErrorKind::kDenied, reason});
}

Result<bool> TlsStream::handshake() {
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(stream_.get());
  if (result != 1) {
    LATHE_TRY_STATUS(not_yet(result));
    return false;
  }
  const X509* const certificate = SSL_get0_peer_certificate(stream_.get());
  if (!certificate) return fail(ErrorKind::kDenied, "the other side shows no certificate");
  peer_ = spki_sha256(certificate);
  wants_ = POLLIN;
  return true;
}

Result<std::optional<std::string>> TlsStream::read_line(std::size_t most) {
  char buffer[4096];
  for (;;) {
    if (const auto end = in_.find('\n'); end != std::string::npos) {
      std::string line = in_.substr(0, end);
      in_.erase(0, end + 1);
      return line;
    }
    if (in_.size() > most) return invalid("the other side sends more than {} bytes at once", most);
    ERR_clear_error();
    errno = 0;
    const int got = SSL_read(stream_.get(), buffer, sizeof buffer);
    if (got <= 0) {
      LATHE_TRY_STATUS(not_yet(got));
      return std::nullopt;
    }
    in_.append(buffer, static_cast<std::size_t>(got));
  }
}

Result<bool> TlsStream::write() {
  while (!out_.empty()) {
    ERR_clear_error();
    errno = 0;
    const int sent = SSL_write(stream_.get(), out_.data(), static_cast<int>(out_.size()));
    if (sent <= 0) {
      LATHE_TRY_STATUS(not_yet(sent));
      return false;
    }
    out_.erase(0, static_cast<std::size_t>(sent));
  }
  wants_ = POLLIN;
  return true;
}

// What is unread when a socket is closed makes the kernel throw away what was sent last.
void TlsStream::close_sending() {
  if (SSL_is_init_finished(stream_.get())) (void)SSL_shutdown(stream_.get());
  ERR_clear_error();
  ::shutdown(socket_.get(), SHUT_WR);
  wants_ = POLLIN;
}

bool TlsStream::drained() {
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0) return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
    if (got == 0) return true;
    drained_ += static_cast<std::size_t>(got);
    if (drained_ > kMostDrained) return true;
  }
}

}  // namespace lathe::serve

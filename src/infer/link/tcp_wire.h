// The wire between two machines: blocking TCP without delay. Addresses are "HOST:PORT",
// "[::1]:PORT", or a port alone, which is this machine's (127.0.0.1). What goes over it is neither
// encrypted nor signed: it is for a network of one's own.
#pragma once

#include <string>

#include "ground/base/stop.h"
#include "ground/sys/process.h"
#include "infer/link/link.h"

namespace lathe::infer {

Result<std::unique_ptr<Wire>> connect_tcp(const std::string& address, Milliseconds limit);

class TcpListener {
 public:
  // Port 0: any that is free.
  static Result<TcpListener> open(const std::string& address);
  std::uint16_t port() const { return port_; }
  // The next one who connects; kCancelled once `stop` is raised.
  Result<std::unique_ptr<Wire>> accept(const StopFlag& stop);

 private:
  UniqueFd socket_;
  std::uint16_t port_ = 0;
};

}  // namespace lathe::infer

// Which program listens on a TCP port of this machine.
#pragma once

#include <cstdint>
#include <string>

namespace lathe {

// "nginx (process 123)"; "" where /proc does not say.
std::string port_holder(std::uint16_t port);

}  // namespace lathe

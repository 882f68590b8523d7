// Which program listens on a TCP port of this machine.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace lathe {

struct PortHolder {
  pid_t process = 0;
  std::string program;  // "nginx"
};

// nullopt: nobody, or /proc does not say.
std::optional<PortHolder> find_port_holder(std::uint16_t port);
// "nginx (process 123)"; "" where /proc does not say.
std::string port_holder(std::uint16_t port);

}  // namespace lathe

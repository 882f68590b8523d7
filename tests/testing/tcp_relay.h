// A bad network between a test and a server: what comes in on a port of loopback goes on to a
// socket in the file system, and back, as fast as the test says. Sizes and pauses are drawn from a
// seed.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <random>
#include <string>
#include <thread>

namespace lathe::testing {

class TcpRelay {
 public:
  TcpRelay(std::string socket_path, std::uint32_t seed);
  ~TcpRelay();
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;

  int port() const { return port_; }
  // At most so many bytes at once each way, and then a pause of up to so long; 0 bytes: nothing
  // goes on, and nothing is closed. A connection that is made while there are pauses holds little
  // back.
  void pace(std::size_t most_bytes, int most_pause_ms);
  // Each connection that is made from now on is cut once it has carried so much; 0: none is.
  void cut_after(std::uint64_t bytes) { limit_ = bytes; }
  std::uint64_t carried() const { return carried_; }  // both ways
  int connections() const { return connections_; }

 private:
  struct Line;
  void accept_all();
  void pump(Line& line, bool forth);

  const std::string path_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> ending_ = false;
  std::atomic<std::size_t> most_bytes_ = 1 << 20;
  std::atomic<int> most_pause_ms_ = 0, connections_ = 0;
  std::atomic<std::uint64_t> limit_ = 0, carried_ = 0;
  std::mutex mutex_;  // guards these two
  std::mt19937 random_;
  std::list<Line> lines_;
  std::thread thread_;
};

}  // namespace lathe::testing

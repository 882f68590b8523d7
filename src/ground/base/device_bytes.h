// Bytes by the device whose memory they are: what a model takes, what is booked, what there is.
// Plain data.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "ground/base/json.h"

namespace lathe {

inline constexpr std::string_view kHostDevice = "cpu";  // the memory of the machine itself

class DeviceBytes {
 public:
  DeviceBytes() = default;
  DeviceBytes(std::string_view device, std::uint64_t bytes) { add(device, bytes); }

  std::uint64_t of(std::string_view device) const;  // 0: none
  std::uint64_t on_host() const { return of(kHostDevice); }
  std::uint64_t total() const;
  void add(std::string_view device, std::uint64_t bytes);
  DeviceBytes& operator+=(const DeviceBytes& other);
  friend DeviceBytes operator+(DeviceBytes a, const DeviceBytes& b) { return a += b; }
  // What is left without those, on each device; never below nothing.
  DeviceBytes less(const DeviceBytes& taken) const;
  // No more than the limit on any device; what the limit does not name has no room.
  bool fits(const DeviceBytes& limit) const;

  // By name; none is zero.
  auto begin() const { return bytes_.begin(); }
  auto end() const { return bytes_.end(); }
  bool operator==(const DeviceBytes&) const = default;

 private:
  std::map<std::string, std::uint64_t, std::less<>> bytes_;
};

Json to_json(const DeviceBytes& bytes);  // {"cpu": 4096, …}

}  // namespace lathe

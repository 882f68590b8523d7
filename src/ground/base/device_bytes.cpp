// Arithmetic of bytes on devices.
#include "ground/base/device_bytes.h"

#include <algorithm>

namespace lathe {

std::uint64_t DeviceBytes::of(std::string_view device) const {
  const auto found = bytes_.find(device);
  return found == bytes_.end() ? 0 : found->second;
}

std::uint64_t DeviceBytes::total() const {
  std::uint64_t sum = 0;
  for (const auto& [device, bytes] : bytes_) sum += bytes;
  return sum;
}

void DeviceBytes::add(std::string_view device, std::uint64_t bytes) {
  if (bytes != 0) bytes_[std::string(device)] += bytes;
}

DeviceBytes& DeviceBytes::operator+=(const DeviceBytes& other) {
  for (const auto& [device, bytes] : other.bytes_) add(device, bytes);
  return *this;
}

DeviceBytes DeviceBytes::less(const DeviceBytes& taken) const {
  DeviceBytes left;
  for (const auto& [device, bytes] : bytes_)
    left.add(device, bytes - std::min(bytes, taken.of(device)));
  return left;
}

bool DeviceBytes::fits(const DeviceBytes& limit) const {
  return std::ranges::all_of(bytes_,
                             [&](const auto& row) { return row.second <= limit.of(row.first); });
}

Json to_json(const DeviceBytes& bytes) {
  Json json = Json::object();
  for (const auto& [device, count] : bytes) json[device] = count;
  return json;
}

}  // namespace lathe

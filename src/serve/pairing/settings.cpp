// Reads and writes fleet.toml.
#include "serve/pairing/settings.h"

#include <algorithm>
#include <array>

#include "ground/base/hash.h"
#include "ground/base/json.h"
#include "ground/base/text.h"
#include "ground/base/toml_json.h"
#include "serve/pairing/address.h"
#include "serve/pairing/private_file.h"

namespace lathe::serve {
namespace {

constexpr std::uint64_t kMostSettingsBytes = 64 * 1024;
constexpr std::size_t kLongestDatabase = 2000;
constexpr std::size_t kIdDigits = 32;

struct SettingsKey {
  std::string_view name;
  std::string FleetSettings::*member;
  bool needed;
};
constexpr std::array kSettingsKeys{
    SettingsKey{"node", &FleetSettings::node, true},
    SettingsKey{"name", &FleetSettings::name, true},
    SettingsKey{"tier", &FleetSettings::tier, true},
    SettingsKey{"database", &FleetSettings::database, true},
    SettingsKey{"password", &FleetSettings::password, false},
    SettingsKey{"root_certificate", &FleetSettings::root_certificate, false},
    SettingsKey{"inviter", &FleetSettings::inviter, false},
    SettingsKey{"inviter_fingerprint", &FleetSettings::inviter_fingerprint, false}};

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '/' || c == '.' || c == '-' || c == '_';
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Status check_settings(const FleetSettings& settings) {
  if (settings.node.size() != kIdDigits ||
      settings.node.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567") != std::string::npos)
    return invalid("'node' is no id of a node");
  LATHE_TRY_STATUS(check_fleet_name("'name'", settings.name));
  LATHE_TRY_STATUS(check_fleet_name("'tier'", settings.tier));
  LATHE_TRY_STATUS(check_database_address(settings.database));
  if (settings.inviter.empty() != settings.inviter_fingerprint.empty())
    return invalid("'inviter' and 'inviter_fingerprint' stand together");
  if (settings.inviter.empty()) return {};
  LATHE_TRY_STATUS(parse_host_port(settings.inviter));
  if (!is_sha256_hex(settings.inviter_fingerprint))
    return invalid("'inviter_fingerprint' is no SHA-256 in hex");
  return {};
}

Result<FleetSettings> settings_from(const Json& table) {
  FleetSettings settings;
  for (const auto& [name, value] : table.items()) {
    const auto key = std::ranges::find(kSettingsKeys, std::string_view(name), &SettingsKey::name);
    if (key == kSettingsKeys.end()) return invalid("'{}' is nothing that stands here", name);
    if (!value.is_string()) return invalid("'{}' is a string", name);
    settings.*(key->member) = value.get<std::string>();
  }
  for (const SettingsKey& key : kSettingsKeys)
    if (key.needed && (settings.*(key.member)).empty()) return invalid("'{}' is missing", key.name);
  LATHE_TRY_STATUS(check_settings(settings));
  return settings;
}

}  // namespace

std::string FleetSettings::libpq_address() const {
  std::string address = database;
  const auto add = [&](std::string_view key, const std::string& value) {
    if (value.empty()) return;
    address += address.find('?') == std::string::npos ? '?' : '&';
    address += fmt::format("{}={}", key, percent_encoded(value));
  };
  add("password", password);
  add("sslrootcert", root_certificate);
  return address;
}

fs::path fleet_settings_path(const fs::path& config) {
  return config / "fleet.toml";
}

Result<std::optional<FleetSettings>> read_fleet_settings(const fs::path& config) {
  const fs::path path = fleet_settings_path(config);
  LATHE_TRY(const std::optional<std::string> text, read_private_file(path, kMostSettingsBytes));
  if (!text) return std::nullopt;
  LATHE_TRY(const TomlJson table, toml_to_json(*text, path.string()));
  auto settings = settings_from(table.value);
  if (settings) return *std::move(settings);
  return invalid("{}: {}; `lathe fleet init` and `lathe fleet join` write it", path.string(),
                 settings.error().message);
}

Status write_fleet_settings(const fs::path& config, const FleetSettings& settings) {
  LATHE_TRY_STATUS(check_settings(settings));
  std::string text =
      "# Written by `lathe fleet`. It opens the fleet's database: for your eyes alone.\n";
  for (const SettingsKey& key : kSettingsKeys)
    if (const std::string& value = settings.*(key.member); !value.empty())
      text += fmt::format("{} = {}\n", key.name, dump_json(value));
  LATHE_TRY_STATUS(write_private_file(fleet_settings_path(config), text, Existing::kReplace));
  return {};
}

Status check_fleet_name(std::string_view what, std::string_view name) {
  const auto fine = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_';
  };
  if (!name.empty() && name.size() <= 64 && std::ranges::all_of(name, fine)) return {};
  return invalid("{} is '{}'; letters, digits, '.', '-' and '_' stand there, 1 to 64 of them", what,
                 clip_utf8(make_valid_utf8(name), 100));
}

Status check_database_address(std::string_view address) {
  const bool scheme = address.starts_with("postgresql://") || address.starts_with("postgres://");
  const bool fine = std::ranges::all_of(address, [](char c) { return c > 0x20 && c < 0x7f; });
  if (scheme && fine && address.size() <= kLongestDatabase) return {};
  return invalid("the database's address begins with postgresql:// and has up to {} signs",
                 kLongestDatabase);
}

}  // namespace lathe::serve

// One file, fetched into a directory: NAME.pull grows there, and becomes NAME by renaming when it
// has its size and its SHA-256. A stopped or killed download goes on where it was, with the first
// bytes read again for the hash.
#pragma once

#include "ground/base/file.h"
#include "serve/hub/hub_client.h"

namespace lathe::serve {

struct WantedFile {
  std::string url;
  std::string name;  // in the directory
  std::uint64_t bytes = 0;
  std::string sha256;
};

// How far it is: bytes that are there. Called often; must be quick.
using OnBytes = std::function<void(std::uint64_t done)>;

// Where the body of an answer belongs that was asked for the bytes from `have` on: at `have`, or at
// 0 when the server sends all of it. An error where it is of another length or place. Pure.
Result<std::uint64_t> body_start(const HttpAnswer& head, std::uint64_t have, std::uint64_t bytes,
                                 const std::string& what);

// What is there of it already.
std::uint64_t bytes_there(const fs::path& directory, const WantedFile& file);

Status download(const HubClient& client, const WantedFile& file, const fs::path& directory,
                const OnBytes& on_bytes);

}  // namespace lathe::serve

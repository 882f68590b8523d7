// A program that serves a model over OpenAI's API, as a person's file names it:
//
//   command = ["llama-server", "-m", "big.gguf", "--port", "{port}"]   # no shell
//   memory = "24GiB"           # what it may take: booked before it is started
//   ready = "/health"          # answers with 200 once it can be asked
//   ready_timeout = "5m"       # how long that may take
//   port = 8000                # where {port} cannot be said; else one that is free
//   api = "/v1"                # where its API begins
//   model = "big"              # as its server calls it; else the first that it lists
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "ground/base/units.h"

namespace lathe::serve {

inline constexpr std::string_view kPortPlace = "{port}";

struct ProgramSpec {
  std::vector<std::string> command = {};  // kPortPlace stands for the port, anywhere in it
  fs::path directory = {};                // it runs there: where the file is that names it
  std::uint64_t memory = 0;
  std::uint16_t port = 0;  // 0: any that is free
  std::string ready = "/health";
  Milliseconds ready_timeout{300'000};
  std::string api = "/v1";
  std::string model = {};

  std::vector<std::string> command_at(std::uint16_t where) const;
};

// Whether its program is there, as far as that can be told without starting it.
Status check_program(const ProgramSpec& spec);

}  // namespace lathe::serve

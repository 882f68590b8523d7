// The models on this machine: what pull brought and what else lies in the directory of models, and
// what other programs have, which is read where it is and never changed. Looks at names and sizes
// alone. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ground/base/file.h"

namespace lathe::serve {

enum class Keeper { kPulled, kFolder, kHubCache, kOllama, kLmStudio };
std::string_view keeper_name(
    Keeper keeper);  // "pull", "models", "hub cache", "Ollama", "LM Studio"

struct LibraryModel {
  // Said alone it means this file and no other: "NAME" of the directory, "hf:OWNER/REPO/FILE",
  // "ollama:NAME:TAG", "lmstudio:OWNER/REPO/FILE" (without ".gguf") of other programs.
  std::string name;
  fs::path file;            // or its first part
  std::uint64_t bytes = 0;  // of all parts
  Keeper keeper = Keeper::kFolder;
  std::string source = {};  // of a pulled one: what was asked for
  bool whole = true;        // false: a pull was stopped; it is listed, and not found by name
};

struct LibraryPlaces {
  fs::path models;                  // where pull brings models
  fs::path hub_cache;               // "…/huggingface/hub"
  std::vector<fs::path> ollama;     // with "manifests" and "blobs"
  std::vector<fs::path> lm_studio;  // with "OWNER/REPO/FILE.gguf"
};

// By keeper, then by name. What cannot be read is left out.
std::vector<LibraryModel> list_library(const LibraryPlaces& places);
// By its name, or what a pulled one was asked for as; a tag may be left out where it is "latest".
// nullptr: there is none.
const LibraryModel* find_in_library(std::span<const LibraryModel> models, std::string_view name);
// Whether a name can only be one of another program's.
bool is_library_name(std::string_view name);

}  // namespace lathe::serve

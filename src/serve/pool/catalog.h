// The models that a pool may hold: the GGUF files and Whisper files of a directory, and what
// models.toml in it says of them. Names are looked up here and never become paths. Immutable; any
// thread.
//
//   default = "coder"          # answers for names that nothing else knows, like gpt-4o or claude-…
//   [model.coder]
//   file = "qwen2.5-coder-7b-q4_k_m.gguf"
//   aliases = ["gpt-4o", "claude-*"]
//   context = 32768            # tokens of one request; default: as the model was trained
//   kv = "q8_0"                # f16, q8_0, q5_1, q4_0 or f32
//   max_tokens = 4096          # of an answer whose request names no limit
//   draft = "mtp"              # guesses at answers: the file's own layer for it, or a small
//   model's
//                              # file
//   eyes = "mmproj-….gguf"     # its encoder of pictures and sounds; default: one beside the file
//   whose name
//                              # says so; "": none
//   priority = 1               # turns: each step up counts double
//   pinned = true              # loaded at the start, never evicted
//   share_prefixes = true      # what one key's prompt has computed serves other keys' too: faster,
//                              # and how long an answer takes tells what others have asked
//   voices = {anna = "anna.wav"}   # of a model that speaks: recordings of whom it speaks like
//   keep_alive = "30m"         # leaves after so long without a request; default: when its place
//                              # is wanted
//   temperature = 0.2          # and top_k, top_p, min_p, repeat_penalty: where a request says
//   nothing
//   [model.npu]
//   command = ["vendor-server", "--port", "{port}"]   # instead of a file: a program serves it
//   memory = "24GiB"           # and the other keys of a program (programs/program_spec.h)
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "serve/programs/program_spec.h"
#include "work/work.h"

namespace lathe::serve {

// A LoRA adapter, a GGUF file beside the models: asked for as MODEL+NAME, of any model that it
// fits.
struct CatalogAdapter {
  std::string name;
  fs::path file;
};

struct CatalogModel {
  std::string name;
  fs::path file = {};
  std::vector<std::string> aliases = {};  // '*' at the end stands for anything
  std::size_t context = 0;                // 0: the model's
  std::string kv = "f16";
  std::string draft = {};  // "mtp" or a file; "": nothing guesses
  fs::path eyes = {};      // its encoder of pictures and sounds; empty: none
  bool no_eyes = false;    // … whatever lies beside it
  int max_tokens = 0;      // 0: the pool's
  int priority = 0;
  bool pinned = false;
  bool transcribes = false;     // a Whisper file: it writes sounds down, and does nothing else
  bool speaks = false;          // a talker: it speaks texts, and does nothing else
  bool share_prefixes = false;  // between keys
  Milliseconds keep_alive{0};   // 0: until its place is wanted
  Sampling sampling = {};
  std::optional<ProgramSpec> program = {};      // serves it instead of a file
  std::string link = {};                        // HOST:PORT of who has the rest of it; "": nobody
  bool link_rows = false;                       // … of its rows; false: of its layers
  std::size_t link_layers = 0;                  // that are here; 0: half of the bytes
  std::map<std::string, fs::path> voices = {};  // of a talker: recordings of whom it speaks like
};

// Whether a file's name says that it is an encoder, as hubs publish them:
// "mmproj-NAME-f16.gguf", "NAME-mmproj-f16.gguf". It goes with the models beside it whose names
// begin with NAME; without one with all of them.
bool is_encoder_name(std::string_view stem);
bool encoder_goes_with(std::string_view encoder, std::string_view model);

// What a name stands for: a model, perhaps with an adapter.
struct NamedModel {
  const CatalogModel* model = nullptr;  // nullptr: there is none of that name
  const CatalogAdapter* adapter = nullptr;
  std::string name() const { return adapter ? model->name + "+" + adapter->name : model->name; }
};

class Catalog {
 public:
  // `place` is a directory or one GGUF file. A link that leads out of the directory is left out,
  // unless models.toml names it; `notes` say what was left out and why.
  static Result<Catalog> read(const fs::path& place);
  // More places, in one catalog; a name that comes twice is an error.
  static Result<Catalog> read(const std::vector<fs::path>& places);

  const std::vector<CatalogModel>& models() const { return models_; }  // by name
  const std::vector<CatalogAdapter>& adapters() const { return adapters_; }
  const CatalogModel* find(std::string_view asked) const;  // by name, then by alias
  NamedModel find_adapted(std::string_view asked) const;   // the same, and MODEL+ADAPTER
  const CatalogModel* fallback() const;                    // of models.toml; nullptr: none
  const CatalogModel* only_text_model() const;             // nullptr: there are none, or several
  const std::vector<std::string>& notes() const { return notes_; }

  // One more; a name that is there already is an error.
  Status add(CatalogModel model);
  // The one model that there is stands on two machines; more than one is an error.
  Status link(const std::string& address, bool rows, std::size_t layers);
  // Another name for a model, unless that is one already.
  void add_alias(std::string_view name, const std::string& alias);

 private:
  Status add_directory(const fs::path& directory);
  Status add_settings(const fs::path& directory);
  CatalogModel* named(std::string_view name);
  void find_eyes();

  std::vector<CatalogModel> models_;
  std::vector<CatalogAdapter> adapters_;
  std::string fallback_;
  std::vector<std::string> notes_;
};

}  // namespace lathe::serve

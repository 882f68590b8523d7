// Where a model may be cut in two, and whether that is worth it. Pure; any thread.
#pragma once

#include <optional>
#include <string>

#include "infer/cpu/model.h"
#include "infer/formats/gguf.h"
#include "infer/models/blueprint.h"

namespace lathe::infer {

// How two machines stand to each other: the first one has the first layers and the other one the
// last ones, or each has some rows of every large matrix of all layers.
enum class LinkSplit : std::uint8_t { kLayers, kRows };

struct LinkPlan {
  LinkSplit split = LinkSplit::kLayers;
  std::size_t layers = 0;  // of the first machine; of kRows 0: all on both

  ModelPart first() const;
  ModelPart second() const;
  bool operator==(const LinkPlan&) const = default;
};

// What two machines cannot share yet is refused, and why.
Status check_linkable(const Blueprint& blueprint);
// The same for a cut behind so many layers: no layer may need of one on the other side more than
// the residual stream.
Status check_cut(const Blueprint& blueprint, std::size_t layers);
// The same for all layers on both: what begins a token is all that the second machine is told.
Status check_rows(const Blueprint& blueprint);
Status check_plan(const Blueprint& blueprint, const LinkPlan& plan);
// `asked` of them, or, if that is 0, so that both have about as many bytes of weights.
Result<std::size_t> choose_cut(const Gguf& file, const Blueprint& blueprint,
                               const KernelTable& kernels, std::size_t asked);
// `layers`: choose_cut()'s.
Result<LinkPlan> choose_plan(const Gguf& file, const Blueprint& blueprint,
                             const KernelTable& kernels, LinkSplit split, std::size_t layers);
// Of the file's content: its metadata, its table of tensors, and the first bytes of each tensor.
Result<std::string> link_identity(const Gguf& file);
std::uint64_t link_model(std::string_view identity);  // its first 64 bits, for frames

// Of weights that one token reads, as the file has them: of experts those that are used.
std::uint64_t token_bytes(const Gguf& file, const Blueprint& blueprint);
// What comes to the first of so many machines for a token if they have the matrices by rows.
std::uint64_t gathered_bytes(const Blueprint& blueprint, std::size_t machines);

// How so many like machines are best used for one model.
struct BoxesQuestion {
  std::uint64_t model_bytes = 0;  // that it takes, with its sequences
  // … on one of them, if they have its matrices by rows; absent: it cannot be divided so.
  std::optional<std::uint64_t> rows_bytes = {};
  std::uint64_t box_bytes = 0;       // that a machine has for it
  std::uint64_t token_bytes = 0;     // of weights that one token reads
  double bytes_per_second = 0;       // that a machine reads
  double exchange_seconds = 0;       // of one small exchange between two, measured; 0: it was not
  double link_bytes_per_second = 0;  // … of large ones; 0: they count nothing
  std::size_t layers = 0;
  std::size_t width = 0;             // of the residual stream
  std::uint64_t gathered_bytes = 0;  // for a token (gathered_bytes())
  std::size_t boxes = 2;
};
enum class BoxesUse { kOne, kReplicas, kLayers, kRows, kTooSmall };
struct BoxesAdvice {
  BoxesUse use = BoxesUse::kOne;
  double layers_seconds = 0, rows_seconds = 0;  // of a token of one stream, calculated
};
// What fits one machine is served by each of them on its own. Else its layers stand one behind the
// other, or, where that is faster, its matrices are divided by rows. With b bytes of weights that a
// token reads, B bytes a second, n machines, t of a small exchange and W bytes a second of the
// link:
//   layers: b / B + (n - 1) · (t + 4 · width / W)
//   rows:   b / (n · B) + 4 · layers · t + gathered / W
BoxesAdvice advise_boxes(const BoxesQuestion& question);

}  // namespace lathe::infer

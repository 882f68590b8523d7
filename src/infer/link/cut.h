// Where a model may be cut in two, and whether that is worth it. Pure; any thread.
#pragma once

#include <string>

#include "infer/formats/gguf.h"
#include "infer/models/blueprint.h"

namespace lathe::infer {

struct KernelTable;

// What two machines cannot share yet is refused, and why.
Status check_linkable(const Blueprint& blueprint);
// The same for a cut behind so many layers: no layer may need of one on the other side more than
// the residual stream.
Status check_cut(const Blueprint& blueprint, std::size_t layers);
// `asked` of them, or, if that is 0, so that both have about as many bytes of weights.
Result<std::size_t> choose_cut(const Gguf& file, const Blueprint& blueprint,
                               const KernelTable& kernels, std::size_t asked);
// Of the file's content: its metadata, its table of tensors, and the first bytes of each tensor.
Result<std::string> link_identity(const Gguf& file);
std::uint64_t link_model(std::string_view identity);  // its first 64 bits, for frames

// Of weights that one token reads, as the file has them: of experts those that are used.
std::uint64_t token_bytes(const Gguf& file, const Blueprint& blueprint);

// How so many like machines are best used for one model.
struct BoxesQuestion {
  std::uint64_t model_bytes = 0;  // that it takes, with its sequences
  std::uint64_t box_bytes = 0;    // that a machine has for it
  std::uint64_t token_bytes = 0;  // of weights that one token reads
  double bytes_per_second = 0;    // that a machine reads
  double exchange_seconds = 0;    // of one small exchange between two, measured; 0: it was not
  std::size_t layers = 0;
  std::size_t boxes = 2;
};
enum class BoxesUse { kOne, kReplicas, kPipeline, kTensor, kTooSmall };
struct BoxesAdvice {
  BoxesUse use = BoxesUse::kOne;
  double pipeline_seconds = 0, tensor_seconds = 0;  // of a token of one stream, calculated
};
// What fits one machine is served by each of them on its own. Else its layers stand one behind the
// other, unless splitting its matrices would gain more than its exchanges cost.
BoxesAdvice advise_boxes(const BoxesQuestion& question);

}  // namespace lathe::infer

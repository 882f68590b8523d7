// The header of a model of any architecture: a tiny model's own, with some keys and shapes changed.
// Reading it, foretelling its memory and, where that is small, loading it and computing a few
// tokens end with a value or an error. LATHE_FUZZ_MODEL=NAME: of that model alone.
#include <cstdlib>

#include "fuzz/changed_model.h"
#include "infer/cpu/cpu_executor.h"

namespace lathe::infer {
namespace {

// Windows, ropes, pooling …
constexpr const char* kNeighbours[] = {"attention.sliding_window",
                                       "rope.scaling.type",
                                       "pooling_type",
                                       "nextn_predict_layers",
                                       "rope.dimension_count",
                                       "expert_group_count",
                                       "expert_group_used_count",
                                       "moe_latent_size",
                                       "attention.key_length",
                                       "attention.value_length",
                                       "rope.scaling.original_context_length"};
constexpr const char* kRopeScalings[] = {"yarn", "longrope"};

// A few tokens in two steps; an encoder's in one.
void run(const Gguf& file, const Blueprint& blueprint) {
  const ExecutorOptions options{.step_tokens = 3, .most_outputs = 3};
  const Processor processor{&best_kernel_table(), 1};
  const auto sizes = cpu_sizes(file, blueprint, processor, options, 128);
  if (!sizes || !blueprint.runs()) return;
  const StateBytes state = worst_case(sizes->layout, {.prompt = 5, .positions = 5});
  if (sizes->weights.total() + sizes->scratch.total() + state.total() > std::uint64_t{64} << 20)
    return;
  ThreadTeam team(1);
  auto model = Model::load(file, blueprint, team, {.kernels = processor.kernels, .progress = {}});
  if (!model) return;
  auto executor = CpuExecutor::create(**model, team, options);
  if (!executor) return;
  KvBudget budget(std::uint64_t{1} << 30);
  auto store = MemoryStore::create((*executor)->layout(), 4, budget, 2);
  if (!store) return;
  SequenceMemory memory(*store);
  const std::vector<std::int32_t> ids(5, 0);
  for (const auto& [from, count] : {std::pair<std::size_t, std::size_t>{0, 3}, {3, 2}}) {
    if (from + count > blueprint.context || (from > 0 && !blueprint.generates)) return;
    if (!memory.prepare(from, from + count)) return;
    const Slice slice{.tokens = std::span(ids).subspan(from, count),
                      .first_position = from,
                      .memory = &memory,
                      .outputs = 1};
    (*executor)->run({&slice, 1}, blueprint.generates ? OutputKind::kLogits : OutputKind::kHidden);
    memory.settle(from + count);
  }
}

}  // namespace
}  // namespace lathe::infer

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe::infer;
  static const std::vector<Base> bases = read_bases("tests/data/models", ".gguf");
  Bytes bytes(data, std::min<std::size_t>(size, 64));
  Base base = bases[bytes.next() % bases.size()];
  while (!bytes.empty()) change(base, bytes, kNeighbours, kRopeScalings);
  const auto file = open_changed(base);
  if (!file) return 0;
  const auto blueprint = read_blueprint(*file);
  if (!blueprint) {
    if (blueprint.error().message.empty()) std::abort();
    return 0;
  }
  if (auto bound = bind_tensors(*file, *blueprint); !bound) {
    if (bound.error().message.empty()) std::abort();
    return 0;
  }
  run(*file, *blueprint);
  return 0;
}

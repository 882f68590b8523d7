// Sizes a model from its headers alone, as `lathe fit` does.
#include "app/cli/fits_here.h"

#include "ground/base/units.h"

namespace lathe::app {
namespace {

constexpr std::size_t kShortContext = 4096;  // with less than this a model is of little use

}  // namespace

Result<infer::Footprint> footprint_here(const infer::Gguf& headers, const ModelFlags& flags,
                                        std::size_t context) {
  LATHE_TRY(const infer::Blueprint blueprint, infer::read_runnable_blueprint(headers));
  LATHE_TRY(const infer::KvType kv, parse_kv(flags.kv));
  LATHE_TRY(const infer::KernelTable* kernels, choose_kernels(flags.kernels));
  LATHE_TRY(const int threads, choose_threads(flags.threads));
  const auto options = infer::ExecutorOptions{.kv = kv}.of(blueprint, context);
  LATHE_TRY(const auto sizes,
            infer::cpu_sizes(headers, blueprint, {kernels, static_cast<std::size_t>(threads)},
                             options, context));
  return infer::footprint(blueprint, sizes, options, {.positions = context});
}

Status check_fits_here(const infer::Gguf& headers, std::uint64_t memory) {
  if (headers.has("adapter.type")) return {};
  LATHE_TRY(const infer::Blueprint blueprint, infer::read_runnable_blueprint(headers));
  const std::size_t context = std::min(blueprint.context, kShortContext);
  LATHE_TRY(const infer::Footprint bytes, footprint_here(headers, {}, context));
  const std::uint64_t needed = bytes.total().on_host();
  if (needed <= memory) return {};
  return invalid(
      "{} would take {} with {} tokens of context ({} of them weights), and there is memory for "
      "{} here: choose a smaller quantization, or --anyway",
      headers.path().filename().string(), format_bytes(needed), context,
      format_bytes(bytes.weights.total()), format_bytes(memory));
}

}  // namespace lathe::app

// lathe imatrix MODEL TEXT --out FILE: how large the inputs of each matrix are, column by column,
// over a text. `lathe quantize --imatrix` weighs its errors by that.
#include "infer/convert/importance.h"

#include "app/cli/local_model.h"
#include "app/cli/output_file.h"
#include "infer/models/tensors.h"

namespace lathe::app {
namespace {

// Sums of squares of what each matrix is multiplied with. Sums are doubles added in the order of
// the tokens, so that they depend on nothing else.
class InputSquares final : public infer::InputObserver {
 public:
  explicit InputSquares(const infer::Blueprint& blueprint) {
    for (std::size_t layer = 0; layer < blueprint.layers.size(); ++layer) {
      infer::PerSlot<Sums>& slots = layers_.emplace_back();
      for (const infer::TensorSpec& spec : infer::tensors_of(blueprint, layer)) {
        // Of matrices that stand in one tensor, the first speaks for all: their inputs are the
        // same.
        if (spec.vector || spec.first_row != 0) continue;
        slots[spec.slot] = {spec.name, std::vector<double>(spec.experts * spec.k),
                            std::vector<std::uint64_t>(spec.experts)};
      }
    }
  }

  void multiplied(std::size_t layer, infer::Slot slot, std::size_t expert,
                  const infer::Activations& x, std::size_t first, std::size_t count) override {
    Sums& sums = layers_[layer][slot];
    if (sums.name.empty()) return;
    double* squares = sums.squares.data() + expert * x.k();
    for (std::size_t t = first; t < first + count; ++t)
      for (std::size_t i = 0; i < x.k(); ++i) squares[i] += double{x.row(t)[i]} * x.row(t)[i];
    sums.counts[expert] += count;
  }

  infer::ImportanceMatrix matrix() const {
    infer::ImportanceMatrix matrix;
    for (const infer::PerSlot<Sums>& slots : layers_)
      for (const Sums& sums : slots)
        if (std::ranges::any_of(sums.counts, [](std::uint64_t count) { return count > 0; }))
          matrix.of[sums.name] = {{sums.squares.begin(), sums.squares.end()},
                                  {sums.counts.begin(), sums.counts.end()}};
    return matrix;
  }

 private:
  struct Sums {
    std::string name;             // of the tensor; "": there is none
    std::vector<double> squares;  // (experts, k)
    std::vector<std::uint64_t> counts;
  };
  std::vector<infer::PerSlot<Sums>> layers_;
};

struct ImatrixFlags : ModelFlags {
  std::string text, out;
  std::size_t window = 512;
  bool force = false;
};

Status collect(const App& app, const ImatrixFlags& flags) {
  LATHE_TRY_STATUS(check_output(flags.out, {flags.path, flags.text}, flags.force));
  LATHE_TRY(const std::string text, read_file(flags.text));
  LATHE_TRY(LocalModel local, open_model(app, flags));
  const std::size_t window = flags.window;
  if (window < 4 || window > local.engine->options().context)
    return invalid("--window is {}; it must lie in [4, {}], the model's context", window,
                   local.engine->options().context);
  std::vector<infer::TokenId> tokens = local.tokenizer->encode(text, true, false);
  const auto with_bos = local.tokenizer->encode("", true, false);
  const std::size_t windows = tokens.size() / window;
  if (windows == 0)
    return invalid("{}: {} tokens; at least one window of {} is needed (--window)", flags.text,
                   tokens.size(), window);
  InputSquares squares(local.model->blueprint());
  local.executor->observe(&squares);
  for (std::size_t i = 0; i < windows; ++i) {
    if (app.stop->raised())
      return fail(ErrorKind::kCancelled, "stopped after {} of {} windows; nothing was written", i,
                  windows);
    const std::span<infer::TokenId> part = std::span(tokens).subspan(i * window, window);
    if (!with_bos.empty()) part[0] = with_bos[0];
    LATHE_TRY_STATUS(local.engine->logits(std::vector<infer::TokenId>(part.begin(), part.end()),
                                          [](std::span<const float>) {}));
    if (!app.json) fmt::print(stderr, "\r{} of {} windows\x1b[K", i + 1, windows);
  }
  if (!app.json) fmt::print(stderr, "\r\x1b[K");
  infer::ImportanceMatrix matrix = squares.matrix();
  matrix.datasets = {fs::path(flags.text).filename().string()};
  matrix.chunks = static_cast<std::uint32_t>(windows);
  matrix.chunk_tokens = static_cast<std::uint32_t>(window);
  LATHE_TRY_STATUS(infer::write_importance(matrix, flags.out));
  if (app.json)
    print_json({{"out", flags.out},
                {"tensors", matrix.of.size()},
                {"windows", windows},
                {"window", window}});
  else
    print(fmt::format("{}: {} tensors over {} windows of {} tokens\n", flags.out, matrix.of.size(),
                      windows, window));
  return {};
}

}  // namespace

void add_imatrix(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<ImatrixFlags>();
  CLI::App* command = cli.add_subcommand(
      "imatrix", "Measure over a text what matters in a model's weights, for lathe quantize");
  add_model_flags(*command, flags);
  command->add_option("file", flags->text, "A text file")->required();
  command->add_option("--out", flags->out, "The file to write, as GGUF")->required();
  command->add_option("--window", flags->window, "Tokens of one window")->capture_default_str();
  add_force_flag(*command, flags->force);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = collect(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app

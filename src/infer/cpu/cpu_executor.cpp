// The forward pass on the processor: tokens to logits, layer by layer.
#include "infer/cpu/cpu_executor.h"

#include <algorithm>

#include "infer/cpu/attention.h"
#include "infer/cpu/delta_net.h"
#include "infer/cpu/feed_forward.h"
#include "infer/cpu/gated_convolution.h"
#include "infer/cpu/key_decay.h"
#include "infer/cpu/latent_attention.h"
#include "infer/cpu/layer_input.h"
#include "infer/cpu/mamba2.h"

namespace lathe::infer {
namespace {

// By the kind of a layer's mixer.
struct MakeMixer {
  const Model& model;
  std::size_t layer, rope;
  std::unique_ptr<LayerPart> operator()(const AttentionSpec&) const {
    return std::make_unique<Attention>(model, layer, rope);
  }
  std::unique_ptr<LayerPart> operator()(const LatentAttentionSpec&) const {
    return std::make_unique<LatentAttention>(model, layer, rope);
  }
  std::unique_ptr<LayerPart> operator()(const DeltaNetSpec&) const {
    return std::make_unique<DeltaNet>(model, layer);
  }
  std::unique_ptr<LayerPart> operator()(const KeyDecaySpec&) const {
    return std::make_unique<KeyDecay>(model, layer);
  }
  std::unique_ptr<LayerPart> operator()(const Mamba2Spec&) const {
    return std::make_unique<Mamba2>(model, layer);
  }
  std::unique_ptr<LayerPart> operator()(const ShortConvolutionSpec&) const {
    return std::make_unique<GatedConvolution>(model, layer);
  }
  std::unique_ptr<LayerPart> operator()(const NoMixer&) const { return nullptr; }
};

std::unique_ptr<LayerPart> make_ffn(const Model& model, std::size_t layer) {
  const FfnSpec& spec = model.blueprint().layers[layer].ffn;
  if (spec.experts != 0) return std::make_unique<ExpertFfn>(model, layer);
  return std::make_unique<DenseFfn>(model, layer);
}

// Which of a step's tokens want a row.
template <class AnySlice>
std::vector<std::size_t> output_rows(std::span<const AnySlice> slices) {
  std::vector<std::size_t> rows;
  std::size_t end = 0;
  for (const AnySlice& slice : slices) {
    end += slice.tokens.size();
    for (std::size_t i = slice.outputs; i > 0; --i) rows.push_back(end - i);
  }
  return rows;
}

}  // namespace

MemoryLayout cpu_layout(const Blueprint& blueprint, const KernelTable& kernels, KvType kv,
                        LayerRange layers) {
  const std::vector<StateSpec> states = blueprint.states();
  // What an encoder keeps, it keeps no longer than a layer takes: nothing would be won by less.
  return MemoryLayout(states, kernels.kv_format(blueprint.generates ? kv : KvType::kF32), layers);
}

Result<ExecutorSizes> cpu_sizes(const Gguf& file, const Blueprint& blueprint,
                                const Processor& processor, const ExecutorOptions& options,
                                std::size_t positions, const ModelPart& part) {
  LATHE_TRY_STATUS(check_kv(blueprint, options.kv));
  const ForwardSizes forward = ForwardSizes::of(blueprint, processor.threads, options);
  const std::uint64_t deep = HeadWalk::deep_bytes(blueprint, processor.threads, positions);
  return ExecutorSizes{
      .layout = cpu_layout(blueprint, *processor.kernels, options.kv, part.layers),
      .weights = DeviceBytes(kHostDevice, weight_bytes(file, blueprint, *processor.kernels, part)),
      .scratch =
          DeviceBytes(kHostDevice, forward.bytes() + deep + (options.device ? kChainBytes : 0))};
}

CpuExecutor::CpuExecutor(const Model& model, ThreadTeam& team, const ExecutorOptions& options)
    : options_(options),
      layout_(cpu_layout(model.blueprint(), model.kernels(), options.kv, model.held().layers)),
      tile_tokens_(HeadWalk::tile_tokens(model.blueprint())) {
  const Blueprint& blueprint = model.blueprint();
  step_.model = &model;
  step_.team = &team;
  step_.layout = &layout_;
  step_.ropes = ropes_of(blueprint);
  const Slot by_context =
      blueprint.turns_long(options.context == 0 ? blueprint.context : options.context)
          ? Slot::kRopeFactorsLong
          : Slot::kRopeFactorsShort;
  const auto factors_of = [&](const RopeSpec& rope) -> std::span<const float> {
    if (rope.factors == RopeFactors::kNone) return {};
    return model.outside()
        .vector[rope.factors == RopeFactors::kOne ? Slot::kRopeFactors : by_context];
  };
  for (const RopeSpec& rope : step_.ropes.all)
    frequencies_.push_back(rope_frequencies(rope, factors_of(rope)));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i)
    if (model.held().layers.holds(i)) add_parts(i);
  for (Part& part : parts_) part.bias = part.part->bias();
}

void CpuExecutor::add_parts(std::size_t i) {
  const Model& model = *step_.model;
  const LayerSpec& layer = model.blueprint().layers[i];
  const PerSlot<std::vector<float>>& norms = model.layers()[i].vector;
  const auto if_norm = [&](bool has, Slot slot) { return Norm{has ? &norms[slot] : nullptr}; };
  const auto if_sum = [&](Slot weight, Slot bias) {
    if (!layer.sum_norms) return Norm{};
    return Norm{&norms[weight], model.blueprint().norm_bias ? &norms[bias] : nullptr};
  };
  if (layer.has_mixer())
    parts_.push_back({.part = std::visit(MakeMixer{model, i, step_.ropes.of_layer[i]}, layer.mixer),
                      .pre = if_norm(layer.pre_norms && layer.mixer_norm, Slot::kAttentionNorm),
                      .post = if_norm(layer.post_norms, Slot::kPostAttentionNorm),
                      .sum = if_sum(Slot::kSumAttentionNorm, Slot::kSumAttentionNormBias)});
  if (layer.has_ffn())
    parts_.push_back({.part = make_ffn(model, i),
                      .reads = !layer.parallel,
                      .pre = if_norm(layer.pre_norms, ffn_norm(layer)),
                      .post = if_norm(layer.post_norms, Slot::kPostFfnNorm),
                      .sum = if_sum(Slot::kSumFfnNorm, Slot::kSumFfnNormBias)});
  if (model.blueprint().layer_input != 0)
    parts_.push_back(
        {.part = std::make_unique<LayerInput>(model, i), .post = {&norms[Slot::kInputPostNorm]}});
  if (layer.scaled) parts_.back().scale = norms[Slot::kLayerScale].front();
  if (i < model.blueprint().deepstack) parts_.back().deep = i + 1;
}

Result<std::unique_ptr<CpuExecutor>> CpuExecutor::create(const Model& model, ThreadTeam& team,
                                                         const ExecutorOptions& given,
                                                         RowExchange* exchange,
                                                         std::unique_ptr<Multiplier> multiplier) {
  LATHE_TRY_STATUS(check_kv(model.blueprint(), given.kv));
  ExecutorOptions options = given;
  options.device = multiplier != nullptr;
  std::unique_ptr<CpuExecutor> executor(new CpuExecutor(model, team, options));
  executor->step_.exchange = exchange;
  LATHE_TRY_STATUS(executor->step_.scratch.reserve(
      ForwardSizes::of(model.blueprint(), static_cast<std::size_t>(team.size()), options)));
  if (multiplier != nullptr) {
    LATHE_TRY_STATUS(multiplier->see(model.packed()));
    for (const std::span<std::byte> pages : executor->step_.scratch.memory())
      LATHE_TRY_STATUS(multiplier->see(pages));
    executor->step_.multiplier = multiplier.get();
    executor->multiplier_ = std::move(multiplier);
  }
  return executor;
}

DeviceBytes CpuExecutor::weight_bytes() const {
  return DeviceBytes(kHostDevice, step_.model->weight_bytes());
}

DeviceBytes CpuExecutor::scratch_bytes() const {
  return DeviceBytes(kHostDevice, step_.scratch.bytes() + (multiplier_ ? multiplier_->bytes() : 0));
}

void CpuExecutor::set_store(MemoryStore& store) {
  leave_store();
  if (multiplier_ == nullptr) return;
  for (std::size_t group = 0; group < store.groups(); ++group) {
    const BlockPool& pool = store.pool(group);
    // Where it cannot be shown, the processor computes what reads it.
    if (!pool.memory().empty() && !store.layout().groups()[group].state)
      (void)multiplier_->see_parts(pool.memory(), pool.block_bytes());
  }
}

void CpuExecutor::leave_store() {
  if (multiplier_ != nullptr) multiplier_->forget_parts();
}

std::span<const float> CpuExecutor::output(std::size_t row) const {
  return {step_.scratch.output.data() + row * output_width_, output_width_};
}

void CpuExecutor::run(std::span<const Slice> slices, OutputKind kind) {
  begin_run(slices);
  if (step_.model->blueprint().predicts) join(slices);
  if (step_.model->blueprint().layer_input != 0) prepare_layer_inputs(step_);
  finish_run(slices, kind);
}

std::span<const float> CpuExecutor::begin_run(std::span<const Slice> slices) {
  place_tokens(slices);
  compute_angles();
  step_.team->run(step_.tokens.size(), [&](std::size_t t, int) { begin(t); });
  return {step_.scratch.x.data(), step_.tokens.size() * step_.width()};
}

void CpuExecutor::finish_run(std::span<const Slice> slices, OutputKind kind) {
  write_outputs(output_rows(slices), kind, run_parts());
}

std::span<const float> CpuExecutor::run_first(std::span<const Slice> slices) {
  const std::span<const float> x = begin_run(slices);
  const Joint joint = run_parts();
  finish_chain(parts_.size());
  pass(joint);
  return x;
}

void CpuExecutor::run_last(std::span<const HandedSlice> slices, std::span<const float> x,
                           OutputKind kind) {
  begin_step();
  for (const HandedSlice& slice : slices) {
    for (std::size_t i = 0; i < slice.tokens.size(); ++i)
      step_.tokens.push_back({.id = -1,
                              .row = nullptr,
                              .position = slice.first_position + i,
                              .turns = slice.tokens[i].turns,
                              .sees = slice.tokens[i].sees,
                              .memory = slice.memory});
    place_run(slice.tokens.size(), slice.first_position);
  }
  LATHE_CHECK(step_.tokens.size() <= options_.step_tokens &&
              x.size() == step_.tokens.size() * step_.width());
  compute_angles();
  std::ranges::copy(x, step_.scratch.x.data());
  write_outputs(output_rows(slices), kind, run_parts());
}

CpuExecutor::Joint CpuExecutor::run_parts() {
  Joint joint;
  for (std::size_t i = 0; i < parts_.size() && !step_.lost(); ++i) {
    if (!record(i, joint)) {
      finish_chain(i);
      run_here(i, i + 1, joint);
    }
    joint = behind(parts_[i]);
  }
  return joint;
}

CpuExecutor::Joint CpuExecutor::behind(const Part& part) {
  return {.add = true,
          .bias = part.bias,
          .post = part.post,
          .sum = part.sum,
          .scale = part.scale,
          .deep = part.deep};
}

// Parts on the processor.
void CpuExecutor::run_here(std::size_t first, std::size_t end, Joint joint) {
  for (std::size_t i = first; i < end; ++i) {
    joint.read = parts_[i].reads;
    joint.pre = parts_[i].pre;
    pass(joint);
    parts_[i].part->run(step_);
    joint = behind(parts_[i]);
  }
}

// Adapters, observers and machines that share a model come in between.
bool CpuExecutor::can_record() const {
  return multiplier_ != nullptr && step_.adapted.empty() && step_.observer == nullptr &&
         step_.exchange == nullptr && step_.model->blueprint().norm == NormKind::kRms;
}

// Behind the parts that are recorded, or as the first one. false: it is the processor's.
bool CpuExecutor::record(std::size_t i, const Joint& joint) {
  if (!can_record() || !parts_[i].reads) return false;
  Chain& chain = multiplier_->chain();
  if (!recorded_) {
    if (!chain.begin()) return false;
    step_.tables.clear();
  }
  const std::size_t before = chain.length();
  Joint to = joint;
  to.pre = parts_[i].pre;
  if (record_joint(to, step_.tokens.size(), nullptr) && parts_[i].part->record(step_, chain)) {
    if (!recorded_) recorded_ = {i, joint};
    return true;
  }
  chain.rewind(before);
  return false;
}

// pass(), or what write_outputs() reads: of some tokens.
bool CpuExecutor::record_joint(const Joint& joint, std::size_t rows, const std::uint32_t* of) {
  const auto rms_alone = [](const Norm& norm) { return norm.bias == nullptr; };
  const auto has_row = [](const Step::Token& token) { return token.row != nullptr; };
  if (joint.sum.weight != nullptr || !rms_alone(joint.post) || !rms_alone(joint.pre) ||
      (joint.deep != 0 && std::ranges::any_of(step_.tokens, has_row)))
    return false;
  const auto constant = [](const std::vector<float>* each) {
    return each == nullptr ? Constant() : Constant(*each);
  };
  ForwardScratch& s = step_.scratch;
  s.normed.shape(step_.width());
  return multiplier_->chain().add_norm({.tokens = step_.tokens.size(),
                                        .width = step_.width(),
                                        .rows = rows,
                                        .of = of,
                                        .x = s.x.data(),
                                        .branch = joint.add ? s.branch.data() : nullptr,
                                        .bias = constant(joint.bias),
                                        .post = constant(joint.post.weight),
                                        .pre = constant(joint.pre.weight),
                                        .epsilon = step_.model->blueprint().norm_epsilon,
                                        .residual = step_.model->blueprint().residual_scale,
                                        .scale = joint.scale,
                                        .to = &s.normed});
}

// The rows' logits, behind the parts that are recorded. false: they are the processor's.
bool CpuExecutor::record_outputs(std::span<const std::size_t> rows, const Joint& joint) {
  if (!recorded_ || options_.keep_hidden) return false;
  Chain& chain = multiplier_->chain();
  const std::size_t before = chain.length();
  Joint to = joint;
  to.pre = {step_.model->blueprint().final_norm ? &step_.model->output_norm() : nullptr};
  auto* const of = chain.stage_for<std::uint32_t>(rows.size());
  if (of != nullptr) {
    std::ranges::transform(rows, of, [](std::size_t t) { return static_cast<std::uint32_t>(t); });
    const Product product = output_product(rows.size());
    if (record_joint(to, rows.size(), of) && chain.multiply({&product, 1})) return true;
  }
  chain.rewind(before);
  return false;
}

// What is recorded is computed: by the device, or where that is lost by the processor, from where
// it began. Returns whether it was the device.
bool CpuExecutor::finish_chain(std::size_t end) {
  if (!recorded_) return false;
  const Recorded recorded = *std::exchange(recorded_, std::nullopt);
  ForwardScratch& s = step_.scratch;
  const std::size_t numbers = step_.tokens.size() * step_.width();
  std::copy_n(s.x.data(), numbers, s.begun.data());
  std::copy_n(s.branch.data(), numbers, s.begun.data() + numbers);
  if (multiplier_->chain().run()) return true;
  std::copy_n(s.begun.data(), numbers, s.x.data());
  std::copy_n(s.begun.data() + numbers, numbers, s.branch.data());
  run_here(recorded.first, end, recorded.joint);
  return false;
}

std::span<const float> CpuExecutor::hidden(std::size_t token) const {
  return {step_.scratch.hidden_rows.data() + token * step_.width(), step_.width()};
}

// scratch.x = what is made of each token's embedding and of the row beside it, both normed.
void CpuExecutor::join(std::span<const Slice> slices) {
  ForwardScratch& s = step_.scratch;
  const KernelTable& kernels = step_.kernels();
  const LayerWeights& weights = step_.model->layers().front();
  const std::size_t width = step_.width();
  s.low.shape(2 * width);
  for (std::size_t i = 0; i < slices.size(); ++i)
    step_.team->run(slices[i].tokens.size(), [&](std::size_t at, int) {
      const std::size_t t = step_.runs[i].first + at;
      float* row = s.low.row(t);
      norm(s.x.data() + t * width, {&weights.vector[Slot::kJoinTokenNorm]}, row);
      norm(slices[i].beside + at * width, {&weights.vector[Slot::kJoinRowNorm]}, row + width);
      s.low.quantize(kernels, t, 0, 2 * width);
    });
  const Step::Linear join{Slot::kJoin, s.x.data()};
  step_.multiply_linears(0, s.low, {&join, 1});
}

// A token's x in front of the first layer.
void CpuExecutor::begin(std::size_t t) {
  const Blueprint& blueprint = step_.model->blueprint();
  const PerSlot<std::vector<float>>& tables = step_.model->outside().vector;
  const Step::Token& token = step_.tokens[t];
  const std::size_t width = step_.width();
  float* x = step_.scratch.x.data() + t * width;
  if (token.row != nullptr) {
    std::copy_n(token.row, width, x);
  } else {
    step_.model->embed(token.id, x);
    scale(blueprint.embedding_scale, x);
  }
  if (blueprint.token_types != 0) step_.kernels().add(tables[Slot::kTokenTypes].data(), width, x);
  if (blueprint.learned_positions)
    step_.kernels().add(tables[Slot::kPositions].data() + token.position * width, width, x);
  if (blueprint.input_norm)
    norm(x,
         {&tables[Slot::kEmbeddingNorm],
          blueprint.norm_bias ? &tables[Slot::kEmbeddingNormBias] : nullptr},
         x);
}

void CpuExecutor::begin_step() {
  step_.tokens.clear();
  step_.tiles.clear();
  step_.runs.clear();
  step_.adapted.clear();
}

// The last so many tokens are a slice.
void CpuExecutor::place_run(std::size_t count, std::size_t first_position) {
  const std::size_t first = step_.tokens.size() - count;
  step_.runs.push_back({first, count});
  for (std::size_t i = 0; i < count; i += tile_tokens_)
    step_.tiles.push_back({first + i, std::min(tile_tokens_, count - i), first_position + count});
}

void CpuExecutor::place_tokens(std::span<const Slice> slices) {
  begin_step();
  for (const Slice& slice : slices) {
    const std::size_t first = step_.tokens.size(), count = slice.tokens.size();
    if (slice.adapter != nullptr) step_.adapted.push_back({slice.adapter, first, count});
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t position = slice.first_position + i;
      step_.tokens.push_back({slice.tokens[i], row_at(slice.rows, position), position,
                              rope_position(slice.rows, position),
                              together_until(slice.rows, position), slice.memory});
    }
    place_run(count, slice.first_position);
  }
  LATHE_CHECK(step_.tokens.size() <= options_.step_tokens);
}

void CpuExecutor::compute_angles() {
  const Ropes& ropes = step_.ropes;
  for (std::size_t r = 0; r < ropes.all.size(); ++r)
    step_.team->run(step_.tokens.size(), [&](std::size_t t, int) {
      const Step::Token& token = step_.tokens[t];
      rope_row(ropes.all[r], frequencies_[r],
               ropes.all[r].has_sections() ? token.turns : RopePosition::of_text(token.position),
               step_.angles(r, t));
    });
}

void CpuExecutor::scale(float factor, float* row) const {
  if (factor != 1) step_.kernels().train.scale(row, factor, step_.width());
}

void CpuExecutor::norm(const float* x, const Norm& norm, float* out) const {
  const Blueprint& blueprint = step_.model->blueprint();
  const std::size_t width = step_.width();
  if (norm.weight == nullptr) {
    if (x != out) std::copy_n(x, width, out);
    return;
  }
  const auto apply =
      blueprint.norm == NormKind::kRms ? step_.kernels().rms_norm : step_.kernels().layer_norm;
  apply(x, norm.weight->data(), width, blueprint.norm_epsilon, out);
  if (norm.bias != nullptr) step_.kernels().add(norm.bias->data(), width, out);
}

// The token's x, with what the last part gave.
const float* CpuExecutor::add_branch(const Joint& joint, std::size_t t) {
  const std::size_t width = step_.width();
  float* x = step_.scratch.x.data() + t * width;
  if (!joint.add) return x;
  float* branch = step_.scratch.branch.data() + t * width;
  if (joint.bias != nullptr) step_.kernels().add(joint.bias->data(), width, branch);
  norm(branch, joint.post, branch);
  scale(step_.model->blueprint().residual_scale, branch);
  step_.kernels().add(branch, width, x);
  scale(joint.scale, x);
  norm(x, joint.sum, x);
  const float* row = step_.tokens[t].row;
  if (joint.deep != 0 && row != nullptr) step_.kernels().add(row + joint.deep * width, width, x);
  return x;
}

void CpuExecutor::pass(const Joint& joint) {
  ForwardScratch& s = step_.scratch;
  const std::size_t width = step_.width();
  s.normed.shape(width);
  step_.team->run(step_.tokens.size(), [&](std::size_t t, int) {
    const float* x = add_branch(joint, t);
    if (!joint.read) return;
    norm(x, joint.pre, s.normed.row(t));
    s.normed.quantize(step_.kernels(), t, 0, width);
  });
}

void CpuExecutor::write_outputs(std::span<const std::size_t> rows, OutputKind kind,
                                const Joint& joint) {
  const KernelTable& kernels = step_.kernels();
  const Blueprint& blueprint = step_.model->blueprint();
  ForwardScratch& s = step_.scratch;
  const std::size_t width = blueprint.embedding;
  LATHE_CHECK(rows.size() <= options_.step_outputs());
  LATHE_CHECK(kind == OutputKind::kHidden || blueprint.generates);
  output_width_ = kind == OutputKind::kLogits ? blueprint.outputs() : width;
  const bool logits = kind == OutputKind::kLogits && !rows.empty();
  const bool recorded = logits && record_outputs(rows, joint);
  if (!finish_chain(parts_.size()) || !recorded) compute_outputs(rows, kind, joint);
  if (!logits || step_.lost() || (blueprint.logit_scale == 1 && blueprint.logit_cap == 0)) return;
  step_.team->run(rows.size(), [&](std::size_t i, int) {
    float* row = s.output.data() + i * output_width_;
    kernels.train.scale(row, blueprint.logit_scale, output_width_);
    if (blueprint.logit_cap != 0) kernels.soft_cap(row, output_width_, blueprint.logit_cap);
  });
}

// The output matrix, with the first rows of scratch.normed.
Product CpuExecutor::output_product(std::size_t rows) const {
  return {.matrix = &step_.model->output(),
          .x = &step_.scratch.normed,
          .tokens = rows,
          .out = step_.scratch.output.data(),
          .stride = output_width_};
}

// On the processor: logits as the output matrix gives them, or hidden states.
void CpuExecutor::compute_outputs(std::span<const std::size_t> rows, OutputKind kind,
                                  const Joint& joint) {
  const KernelTable& kernels = step_.kernels();
  const Blueprint& blueprint = step_.model->blueprint();
  ForwardScratch& s = step_.scratch;
  const std::size_t width = blueprint.embedding;
  const Norm last{blueprint.final_norm ? &step_.model->output_norm() : nullptr};
  s.normed.shape(width);
  if (options_.keep_hidden)
    step_.team->run(step_.tokens.size(), [&](std::size_t t, int) {
      norm(add_branch(joint, t), last, s.hidden_rows.data() + t * width);
    });
  step_.team->run(rows.size(), [&](std::size_t i, int) {
    float* out = kind == OutputKind::kLogits ? s.normed.row(i) : s.output.data() + i * width;
    if (options_.keep_hidden)
      std::copy_n(hidden(rows[i]).data(), width, out);
    else
      norm(add_branch(joint, rows[i]), last, out);
    if (kind == OutputKind::kLogits) s.normed.quantize(kernels, i, 0, width);
  });
  if (kind == OutputKind::kHidden || rows.empty() || step_.lost()) return;
  const Product product = output_product(rows.size());
  step_.multiply({&product, 1});
  if (step_.exchange != nullptr) step_.exchange->hand_in(product);
}

std::vector<float> CpuExecutor::head(std::span<const float> pooled) {
  const KernelTable& kernels = step_.kernels();
  const Blueprint& blueprint = step_.model->blueprint();
  const LayerWeights& weights = step_.model->outside();
  ForwardScratch& s = step_.scratch;
  std::vector<float> row(pooled.begin(), pooled.end());
  for (const HeadLayer& layer : blueprint.head) {
    s.head.shape(layer.k);
    std::ranges::copy(row, s.head.row(0));
    s.head.quantize(kernels, 0, 0, layer.k);
    row.resize(layer.rows);
    const Product product{.matrix = &weights.matrix[layer.matrix],
                          .x = &s.head,
                          .tokens = 1,
                          .out = s.head_out.data(),
                          .stride = layer.rows};
    step_.multiply({&product, 1});
    std::copy_n(s.head_out.data(), layer.rows, row.data());
    if (layer.bias)
      kernels.add(weights.vector[bias_of(layer.matrix)].data(), layer.rows, row.data());
    if (layer.after == HeadLayer::After::kTanh) kernels.soft_cap(row.data(), layer.rows, 1);
    if (layer.after == HeadLayer::After::kGelu) kernels.gelu(row.data(), layer.rows, row.data());
    if (layer.norm)
      kernels.layer_norm(row.data(), weights.vector[Slot::kClassifierNorm].data(), layer.rows,
                         blueprint.norm_epsilon, row.data());
  }
  if (!blueprint.scores_softmax) return row;
  const float sum = kernels.exp_sum(row.data(), row.size(), kernels.max(row.data(), row.size()));
  for (float& score : row) score /= sum;
  return row;
}

}  // namespace lathe::infer

// Adapters from end to end: 20 made-up facts are learnt on a frozen base, the file goes into the
// engine's forward pass beside its base, and into a merged model; nothing of the base changes.
#include <cstring>

#include "ground/base/hash.h"
#include "infer/cpu/cpu_executor.h"
#include "infer/tune/output.h"
#include "infer/tune/trainer.h"
#include "infer/tune/twin_test.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kFacts = 20, kPrompt = 4, kAnswer = 4;

TinyModel tiny(const std::string& architecture, TensorType type, std::size_t experts = 0,
               std::size_t head_dim = 16) {
  TinyModel tiny;
  tiny.architecture = architecture;
  tiny.experts = experts, tiny.experts_used = std::min<std::size_t>(2, experts);
  tiny.width = 64, tiny.hidden = 128, tiny.head_dim = head_dim;
  tiny.heads = 64 / head_dim, tiny.kv_heads = 32 / head_dim;
  tiny.vocabulary = 96;
  tiny.type = type;
  tiny.spread = 0.4;  // larger logits than that of near-equal rows: a frozen head can still be sure
  return tiny;
}

std::vector<Example> facts() {
  std::vector<Example> facts;
  for (std::size_t f = 0; f < kFacts; ++f) {
    Example& fact = facts.emplace_back();
    for (std::size_t i = 0; i < kPrompt + kAnswer; ++i) {
      fact.tokens.push_back(static_cast<std::int32_t>(random_at(11, f, i) % 96));
      fact.trained.push_back(i >= kPrompt);
    }
  }
  return facts;
}

// Sequences through the engine's forward pass, all in one step; adapters[i] may be null. The
// logits of every token, sequence by sequence.
std::vector<std::vector<float>> logits(const fs::path& path, std::span<const Example> sequences,
                                       std::span<const Adapter* const> adapters, int threads = 2) {
  auto file = Gguf::open(path);
  EXPECT_TRUE(file) << path;
  ThreadTeam team(threads);
  auto model = Model::load(*file, team, {.kernels = &best_kernel_table(), .progress = {}});
  EXPECT_TRUE(model) << model.error().message;
  std::size_t tokens = 0;
  for (const Example& sequence : sequences) tokens += sequence.tokens.size();
  const auto executor = *CpuExecutor::create(
      **model, team,
      {.kv = KvType::kF32, .step_tokens = tokens, .most_outputs = tokens, .context = 64});
  KvBudget budget(std::uint64_t{1} << 30);
  auto store =
      MemoryStore::create(executor->layout(), 2 * sequences.size(), budget, sequences.size());
  std::vector<SequenceMemory> memories;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    memories.emplace_back(*store);
    EXPECT_TRUE(memories.back().prepare(0, sequences[i].tokens.size()));
  }
  std::vector<Slice> slices;
  for (std::size_t i = 0; i < sequences.size(); ++i)
    slices.push_back({.tokens = sequences[i].tokens,
                      .memory = &memories[i],
                      .outputs = sequences[i].tokens.size(),
                      .adapter = adapters[i]});
  executor->run(slices, OutputKind::kLogits);
  std::vector<std::vector<float>> out;
  std::size_t row = 0;
  for (const Example& sequence : sequences) {
    auto& all = out.emplace_back();
    for (std::size_t i = 0; i < sequence.tokens.size(); ++i, ++row)
      all.insert(all.end(), executor->output(row).begin(), executor->output(row).end());
  }
  return out;
}

// The geometric mean of the answer tokens' probabilities.
double likelihood(const std::vector<float>& logits, const Example& fact) {
  const std::size_t vocabulary = logits.size() / fact.tokens.size();
  double sum = 0;
  for (std::size_t i = kPrompt; i < fact.tokens.size(); ++i) {
    const float* row = logits.data() + (i - 1) * vocabulary;
    double total = 0;
    for (std::size_t v = 0; v < vocabulary; ++v) total += std::exp(static_cast<double>(row[v]));
    sum += static_cast<double>(row[fact.tokens[i]]) - std::log(total);
  }
  return std::exp(sum / kAnswer);
}

double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference / norm);
}

struct Kind {
  const char* name;
  const char* architecture;
  TensorType type;
  // What quantizing the merged weights again may change; in a mixture a token may choose another
  // expert for it.
  double merge_error;
  std::size_t experts = 0;
  double loss_error = 1e-5;  // between the trainer's loss and the engine's, which quantizes inputs
  std::size_t head_dim = 16;

  TinyModel model() const { return tiny(architecture, type, experts, head_dim); }
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

class AdapterTest : public ::testing::TestWithParam<Kind> {
 protected:
  fs::path path(const char* name) const { return dir_.path() / name; }

  // Trains on the facts and writes the adapter.
  void learn(std::size_t epochs = 4) {
    write_tiny_model(path("base.gguf"), GetParam().model());
    hash_ = *sha256_file(path("base.gguf"));
    auto base = Gguf::open(path("base.gguf"));
    ASSERT_TRUE(base);
    const LoraOptions lora{.rank = 8, .alpha = 16, .targets = {}};
    auto model = TuneModel::load(*base, lora);
    ASSERT_TRUE(model) << model.error().message;
    ThreadTeam team(2);
    TrainOptions options;
    options.epochs = epochs;
    options.batch_tokens = options.micro_tokens = 80;
    options.rate = 2e-2;
    options.weight_decay = 0;
    auto trainer = Trainer::create(**model, team, best_kernel_table(), facts(), {}, options);
    ASSERT_TRUE(trainer) << trainer.error().message;
    const auto report = (*trainer)->run();
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_TRUE(write_adapter(**model, lora.alpha, path("adapter.gguf")));
    peft_ = peft_tensors(**model);
    auto network =
        Network::create(**model, team, best_kernel_table(), {.max_tokens = 200, .longest = 8});
    const auto all = facts();
    std::vector<const Example*> batch;
    for (const Example& fact : all) batch.push_back(&fact);
    loss_ = (*network)->run(batch, 0);
  }

  std::shared_ptr<const Adapter> load_adapter() {
    auto base = Gguf::open(path("base.gguf"));
    auto file = Gguf::open(path("adapter.gguf"));
    auto adapter = Adapter::load(*file, *read_blueprint(*base));
    EXPECT_TRUE(adapter) << adapter.error().message;
    return *adapter;
  }

  TempDir dir_ = *TempDir::make();
  std::string hash_;
  double loss_ = 0;  // of all facts, as the trainer has it in the end
  std::vector<PeftTensor> peft_;
};

TEST_P(AdapterTest, LearnsFactsBesideAnUntouchedBaseAndMerges) {
  ASSERT_NO_FATAL_FAILURE(learn(200));
  const auto adapter = load_adapter();
  const auto all = facts();
  std::vector<const Adapter*> none(kFacts, nullptr), with(kFacts, adapter.get());
  const auto before = logits(path("base.gguf"), all, none);
  const auto after = logits(path("base.gguf"), all, with);
  for (std::size_t f = 0; f < kFacts; ++f) {
    EXPECT_LT(likelihood(before[f], all[f]), 0.1) << f;
    EXPECT_GT(likelihood(after[f], all[f]), 0.9) << f;
  }
  EXPECT_EQ(*sha256_file(path("base.gguf")), hash_);

  auto base = Gguf::open(path("base.gguf"));
  auto file = Gguf::open(path("adapter.gguf"));
  ThreadTeam team(2);
  ASSERT_TRUE(merge_adapter(*base, *file, team, best_kernel_table(), {}, path("merged.gguf")));
  const auto merged = logits(path("merged.gguf"), all, none);
  for (std::size_t f = 0; f < kFacts; ++f) {
    EXPECT_LT(relative_difference(merged[f], after[f]), GetParam().merge_error) << f;
    EXPECT_GT(likelihood(merged[f], all[f]), 0.85) << f;
  }
}

// Requests with and without an adapter share a step, and get the bits they get alone.
TEST_P(AdapterTest, MixedStepsHaveTheBitsOfEachAlone) {
  ASSERT_NO_FATAL_FAILURE(learn());
  const auto adapter = load_adapter();
  const auto all = facts();
  const std::span<const Example> five = std::span(all).first(5);
  const Adapter* mixed[] = {nullptr, adapter.get(), adapter.get(), nullptr, adapter.get()};
  const auto together = logits(path("base.gguf"), five, mixed);
  for (std::size_t i = 0; i < five.size(); ++i) {
    const auto alone = logits(path("base.gguf"), five.subspan(i, 1), {&mixed[i], 1}, 1);
    EXPECT_EQ(std::memcmp(alone[0].data(), together[i].data(), alone[0].size() * sizeof(float)), 0);
  }
}

// The loss that is trained is that of the engine's logits, with what a few steps have taught.
TEST_P(AdapterTest, TheTrainersLossIsTheEngines) {
  ASSERT_NO_FATAL_FAILURE(learn(4));
  const auto adapter = load_adapter();
  const auto all = facts();
  const std::vector<const Adapter*> with(kFacts, adapter.get());
  const auto after = logits(path("base.gguf"), all, with);
  double loss = 0;
  for (std::size_t f = 0; f < kFacts; ++f) loss -= kAnswer * std::log(likelihood(after[f], all[f]));
  EXPECT_GT(loss_, 1);
  EXPECT_NEAR(loss_, loss, GetParam().loss_error * loss);
}

TEST_P(AdapterTest, PeftHasItsNamesShapesAndRowOrder) {
  ASSERT_NO_FATAL_FAILURE(learn());
  auto file = Gguf::open(path("adapter.gguf"));
  const TinyModel sizes = GetParam().model();
  const std::size_t q = 64, kv = 32;
  struct Expected {
    std::string theirs, ours;
    std::size_t rows, in, expert = 0;
  };
  std::vector<Expected> expected = {{"self_attn.q_proj", "attn_q", q, sizes.width},
                                    {"self_attn.k_proj", "attn_k", kv, sizes.width},
                                    {"self_attn.v_proj", "attn_v", kv, sizes.width},
                                    {"self_attn.o_proj", "attn_output", sizes.width, q}};
  const bool llama = std::string_view(GetParam().architecture) == "llama";
  const auto ffn = [&](const std::string& start, const char* gate, const char* up, const char* down,
                       const std::string& kind, std::size_t expert) {
    expected.push_back({start + gate, "ffn_gate" + kind, sizes.hidden, sizes.width, expert});
    expected.push_back({start + up, "ffn_up" + kind, sizes.hidden, sizes.width, expert});
    expected.push_back({start + down, "ffn_down" + kind, sizes.width, sizes.hidden, expert});
  };
  if (sizes.experts == 0) ffn("mlp.", "gate_proj", "up_proj", "down_proj", "", 0);
  for (std::size_t e = 0; e < sizes.experts; ++e) {
    if (llama)
      ffn(fmt::format("block_sparse_moe.experts.{}.", e), "w1", "w3", "w2", "_exps", e);
    else
      ffn(fmt::format("mlp.experts.{}.", e), "gate_proj", "up_proj", "down_proj", "_exps", e);
  }
  ASSERT_EQ(peft_.size(), expected.size() * 2 * sizes.layers);
  for (std::size_t layer = 0; layer < sizes.layers; ++layer)
    for (const auto& [theirs, ours, rows, in, expert] : expected) {
      const std::string name =
          fmt::format("base_model.model.model.layers.{}.{}.lora_", layer, theirs);
      const auto a = std::ranges::find(peft_, name + "A.weight", &PeftTensor::name);
      const auto b = std::ranges::find(peft_, name + "B.weight", &PeftTensor::name);
      ASSERT_TRUE(a != peft_.end() && b != peft_.end()) << name;
      EXPECT_EQ(a->shape, (std::vector<std::uint64_t>{8, in}));
      EXPECT_EQ(b->shape, (std::vector<std::uint64_t>{rows, 8}));
      const GgufTensor* tensor =
          file->find_tensor(fmt::format("blk.{}.{}.weight.lora_b", layer, ours));
      ASSERT_NE(tensor, nullptr);
      if (sizes.experts != 0 && ours.starts_with("ffn")) {
        EXPECT_EQ(tensor->shape, (std::array<std::uint64_t, 4>{8, rows, sizes.experts, 1}));
      }
      const auto values = load_floats(*file, *tensor);
      // Llama's GGUF has the two numbers that are rotated together side by side; PEFT half a head
      // apart.
      const bool turned = llama && (theirs == "self_attn.q_proj" || theirs == "self_attn.k_proj");
      for (std::size_t r = 0; r < rows; ++r) {
        const std::size_t dim = sizes.head_dim, pair = r % dim / 2, half = r % 2;
        const std::size_t row = turned ? r / dim * dim + half * dim / 2 + pair : r;
        for (std::size_t i = 0; i < 8; ++i)
          ASSERT_EQ(b->values[row * 8 + i], (*values)[(expert * rows + r) * 8 + i])
              << name << " " << r;
      }
    }
}

TEST_P(AdapterTest, AnAdapterOfAnotherModelIsRefused) {
  ASSERT_NO_FATAL_FAILURE(learn());
  TinyModel other = GetParam().model();
  other.hidden = 64;
  write_tiny_model(path("other.gguf"), other);
  auto file = Gguf::open(path("adapter.gguf"));
  auto wrong = Adapter::load(*file, *read_blueprint(*Gguf::open(path("other.gguf"))));
  ASSERT_FALSE(wrong);
  const std::string first =
      fmt::format("blk.0.ffn_gate{}.weight", other.experts == 0 ? "" : "_exps");
  EXPECT_NE(wrong.error().message.find(first), std::string::npos);
  auto base = Gguf::open(path("base.gguf"));
  auto model = Adapter::load(*base, *read_blueprint(*base));
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message.find("is no LoRA adapter"), std::string::npos);
}

// Router and experts are parameters of a full training, and the file that it writes computes what
// the trainer does.
TEST(FullTraining, OfAMixtureIsWrittenAsItIs) {
  for (const char* architecture : {"qwen3moe", "llama"}) {
    const TempDir dir = *TempDir::make();
    const fs::path base_path = dir.path() / "base.gguf", out = dir.path() / "out.gguf";
    write_tiny_model(base_path, tiny(architecture, TensorType::kF32, 4));
    auto base = Gguf::open(base_path);
    auto model = TuneModel::load(*base, std::nullopt);
    ASSERT_TRUE(model) << model.error().message;
    ThreadTeam team(2);
    TrainOptions options;
    options.epochs = 8;
    options.batch_tokens = options.micro_tokens = 160;
    options.rate = 3e-3;
    auto trainer = Trainer::create(**model, team, best_kernel_table(), facts(), {}, options);
    const auto report = (*trainer)->run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_LT(report->curve.back().loss, 0.8 * report->curve.front().loss);
    ASSERT_TRUE(write_trained_model(*base, **model, out));
    const auto all = facts();
    std::vector<const Example*> batch;
    for (const Example& fact : all) batch.push_back(&fact);
    auto network =
        Network::create(**model, team, best_kernel_table(), {.max_tokens = 200, .longest = 8});
    const double loss = (*network)->run(batch, 0);
    const auto rows = logits(out, all, std::vector<const Adapter*>(kFacts, nullptr));
    double of_engine = 0;
    for (std::size_t f = 0; f < kFacts; ++f)
      of_engine -= kAnswer * std::log(likelihood(rows[f], all[f]));
    EXPECT_NEAR(loss, of_engine, 1e-5 * loss) << architecture;
  }
}

// Models as other programs have written them.
fs::path family_path(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / (name + ".gguf");
}

class Families : public ::testing::TestWithParam<const char*> {
 protected:
  TempDir dir_ = *TempDir::make();
};

// What is trained is what the engine computes, with an adapter of every linear layer that may have
// one.
TEST_P(Families, TheTrainersLossIsTheEnginesWithAnAdapter) {
  auto base = *Gguf::open(family_path(GetParam()));
  const LoraOptions lora{.rank = 3, .alpha = 4, .targets = {}};
  auto model = TuneModel::load(base, lora);
  ASSERT_TRUE(model) << model.error().message;
  // Granite's parts count for little.
  const double most = std::string_view(GetParam()).starts_with("granite") ? 4 : 0.5;
  const Parameters& parameters = (*model)->parameters();
  for (const Parameter& p : parameters.list())
    if (p.name.ends_with(".lora_b"))
      for (std::size_t i = 0; i < p.size(); ++i)
        parameters.value(p)[i] = static_cast<float>((uniform_at(4, p.at, i) - 0.5) * most);
  ASSERT_TRUE(write_adapter(**model, lora.alpha, dir_.path() / "adapter.gguf"));
  const auto file = Gguf::open(dir_.path() / "adapter.gguf");
  const auto adapter = Adapter::load(*file, (*model)->blueprint());
  ASSERT_TRUE(adapter) << adapter.error().message;

  std::vector<Example> texts(2);
  for (std::size_t e = 0; e < texts.size(); ++e)
    for (std::size_t i = 0; i < 21; ++i) {
      texts[e].tokens.push_back(static_cast<std::int32_t>(random_at(12, e, i) % 150));
      texts[e].trained.push_back(1);
    }
  const Example* batch[] = {&texts[0], &texts[1]};
  ThreadTeam team(2);
  auto network =
      Network::create(**model, team, best_kernel_table(), {.max_tokens = 42, .longest = 21});
  const double loss = (*network)->run(batch, 0);
  const Adapter* with[] = {adapter->get(), adapter->get()};
  const Adapter* without[] = {nullptr, nullptr};
  const auto loss_of = [&](std::span<const Adapter* const> adapters) {
    const auto rows = logits(family_path(GetParam()), texts, adapters);
    double sum = 0;
    for (std::size_t e = 0; e < texts.size(); ++e) {
      const std::size_t vocabulary = rows[e].size() / texts[e].tokens.size();
      for (std::size_t t = 1; t < texts[e].tokens.size(); ++t) {
        const float* row = rows[e].data() + (t - 1) * vocabulary;
        double total = 0;
        for (std::size_t v = 0; v < vocabulary; ++v) total += std::exp(static_cast<double>(row[v]));
        sum += std::log(total) - static_cast<double>(row[texts[e].tokens[t]]);
      }
    }
    return sum;
  };
  const double of_engine = loss_of(with);
  const bool rounded = std::string_view(GetParam()).ends_with("mxfp4");
  EXPECT_NEAR(loss, of_engine, (rounded ? 0.02 : 1e-5) * of_engine);
  EXPECT_GT(std::abs(of_engine - loss_of(without)), 5e-5 * of_engine);
}

INSTANTIATE_TEST_SUITE_P(Models, Families,
                         ::testing::Values("gemma2", "gemma3", "glm4", "granite", "smollm3",
                                           "seed_oss", "olmo2", "olmo3", "mistral3", "phi3",
                                           "command-r", "cohere2", "gpt-oss", "gpt-oss-mxfp4",
                                           "glm4moe", "qwen2moe", "granitemoe", "hunyuan-moe",
                                           "minimax-m2", "ernie4_5-moe", "qwen35", "qwen35moe",
                                           "qwen3next", "nemotron_h", "nemotron_h_moe",
                                           "nemotron_h_moe-latent", "granitehybrid",
                                           "granitehybrid-moe", "lfm2", "lfm2moe"),
                         [](const auto& each) {
                           std::string name = each.param;
                           std::ranges::replace_if(
                               name, [](char c) { return c == '-'; }, '_');
                           return name;
                         });

class LearningFamilies : public Families {};

TEST_P(LearningFamilies, AnAdapterIsLearntAndRunsInTheEngine) {
  auto base = *Gguf::open(family_path(GetParam()));
  const LoraOptions lora{.rank = 8, .alpha = 16, .targets = {}};
  auto model = TuneModel::load(base, lora);
  ASSERT_TRUE(model) << model.error().message;
  ThreadTeam team(2);
  TrainOptions options;
  options.epochs = 60;
  options.batch_tokens = options.micro_tokens = 160;
  options.rate = 2e-2;
  options.weight_decay = 0;
  const auto trainer = Trainer::create(**model, team, best_kernel_table(), facts(), {}, options);
  ASSERT_TRUE((*trainer)->run());
  ASSERT_TRUE(write_adapter(**model, lora.alpha, dir_.path() / "adapter.gguf"));
  const auto file = Gguf::open(dir_.path() / "adapter.gguf");
  const auto adapter = Adapter::load(*file, (*model)->blueprint());
  const auto all = facts();
  const auto before =
      logits(family_path(GetParam()), all, std::vector<const Adapter*>(kFacts, nullptr));
  const auto after =
      logits(family_path(GetParam()), all, std::vector<const Adapter*>(kFacts, adapter->get()));
  for (std::size_t f = 0; f < kFacts; ++f) {
    EXPECT_LT(likelihood(before[f], all[f]), 0.05) << f;
    EXPECT_GT(likelihood(after[f], all[f]), 0.2) << f;  // as sure as a frozen small head can be
  }
  if (std::string_view(GetParam()).ends_with("mxfp4")) return;
  // In a file of floats what is merged is what the adapter adds.
  ASSERT_TRUE(merge_adapter(base, *file, team, best_kernel_table(), {}, dir_.path() / "merged"));
  const auto merged =
      logits(dir_.path() / "merged", all, std::vector<const Adapter*>(kFacts, nullptr));
  for (std::size_t f = 0; f < kFacts; ++f)
    EXPECT_LT(relative_difference(merged[f], after[f]), 1e-4) << f;
}

INSTANTIATE_TEST_SUITE_P(Models, LearningFamilies,
                         ::testing::Values("gemma3", "gpt-oss-mxfp4", "qwen35", "phi3"),
                         [](const auto& each) { return std::string(each.param).substr(0, 3); });

// Where PEFT has one matrix, another order, or nothing.
TEST(Peft, NamesAndOrdersOfFamilies) {
  const auto names_of = [](const char* family) {
    const auto model =
        *TuneModel::load(*Gguf::open(family_path(family)), LoraOptions{.rank = 2, .targets = {}});
    std::string names;
    for (const PeftTensor& tensor : peft_tensors(*model))
      if (tensor.name.find(".layers.1.") != std::string::npos && tensor.name.ends_with("A.weight"))
        names += tensor.name.substr(32, tensor.name.size() - 46) + " ";
    return names;
  };
  EXPECT_EQ(names_of("phi3"),
            "self_attn.qkv_proj self_attn.o_proj mlp.gate_up_proj mlp.down_proj ");
  EXPECT_EQ(names_of("gpt-oss"),
            "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj ");
  EXPECT_EQ(names_of("qwen3next").find("in_proj"), std::string::npos);
  EXPECT_NE(names_of("hunyuan-moe").find("mlp.experts.5.up_proj"), std::string::npos);
  EXPECT_NE(names_of("hunyuan-moe").find("mlp.shared_mlp.down_proj"), std::string::npos);

  const auto mixture = *TuneModel::load(*Gguf::open(family_path("nemotron_h_moe")),
                                        LoraOptions{.rank = 2, .targets = {}});
  EXPECT_TRUE(std::ranges::any_of(peft_tensors(*mixture), [](const PeftTensor& tensor) {
    return tensor.name.find("backbone.layers.") != std::string::npos &&
           tensor.name.find(".mixer.experts.0.up_proj.") != std::string::npos;
  }));

  // Two key heads of 16 with two value heads each: GGUF's value heads are those of the keys 0 1 0
  // 1, Hugging Face's 0 0 1 1.
  const auto model =
      *TuneModel::load(*Gguf::open(family_path("qwen35")), LoraOptions{.rank = 2, .targets = {}});
  const auto& parameters = model->parameters();
  for (const Parameter& p : parameters.list())
    for (std::size_t i = 0; i < p.size(); ++i) parameters.value(p)[i] = static_cast<float>(i);
  const auto tensors = peft_tensors(*model);
  const auto find = [&](const std::string& name) {
    const auto found = std::ranges::find(
        tensors, "base_model.model.model.layers.0.linear_attn." + name + ".weight",
        &PeftTensor::name);
    EXPECT_NE(found, tensors.end()) << name;
    return *found;
  };
  constexpr std::size_t kOurs[] = {0, 2, 1, 3};  // of theirs
  const PeftTensor mixed = find("in_proj_qkv.lora_B"), gate = find("in_proj_z.lora_B");
  const PeftTensor out = find("out_proj.lora_A");
  ASSERT_EQ(mixed.shape, (std::vector<std::uint64_t>{128, 2}));
  EXPECT_EQ(mixed.values[63 * 2], 63 * 2);
  for (std::size_t head = 0; head < 4; ++head)
    for (std::size_t i = 0; i < 16; ++i) {
      const std::size_t theirs = head * 16 + i, ours = kOurs[head] * 16 + i;
      EXPECT_EQ(mixed.values[(64 + theirs) * 2], static_cast<float>((64 + ours) * 2));
      EXPECT_EQ(gate.values[theirs * 2 + 1], static_cast<float>(ours * 2 + 1));
      EXPECT_EQ(out.values[64 + theirs], static_cast<float>(64 + ours));
    }
}

// What has no backward pass is refused by its name.
TEST(Refused, WhatCannotBeTrained) {
  const std::pair<const char*, const char*> cases[] = {
      {"gemma4", "embeddings for each layer"},
      {"gemma4-moe", "norms of values"},
      {"llama4", "experts whose weights multiply what they read"},
      {"deepseek2-v3", "latent attention"},
      {"deepseek2-v2lite", "latent attention"},
      {"glm-dsa", "latent attention"},
      {"kimi-linear", "Kimi's delta attention"},
      {"bert", "no next token to learn"},
      {"nomic-bert-moe", "no next token to learn"},
      {"jina-bert-v2", "no next token to learn"},
      {"modern-bert", "no next token to learn"},
      {"gemma-embedding", "no next token to learn"},
      {"qwen3-reranker", "no next token to learn"}};
  for (const auto& [name, thing] : cases)
    for (const bool full : {false, true}) {
      const auto refused = TuneModel::load(*Gguf::open(family_path(name)),
                                           full ? std::nullopt : std::optional(LoraOptions{}));
      ASSERT_FALSE(refused) << name;
      EXPECT_NE(refused.error().message.find(std::string("it has ") + thing), std::string::npos)
          << name << ": " << refused.error().message;
    }
  const auto nothing = TuneModel::load(*Gguf::open(family_path("gemma3")),
                                       LoraOptions{.rank = 2, .targets = {"ssm_out"}});
  ASSERT_FALSE(nothing);
  EXPECT_NE(nothing.error().message.find("has no ssm_out"), std::string::npos);
}

// Joint matrices, states and sinks are written as they are, too: the file computes what the trainer
// does.
TEST(FullTraining, OfAFamilyIsWrittenAsItIs) {
  // The last two are F16 files: what is written is rounded.
  for (const auto& [name, error] : {std::pair{"phi3", 1e-5},
                                    {"qwen35", 1e-5},
                                    {"granitehybrid-moe", 5e-4},
                                    {"gpt-oss", 5e-4}}) {
    const TempDir dir = *TempDir::make();
    const fs::path out = dir.path() / "out.gguf";
    auto base = Gguf::open(family_path(name));
    auto model = TuneModel::load(*base, std::nullopt);
    ASSERT_TRUE(model) << model.error().message;
    ThreadTeam team(2);
    TrainOptions options;
    options.epochs = 3;
    options.batch_tokens = options.micro_tokens = 160;
    auto trainer = Trainer::create(**model, team, best_kernel_table(), facts(), {}, options);
    const auto report = (*trainer)->run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_LT(report->curve.back().loss, report->curve.front().loss);
    ASSERT_TRUE(write_trained_model(*base, **model, out));
    const auto all = facts();
    std::vector<const Example*> batch;
    for (const Example& fact : all) batch.push_back(&fact);
    auto network =
        Network::create(**model, team, best_kernel_table(), {.max_tokens = 200, .longest = 8});
    const double loss = (*network)->run(batch, 0);
    const auto rows = logits(out, all, std::vector<const Adapter*>(kFacts, nullptr));
    double of_engine = 0;
    for (std::size_t f = 0; f < kFacts; ++f)
      of_engine -= kAnswer * std::log(likelihood(rows[f], all[f]));
    EXPECT_NEAR(loss, of_engine, error * loss) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Tiny, AdapterTest,
    ::testing::Values(Kind{"llama", "llama", TensorType::kF32, 1e-5},
                      Kind{"llama_small_heads", "llama", TensorType::kF32, 1e-5, 0, 1e-5, 8},
                      Kind{"qwen3", "qwen3", TensorType::kF32, 1e-5},
                      Kind{"qwen3_q8", "qwen3", TensorType::kQ8_0, 0.05, 0, 0.02},
                      Kind{"mixtral", "llama", TensorType::kF32, 5e-5, 4},
                      Kind{"qwen3moe", "qwen3moe", TensorType::kF32, 1e-5, 6},
                      Kind{"qwen3moe_q8", "qwen3moe", TensorType::kQ8_0, 0.15, 6, 0.02}),
    [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace lathe::infer

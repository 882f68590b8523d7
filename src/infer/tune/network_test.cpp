// The network's loss and every gradient against the twin's, whose slopes are finite differences in
// double; one whole training step against the same step in double; the same bits whatever the
// threads, the instruction set and gradient checkpointing.
#include <cstring>

#include "infer/tune/twin_test.h"

namespace lathe::infer {
namespace {

struct Case {
  std::string name;
  TinyModel tiny;
  std::optional<LoraOptions> lora;
  std::string file = {};  // of the models with known answers; empty: the tiny one
};

// One of each family that another program has written, in floats but for one.
constexpr const char* kFamilies[] = {"gemma2",
                                     "gemma3",
                                     "glm4",
                                     "granite",
                                     "smollm3",
                                     "seed_oss",
                                     "olmo2",
                                     "olmo3",
                                     "mistral3",
                                     "phi3",
                                     "command-r",
                                     "cohere2",
                                     "gpt-oss",
                                     "glm4moe",
                                     "qwen2moe",
                                     "granitemoe",
                                     "hunyuan-moe",
                                     "minimax-m2",
                                     "ernie4_5-moe",
                                     "qwen35",
                                     "qwen35moe",
                                     "qwen3next",
                                     "nemotron_h",
                                     "nemotron_h_moe",
                                     "nemotron_h_moe-latent",
                                     "granitehybrid",
                                     "granitehybrid-moe",
                                     "lfm2",
                                     "lfm2moe"};

std::vector<Case> cases() {
  const LoraOptions all{.rank = 3, .alpha = 6, .targets = {}};
  const LoraOptions some{.rank = 2, .alpha = 5, .targets = {"attn_v", "ffn_down"}};
  std::vector<Case> cases;
  const auto add = [&](const char* name, const std::string& architecture, auto&& lora,
                       auto&& change) {
    Case& added = cases.emplace_back();
    added.name = name;
    added.tiny.architecture = architecture;
    added.lora = lora;
    change(added.tiny);
  };
  const auto same = [](TinyModel&) {};
  add("llama", "llama", std::nullopt, same);
  add("llama_untied", "llama", std::nullopt,
      [](TinyModel& tiny) { tiny.heads = 4, tiny.kv_heads = 2, tiny.tied = false; });
  add("qwen2", "qwen2", std::nullopt, same);
  add("qwen3", "qwen3", std::nullopt, [](TinyModel& tiny) { tiny.heads = tiny.kv_heads = 3; });
  add("llama_lora", "llama", all, same);
  add("qwen3_lora_some", "qwen3", some, same);
  const auto small_heads = [](TinyModel& tiny) {
    tiny.heads = 4, tiny.kv_heads = 2, tiny.head_dim = 8, tiny.hidden = 43;
  };
  add("llama_small_heads", "llama", std::nullopt, small_heads);
  add("qwen3_small_heads_lora", "qwen3", all, small_heads);
  add("qwen2_q8_lora", "qwen2", all,
      [](TinyModel& tiny) { tiny.hidden = 64, tiny.type = TensorType::kQ8_0; });
  const auto mixture = [](TinyModel& tiny) {
    tiny.experts = 5, tiny.experts_used = 2, tiny.hidden = 32;
  };
  const LoraOptions heads{.rank = 2, .alpha = 5, .targets = {"attn_q", "attn_v"}};
  add("qwen3moe", "qwen3moe", std::nullopt, mixture);
  add("mixtral", "llama", std::nullopt, mixture);
  add("qwen3moe_lora", "qwen3moe", all, mixture);
  add("mixtral_lora_heads", "llama", heads, mixture);
  add("mixtral_lora_some", "llama", some, mixture);
  add("qwen3moe_q8_lora", "qwen3moe", all, [&](TinyModel& tiny) {
    mixture(tiny);
    tiny.type = TensorType::kQ8_0;
    tiny.scaled = true;
  });
  const auto family = [&](std::string name, const std::string& file,
                          const std::optional<LoraOptions>& lora) {
    std::ranges::replace_if(
        name, [](char c) { return c == '-'; }, '_');
    cases.push_back({std::move(name), {}, lora, file});
  };
  for (const std::string file : kFamilies) family(file, file, std::nullopt);
  // Those whose files have joint matrices or parts that only they adapt.
  for (const std::string file : {"gpt-oss-mxfp4", "phi3", "glm4", "qwen2moe", "qwen35", "qwen3next",
                                 "granitehybrid", "lfm2"})
    family(file + "_lora", file, all);
  family("phi3_lora_some", "phi3", some);
  return cases;
}

// Three documents, one of a single token, one longer than the windows of the families' models.
std::vector<Example> examples(const Blueprint& blueprint) {
  std::vector<Example> out;
  std::size_t drawn = 0;
  for (const std::size_t length : {7u, 1u, 13u}) {
    Example example;
    for (std::size_t i = 0; i < length; ++i) {
      example.tokens.push_back(
          static_cast<std::int32_t>(random_at(9, 0, drawn++) % blueprint.vocabulary));
      example.trained.push_back(random_at(9, 1, drawn) % 3 != 0);
    }
    out.push_back(example);
  }
  return out;
}

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class NetworkTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const std::string& name = GetParam().file;
    fs::path path = dir_.path() / "tiny.gguf";
    if (name.empty())
      write_tiny_model(path, GetParam().tiny);
    else
      path = fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / (name + ".gguf");
    auto file = Gguf::open(path);
    ASSERT_TRUE(file) << file.error().message;
    file_ = std::make_unique<Gguf>(std::move(*file));
    batch_ = examples(*read_blueprint(*file_));
  }

  std::unique_ptr<TuneModel> load() {
    auto model = TuneModel::load(*file_, GetParam().lora);
    if (!model) {
      ADD_FAILURE() << model.error().message;
      return nullptr;
    }
    // B starts as zero, which would hide A's gradient.
    const Parameters& parameters = (*model)->parameters();
    for (const Parameter& p : parameters.list())
      if (p.name.ends_with(".lora_b"))
        for (std::size_t i = 0; i < p.size(); ++i)
          parameters.value(p)[i] = static_cast<float>(uniform_at(4, p.at, i) - 0.5);
    return std::move(*model);
  }

  Twin twin(const TuneModel& model) {
    Twin twin(*file_, model.blueprint());
    // A scale counts for its expert's matrix, and what the matrix itself is is not asked again.
    for (auto& [name, scales] : twin.weights) {
      if (!name.ends_with(".scale")) continue;
      auto& w = twin.weights.at(name.substr(0, name.rfind('.')) + ".weight");
      for (std::size_t i = 0; i < w.size(); ++i) w[i] *= scales[i / (w.size() / scales.size())];
    }
    const Parameters& parameters = model.parameters();
    for (const Parameter& p : parameters.list())
      twin.weights[p.name] = {parameters.value(p), parameters.value(p) + p.size()};
    if (GetParam().lora)
      twin.lora_scale = GetParam().lora->alpha / static_cast<double>(GetParam().lora->rank);
    return twin;
  }

  static std::unique_ptr<Network> network(TuneModel& model, ThreadTeam& team,
                                          const KernelTable& kernels, bool checkpointing,
                                          bool bf16 = false) {
    auto network = Network::create(
        model, team, kernels,
        {.max_tokens = 24, .longest = 16, .checkpointing = checkpointing, .bf16 = bf16});
    EXPECT_TRUE(network);
    return std::move(*network);
  }

  TempDir dir_ = *TempDir::make();
  std::unique_ptr<Gguf> file_;
  std::vector<Example> batch_;
};

std::vector<const Example*> pointers(const std::vector<Example>& examples) {
  std::vector<const Example*> out;
  for (const Example& example : examples) out.push_back(&example);
  return out;
}

// "attn_q.weight" of "blk.3.attn_q.weight".
std::string part_of(const std::string& name) {
  return name.starts_with("blk.") ? name.substr(name.find('.', 4) + 1) : name;
}

// A direction in which all weights of one name go at once, those of all layers: a number for each,
// of length 1 together.
std::map<std::string, std::vector<double>> direction(const Parameters& parameters,
                                                     const std::string& part) {
  std::map<std::string, std::vector<double>> out;
  double squares = 0;
  for (const Parameter& p : parameters.list()) {
    if (part_of(p.name) != part) continue;
    for (std::size_t j = 0; j < p.size(); ++j) {
      out[p.name].push_back(uniform_at(5, p.at, j) - 0.5);
      squares += std::pow(out[p.name].back(), 2);
    }
  }
  for (auto& [name, numbers] : out)
    for (double& number : numbers) number /= std::sqrt(squares);
  return out;
}

std::vector<std::string> parts_of(const Parameters& parameters) {
  std::vector<std::string> parts;
  for (const Parameter& p : parameters.list())
    if (std::ranges::find(parts, part_of(p.name)) == parts.end()) parts.push_back(part_of(p.name));
  return parts;
}

TEST_P(NetworkTest, LossAndGradientsAreThoseOfTheTwin) {
  auto model = load();
  ThreadTeam team(2);
  auto net = network(*model, team, best_kernel_table(), false);
  Parameters& parameters = model->parameters();
  parameters.clear_gradients(team);
  const double loss = net->run(pointers(batch_), 1);

  Twin slow = twin(*model);
  const auto twin_loss = [&] {
    slow.chosen.clear();
    double sum = 0;
    for (const Example& example : batch_) sum += slow.loss(example);
    return sum;
  };
  EXPECT_NEAR(loss, twin_loss(), 1e-5 * twin_loss());
  // A mixture's loss has steps where a choice changes: no token is near one.
  const auto chosen = slow.chosen;
  EXPECT_GT(slow.margin, 1e-5);

  for (const std::string& part : parts_of(parameters)) {
    const auto way = direction(parameters, part);
    double along = 0, squares = 0;
    for (std::size_t i = 0; i < parameters.list().size(); ++i) {
      const Parameter& p = parameters.list()[i];
      if (!way.contains(p.name)) continue;
      for (std::size_t j = 0; j < p.size(); ++j) {
        const auto got = static_cast<double>(parameters.weights(i).gradient[j]);
        along += got * way.at(p.name)[j];
        squares += got * got;
      }
    }
    const auto loss_at = [&](double step) {
      for (const auto& [name, numbers] : way)
        for (std::size_t j = 0; j < numbers.size(); ++j)
          slow.weights.at(name)[j] += step * numbers[j];
      const double at = twin_loss();
      EXPECT_EQ(slow.chosen, chosen) << part;
      for (const auto& [name, numbers] : way)
        for (std::size_t j = 0; j < numbers.size(); ++j)
          slow.weights.at(name)[j] -= step * numbers[j];
      return at;
    };
    constexpr double kStep = 1e-4;
    const double slope = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
    EXPECT_NEAR(along, slope, 1e-4 * std::sqrt(squares) + 1e-5) << part;
    EXPECT_TRUE(squares > 0 || GetParam().lora) << part;
  }
}

// The loss is that of floats to the bit; the gradients are near the ones of floats, and not those.
TEST_P(NetworkTest, KeptInBf16TheGradientsAreNearThoseOfFloats) {
  ThreadTeam team(2);
  const auto exact = load(), model = load();
  exact->parameters().clear_gradients(team);
  model->parameters().clear_gradients(team);
  const double loss = network(*exact, team, best_kernel_table(), false)->run(pointers(batch_), 1);
  EXPECT_EQ(network(*model, team, best_kernel_table(), false, true)->run(pointers(batch_), 1),
            loss);
  double off = 0, size = 0;
  for (std::size_t i = 0; i < model->parameters().list().size(); ++i)
    for (std::size_t j = 0; j < model->parameters().list()[i].size(); ++j) {
      const auto slope = static_cast<double>(exact->parameters().weights(i).gradient[j]);
      off += std::pow(static_cast<double>(model->parameters().weights(i).gradient[j]) - slope, 2);
      size += slope * slope;
    }
  // Half a last place is a 512th of a number.
  EXPECT_LT(std::sqrt(off), 0.02 * std::sqrt(size));
  EXPECT_GT(std::sqrt(off), 0.0005 * std::sqrt(size));
}

TEST_P(NetworkTest, SameBitsOnOtherThreadsInstructionsAndWithCheckpointing) {
  for (const bool bf16 : {false, true}) {
    const auto gradients = [&](int threads, const KernelTable& kernels, bool checkpointing) {
      auto model = load();
      ThreadTeam team(threads);
      auto net = network(*model, team, kernels, checkpointing, bf16);
      model->parameters().clear_gradients(team);
      net->run(pointers(batch_), 0.5f);
      model->parameters().step(team, kernels.train, {.rate = 0.01, .clip = 0.7});
      const auto values = model->parameters().values();
      return std::vector<float>(values.begin(), values.end());
    };
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
    };
    const auto one = gradients(1, best_kernel_table(), false);
    for (const int threads : {2, 3})
      EXPECT_TRUE(same(one, gradients(threads, best_kernel_table(), false))) << threads << bf16;
    EXPECT_TRUE(same(one, gradients(2, best_kernel_table(), true))) << "checkpointing" << bf16;
    for (const KernelTable* table : kernel_tables().first(bf16 ? 1 : kernel_tables().size()))
      EXPECT_TRUE(same(one, gradients(2, *table, false))) << table->name << bf16;
  }
}

// Documents in one batch, or one batch each: every parameter's gradient is one sum over the tokens
// in their order. (A tied embedding's has two parts, and the A of a matrix that several layers
// share one of each, which then come one after the other.)
TEST_P(NetworkTest, PackedOrAloneTheGradientsAreTheSame) {
  const auto all = pointers(batch_);
  ThreadTeam team(2);
  const auto model = load(), again = load();
  auto net = network(*model, team, best_kernel_table(), false);
  model->parameters().clear_gradients(team);
  const double together = net->run(all, 0.5f);
  net = network(*again, team, best_kernel_table(), false);
  again->parameters().clear_gradients(team);
  double alone = 0;
  for (const Example* example : all) alone += net->run({&example, 1}, 0.5f);
  EXPECT_NEAR(together, alone, 1e-12 * together);
  const auto& list = model->parameters().list();
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].name == "token_embd.weight" && model->blueprint().tied) continue;
    if (model->blueprint().layers[0].ffn.joint && list[i].name.ends_with(".lora_a")) continue;
    EXPECT_EQ(std::memcmp(model->parameters().weights(i).gradient,
                          again->parameters().weights(i).gradient, list[i].size() * sizeof(float)),
              0)
        << list[i].name;
  }
}

class TrainingStep : public NetworkTest {};

TEST_P(TrainingStep, IsThatOfTheTwin) {
  auto model = load();
  ThreadTeam team(2);
  auto net = network(*model, team, best_kernel_table(), false);
  std::size_t trained = 0;
  for (const Example& example : batch_) trained += trained_tokens(example);
  Parameters& parameters = model->parameters();
  Twin slow = twin(*model);
  const auto loss = [&] {
    double sum = 0;
    for (const Example& example : batch_) sum += slow.loss(example);
    return sum / static_cast<double>(trained);
  };
  const auto slope = [](double& weight, const auto& loss_now) {
    constexpr double kStep = 1e-5;
    const double kept = weight;
    weight = kept + kStep;
    const double above = loss_now();
    weight = kept - kStep;
    const double below = loss_now();
    weight = kept;
    return (above - below) / (2 * kStep);
  };
  // A few numbers of each parameter: their slopes in double, and AdamW in double behind them.
  struct Probe {
    std::size_t parameter, place;
    double gradient;
  };
  std::vector<Probe> probes;
  for (std::size_t i = 0; i < parameters.list().size(); ++i) {
    const Parameter& p = parameters.list()[i];
    for (std::size_t j = 0; j < p.size(); j += 1 + p.size() / 7)
      probes.push_back({i, j, slope(slow.weights.at(p.name)[j], loss)});
  }
  const AdamStep step{.step = 1, .rate = 0.01, .weight_decay = 0.2, .clip = 0.05};
  parameters.clear_gradients(team);
  net->run(pointers(batch_), 1 / static_cast<float>(trained));
  const double norm = parameters.step(team, best_kernel_table().train, step);
  ASSERT_GT(norm, step.clip);
  for (const Probe& probe : probes) {
    const Parameter& p = parameters.list()[probe.parameter];
    const double g = probe.gradient * step.clip / norm;
    const double m = (1 - step.beta1) * g, v = (1 - step.beta2) * g * g;
    const double before = slow.weights.at(p.name)[probe.place];
    const double after =
        before -
        step.rate * (m / (1 - step.beta1) / (std::sqrt(v / (1 - step.beta2)) + step.epsilon) +
                     (p.decays ? step.weight_decay * before : 0));
    // The first step's size is the rate whatever the gradient; only one near zero is uncertain.
    if (std::abs(g) < 1e-5) continue;
    EXPECT_NEAR(static_cast<double>(parameters.value(p)[probe.place]), after, 2e-5) << p.name;
  }
}

// 24 layers' tapes in floats; as bf16, with one in floats beside them; or one in floats alone.
TEST(NetworkBytes, KeptInBf16TheyAreAboutHalf) {
  for (const std::size_t experts : {0u, 8u}) {
    const TempDir dir = *TempDir::make();
    TinyModel tiny{.layers = 24};
    tiny.experts = experts, tiny.experts_used = experts / 4;
    write_tiny_model(dir.path() / "tiny.gguf", tiny);
    const auto model = TuneModel::load(*Gguf::open(dir.path() / "tiny.gguf"), LoraOptions{});
    ASSERT_TRUE(model) << model.error().message;
    const auto bytes = [&](bool checkpointing, bool bf16) {
      const NetworkOptions options{
          .max_tokens = 4096, .longest = 64, .checkpointing = checkpointing, .bf16 = bf16};
      return Network::bytes(**model, 2, options);
    };
    // The attention's sums and the router's logits stay floats, of each layer.
    const std::uint64_t exact =
        std::uint64_t{4096} * 4 * (padded_row(2) + (experts != 0 ? padded_row(experts) : 0));
    const std::uint64_t one = (bytes(false, false) - bytes(true, false)) / 23 - exact;
    EXPECT_EQ(bytes(false, true), bytes(true, false) + 23 * exact + 24 * (one / 2));
    EXPECT_EQ(bytes(true, true), bytes(true, false));
    EXPECT_LT(static_cast<double>(bytes(false, true)),
              0.65 * static_cast<double>(bytes(false, false)));
  }
}

std::vector<Case> few_cases() {
  std::vector<Case> few = cases();
  std::erase_if(few, [](const Case& c) {
    return c.name != "llama" && c.name != "qwen3moe" && c.name != "qwen2_q8_lora";
  });
  return few;
}

INSTANTIATE_TEST_SUITE_P(Tiny, NetworkTest, ::testing::ValuesIn(cases()),
                         [](const auto& each) { return each.param.name; });
INSTANTIATE_TEST_SUITE_P(Tiny, TrainingStep, ::testing::ValuesIn(few_cases()),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace lathe::infer

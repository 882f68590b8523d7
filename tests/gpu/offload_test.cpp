// Steps by the kernels of a GPU: the bits of the processor's tables, emulated and on Mesa's
// software device, whatever the order of lanes and however inexact the device's divisions; a kernel
// that differs is not used; what is lost is computed again; whole models give the same answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "gpu/emulated_device.h"
#include "gpu/emulated_kernels.h"
#include "ground/base/file.h"
#include "infer/cache/snapshot.h"
#include "infer/device/vulkan.h"
#include "infer/engine/loaded_test.h"
#include "infer/kernels/gpu/spirv.h"
#include "infer/offload/accelerator.h"

namespace lathe::infer {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void expect_all_trusted(Device& device) {
  const auto trust = check_trust(device, best_kernel_table(), {});
  ASSERT_TRUE(trust) << trust.error().message;
  for (const Trust::Refusal& refusal : trust->refused)
    ADD_FAILURE() << refusal.kernel << ": " << refusal.why;
  EXPECT_EQ(trust->products.size(), product_kernels().size());
  EXPECT_EQ(trust->steps, step_kernels().all());
  EXPECT_GT(trust->values, 100000u);
}

Result<std::unique_ptr<Device>> software_device(const VulkanOptions& options = {}) {
  constexpr const char* kDriver = "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json";
  ::setenv("VK_ICD_FILENAMES", kDriver, 1);
  ::setenv("VK_DRIVER_FILES", kDriver, 1);
  LATHE_TRY(const auto devices, vulkan_devices(options));
  return open_vulkan(devices.at(0), options);
}

TEST(Kernels, AllAreEmulated) {
  for (const GpuKernel& kernel : gpu_kernels()) {
    const auto all = gpu::emulated_kernels();
    const auto emulated = std::find_if(all.begin(), all.end(),
                                       [&](const auto& one) { return one.name == kernel.name; });
    ASSERT_NE(emulated, all.end()) << kernel.name;
    EXPECT_EQ(emulated->lanes, kernel.lanes);
    EXPECT_EQ(emulated->argument_bytes, kernel.argument_bytes);
    EXPECT_EQ(kernel.spirv.empty(), gpu_spirv_names().empty()) << kernel.name;
    EXPECT_EQ(kernel.spirv_by_doubles.empty(), gpu_spirv_names().empty()) << kernel.name;
  }
}

TEST(Trust, AllKernelsGiveTheProcessorsBits) {
  EmulatedDevice device;
  expect_all_trusted(device);
}

TEST(Trust, AlsoInAnotherOrderAndWithInexactDivisions) {
  EmulatedDevice device({.ulps = 3, .shuffled = true});
  expect_all_trusted(device);
}

TEST(Trust, AlsoOnASoftwareDevice) {
  if (gpu_spirv_names().empty()) GTEST_FAIL() << "glslc is a test package";
  const auto device = software_device();
  ASSERT_TRUE(device) << device.error().message;
  expect_all_trusted(**device);
}

// A device with a kernel that is wrong in one bit of one output, which the pointer so far into its
// arguments names.
class WrongDevice final : public Device {
 public:
  WrongDevice(std::string kernel, std::size_t output)
      : kernel_(std::move(kernel)), output_(output) {}
  const DeviceFacts& facts() const override { return right_.facts(); }
  Result<std::unique_ptr<SharedMemory>> share(std::span<std::byte> pages) override {
    return right_.share(pages);
  }
  Status prepare(const GpuKernel& kernel) override { return right_.prepare(kernel); }
  Status run(std::span<const Dispatch> work) override {
    LATHE_TRY_STATUS(right_.run(work));
    if (work.front().kernel->name != kernel_) return {};
    gpu::Words to;
    std::memcpy(&to, work.front().arguments.data() + output_, sizeof to);
    to.v[0] ^= 1;
    return {};
  }
  bool lost() const override { return false; }
  std::uint64_t bytes() const override { return 0; }

 private:
  EmulatedDevice right_;
  std::string kernel_;
  std::size_t output_;
};

TEST(Trust, AKernelThatDiffersIsNotUsed) {
  WrongDevice device("matmul_wide_q6_k", offsetof(gpu::MatmulGpuArgs, to));
  const auto trust = check_trust(device, best_kernel_table(), {});
  ASSERT_TRUE(trust);
  ASSERT_EQ(trust->refused.size(), 1u);
  EXPECT_EQ(trust->refused[0].kernel, "matmul_wide_q6_k");
  EXPECT_THAT(trust->refused[0].why, HasSubstr("1 of 648 values differ"));
  EXPECT_EQ(trust->find(TensorType::kQ6_K), nullptr);
  EXPECT_NE(trust->find(TensorType::kQ4_K), nullptr);
}

TEST(Products, AreCutIntoPiecesThatCoverEachRowOnce) {
  constexpr std::size_t kRows = 100'007, kK = 256, kTokens = 2;
  PackedMatrix matrix{.type = &packed_type(best_kernel_table(), TensorType::kQ8_0),
                      .experts = 1,
                      .rows = kRows,
                      .k = kK,
                      .scales = {}};
  std::byte weights{};
  matrix.panels = &weights;
  Activations x;
  ASSERT_TRUE(x.reserve(kTokens, kK));
  x.shape(kK);
  std::vector<float> out(1);
  const Product product{
      .matrix = &matrix, .x = &x, .tokens = kTokens, .out = out.data(), .stride = kRows};
  const ProductKernels* kernels = nullptr;
  for (const ProductKernels& known : product_kernels())
    if (known.type == TensorType::kQ8_0) kernels = &known;
  std::size_t most = 0;
  std::vector<Dispatch> work;
  ASSERT_TRUE(append_product(
      product, *kernels,
      [&](const void* at, std::size_t bytes) {
        if (at >= &weights && at < &weights + kRows * kK * 2) most = std::max(most, bytes);
        return reinterpret_cast<std::uint64_t>(at);
      },
      false, work));
  EXPECT_LE(most, std::size_t{16} << 20);
  EXPECT_GT(work.size(), 1u);
  std::size_t next = 0;
  for (const Dispatch& dispatch : work) {
    gpu::MatmulGpuArgs args;
    std::memcpy(&args, dispatch.arguments.data(), sizeof args);
    EXPECT_EQ(args.to.v, out.data() + next);
    EXPECT_EQ(dispatch.groups[0], (args.rows + 15) / 16);
    EXPECT_EQ(dispatch.beside, next != 0);
    next += args.rows;
  }
  EXPECT_EQ(next, kRows);
  // What the device does not see is left to the processor.
  EXPECT_FALSE(append_product(
      product, *kernels, [](const void*, std::size_t) { return std::uint64_t{0}; }, false, work));
}

// Of all kernels, as the tests of Trust found them.
AcceleratorOptions trusting() {
  AcceleratorOptions options;
  for (const ProductKernels& kernels : product_kernels())
    options.trust.products.push_back(&kernels);
  options.trust.steps = step_kernels().all();
  options.least_work = 0;
  options.open = [] { return fail(ErrorKind::kUnavailable, "it is gone"); };
  return options;
}

Result<std::unique_ptr<Engine>> engine_of(Loaded& loaded, Accelerator* accelerator,
                                          const EngineSetup& setup) {
  LATHE_TRY(auto executor,
            CpuExecutor::create(*loaded.model, loaded.team, setup.executor(), nullptr,
                                accelerator != nullptr ? accelerator->multiplier() : nullptr));
  return Engine::create(std::move(executor), *loaded.tokenizer, setup.engine());
}

constexpr EngineSetup kSmall = {.kv_tokens = 1024, .step_tokens = 40};

// A model's answers to some requests, computed with `accelerator`, or by the processor alone; and
// in how many steps.
struct Answers {
  std::vector<Outcome> all;
  std::size_t steps = 0;
};
Answers answers(Loaded& loaded, Accelerator* accelerator, std::size_t tokens = 50,
                const EngineSetup& setup = kSmall) {
  Answers answers;
  auto engine = *engine_of(loaded, accelerator, setup);
  Outcomes outcomes;
  std::mt19937 random(5);
  // A prompt that is cut, one whose beginning is known, and some that are decoded together.
  const std::vector<TokenId> prompt = random_prompt(random, tokens);
  for (std::uint64_t i = 0; i < 3; ++i) {
    std::vector<TokenId> text = prompt;
    text.resize(tokens - tokens / 5 * i);
    EXPECT_TRUE(engine->add(request_of(std::move(text), 4, i)));
  }
  while (engine->step(collect(outcomes))) ++answers.steps;
  for (auto& [id, outcome] : outcomes) answers.all.push_back(std::move(outcome));
  return answers;
}

void expect_same(const Answers& got, const Answers& want) {
  ASSERT_EQ(got.all.size(), want.all.size());
  for (std::size_t i = 0; i < want.all.size(); ++i)
    EXPECT_TRUE(got.all[i].same_bits(want.all[i])) << i;
}

// With any device; `whole`: of the model's steps nothing is left to the processor.
void expect_the_processors_answers(Loaded& loaded, std::unique_ptr<Device> device, bool whole,
                                   const EngineSetup& setup = kSmall, std::size_t tokens = 50) {
  const Answers want = answers(loaded, nullptr, tokens, setup);
  Accelerator accelerator(std::move(device), trusting());
  expect_same(answers(loaded, &accelerator, tokens, setup), want);
  const Accelerator::State state = accelerator.state();
  EXPECT_GT(state.dispatches, 50u);
  if (whole) {
    EXPECT_EQ(state.runs, want.steps);
  }
}

std::unique_ptr<Device> inexact_device() {
  return std::make_unique<EmulatedDevice>(EmulatedOptions{.ulps = 3, .shuffled = true});
}

struct ModelCase {
  const char* name;
  bool whole = false;
};
std::string name_of(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class Models : public ::testing::TestWithParam<ModelCase> {};

TEST_P(Models, AnswerWithTheProcessorsBits) {
  Loaded loaded(GetParam().name);
  expect_the_processors_answers(loaded, inexact_device(), GetParam().whole);
}

TEST_P(Models, AnswerWithTheProcessorsBitsOnASoftwareDevice) {
  Loaded loaded(GetParam().name);
  auto device = software_device();
  ASSERT_TRUE(device) << device.error().message;
  expect_the_processors_answers(loaded, std::move(*device), GetParam().whole);
}

INSTANTIATE_TEST_SUITE_P(
    All, Models,
    ::testing::Values(ModelCase{"llama-q4_k_m", true}, ModelCase{"qwen2-q4_k_m", true},
                      ModelCase{"qwen3-q4_k_m", true}, ModelCase{"gemma3-q8_0", true},
                      ModelCase{"gemma2", true}, ModelCase{"phi3", true},
                      ModelCase{"granite", true}, ModelCase{"qwen3moe-mxfp4_moe"},
                      ModelCase{"deepseek2-v3-q8_0"}, ModelCase{"gpt-oss-mxfp4"},
                      ModelCase{"gemma4"}, ModelCase{"qwen35-q8_0"}, ModelCase{"granitehybrid"}),
    [](const auto& test) { return name_of(test.param.name); });

// Several groups of positions, windows, and what is remembered in 8 bits.
class Depths : public ::testing::TestWithParam<KvType> {};

TEST_P(Depths, AnswerWithTheProcessorsBits) {
  // Heads of 8 are too narrow for 8 bits.
  Loaded loaded(GetParam() == KvType::kF16 ? "windows" : "qwen3-q4_k_m");
  expect_the_processors_answers(loaded, std::make_unique<EmulatedDevice>(), true,
                                {.kv = GetParam(), .kv_tokens = 4096, .step_tokens = 200}, 530);
}

TEST_P(Depths, AnswerWithTheProcessorsBitsOnASoftwareDevice) {
  Loaded loaded("qwen3-q4_k_m");
  auto device = software_device();
  ASSERT_TRUE(device) << device.error().message;
  EngineSetup setup = kSmall;
  setup.kv = GetParam();
  expect_the_processors_answers(loaded, std::move(*device), true, setup, 100);
}

INSTANTIATE_TEST_SUITE_P(All, Depths, ::testing::Values(KvType::kF16, KvType::kQ8_0),
                         [](const auto& test) {
                           return std::string(kv_types()[static_cast<int>(test.param)].name);
                         });

// A decode step is one submission, of Vulkan too.
TEST(Steps, AreOneSubmissionEach) {
  Loaded loaded("qwen3-q4_k_m");
  VulkanOptions options;
  std::size_t submissions = 0;
  options.submission_seconds = 1e6;
  options.lose = [&submissions](std::uint64_t) {
    ++submissions;
    return false;
  };
  auto device = software_device(options);
  ASSERT_TRUE(device) << device.error().message;
  Accelerator accelerator(std::move(*device), trusting());
  const std::size_t steps = answers(loaded, &accelerator).steps;
  EXPECT_EQ(submissions, steps);
  EXPECT_GT(accelerator.state().dispatches, 20 * steps);
}

// What is kept of prompts has the same bytes, whoever computed it.
TEST(Snapshots, AreReadByTheOther) {
  constexpr const char* kOf = "the model";
  Loaded loaded("qwen3-q4_k_m");
  const TempDir directory = *TempDir::make();
  std::mt19937 random(3);
  const std::vector<TokenId> prompt = random_prompt(random, 140);
  const auto answer = [&](Engine& engine) {
    Outcomes outcomes;
    EXPECT_TRUE(engine.add(request_of(prompt, 6, 2)));
    while (engine.step(collect(outcomes))) {
    }
    return outcomes.begin()->second;
  };
  for (const KvType kv : {KvType::kF16, KvType::kQ8_0}) {
    EngineSetup setup = kSmall;
    setup.kv = kv;
    Accelerator accelerator(std::make_unique<EmulatedDevice>(), trusting());
    Accelerator* const computes[] = {nullptr, &accelerator};
    std::string bytes[2];
    std::vector<Outcome> got;
    for (const std::size_t writer : {0, 1}) {
      const fs::path path = directory.path() / fmt::format("{}.kv", writer);
      auto first = *engine_of(loaded, computes[writer], setup);
      got.push_back(answer(*first));
      EXPECT_GT(*save_snapshot(first->cache(), kOf, path, UINT64_MAX), 0u);
      bytes[writer] = *read_file(path);
      auto second = *engine_of(loaded, computes[1 - writer], setup);
      EXPECT_GT(*load_snapshot(second->cache(), kOf, path), 0u);
      got.push_back(answer(*second));
      EXPECT_GE(got.back().usage.cached_tokens, 128u);
    }
    EXPECT_TRUE(bytes[0] == bytes[1]);
    for (const Outcome& outcome : got) EXPECT_TRUE(outcome.same_bits(got.front()));
  }
}

// What stands in for it is the processor, in the middle of each layer.
TEST(Trust, AKernelBetweenProductsThatDiffersIsNotUsed) {
  auto device = std::make_unique<WrongDevice>("heads_f16", offsetof(gpu::HeadsGpuArgs, q));
  const auto trust = check_trust(*device, best_kernel_table(), {});
  ASSERT_TRUE(trust);
  ASSERT_EQ(trust->refused.size(), 1u);
  EXPECT_EQ(trust->refused[0].kernel, "heads_f16");
  EXPECT_EQ(trust->steps.size() + 1, step_kernels().all().size());
  Loaded loaded("qwen3-q4_k_m");
  const Answers want = answers(loaded, nullptr);
  AcceleratorOptions options = trusting();
  options.trust = *trust;
  Accelerator accelerator(std::move(device), options);
  expect_same(answers(loaded, &accelerator), want);
  EXPECT_GT(accelerator.state().runs, want.steps);
}

// At kernels from the first to the last one of an answer: the processor goes on with the same bits,
// from where what was handed in began.
TEST(Losses, ChangeNothingOfAnAnswer) {
  constexpr std::size_t kTimes = 25;
  for (const char* name : {"granitehybrid", "qwen3-q4_k_m", "gemma3-q8_0"}) {
    SCOPED_TRACE(name);
    Loaded loaded(name);
    const Answers want = answers(loaded, nullptr, 10);
    const AcceleratorOptions options = trusting();
    auto whole = std::make_unique<EmulatedDevice>();
    EmulatedDevice& counting = *whole;
    Accelerator first(std::move(whole), options);
    expect_same(answers(loaded, &first, 10), want);
    const std::size_t dispatches = counting.dispatches();
    ASSERT_GT(dispatches, kTimes);
    for (std::size_t i = 0; i < kTimes; ++i) {
      const std::size_t at = i * (dispatches - 1) / (kTimes - 1);
      Accelerator accelerator(std::make_unique<EmulatedDevice>(EmulatedOptions{.loses_after = at}),
                              options);
      expect_same(answers(loaded, &accelerator, 10), want);
      EXPECT_TRUE(accelerator.state().lost);
      EXPECT_EQ(accelerator.state().losses, 1u);
    }
  }
}

TEST(Losses, TheDeviceComesBackThreeTimes) {
  Loaded loaded("granitehybrid");
  const Answers want = answers(loaded, nullptr, 10);
  AcceleratorOptions options = trusting();
  steady_clock::time_point now;
  std::size_t opened = 0;
  std::vector<std::string> told;
  const auto one = [] {
    return std::make_unique<EmulatedDevice>(EmulatedOptions{.loses_after = 7});
  };
  options.now = [&now] { return now; };
  options.tell = [&told](const std::string& line) { told.push_back(line); };
  options.open = [&]() -> Result<std::unique_ptr<Device>> {
    ++opened;
    return one();
  };
  Accelerator accelerator(one(), options);
  expect_same(answers(loaded, &accelerator, 10), want);
  EXPECT_EQ(opened, 0u);  // not before the back-off is over
  for (const seconds wait : {seconds(1), seconds(10), seconds(100), seconds(1000)}) {
    now += wait - std::chrono::milliseconds(1);
    expect_same(answers(loaded, &accelerator, 10), want);
    const std::size_t before = opened;
    now += std::chrono::milliseconds(1);
    expect_same(answers(loaded, &accelerator, 10), want);
    EXPECT_EQ(opened, std::min<std::size_t>(before + 1, 2));
  }
  EXPECT_EQ(accelerator.state().losses, 3u);
  EXPECT_THAT(told, ::testing::Contains(HasSubstr("the processor goes on")));
  EXPECT_THAT(told, ::testing::Contains("emulated: is back"));
}

}  // namespace
}  // namespace lathe::infer

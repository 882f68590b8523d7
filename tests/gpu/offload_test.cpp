// Products by the kernels of a GPU: the bits of the processor's tables, emulated and on Mesa's
// software device, whatever the order of lanes and however inexact the device's divisions; a kernel
// that differs is not used; what is lost is computed again; whole models give the same answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "gpu/emulated_device.h"
#include "gpu/emulated_kernels.h"
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

// A device with a kernel that is wrong in one bit of one output.
class WrongDevice final : public Device {
 public:
  explicit WrongDevice(std::string kernel) : kernel_(std::move(kernel)) {}
  const DeviceFacts& facts() const override { return right_.facts(); }
  Result<std::unique_ptr<SharedMemory>> share(std::span<std::byte> pages) override {
    return right_.share(pages);
  }
  Status prepare(const GpuKernel& kernel) override { return right_.prepare(kernel); }
  Status run(std::span<const Dispatch> work) override {
    LATHE_TRY_STATUS(right_.run(work));
    if (work.front().kernel->name != kernel_) return {};
    gpu::MatmulGpuArgs args;
    std::memcpy(&args, work.front().arguments.data(), sizeof args);
    args.to.v[args.rows - 1] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(args.to.v[0]) ^ 1);
    return {};
  }
  bool lost() const override { return false; }
  std::uint64_t bytes() const override { return 0; }

 private:
  EmulatedDevice right_;
  std::string kernel_;
};

TEST(Trust, AKernelThatDiffersIsNotUsed) {
  WrongDevice device("matmul_wide_q6_k");
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
      work));
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
      product, *kernels, [](const void*, std::size_t) { return std::uint64_t{0}; }, work));
}

// Of all kernels, as the tests of Trust found them.
AcceleratorOptions trusting() {
  AcceleratorOptions options;
  for (const ProductKernels& kernels : product_kernels())
    options.trust.products.push_back(&kernels);
  options.least_work = 0;
  options.open = [] { return fail(ErrorKind::kUnavailable, "it is gone"); };
  return options;
}

// A model's answers to some requests, with its products by `accelerator`, or by the processor.
std::vector<Outcome> answers(Loaded& loaded, Accelerator* accelerator, std::size_t tokens = 50) {
  std::vector<Outcome> all;
  auto executor = CpuExecutor::create(*loaded.model, loaded.team, {.step_tokens = 40}, nullptr,
                                      accelerator != nullptr ? accelerator->multiplier() : nullptr);
  EXPECT_TRUE(executor);
  auto engine = *Engine::create(std::move(*executor), *loaded.tokenizer, {.kv_tokens = 1024});
  Outcomes outcomes;
  std::mt19937 random(5);
  // A prompt that is cut, one whose beginning is known, and some that are decoded together.
  const std::vector<TokenId> prompt = random_prompt(random, tokens);
  for (std::uint64_t i = 0; i < 3; ++i) {
    std::vector<TokenId> text = prompt;
    text.resize(tokens - tokens / 5 * i);
    EXPECT_TRUE(engine->add(request_of(std::move(text), 4, i)));
  }
  while (engine->step(collect(outcomes))) {
  }
  for (auto& [id, outcome] : outcomes) all.push_back(std::move(outcome));
  return all;
}

void expect_same(const std::vector<Outcome>& got, const std::vector<Outcome>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_TRUE(got[i].same_bits(want[i])) << i;
}

class Models : public ::testing::TestWithParam<const char*> {};

TEST_P(Models, AnswerWithTheProcessorsBits) {
  Loaded loaded(GetParam());
  const std::vector<Outcome> want = answers(loaded, nullptr);
  auto device = std::make_unique<EmulatedDevice>(EmulatedOptions{.ulps = 3, .shuffled = true});
  Accelerator accelerator(std::move(device), trusting());
  expect_same(answers(loaded, &accelerator), want);
  EXPECT_GT(accelerator.state().products, 50u);
}

TEST_P(Models, AnswerWithTheProcessorsBitsOnASoftwareDevice) {
  Loaded loaded(GetParam());
  const std::vector<Outcome> want = answers(loaded, nullptr);
  auto device = software_device();
  ASSERT_TRUE(device) << device.error().message;
  Accelerator accelerator(std::move(*device), trusting());
  expect_same(answers(loaded, &accelerator), want);
  EXPECT_GT(accelerator.state().products, 50u);
}

INSTANTIATE_TEST_SUITE_P(All, Models,
                         ::testing::Values("llama-q4_k_m", "qwen3moe-mxfp4_moe", "gemma3-q8_0",
                                           "deepseek2-v3-q8_0", "gpt-oss-mxfp4", "qwen35-q8_0",
                                           "granitehybrid"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// At every submission of an answer: the processor goes on with the same bits.
TEST(Losses, ChangeNothingOfAnAnswer) {
  Loaded loaded("granitehybrid");
  const std::vector<Outcome> want = answers(loaded, nullptr, 10);
  const AcceleratorOptions options = trusting();
  auto whole = std::make_unique<EmulatedDevice>();
  EmulatedDevice& counting = *whole;
  Accelerator first(std::move(whole), options);
  expect_same(answers(loaded, &first, 10), want);
  const std::size_t runs = counting.runs();
  ASSERT_GT(runs, 20u);
  for (std::size_t at = 0; at < runs; ++at) {
    Accelerator accelerator(std::make_unique<EmulatedDevice>(EmulatedOptions{.loses_after = at}),
                            options);
    expect_same(answers(loaded, &accelerator, 10), want);
    EXPECT_TRUE(accelerator.state().lost);
    EXPECT_EQ(accelerator.state().losses, 1u);
  }
}

TEST(Losses, TheDeviceComesBackThreeTimes) {
  Loaded loaded("granitehybrid");
  const std::vector<Outcome> want = answers(loaded, nullptr, 10);
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

// What it costs the processor to hand a decode step to a device: from the step's beginning until
// its operations are recorded, until the driver has them, and, apart from that, until the device
// has computed them. A made-up model of small matrices on Mesa's software device: what is measured
// does not depend on their size.
//   lathe_device_bench [LAYERS [STREAMS [STEPS]]]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "ground/base/file.h"
#include "infer/cpu/cpu_executor.h"
#include "infer/device/vulkan.h"
#include "infer/models/tiny_model_test.h"
#include "infer/offload/accelerator.h"

namespace lathe::infer {
namespace {

using Clock = std::chrono::steady_clock;

// When a step came how far.
struct Marks {
  Clock::time_point begun, recorded, submitted, done;
};

class MarkedDevice final : public Device {
 public:
  MarkedDevice(std::unique_ptr<Device> device, Marks& marks)
      : device_(std::move(device)), marks_(marks) {}
  const DeviceFacts& facts() const override { return device_->facts(); }
  Result<std::unique_ptr<SharedMemory>> share(std::span<std::byte> pages) override {
    return device_->share(pages);
  }
  Status prepare(const GpuKernel& kernel) override { return device_->prepare(kernel); }
  Status run(std::span<const Dispatch> work) override {
    marks_.recorded = Clock::now();
    Status done = device_->run(work);
    marks_.done = Clock::now();
    return done;
  }
  bool lost() const override { return device_->lost(); }
  std::uint64_t bytes() const override { return device_->bytes(); }

 private:
  std::unique_ptr<Device> device_;
  Marks& marks_;
};

struct Wish {
  std::size_t layers = 32, streams = 1, steps = 100;
};

// A sequence of made-up tokens.
struct Stream {
  explicit Stream(MemoryStore& store) : memory(store) {}
  Slice slice(std::span<const TokenId> tokens) {
    return {.tokens = tokens, .first_position = at, .memory = &memory, .outputs = 1};
  }
  SequenceMemory memory;
  std::size_t at = 0;
};

double microseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

Status measure(const Wish& wish) {
  constexpr std::size_t kPrompt = 100, kContext = 2048;
  LATHE_TRY(const TempDir directory, TempDir::make());
  const fs::path path = directory.path() / "model.gguf";
  write_tiny_model(path, {.architecture = "qwen3",
                          .width = 64,
                          .layers = wish.layers,
                          .hidden = 96,
                          .heads = 4,
                          .kv_heads = 2,
                          .head_dim = 32,
                          .vocabulary = 320,
                          .context = kContext,
                          .type = TensorType::kQ8_0});
  LATHE_TRY(const Gguf file, Gguf::open(path));
  ThreadTeam team(1);  // nobody has to be woken
  LATHE_TRY(const auto model,
            Model::load(file, team, {.kernels = &best_kernel_table(), .progress = {}}));

  ::setenv("VK_DRIVER_FILES", "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", 0);
  ::setenv("VK_ICD_FILENAMES", "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", 0);
  Marks marks;
  VulkanOptions vulkan;
  vulkan.submission_seconds = 1e6;  // a step is one submission
  vulkan.submitted = [&marks] { marks.submitted = Clock::now(); };
  LATHE_TRY(const auto devices, vulkan_devices(vulkan));
  LATHE_TRY(auto device, open_vulkan(devices.front(), vulkan));
  AcceleratorOptions options;
  for (const ProductKernels& kernels : product_kernels())
    options.trust.products.push_back(&kernels);
  options.trust.steps = step_kernels().all();
  options.least_work = 0;
  options.open = [] { return fail(ErrorKind::kUnavailable, "it is gone"); };
  Accelerator accelerator(std::make_unique<MarkedDevice>(std::move(device), marks), options);

  LATHE_TRY(const auto executor,
            CpuExecutor::create(*model, team, {}, nullptr, accelerator.multiplier()));
  KvBudget budget(UINT64_MAX / 2);
  LATHE_TRY(MemoryStore store,
            MemoryStore::create(executor->layout(), wish.streams * blocks_for(kPrompt + wish.steps),
                                budget));
  executor->set_store(store);
  std::vector<Stream> streams;
  for (std::size_t i = 0; i < wish.streams; ++i) streams.emplace_back(store);
  const std::vector<TokenId> prompt(kPrompt, 7);
  const auto step = [&](std::size_t tokens) -> Status {
    std::vector<Slice> slices;
    for (Stream& stream : streams) {
      LATHE_TRY_STATUS(stream.memory.prepare(stream.at, stream.at + tokens));
      slices.push_back(stream.slice(std::span(prompt).first(tokens)));
    }
    marks.begun = Clock::now();
    executor->run(slices, OutputKind::kLogits);
    for (Stream& stream : streams) stream.memory.settle(stream.at += tokens);
    return {};
  };
  LATHE_TRY_STATUS(step(kPrompt / wish.streams));

  const std::uint64_t before = accelerator.state().dispatches;
  std::vector<double> recording, submitting, computing;
  for (std::size_t i = 0; i < wish.steps; ++i) {
    LATHE_TRY_STATUS(step(1));
    recording.push_back(microseconds(marks.begun, marks.recorded));
    submitting.push_back(microseconds(marks.recorded, marks.submitted));
    computing.push_back(microseconds(marks.submitted, marks.done));
  }
  const Accelerator::State state = accelerator.state();
  if (state.runs != wish.steps + 1)
    return fail(ErrorKind::kUnavailable, "{} submissions for {} steps", state.runs, wish.steps + 1);
  const auto median = [](std::vector<double>& all) {
    std::ranges::sort(all);
    return all[all.size() / 2];
  };
  fmt::print("{}: {} layers, {} streams, {} kernels a step\n", state.facts.name, wish.layers,
             wish.streams, (state.dispatches - before) / wish.steps);
  fmt::print("median of {} steps: {:.0f} us recorded, {:.0f} us submitted, {:.0f} us computed\n",
             wish.steps, median(recording), median(submitting), median(computing));
  return {};
}

}  // namespace
}  // namespace lathe::infer

int main(int argc, char** argv) {
  lathe::infer::Wish wish;
  std::size_t* const places[] = {&wish.layers, &wish.streams, &wish.steps};
  for (int i = 1; i < argc && i <= 3; ++i)
    *places[i - 1] = std::max<std::size_t>(1, std::strtoull(argv[i], nullptr, 10));
  if (const auto measured = lathe::infer::measure(wish); !measured) {
    fmt::print(stderr, "{}\n", measured.error().message);
    return 1;
  }
}

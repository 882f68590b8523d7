// A device by Vulkan: pipelines of kernels, and work recorded, cut into submissions that are short,
// submitted and waited for.
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "infer/device/vulkan_api.h"

namespace lathe::infer {

namespace {

using VulkanClock = std::chrono::steady_clock;

// What a dispatch costs beside its work, the work that a kernel is believed to do in a second
// before it was measured, and how long a submission may take at least before it counts as hung.
struct Pace {
  double dispatch_seconds, start_rate, patience_seconds;
};
constexpr Pace kHardwarePace = {5e-6, 2e10, 2};
constexpr Pace kSoftwarePace = {1e-4, 2e7, 600};
constexpr double kPatienceFactor = 20;
// How long a device that is given up may take to end what it was doing: until then it may write.
constexpr double kLastWaitSeconds = 10;
// About what a driver keeps for them: no interface tells.
constexpr std::uint64_t kPipelineBytes = 256 << 10;
constexpr std::uint64_t kCommandBufferBytes = 64 << 10;

double seconds_since(VulkanClock::time_point start) {
  return std::chrono::duration<double>(VulkanClock::now() - start).count();
}

struct Pipeline {
  VkPipeline pipeline = VK_NULL_HANDLE;
  double rate = 0;  // work a second
};

// A dispatch, or some of its workgroups.
struct Part {
  const Dispatch* dispatch = nullptr;
  Pipeline* pipeline = nullptr;
  std::array<std::uint32_t, 3> base = {}, groups = {};
  bool beside = false;
  double seconds = 0;
};

// What is recorded, and of what: a step like the one before it is not recorded again.
struct Commands {
  // A part as the driver was told of it.
  struct Told {
    VkPipeline pipeline;
    std::array<std::byte, Dispatch::kArgumentBytes> arguments;
    std::array<std::uint32_t, 3> base, groups;
    bool beside;

    explicit Told(const Part& part)
        : pipeline(part.pipeline->pipeline),
          arguments(part.dispatch->arguments),
          base(part.base),
          groups(part.groups),
          beside(part.beside) {}
    bool is(const Part& part) const {
      return pipeline == part.pipeline->pipeline && arguments == part.dispatch->arguments &&
             base == part.base && groups == part.groups && beside == part.beside;
    }
  };
  VkCommandBuffer buffer = nullptr;
  std::vector<Told> told;
};

struct Submission {
  std::span<const Part> parts;
  double seconds = 0;  // predicted
  std::uint64_t number = 0;
  VulkanClock::time_point begun = {};
};

class VulkanDevice final : public Device {
 public:
  VulkanDevice(std::shared_ptr<VulkanHandle> vulkan, VulkanOptions options)
      : vulkan_(std::move(vulkan)),
        options_(std::move(options)),
        pace_(facts().kind == DeviceKind::kSoftware ? kSoftwarePace : kHardwarePace) {}
  ~VulkanDevice() override;
  Status start();

  const DeviceFacts& facts() const override { return vulkan_->physical.facts; }
  Result<std::unique_ptr<SharedMemory>> share(std::span<std::byte> pages) override {
    return import_pages(vulkan_, pages, options_.piece_bytes, options_.overlap_bytes);
  }
  Status prepare(const GpuKernel& kernel) override;
  Status run(std::span<const Dispatch> work) override;
  bool lost() const override { return lost_; }
  std::uint64_t bytes() const override {
    return pipelines_.size() * kPipelineBytes + commands_.size() * kCommandBufferBytes;
  }

 private:
  std::span<const std::uint32_t> program_of(const GpuKernel& kernel) const;
  Status check(const Dispatch& dispatch) const;
  Status cut(const Dispatch& dispatch);
  Result<VkCommandBuffer> record(std::span<const Part> parts, std::size_t index);
  Result<Commands*> commands(std::size_t index);
  Status submit(Submission& submission, std::size_t buffer);
  Status wait(const Submission& submission, VulkanClock::time_point before);
  VkResult wait_for(std::uint64_t number, double seconds) const;
  std::unexpected<Error> lose(const Submission& submission, std::string_view why);

  std::shared_ptr<VulkanHandle> vulkan_;
  VulkanOptions options_;
  Pace pace_;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkSemaphore done_ = VK_NULL_HANDLE;  // the number of the last submission that ended
  std::vector<Commands> commands_;     // by their place in a run
  std::unordered_map<const std::uint32_t*, Pipeline> pipelines_;  // by their program
  std::vector<Part> parts_;
  std::uint64_t submitted_ = 0;
  std::uint64_t asked_ = 0;  // options_.lose
  bool lost_ = false;
};

Status VulkanDevice::start() {
  const VkPushConstantRange arguments = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                         .size = Dispatch::kArgumentBytes};
  const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                             .pushConstantRangeCount = 1,
                                             .pPushConstantRanges = &arguments};
  const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                        .queueFamilyIndex = vulkan_->physical.family};
  const VkSemaphoreTypeCreateInfo timeline = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                              .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
  const VkSemaphoreCreateInfo done = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                      .pNext = &timeline};
  const VkDevice device = vulkan_->device;
  VkResult made = vulkan_->vkCreatePipelineLayout(device, &layout, nullptr, &layout_);
  if (!made) made = vulkan_->vkCreateCommandPool(device, &pool, nullptr, &pool_);
  if (!made && !options_.incomplete)
    made = vulkan_->vkCreateSemaphore(device, &done, nullptr, &done_);
  if (made)
    return fail(ErrorKind::kUnavailable, "{} cannot be used ({})", facts().name,
                vulkan_result(made));
  return {};
}

VulkanDevice::~VulkanDevice() {
  if (vulkan_->abandoned) return;
  const VkDevice device = vulkan_->device;
  for (const auto& [program, made] : pipelines_)
    vulkan_->vkDestroyPipeline(device, made.pipeline, nullptr);
  if (done_) vulkan_->vkDestroySemaphore(device, done_, nullptr);
  if (pool_) vulkan_->vkDestroyCommandPool(device, pool_, nullptr);
  if (layout_) vulkan_->vkDestroyPipelineLayout(device, layout_, nullptr);
}

// The software device's fma rounds twice.
std::span<const std::uint32_t> VulkanDevice::program_of(const GpuKernel& kernel) const {
  const bool doubles = facts().kind == DeviceKind::kSoftware && !kernel.spirv_by_doubles.empty();
  return doubles ? kernel.spirv_by_doubles : kernel.spirv;
}

Status VulkanDevice::prepare(const GpuKernel& kernel) {
  const std::span<const std::uint32_t> program = program_of(kernel);
  if (program.empty())
    return invalid("{}: this build has no program of it for Vulkan", kernel.name);
  if (pipelines_.contains(program.data())) return {};
  if (lost_) return fail(ErrorKind::kUnavailable, "{} is lost", facts().name);
  if (kernel.lanes > vulkan_->physical.max_lanes)
    return invalid("{} needs {} lanes, {} has {}", kernel.name, kernel.lanes, facts().name,
                   vulkan_->physical.max_lanes);
  const VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                         .codeSize = program.size_bytes(),
                                         .pCode = program.data()};
  VkShaderModule module = VK_NULL_HANDLE;
  VkResult made = vulkan_->vkCreateShaderModule(vulkan_->device, &code, nullptr, &module);
  Pipeline pipeline = {.rate = pace_.start_rate};
  if (!made) {
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = VK_PIPELINE_CREATE_DISPATCH_BASE_BIT,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main"},
        .layout = layout_};
    made = vulkan_->vkCreateComputePipelines(vulkan_->device, VK_NULL_HANDLE, 1, &info, nullptr,
                                             &pipeline.pipeline);
    vulkan_->vkDestroyShaderModule(vulkan_->device, module, nullptr);
  }
  if (made)
    return invalid("{} does not take {} ({})", facts().name, kernel.name, vulkan_result(made));
  pipelines_.emplace(program.data(), pipeline);
  return {};
}

Status VulkanDevice::check(const Dispatch& dispatch) const {
  LATHE_CHECK(dispatch.kernel != nullptr);
  LATHE_CHECK(dispatch.kernel->argument_bytes <= Dispatch::kArgumentBytes);
  for (const std::uint32_t groups : dispatch.groups)
    if (groups > std::min(65535u, vulkan_->physical.max_groups))
      return invalid("{} over {} workgroups in a row: {} takes {}", dispatch.kernel->name, groups,
                     facts().name, std::min(65535u, vulkan_->physical.max_groups));
  return {};
}

// Into as many parts as it takes for each to be short; workgroups depend on nothing of each other.
Status VulkanDevice::cut(const Dispatch& dispatch) {
  const auto* const program = program_of(*dispatch.kernel).data();
  auto known = pipelines_.find(program);
  if (known == pipelines_.end()) {
    LATHE_TRY_STATUS(prepare(*dispatch.kernel));
    known = pipelines_.find(program);
  }
  Pipeline& pipeline = known->second;
  const auto& groups = dispatch.groups;
  const double lanes = double(groups[0]) * groups[1] * groups[2] * dispatch.kernel->lanes;
  if (groups[0] == 0 || groups[1] == 0 || groups[2] == 0) return {};
  const double seconds = std::max(dispatch.work, lanes) / pipeline.rate;
  const auto axis = static_cast<std::size_t>(std::ranges::max_element(groups) - groups.begin());
  const std::uint64_t pieces = static_cast<std::uint64_t>(
      std::clamp(std::ceil(seconds / options_.submission_seconds), 1.0, double(groups[axis])));
  for (std::uint64_t i = 0; i < pieces; ++i) {
    Part part = {.dispatch = &dispatch,
                 .pipeline = &pipeline,
                 .groups = groups,
                 .beside = i > 0 || dispatch.beside};
    part.base[axis] = static_cast<std::uint32_t>(groups[axis] * i / pieces);
    part.groups[axis] =
        static_cast<std::uint32_t>(groups[axis] * (i + 1) / pieces) - part.base[axis];
    part.seconds = pace_.dispatch_seconds + seconds * part.groups[axis] / groups[axis];
    parts_.push_back(part);
  }
  return {};
}

Status VulkanDevice::run(std::span<const Dispatch> work) {
  LATHE_CHECK(!options_.incomplete);
  if (lost_) return fail(ErrorKind::kUnavailable, "{} is lost", facts().name);
  for (const Dispatch& dispatch : work) LATHE_TRY_STATUS(check(dispatch));
  parts_.clear();
  for (const Dispatch& dispatch : work) LATHE_TRY_STATUS(cut(dispatch));

  // Each is submitted as soon as it is recorded, so that the device works while the next is.
  std::vector<Submission> submissions;
  for (std::size_t begin = 0; begin < parts_.size();) {
    std::size_t end = begin;
    double seconds = 0;
    while (end < parts_.size() &&
           (end == begin || seconds + parts_[end].seconds <= options_.submission_seconds))
      seconds += parts_[end++].seconds;
    Submission& next = submissions.emplace_back(
        Submission{.parts = std::span(parts_).subspan(begin, end - begin), .seconds = seconds});
    LATHE_TRY_STATUS(submit(next, submissions.size() - 1));
    begin = end;
  }
  VulkanClock::time_point before = {};
  for (const Submission& submission : submissions) {
    LATHE_TRY_STATUS(wait(submission, before));
    before = VulkanClock::now();
  }
  return {};
}

Result<Commands*> VulkanDevice::commands(std::size_t index) {
  if (index < commands_.size()) return &commands_[index];
  const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .commandPool = pool_,
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = 1};
  VkCommandBuffer made = nullptr;
  if (const VkResult result = vulkan_->vkAllocateCommandBuffers(vulkan_->device, &info, &made))
    return fail(ErrorKind::kUnavailable, "{}", vulkan_result(result));
  return &commands_.emplace_back(Commands{.buffer = made, .told = {}});
}

Result<VkCommandBuffer> VulkanDevice::record(std::span<const Part> parts, std::size_t index) {
  LATHE_TRY(Commands* const recorded, this->commands(index));
  const VkCommandBuffer commands = recorded->buffer;
  if (std::ranges::equal(recorded->told, parts, [](const Commands::Told& told, const Part& part) {
        return told.is(part);
      }))
    return commands;
  recorded->told.clear();
  const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  if (const VkResult begun = vulkan_->vkBeginCommandBuffer(commands, &begin))
    return fail(ErrorKind::kUnavailable, "{}", vulkan_result(begun));
  const VkMemoryBarrier seen = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
      .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
      .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
  VkPipeline bound = VK_NULL_HANDLE;
  for (const Part& part : parts) {
    // At the start, too: after what earlier submissions wrote.
    if (!part.beside)
      vulkan_->vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &seen, 0, nullptr,
                                    0, nullptr);
    if (part.pipeline->pipeline != bound) {
      bound = part.pipeline->pipeline;
      vulkan_->vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, bound);
    }
    vulkan_->vkCmdPushConstants(commands, layout_, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                Dispatch::kArgumentBytes, part.dispatch->arguments.data());
    vulkan_->vkCmdDispatchBase(commands, part.base[0], part.base[1], part.base[2], part.groups[0],
                               part.groups[1], part.groups[2]);
  }
  const VkMemoryBarrier read = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
  vulkan_->vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &read, 0, nullptr, 0, nullptr);
  if (const VkResult ended = vulkan_->vkEndCommandBuffer(commands))
    return fail(ErrorKind::kUnavailable, "{}", vulkan_result(ended));
  for (const Part& part : parts) recorded->told.emplace_back(part);
  return commands;
}

Status VulkanDevice::submit(Submission& submission, std::size_t index) {
  const auto commands = record(submission.parts, index);
  if (!commands) return lose(submission, commands.error().message);
  if (options_.lose && options_.lose(++asked_)) return lose(submission, "as a test wants it");
  submission.number = submitted_ + 1;
  const VkTimelineSemaphoreSubmitInfo timeline = {
      .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
      .signalSemaphoreValueCount = 1,
      .pSignalSemaphoreValues = &submission.number};
  const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                             .pNext = &timeline,
                             .commandBufferCount = 1,
                             .pCommandBuffers = &*commands,
                             .signalSemaphoreCount = 1,
                             .pSignalSemaphores = &done_};
  submission.begun = VulkanClock::now();
  if (const VkResult result = vulkan_->vkQueueSubmit(vulkan_->queue, 1, &info, VK_NULL_HANDLE))
    return lose(submission, vulkan_result(result));
  submitted_ = submission.number;
  if (options_.submitted) options_.submitted();
  return {};
}

VkResult VulkanDevice::wait_for(std::uint64_t number, double seconds) const {
  const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                    .semaphoreCount = 1,
                                    .pSemaphores = &done_,
                                    .pValues = &number};
  return vulkan_->vkWaitSemaphores(vulkan_->device, &info,
                                   static_cast<std::uint64_t>(seconds * 1e9));
}

Status VulkanDevice::wait(const Submission& submission, VulkanClock::time_point before) {
  const double patience = std::max(pace_.patience_seconds, kPatienceFactor * submission.seconds);
  if (const VkResult ended = wait_for(submission.number, patience); ended == VK_TIMEOUT)
    return lose(submission, fmt::format("no end of it within {:.0f} s", patience));
  else if (ended != VK_SUCCESS)
    return lose(submission, vulkan_result(ended));

  // Each kernel's rate moves towards what was measured, by its share of what was predicted.
  const double took = std::max(seconds_since(std::max(submission.begun, before)), 1e-9);
  const double ratio = std::clamp(submission.seconds / took, 1.0 / 16, 16.0);
  for (const Part& part : submission.parts)
    part.pipeline->rate *= std::pow(ratio, part.seconds / submission.seconds);
  return {};
}

// Returns when the device has ended what it was doing, so that it writes nothing behind the back of
// whoever does the work again; or after some time, and then leaves it with all that it holds.
std::unexpected<Error> VulkanDevice::lose(const Submission& submission, std::string_view why) {
  lost_ = true;
  if (wait_for(submitted_, kLastWaitSeconds) == VK_TIMEOUT) vulkan_->abandoned = true;
  std::vector<std::string_view> names;
  for (const Part& part : submission.parts)
    if (std::ranges::find(names, part.dispatch->kernel->name) == names.end())
      names.push_back(part.dispatch->kernel->name);
  return fail(ErrorKind::kUnavailable, "{} is lost ({}) in a submission of {}", facts().name, why,
              fmt::join(names, ", "));
}

}  // namespace

Result<std::unique_ptr<Device>> open_vulkan(const DeviceFacts& facts,
                                            const VulkanOptions& options) {
  LATHE_TRY(auto instance, VulkanInstance::open(options));
  LATHE_TRY(auto devices, physical_devices(*instance));
  const auto found = std::ranges::find(
      devices, facts.id, [](const VulkanPhysical& device) { return device.facts.id; });
  if (found == devices.end())
    return fail(ErrorKind::kUnavailable, "{} is no longer there", facts.name);
  if (!found->facts.missing.empty() && !options.incomplete)
    return fail(ErrorKind::kUnavailable, "{} lacks {}", facts.name, found->facts.missing);
  LATHE_TRY(auto handle, VulkanHandle::open(std::move(instance), std::move(*found)));
  auto device = std::make_unique<VulkanDevice>(std::move(handle), options);
  LATHE_TRY_STATUS(device->start());
  return device;
}

}  // namespace lathe::infer

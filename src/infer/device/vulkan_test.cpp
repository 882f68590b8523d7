// The Vulkan module on Mesa's software device (lavapipe), under the validation layer, and on
// loaders that are broken.
#include "infer/device/vulkan.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "infer/kernels/gpu/args.h"
#include "infer/kernels/gpu/spirv.h"

namespace lathe::infer {
namespace {

using testing::HasSubstr;

// Pages of the system, as weights and caches lie in.
struct TestPages {
  explicit TestPages(std::size_t bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    LATHE_CHECK(at != MAP_FAILED);
    span = {static_cast<std::byte*>(at), bytes};
  }
  ~TestPages() { ::munmap(span.data(), span.size()); }
  TestPages(const TestPages&) = delete;
  std::span<float> floats() const {
    return {reinterpret_cast<float*>(span.data()), span.size() / sizeof(float)};
  }
  std::span<std::byte> span;
};

const GpuKernel& add_one() {
  static const GpuKernel kKernel = {"add_one", 64, sizeof(gpu::AddOneGpuArgs),
                                    gpu_spirv("add_one")};
  return kKernel;
}

class Vulkan : public testing::Test {
 protected:
  Vulkan() {
    use_driver("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json");
    // Stays, so that a sanitizer knows whose memory it sees.
    ::dlopen("libvulkan_lvp.so", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    options.validate = [this](std::string_view message) { said.emplace_back(message); };
  }
  ~Vulkan() override { EXPECT_THAT(said, testing::IsEmpty()); }

  static void use_driver(const char* file) {
    ::setenv("VK_ICD_FILENAMES", file, 1);
    ::setenv("VK_DRIVER_FILES", file, 1);
  }
  static std::string reason(const VulkanOptions& of) {
    const auto devices = vulkan_devices(of);
    return devices ? "devices" : devices.error().message;
  }
  std::unique_ptr<Device> open() {
    const auto devices = vulkan_devices(options);
    if (!devices || devices->empty()) {
      ADD_FAILURE() << (devices ? "no device" : devices.error().message);
      return nullptr;
    }
    auto device = open_vulkan(devices->front(), options);
    EXPECT_TRUE(device) << device.error().message;
    return device ? std::move(*device) : nullptr;
  }
  // Adds one to the first n numbers, so many times.
  static std::vector<Dispatch> chain(std::uint64_t address, std::uint32_t n, std::size_t times) {
    const std::uint32_t groups = (n + 63) / 64;
    const gpu::AddOneGpuArgs args = {{reinterpret_cast<float*>(address)}, n, groups};
    return std::vector<Dispatch>(times, Dispatch::of(add_one(), args, groups));
  }

  VulkanOptions options;
  std::vector<std::string> said;
};

TEST_F(Vulkan, names_the_software_device_and_what_it_is) {
  const auto devices = vulkan_devices(options);
  ASSERT_TRUE(devices) << devices.error().message;
  ASSERT_EQ(devices->size(), 1u);
  const DeviceFacts& facts = devices->front();
  EXPECT_THAT(facts.name, HasSubstr("llvmpipe"));
  EXPECT_THAT(facts.driver, HasSubstr("Mesa"));
  EXPECT_EQ(facts.kind, DeviceKind::kSoftware);
  EXPECT_EQ(facts.missing, "");
  EXPECT_GT(facts.memory, 0u);
  EXPECT_GE(facts.piece_bytes, std::uint64_t{1} << 30);
  EXPECT_GT(facts.id.size(), 64u);
}

TEST_F(Vulkan, runs_kernels_over_pages_of_the_system) {
  const TestPages pages(1 << 16);
  const auto device = open();
  ASSERT_TRUE(device);
  const auto shared = device->share(pages.span);
  ASSERT_TRUE(shared) << shared.error().message;
  std::iota(pages.floats().begin(), pages.floats().end(), 0.0f);
  const auto at = (*shared)->address(pages.floats().data() + 16, 4000);
  ASSERT_NE(at, 0u);
  for (int round = 1; round <= 3; ++round) {
    const auto ran = device->run(chain(at, 1000, 1));
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_EQ(pages.floats()[15], 15.0f);
    EXPECT_EQ(pages.floats()[16], 16.0f + static_cast<float>(round));
    EXPECT_EQ(pages.floats()[1015], 1015.0f + static_cast<float>(round));
    EXPECT_EQ(pages.floats()[1016], 1016.0f);
  }
  EXPECT_GT(device->bytes(), 0u);
  EXPECT_TRUE(device->run({}));
}

TEST_F(Vulkan, each_dispatch_sees_what_those_before_it_wrote) {
  const TestPages pages(1 << 16);
  const auto device = open();
  ASSERT_TRUE(device);
  const auto shared = device->share(pages.span);
  ASSERT_TRUE(shared);
  const auto ran = device->run(chain((*shared)->address(pages.span.data(), 1 << 16), 16384, 100));
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_THAT(pages.floats(), testing::Each(100.0f));
}

TEST_F(Vulkan, long_work_is_cut_into_submissions_and_dispatches_into_parts) {
  std::uint64_t submissions = 0;
  options.lose = [&](std::uint64_t number) { return submissions = number, false; };
  options.submission_seconds = 1e-7;  // less than a workgroup of 64 lanes is believed to take
  const TestPages pages(1 << 16);
  const auto device = open();
  ASSERT_TRUE(device);
  const auto shared = device->share(pages.span);
  ASSERT_TRUE(shared);
  const auto ran = device->run(chain((*shared)->address(pages.span.data(), 4096), 1000, 3));
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(submissions, 48u);  // 16 workgroups each
  EXPECT_THAT(pages.floats().first(1000), testing::Each(3.0f));
  EXPECT_EQ(pages.floats()[1000], 0.0f);
}

TEST_F(Vulkan, pieces_overlap_so_that_nothing_short_is_cut) {
  options.piece_bytes = 64 << 10;
  options.overlap_bytes = 16 << 10;
  const TestPages pages(200 << 10);
  const auto device = open();
  ASSERT_TRUE(device);
  const auto shared = device->share(pages.span);
  ASSERT_TRUE(shared) << shared.error().message;
  const std::byte* data = pages.span.data();
  for (std::size_t at = 0; at + (16 << 10) <= pages.span.size(); at += 1000)
    EXPECT_NE((*shared)->address(data + at, 16 << 10), 0u) << at;
  EXPECT_NE((*shared)->address(data, 64 << 10), 0u);
  EXPECT_EQ((*shared)->address(data, (64 << 10) + 1), 0u);
  EXPECT_EQ((*shared)->address(data + (200 << 10) - 10, 11), 0u);
  EXPECT_EQ((*shared)->address(data - 1, 1), 0u);
  EXPECT_EQ((*shared)->address(&options, 1), 0u);
  // What one piece wrote, another reads.
  const auto first = (*shared)->address(data + (50 << 10), 8000);
  auto work = chain(first, 2000, 1);
  for (const auto& next : chain((*shared)->address(data + (50 << 10), 16 << 10), 4096, 1))
    work.push_back(next);
  ASSERT_TRUE(device->run(work));
  EXPECT_EQ(pages.floats()[(50 << 8)], 2.0f);
  EXPECT_EQ(pages.floats()[(50 << 8) + 4095], 1.0f);
}

TEST_F(Vulkan, memory_that_is_no_whole_pages_is_refused) {
  const TestPages pages(1 << 16);
  const auto device = open();
  ASSERT_TRUE(device);
  const auto shared = device->share(pages.span.subspan(16));
  ASSERT_FALSE(shared);
  EXPECT_THAT(shared.error().message, HasSubstr("whole pages of 4096 bytes"));
}

TEST_F(Vulkan, more_workgroups_than_a_device_takes_are_refused) {
  const TestPages pages(1 << 16);
  const auto device = open();
  ASSERT_TRUE(device);
  const auto shared = device->share(pages.span);
  ASSERT_TRUE(shared);
  auto work = chain((*shared)->address(pages.span.data(), 4096), 64, 2);
  work[1].groups[0] = 65536;
  const auto ran = device->run(work);
  ASSERT_FALSE(ran);
  EXPECT_THAT(ran.error().message, HasSubstr("add_one over 65536 workgroups"));
  EXPECT_EQ(ran.error().kind, ErrorKind::kInvalid);
  EXPECT_FALSE(device->lost());
  EXPECT_EQ(pages.floats()[0], 0.0f);  // nothing of it ran
  work[1].groups[0] = 65535;
  EXPECT_TRUE(device->run(work));
  EXPECT_EQ(pages.floats()[0], 2.0f);
}

TEST_F(Vulkan, a_kernel_without_a_program_is_refused) {
  const auto device = open();
  ASSERT_TRUE(device);
  const auto prepared = device->prepare(GpuKernel{"nothing", 64, 0, {}});
  ASSERT_FALSE(prepared);
  EXPECT_THAT(prepared.error().message, HasSubstr("nothing: this build has no program"));
  EXPECT_TRUE(device->prepare(add_one()));
}

TEST_F(Vulkan, a_lost_device_says_in_what_and_goes_in_any_order) {
  options.lose = [](std::uint64_t number) { return number == 3; };
  const TestPages pages(1 << 16);
  auto device = open();
  ASSERT_TRUE(device);
  auto shared = device->share(pages.span);
  ASSERT_TRUE(shared);
  const auto work = chain((*shared)->address(pages.span.data(), 4096), 64, 1);
  EXPECT_TRUE(device->run(work));
  EXPECT_TRUE(device->run(work));
  EXPECT_FALSE(device->lost());
  const auto ran = device->run(work);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(ran.error().message, HasSubstr("lost"));
  EXPECT_THAT(ran.error().message, HasSubstr("add_one"));
  EXPECT_TRUE(device->lost());
  EXPECT_FALSE(device->run(work));
  EXPECT_EQ(pages.floats()[0], 2.0f);
  device = {};
  shared = {};
  options.lose = {};
  EXPECT_TRUE(open());
}

TEST_F(Vulkan, loaders_that_are_none_are_named) {
  options.validate = {};
  options.library = "libvulkan-that-is-not-there.so.1";
  EXPECT_THAT(reason(options), HasSubstr("install libvulkan1"));
  const auto text =
      std::filesystem::temp_directory_path() / fmt::format("lathe-no-loader-{}.so", ::getpid());
  std::ofstream(text) << "This is no library.\n";
  options.library = text;
  EXPECT_THAT(reason(options), HasSubstr("cannot be opened"));
  std::filesystem::remove(text);
  options.library = "libm.so.6";
  EXPECT_THAT(reason(options), HasSubstr("libm.so.6 is no loader of Vulkan"));
}

TEST_F(Vulkan, no_driver_is_named) {
  options.validate = {};
  use_driver("/nowhere/icd.json");
  EXPECT_THAT(reason(options), HasSubstr("Vulkan finds no driver"));
  const auto names_nothing =
      std::filesystem::temp_directory_path() / fmt::format("lathe-no-driver-{}.json", ::getpid());
  std::ofstream(names_nothing) << R"({"file_format_version": "1.0.0", "ICD": {
      "library_path": "/nowhere/libvulkan_nothing.so", "api_version": "1.3.0"}})";
  use_driver(names_nothing.c_str());
  EXPECT_THAT(reason(options), HasSubstr("Vulkan finds no driver"));
  std::filesystem::remove(names_nothing);
}

TEST_F(Vulkan, a_device_that_went_away_is_named) {
  DeviceFacts facts;
  facts.name = "Some GPU";
  const auto gone = open_vulkan(facts, options);
  ASSERT_FALSE(gone);
  EXPECT_THAT(gone.error().message, HasSubstr("Some GPU is no longer there"));
}

// The real loader behind one that fails as it is told to (tests/testing/failing_vulkan.cpp).
class FailingVulkan : public Vulkan {
 protected:
  FailingVulkan() { options.library = LATHE_FAILING_VULKAN; }
  ~FailingVulkan() override { ::unsetenv("FAILING_VULKAN"); }

  // The error of a second run, whose submission fails in this way.
  Error failure(const char* how) {
    ::setenv("FAILING_VULKAN", how, 1);
    const TestPages pages(1 << 16);
    const auto device = open();
    if (!device) return {};
    const auto shared = device->share(pages.span);
    if (!shared) return shared.error();
    const auto work = chain((*shared)->address(pages.span.data(), 4096), 64, 1);
    if (const auto first = device->run(work); !first) return first.error();
    const auto second = device->run(work);
    EXPECT_TRUE(device->lost());
    EXPECT_FALSE(device->prepare(GpuKernel{"other", 64, 0, add_one().spirv.subspan(1)}));
    const auto third = device->run(work);
    EXPECT_FALSE(third);
    return second ? Error{} : second.error();
  }
};

TEST_F(FailingVulkan, an_instance_that_is_not_made_is_named) {
  ::setenv("FAILING_VULKAN", "instance", 1);
  EXPECT_THAT(reason(options), HasSubstr("Vulkan does not start (VK_ERROR_INITIALIZATION_FAILED)"));
}

TEST_F(FailingVulkan, devices_that_are_not_named_are_named) {
  ::setenv("FAILING_VULKAN", "devices", 1);
  EXPECT_THAT(reason(options), HasSubstr("Vulkan names no devices (VK_ERROR_UNKNOWN)"));
}

TEST_F(FailingVulkan, a_device_that_is_not_made_is_named) {
  const auto devices = vulkan_devices(options);
  ASSERT_TRUE(devices) << devices.error().message;
  ::setenv("FAILING_VULKAN", "device", 1);
  const auto device = open_vulkan(devices->front(), options);
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().message, HasSubstr("VK_ERROR_OUT_OF_DEVICE_MEMORY"));
}

TEST_F(FailingVulkan, memory_that_is_not_taken_is_named) {
  ::setenv("FAILING_VULKAN", "memory", 1);
  const TestPages pages(1 << 16);
  const auto device = open();
  ASSERT_TRUE(device);
  const auto shared = device->share(pages.span);
  ASSERT_FALSE(shared);
  EXPECT_THAT(shared.error().message, HasSubstr("65536 bytes of this machine's memory"));
}

TEST_F(FailingVulkan, a_device_is_lost_when_it_takes_no_work) {
  const Error error = failure("submit");
  EXPECT_EQ(error.kind, ErrorKind::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("lost (VK_ERROR_DEVICE_LOST) in a submission of add_one"));
}

TEST_F(FailingVulkan, a_device_is_lost_when_its_work_does_not_end_well) {
  EXPECT_THAT(failure("wait").message, HasSubstr("lost (VK_ERROR_DEVICE_LOST)"));
}

TEST_F(FailingVulkan, a_device_that_hangs_is_given_up_with_all_that_it_holds) {
  options.validate = {};  // it would name what is not taken back
  EXPECT_THAT(failure("hang").message, HasSubstr("lost (no end of it within 600 s)"));
}

}  // namespace
}  // namespace lathe::infer

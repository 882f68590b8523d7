// Products on a device, with the processor behind it.
#include "infer/offload/accelerator.h"

#include <algorithm>

namespace lathe::infer {
namespace {

// After so many losses it is left alone: something is wrong with it.
constexpr std::size_t kMostLosses = 3;

// How long after a loss it is tried again: 1 s, 10 s, 100 s.
std::chrono::seconds back_off(std::size_t losses) {
  std::chrono::seconds wait{1};
  for (std::size_t i = 1; i < losses; ++i) wait *= 10;
  return wait;
}

}  // namespace

// What one executor's memory is to the device.
class DeviceMultiplier final : public Multiplier {
 public:
  explicit DeviceMultiplier(Accelerator& accelerator) : accelerator_(accelerator) {}

  Status see(std::span<std::byte> pages) override {
    pages_.push_back(pages);
    return {};
  }

  bool multiply(std::span<const Product> products) override {
    double work = 0;
    for (const Product& product : products) work += work_of(product);
    if (work < accelerator_.options_.least_work) return false;
    if (!share()) return false;
    dispatches_.clear();
    for (const Product& product : products) {
      const ProductKernels* kernels = accelerator_.options_.trust.find(product.matrix->type->type);
      if (kernels == nullptr || !append_product(product, *kernels, find_, dispatches_))
        return false;
    }
    return accelerator_.run(*device_, dispatches_, products.size());
  }

 private:
  // All memory, once with each device that there is.
  bool share() {
    std::shared_ptr<Device> device = accelerator_.ready();
    if (device == nullptr) return false;
    if (device == device_) return sees_;
    shared_.clear();
    device_ = std::move(device);
    sees_ = true;
    for (const std::span<std::byte> pages : pages_) {
      auto shared = device_->share(pages);
      if (!shared) {
        sees_ = false;
        accelerator_.tell(shared.error().message);
        break;
      }
      shared_.push_back(std::move(*shared));
    }
    return sees_;
  }

  Accelerator& accelerator_;
  std::vector<std::span<std::byte>> pages_;
  std::shared_ptr<Device> device_;
  std::vector<std::unique_ptr<SharedMemory>> shared_;  // goes before the device
  bool sees_ = false;                                  // all of the memory
  std::vector<Dispatch> dispatches_;
  AddressOf find_ = [this](const void* at, std::size_t bytes) -> std::uint64_t {
    for (const auto& shared : shared_)
      if (const std::uint64_t address = shared->address(at, bytes)) return address;
    return 0;
  };
};

Accelerator::Accelerator(std::unique_ptr<Device> device, AcceleratorOptions options)
    : options_(std::move(options)), facts_(device->facts()), device_(std::move(device)) {}

Accelerator::~Accelerator() = default;

std::unique_ptr<Multiplier> Accelerator::multiplier() {
  return std::make_unique<DeviceMultiplier>(*this);
}

Accelerator::State Accelerator::state() const {
  const std::lock_guard lock(mutex_);
  return {.facts = facts_,
          .lost = device_->lost(),
          .losses = losses_,
          .products = products_,
          .bytes = device_->bytes()};
}

std::shared_ptr<Device> Accelerator::ready() {
  const std::lock_guard lock(mutex_);
  if (!device_->lost()) return device_;
  if (losses_ >= kMostLosses || options_.now() < again_) return nullptr;
  auto opened = options_.open();
  if (!opened) {
    again_ = options_.now() + back_off(++losses_);
    return nullptr;
  }
  device_ = std::move(*opened);
  tell("is back");
  return device_;
}

void Accelerator::tell(const std::string& what) const {
  if (options_.tell) options_.tell(fmt::format("{}: {}", facts_.name, what));
}

bool Accelerator::run(Device& device, std::span<const Dispatch> work, std::size_t products) {
  const std::lock_guard lock(mutex_);
  if (device.lost()) return false;
  if (const Status done = device.run(work); !done) {
    if (device.lost()) again_ = options_.now() + back_off(++losses_);
    tell(fmt::format("{}; the processor goes on", done.error().message));
    return false;
  }
  products_ += products;
  return true;
}

}  // namespace lathe::infer

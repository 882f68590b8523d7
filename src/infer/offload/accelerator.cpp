// Products on a device, with the processor behind it.
#include "infer/offload/accelerator.h"

#include <algorithm>

#include "infer/offload/device_chain.h"

namespace lathe::infer {
namespace {

// How long after a loss it is tried again: 1 s, 10 s, then 100 s.
std::chrono::seconds back_off(std::size_t losses) {
  return std::chrono::seconds(losses <= 1 ? 1 : losses == 2 ? 10 : 100);
}

}  // namespace

// One executor's memory, and what it wants computed.
class DeviceMultiplier final : public Multiplier {
 public:
  explicit DeviceMultiplier(Accelerator& accelerator)
      : accelerator_(accelerator),
        chain_(memory_, accelerator.options_.trust,
               {.ready = [this] { return ready(); },
                .run = [this](std::span<const Dispatch> work) { return run(work); }}) {}

  Status see(std::span<std::byte> pages) override {
    memory_.add(pages);
    return {};
  }
  Status see_parts(std::span<std::byte> pages, std::size_t longest) override {
    memory_.add_parts(pages, longest);
    return {};
  }
  void forget_parts() override { memory_.forget_parts(); }

  bool multiply(std::span<const Product> products) override {
    double work = 0;
    for (const Product& product : products) work += work_of(product);
    if (work < accelerator_.options_.least_work) return false;
    return chain_.begin() && chain_.multiply(products) && chain_.run();
  }
  Chain& chain() override { return chain_; }
  std::uint64_t bytes() const override { return chain_.bytes(); }

 private:
  // Sees all memory, once with each device that there is.
  bool ready() {
    std::shared_ptr<Device> device = accelerator_.ready();
    if (device == nullptr) return false;
    if (device == memory_.device()) return sees_;
    const Status seen = memory_.attach(std::move(device));
    sees_ = seen.has_value();
    if (!sees_) accelerator_.tell(seen.error().message);
    return sees_;
  }
  bool run(std::span<const Dispatch> work) {
    double all = 0;
    for (const Dispatch& dispatch : work) all += dispatch.work;
    return all >= accelerator_.options_.least_work && accelerator_.run(*memory_.device(), work);
  }

  Accelerator& accelerator_;
  DeviceChain chain_;    // goes after …
  DeviceMemory memory_;  // … what sees its memory
  bool sees_ = false;    // all of it
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
          .runs = runs_,
          .dispatches = dispatches_,
          .bytes = device_->bytes()};
}

std::shared_ptr<Device> Accelerator::ready() {
  const std::lock_guard lock(mutex_);
  if (!device_->lost()) return device_;
  if (losses_ >= options_.most_losses || options_.now() < again_) return nullptr;
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

bool Accelerator::run(Device& device, std::span<const Dispatch> work) {
  const std::lock_guard lock(mutex_);
  if (device.lost()) return false;
  if (const Status done = device.run(work); !done) {
    if (device.lost()) again_ = options_.now() + back_off(++losses_);
    tell(fmt::format("{}; the processor goes on", done.error().message));
    return false;
  }
  ++runs_;
  dispatches_ += work.size();
  return true;
}

}  // namespace lathe::infer

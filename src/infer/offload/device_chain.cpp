// Operations recorded for a device, and the room that they need there.
#include "infer/offload/device_chain.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace lathe::infer {
namespace {

constexpr std::size_t kRoomBytes = std::size_t{1} << 20;
// Partial results of attention: more groups are taken in turns.
constexpr std::size_t kTurnBytes = std::size_t{16} << 20;

}  // namespace

DeviceChain::DeviceChain(DeviceMemory& memory, const Trust& trust, Owner owner)
    : memory_(memory), trust_(trust), owner_(std::move(owner)) {
  for (const ProductKernels* kernels : trust.products) {
    const auto type = static_cast<std::size_t>(kernels->type);
    products_.resize(std::max(products_.size(), type + 1));
    products_[type] = kernels;
  }
  places_.find = [this](const void* at, std::size_t bytes) { return memory_.address(at, bytes); };
  places_.constant = [this](Constant each) { return constant(each); };
}

bool DeviceChain::begin() {
  work_.clear();
  staged_.page = staged_.used = 0;
  partials_ = tops_ = {};
  return owner_.ready();
}

void* DeviceChain::take(Room& room, std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  while (room.page < room.pages.size() && room.used + bytes > room.pages[room.page].size()) {
    ++room.page;
    room.used = 0;
  }
  if (room.page == room.pages.size()) {
    auto pages = Pages::allocate(std::max(bytes, kRoomBytes));
    if (!pages) return nullptr;
    memory_.add({pages->data(), pages->size()});
    room.pages.push_back(std::move(*pages));
  }
  void* const taken = room.pages[room.page].data() + room.used;
  room.used += bytes;
  return taken;
}

void* DeviceChain::stage(std::size_t bytes) {
  return take(staged_, bytes);
}

std::uint64_t DeviceChain::constant(Constant constant) {
  const float*& kept = constants_[constant.data()];
  if (kept == nullptr) {
    auto* const room = static_cast<float*>(take(kept_, constant.size_bytes()));
    if (room == nullptr) return 0;
    std::ranges::copy(constant, room);
    kept = room;
  }
  return memory_.address(kept, constant.size_bytes());
}

const ProductKernels* DeviceChain::kernels_of(const PackedMatrix& matrix) const {
  const auto type = static_cast<std::size_t>(matrix.type->type);
  return type < products_.size() ? products_[type] : nullptr;
}

bool DeviceChain::trusts(const GpuKernel* kernel) const {
  return kernel != nullptr && std::ranges::find(trust_.steps, kernel) != trust_.steps.end();
}

bool DeviceChain::multiply(std::span<const Product> products) {
  const std::size_t before = work_.size();
  for (const Product& product : products) {
    const ProductKernels* kernels = kernels_of(*product.matrix);
    const bool beside = work_.size() != before;
    if (kernels == nullptr || !append_product(product, *kernels, places_.find, beside, work_)) {
      work_.resize(before);
      return false;
    }
  }
  return true;
}

bool DeviceChain::add_norm(const AddNormOp& op) {
  const GpuKernel* kernel = step_kernels().add_norm;
  return trusts(kernel) && append_add_norm(op, *kernel, places_, work_);
}

bool DeviceChain::heads(const HeadsOp& op) {
  const GpuKernel* kernel = step_kernels().heads[static_cast<std::size_t>(op.kv)];
  return trusts(kernel) && append_heads(op, *kernel, places_, work_);
}

bool DeviceChain::activate(const ActivateOp& op) {
  const GpuKernel* kernel = step_kernels().activate;
  return trusts(kernel) && append_activate(op, *kernel, places_, work_);
}

bool DeviceChain::attend(const AttendOp& op) {
  const std::size_t before = work_.size();
  if (append_turns(op)) return true;
  work_.resize(before);
  return false;
}

bool DeviceChain::append_turns(const AttendOp& op) {
  const StepKernels& kernels = step_kernels();
  const GpuKernel* kernel = kernels.attend[static_cast<std::size_t>(op.kv)];
  if (!trusts(kernel) || !trusts(kernels.fold) || !trusts(kernels.activate)) return false;
  const std::size_t columns = op.tokens * op.heads, each = columns * partial_floats(op);
  const std::size_t first = op.first / kDeviceGroup;
  const std::size_t end = (op.end + kDeviceGroup - 1) / kDeviceGroup;
  const std::size_t groups =
      std::clamp<std::size_t>(kTurnBytes / (each * sizeof(float)), 1, end - first);

  const auto at_least = [this](std::span<float>& room, std::size_t count) {
    if (room.size() >= count) return true;
    // Powers of two, so that a room that grows with the depth leaves few behind.
    const std::size_t size = std::bit_ceil(count);
    auto* const taken = stage_for<float>(size);
    room = taken == nullptr ? std::span<float>() : std::span(taken, size);
    return taken != nullptr;
  };
  const std::vector<std::uint32_t> tiles = attend_tiles(op);
  auto* const staged = stage_for<std::uint32_t>(tiles.size());
  if (staged == nullptr || !at_least(partials_, groups * each) || !at_least(tops_, 2 * columns))
    return false;
  std::ranges::copy(tiles, staged);

  for (std::size_t group = first; group < end; group += groups) {
    const AttendTurn turn{.first_group = group,
                          .groups = std::min(groups, end - group),
                          .tiles = staged,
                          .tile_count = tiles.size() / 2,
                          .partials = partials_.data(),
                          .tops = tops_.data(),
                          .first = group == first,
                          .last = group + groups >= end};
    if (!append_attend(op, turn, *kernel, places_, work_) ||
        !append_fold(op, turn, *kernels.fold, places_, work_))
      return false;
  }
  return append_quantize(*op.to, op.tokens, *kernels.activate, places_, work_);
}

bool DeviceChain::run() {
  return owner_.run(work_);
}

std::uint64_t DeviceChain::bytes() const {
  std::uint64_t sum = 0;
  for (const Room* room : {&staged_, &kept_})
    for (const Pages& pages : room->pages) sum += pages.size();
  return sum;
}

}  // namespace lathe::infer

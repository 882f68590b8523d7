// Products as what a device is given. Pure.
#pragma once

#include <optional>
#include <vector>

#include "infer/device/device.h"
#include "infer/offload/gpu_kernels.h"
#include "infer/tensor/matrix.h"

namespace lathe::infer {

// Finds an address for so many bytes; 0: there is none.
using AddressOf = std::function<std::uint64_t(const void* at, std::size_t bytes)>;

// Multiplications of a product.
double work_of(const Product& product);

// Appends what computes the product; in pieces of rows, none of which takes more than a moment or
// 16 MiB of weights. `beside`: it reads nothing of what stands before it. false: not all of it is
// where the device sees it.
bool append_product(const Product& product, const ProductKernels& kernels, const AddressOf& find,
                    bool beside, std::vector<Dispatch>& to);

}  // namespace lathe::infer

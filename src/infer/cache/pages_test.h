// For tests of the cache: a KV format whose chunks are pages, which tests fill as they like.
#pragma once

#include "infer/cache/state.h"

namespace lathe::infer {

inline const KvFormat kPage{.type = KvType::kF32,
                            .chunk_bytes = [](const KvShape&) { return std::size_t{4096}; },
                            .store = nullptr,
                            .attend = nullptr};

}  // namespace lathe::infer

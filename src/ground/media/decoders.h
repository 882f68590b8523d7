// Foreign sound and picture files, decoded in confined processes: a fresh one per file, so that one
// that is taken over can touch nothing else. Any thread. kInvalid: the file cannot be read, or the
// decoder died of it.
#pragma once

#include "ground/media/picture_decode.h"
#include "ground/media/sound_decode.h"
#include "ground/media/worker_call.h"
#include "ground/media/worker_role.h"

namespace lathe {

// `program`: as media_worker() has it, with decoder_roles() among its tables.
Result<Decoded> decode_sound_file(const fs::path& program, std::string_view file,
                                  Milliseconds limit, const StopFlag& stop);
// Its samples, mono, so many a second.
Result<std::vector<std::int16_t>> decode_samples_file(const fs::path& program,
                                                      std::string_view file, int rate,
                                                      Milliseconds limit, const StopFlag& stop);
Result<Picture> decode_picture_file(const fs::path& program, std::string_view file,
                                    Milliseconds limit, const StopFlag& stop);

std::span<const WorkerRole> decoder_roles();

}  // namespace lathe

// Opens what a file of encoders has, with the progress of its loading: infer::PictureEncoder,
// SoundEncoder or WhisperModel.
#pragma once

#include <memory>

#include "app/cli/local_model.h"
#include "app/cli/work_progress.h"
#include "infer/encoders/weight_list.h"

namespace lathe::app {

// `kernels`: of --kernels. The team must live as long as what is opened.
template <class Encoder>
Result<std::unique_ptr<Encoder>> open_encoder(const App& app, const std::string& kernels,
                                              const infer::Gguf& file, infer::ThreadTeam& team) {
  infer::WeightLoading loading;
  LATHE_TRY(loading.kernels, choose_kernels(kernels));
  WorkProgress progress(app, "loading " + file.path().filename().string());
  loading.progress = [&](std::uint64_t done, std::uint64_t total) { progress.update(done, total); };
  loading.stop = app.stop;
  return Encoder::open(file, team, loading);
}

}  // namespace lathe::app

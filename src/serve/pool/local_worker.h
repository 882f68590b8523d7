// A model of a pool in this process as a Worker: what loops and `lathe run` hold. complete() may be
// called from several threads at once.
#pragma once

#include "work/model_host.h"

namespace lathe::serve {

class LocalWorker final : public Worker {
 public:
  // `host` must outlive the worker; `name`: as recipes say it ("": the model's).
  LocalWorker(ModelHost& host, std::string model, std::string name = {});

  WorkerInfo info() const override;
  Result<bool> sees() const override;
  std::int64_t context() const override;
  // What a program, or the other machine of a link, took with it is asked once more a second later,
  // which starts or calls it again; nothing once a delta was heard.
  Result<Reply> complete(const Request& request, const StopFlag& stop,
                         const std::function<void(const Delta&)>& on_delta) override;
  Result<Likelihood> likelihood(const Continuation& asked, const StopFlag& stop) override;
  Result<Transcription> transcribe(const SoundRequest& asked, const StopFlag& stop) override;
  // As samples without a head.
  Result<SpokenFile> speak(const SpeechRequest& asked, const StopFlag& stop) override;

 private:
  // What the host says at last of what `begin` asks it for, cancelled by `stop` or `limit`.
  template <class Value>
  Result<Value> await(const std::function<ModelHost::Id(std::function<void(Result<Value>)>)>& begin,
                      Milliseconds limit, const StopFlag& stop);
  // The first candidate, with the call's time; errors name the worker.
  Result<HostReply> ask(HostRequest request, const StopFlag& stop,
                        const std::function<void(const Delta&)>& on_delta);

  ModelHost& host_;
  std::string model_, name_;
};

}  // namespace lathe::serve

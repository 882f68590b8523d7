// Asks a confined child of this program (worker_role.h): one frame there, one back.
#pragma once

#include "ground/media/media_message.h"
#include "ground/sys/worker_process.h"

namespace lathe {

// `program`: an executable that hands "media-worker …" to run_worker().
WorkerCommand media_worker(const fs::path& program, std::string role);

// What the child refuses is an error; so is what ends it.
Result<MediaMessage> ask_worker(WorkerProcess& process, const MediaMessage& request,
                                Milliseconds limit, const StopFlag& stop);

// The same with a file to read: a child that dies of it says that the file is wrong. `head`: what
// is asked of it.
Result<MediaMessage> ask_reader(WorkerProcess& process, std::string_view file, Milliseconds limit,
                                const StopFlag& stop, Json head = Json::object());

// Whether a child that ended by this signal did so because of what it read: the next try would end
// the same way.
bool own_fault(int signal);

}  // namespace lathe
